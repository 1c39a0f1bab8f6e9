from types import SimpleNamespace

import numpy as np
import pytest

from ner.tags import TagSet, first_words


def test_collected_order_does_not_depend_on_the_data():
    expected = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert TagSet.collect(["I-PER", "O", "B-LOC"]).names == expected
    assert TagSet.collect(["B-LOC", "B-PER"]).names == expected


def test_arrays_follow_the_names():
    tags = TagSet(("B-PER", "O", "I-PER", "I-X-Y"))
    assert tags.outside == 1
    assert tags.types == ("PER", "X-Y")
    assert tags.type_of.tolist() == [0, -1, 0, 1]
    assert tags.begins.tolist() == [True, False, False, False]
    assert tags.inside.tolist() == [2, 1, 2, 3]
    assert tags.ids_of(TagSet(("O", "B-LOC", "I-PER"))).tolist() == [1, -1, 2]


@pytest.mark.parametrize(("offsets", "first"), [([0, 2, 3], [True, False, True]), ([0], []), ([0, 0, 1, 1], [True])])
def test_first_words(offsets, first):
    assert first_words(np.array(offsets)).tolist() == first


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("O", "PER"), "'PER'"),
        (("O", "B-"), "'B-'"),
        (("O", "S-PER"), "'S-PER'"),
        (("O", "B-PER", "B-PER"), "twice"),
        (("B-PER", "I-PER"), "no O"),
    ],
)
def test_refuses_what_is_no_iob2_tag_set(names, message):
    with pytest.raises(ValueError, match=message):
        TagSet(names)


def test_a_model_without_tags_is_named():
    config = SimpleNamespace(id2label={0: "LABEL_0", 1: "LABEL_1"}, num_labels=2)
    with pytest.raises(ValueError, match=r"some-model is not a tagger.*LABEL_0"):
        TagSet.of_model(config, "some-model")
