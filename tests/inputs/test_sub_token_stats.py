import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st

from ner.inputs.encoding import encode
from ner.inputs.sub_token_stats import SubTokenStats, sub_token_stats
from tests.conftest import TAGS


def sentences(*texts: str) -> Dataset:
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=list(TAGS.names)))})
    words = [text.split(" ") for text in texts]
    return Dataset.from_dict({"tokens": words, "ner_tags": [[0] * len(row) for row in words]}, features)


def test_numbers_by_hand():
    stats = SubTokenStats(np.arange(1, 101), num_special=0, num_words=2_000, num_bare_words=3, num_unknown=101)
    assert stats.num_sub_tokens == 5_050
    assert stats.sub_tokens_per_word == 2.525
    assert stats.share_unknown == 0.02
    assert stats.percentiles((0, 50, 100)) in ([1, 50, 100], [1, 51, 100])
    assert [stats.num_split(limit) for limit in (0, 98, 99, 100)] == [100, 2, 1, 0]


def test_sub_tokens_of_sentences(tokenizer):
    """A soft hyphen is normalised away, and the snowman is in no training sentence."""
    stats = sub_token_stats(sentences("Bern \u00ad", "\u2603", "Bern Bern"), tokenizer)
    bern = len(tokenizer.tokenize("Bern"))
    assert stats.lengths.tolist()[::2] == [bern + 2, 2 * bern + 2]
    assert (stats.num_special, stats.num_words, stats.num_bare_words) == (2, 5, 1)
    snowman = tokenizer(["\u2603"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    assert stats.num_unknown == snowman.count(tokenizer.unk_token_id) == 1
    assert stats.num_sub_tokens == 3 * bern + len(snowman)


@pytest.mark.parametrize("max_length", [8, 16, 24])
def test_windows_are_those_of_training(german, tokenizer, max_length):
    some = german.select(range(300))
    encoded = encode(some, tokenizer, TAGS, max_length=max_length)
    stats = sub_token_stats(some, tokenizer)
    assert stats.num_split(max_length) == (np.bincount(encoded.sentence) > 1).sum() > 0
    assert stats.num_words == len(encoded.gold)
    whole = encode(some, tokenizer, TAGS, max_length=1000)
    assert stats.lengths.tolist() == np.diff(whole.offsets).tolist()
    assert stats.num_bare_words == (whole.num_sub_tokens == 0).sum()


def test_no_sentences(tokenizer):
    stats = sub_token_stats(sentences("a").select([]), tokenizer)
    assert (stats.percentiles(), stats.num_sub_tokens, stats.share_unknown, stats.sub_tokens_per_word) == ([], 0, 0, 0)


@given(st.lists(st.lists(st.text("Bern\u2603\u00ad", min_size=1, max_size=6), min_size=1, max_size=4), max_size=4))
def test_parts_add_up(tokenizer, words):
    texts = [" ".join(row) for row in words]
    whole = sub_token_stats(sentences(*texts, "a"), tokenizer)
    parts = [sub_token_stats(sentences(text), tokenizer) for text in [*texts, "a"]]
    assert whole.lengths.tolist() == [length for part in parts for length in part.lengths.tolist()]
    for name in ("num_words", "num_bare_words", "num_unknown", "num_sub_tokens"):
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
