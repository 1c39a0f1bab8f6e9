"""The CRF, the dictionary of training mentions, and what their folders may hold."""

import json
import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import List as ListOf

from ner.data.arrow_store import TAGS as TAG_COLUMN
from ner.data.arrow_store import WORDS
from ner.errors import InputError
from ner.files import MANIFEST, write_manifest
from ner.modeling import baselines, crf
from ner.modeling.baselines import MODEL_FILES, Method, load_baseline, read_tags, sentences, train_baseline
from ner.modeling.dictionary import MentionDictionary
from ner.modeling.word_features import features, shape
from ner.tags import TagSet
from tests.conftest import TAGS

FEATURES = Features({WORDS: ListOf(Value("string")), TAG_COLUMN: ListOf(ClassLabel(names=list(TAGS.names)))})
METHODS: tuple[Method, ...] = ("crf", "dictionary")


def rows(*pairs: tuple[str, str]) -> Dataset:
    """Sentences of words and tags, each as a text."""
    columns = {WORDS: [words.split() for words, _ in pairs], TAG_COLUMN: [tags.split() for _, tags in pairs]}
    return Dataset.from_dict(columns, features=FEATURES)


TRAINING = rows(
    ("Anna Keller wohnt in Bern .", "B-PER I-PER O O B-LOC O"),
    ("Die Bank Bern in Genf", "O B-ORG I-ORG O B-LOC"),
    ("Anna kommt aus Genf", "B-PER O O B-LOC"),
    ("Bern", "B-ORG"),
    ("Genf gewinnt", "B-ORG O"),
)


def names(found: np.ndarray) -> list[str]:
    return [TAGS.names[i] for i in found.tolist()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, german) -> dict[str, Path]:
    """A folder of each method, trained on 200 German sentences, with its manifest."""
    made: dict[str, Path] = {}
    for method in METHODS:
        made[method] = tmp_path_factory.mktemp(method)
        train_baseline(method, german.select(range(200)), made[method])
        write_manifest(made[method])
    return made


def test_shapes():
    assert shape("Bern-2024") == "Xx-0"
    assert shape("ÉCOLE''") == "X'"
    assert shape("京都٣") == "c0"


def test_a_word_has_features_of_itself_and_of_its_neighbours():
    first, second = features(["Bern", "gewinnt"])
    assert {"word=bern", "shape=Xx", "prefix=be", "suffix=ern", "1 word=gewinnt", "1 suffix=nnt"} <= set(first)
    assert {"-1 edge", "-2 edge", "2 edge", "shapes= Xx x", "shapes=* Xx x", "first=bern", "last=gewinnt"} <= set(first)
    assert {"word=gewinnt", "-1 word=bern", "-1 shape=Xx", "-1 prefix=ber", "prefix=gewi", "shapes=Xx x *"} <= set(
        second
    )
    assert not any(feature.startswith(("prefix=gewin", "suffix=winnt")) for feature in second)
    (alone,) = features(["Bern"])
    assert {"-1 edge", "1 edge", "shapes= Xx "} <= set(alone)


def test_the_dictionary_takes_the_longest_mention_and_its_most_frequent_type():
    learned = MentionDictionary.collect(((words, np.array(ids)) for words, ids in sentences(TRAINING)), TAGS)
    found, p = learned.tag("Anna Keller in Genf : Bank Bern , Zug".split())
    assert names(found) == "B-PER I-PER O B-LOC O B-ORG I-ORG O O".split()
    assert p is None
    assert learned.types[("Genf",)] == "LOC"  # 2 of 3
    again = MentionDictionary.from_plain(json.loads(json.dumps(learned.plain())), TAGS)
    assert again == learned


def test_of_types_that_are_equally_frequent_the_first_in_the_alphabet():
    for pairs in ((("Bern", "B-ORG"), ("Bern", "B-LOC")), (("Bern", "B-LOC"), ("Bern", "B-ORG"))):
        given = ((words, np.array(ids)) for words, ids in sentences(rows(*pairs)))
        assert MentionDictionary.collect(given, TAGS).types == {("Bern",): "LOC"}


def test_the_crf_learns_its_training_sentences_and_has_probabilities(folders, german):
    model = load_baseline(folders["crf"], "crf")
    gold, found = [], []
    for words, ids in sentences(german.select(range(200))):
        tags, p = model.tag(words)
        assert p is not None
        assert p.shape == (len(words), len(TAGS))
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
        gold += ids
        found += tags.tolist()
    assert np.mean(np.array(gold) == np.array(found)) > 0.97


def test_marginals_are_those_of_all_tag_sequences(folders, german):
    """By brute force: the sum over the probabilities of all sequences that have a tag at a word."""
    model = load_baseline(folders["crf"], "crf")
    assert isinstance(model, crf.Crf)
    words = next(words for words, _ in sentences(german.select(range(200))) if len(words) > 3)[:3]
    found, p = model.tag(words)
    expected = np.zeros_like(p)
    best: tuple[float, tuple[int, ...]] = (0.0, ())
    for sequence in product(range(len(model.labels)), repeat=3):
        probability = model.tagger.probability([model.labels[i] for i in sequence])
        expected[[0, 1, 2], model.ids[list(sequence)]] += probability
        best = max(best, (probability, sequence))
    np.testing.assert_allclose(p, expected, atol=1e-6)
    assert found.tolist() == model.ids[list(best[1])].tolist()


def test_a_tag_that_was_in_no_training_sentence_has_probability_0(tmp_path):
    train_baseline("crf", rows(("Anna wohnt", "B-PER O"), ("Bern", "O")), tmp_path)
    write_manifest(tmp_path)
    _, p = load_baseline(tmp_path, "crf").tag(["Anna", "Keller"])
    assert p is not None
    assert (p[:, TAGS.ids["B-LOC"]] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_sentences_make_the_same_files(method, folders, german, tmp_path):
    train_baseline(method, german.select(range(200)), tmp_path)
    for name in (MODEL_FILES[method], baselines.TAGS_FILE):
        assert (tmp_path / name).read_bytes() == (folders[method] / name).read_bytes()


def damaged(folder: Path, to: Path, name: str, content: bytes | None, *, listed: bool) -> Path:
    """A copy of a folder with another file in it. listed: in its manifest, as an attacker would have it."""
    shutil.copytree(folder, to)
    (to / name).unlink()
    if content is not None:
        (to / name).write_bytes(content)
    if listed:
        (to / MANIFEST).unlink()
        write_manifest(to)
    return to


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_is_cut_or_empty_is_a_message(method, listed, folders, tmp_path):
    name = MODEL_FILES[method]
    whole = (folders[method] / name).read_bytes()
    for number, content in enumerate((whole[: len(whole) // 2], whole[:60], b"lCRF", None)):
        folder = damaged(folders[method], tmp_path / str(number), name, content, listed=listed)
        with pytest.raises(InputError, match=name) as caught:
            load_baseline(folder, method)
        assert "\n" not in str(caught.value)
    folder = damaged(folders[method], tmp_path / "empty", name, b"", listed=listed)
    if method == "crf" or not listed:  # no mention at all is a dictionary, of sentences without entities
        with pytest.raises(InputError, match=name):
            load_baseline(folder, method)


def test_what_the_manifest_does_not_name_is_not_loaded(folders, tmp_path):
    folder = shutil.copytree(folders["crf"], tmp_path / "copy")
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    del content["files"][MODEL_FILES["crf"]]
    (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=r"its manifest does not name model\.crfsuite"):
        load_baseline(folder, "crf")
    (folder / MANIFEST).unlink()
    with pytest.raises(InputError, match=r"no manifest\.json to read"):
        load_baseline(folder, "crf")


def header(content: bytes, **changes: int) -> bytes:
    fields = "magic size kind version features labels attributes of_features of_labels of_attributes a b".split()
    values = dict(zip(fields, crf.HEADER.unpack_from(content), strict=True)) | changes
    return crf.HEADER.pack(*values.values()) + content[crf.HEADER.size :]


def test_a_header_that_lies_is_found(folders):
    content = (folders["crf"] / MODEL_FILES["crf"]).read_bytes()
    assert crf.flaw(content) == ""
    assert "its header says" in crf.flaw(content + b"more")
    assert "by its header" in crf.flaw(header(content, version=3))
    for change in ({"labels": 1 << 31}, {"of_labels": 1 << 31}, {"attributes": 1 << 31}, {"of_features": 100}):
        assert "parts that are not in it" in crf.flaw(header(content, **change))
    first = crf.HEADER.size + crf.PART_HEADER.size
    assert "parts that" in crf.flaw(content[: first - 4] + b"\xff\xff\xff\x7f" + content[first:])
    assert "has no label" in crf.flaw(content[: first + 8] + b"\xff\xff\xff\x7f" + content[first + 12 :])


def test_a_large_file_is_not_read(folders, monkeypatch):
    monkeypatch.setattr(baselines, "LARGEST_FILE", 10)
    with pytest.raises(InputError, match="10 are the most that is read"):
        load_baseline(folders["crf"], "crf")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is no list of tags"),
        ("[1]", "is no list of tags"),
        ('["B-PER"]', "no O in the tags"),
        ("[" * 100_000, "tags.json: "),
        ("\x00", "tags.json: "),
    ],
)
def test_tags_that_are_none(tmp_path, content, message):
    (tmp_path / "tags.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_tags(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "is no mention"),
        ('["LOC"]', "is no mention"),
        ('["LOC", 1]', "is no mention"),
        ('["MISC", "Oscar"]', "the mention 'Oscar' needs the tag 'B-MISC'"),
        ("[" * 100_000, "mentions.jsonl: "),
        ('["LOC", "Ber', "mentions.jsonl: "),
    ],
)
def test_mentions_that_are_none(folders, tmp_path, line, message):
    folder = damaged(folders["dictionary"], tmp_path / "made", "mentions.jsonl", line.encode(), listed=True)
    with pytest.raises(InputError, match=message):
        load_baseline(folder, "dictionary")


def test_labels_that_the_tags_lack(folders, tmp_path):
    folder = damaged(folders["crf"], tmp_path / "made", "tags.json", b'["O", "B-PER", "I-PER"]', listed=True)
    with pytest.raises(InputError, match="which is not among its tags"):
        load_baseline(folder, "crf")


def test_without_python_crfsuite_there_is_a_message(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycrfsuite", None)
    with pytest.raises(InputError, match=r'pip install "crosslingual-ner\[baseline\]"'):
        train_baseline("crf", TRAINING, tmp_path)


def test_tag_sets_of_any_order(tmp_path):
    tags = TagSet(("I-PER", "O", "B-PER"))
    learned = MentionDictionary.collect([(["Anna", "Keller", "wohnt"], np.array([2, 0, 1]))], tags)
    assert learned.tag(["Anna", "Keller"])[0].tolist() == [2, 0]
