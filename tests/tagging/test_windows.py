"""Overlapping windows: every word is read, and no entity is cut between two of them."""

from itertools import pairwise

import numpy as np
import pytest

from ner.data import synthetic
from ner.inputs.encoding import IGNORED
from ner.tagging.windows import Windows, chosen, encode_windows


@pytest.fixture(scope="session")
def text():
    return [word for row in synthetic.sentences("de", "train")[:60] for word in row["tokens"]]


@pytest.fixture(scope="session")
def windows(text, tokenizer) -> Windows:
    return encode_windows([text, text[:3], [], text[::-1]], tokenizer, max_length=16)


def readings(windows: Windows) -> list[list[int]]:
    """The words that each window holds."""
    offsets = windows.encoded.word_offsets
    return [windows.word[a:b].tolist() for a, b in pairwise(offsets)]


def test_each_window_reads_neighbouring_words(windows, text):
    held = readings(windows)
    assert all(words == list(range(words[0], words[-1] + 1)) for words in held if words)
    assert windows.encoded.longest == 16
    assert (windows.encoded.labels == IGNORED).all()
    for sentence, length in ((0, len(text)), (1, 3), (3, len(text))):
        mine = [words for words, own in zip(held, windows.sentence, strict=True) if own == sentence]
        assert sorted({word for words in mine for word in words}) == list(range(length))
        assert all(set(one) & set(other) for one, other in pairwise(mine))


def test_each_word_is_chosen_once_without_entities(windows, text):
    keep = chosen(windows, np.zeros(len(windows.word), dtype=bool))
    sentence = np.repeat(windows.sentence, np.diff(windows.encoded.word_offsets))
    for number, length in ((0, len(text)), (1, 3), (3, len(text))):
        assert windows.word[keep & (sentence == number)].tolist() == list(range(length))


@pytest.mark.parametrize("seed", range(5))
def test_no_entity_is_cut(text, tokenizer, seed):
    """Random entities in every window, each window its own: what is chosen of each comes from one window, whole."""
    windows = encode_windows([text, text[::-1]], tokenizer, max_length=96)
    rng = np.random.default_rng(seed)
    goes_on = rng.random(len(windows.word)) < 0.25
    offsets = windows.encoded.word_offsets
    goes_on[offsets[:-1][np.diff(offsets) > 0]] = False
    keep = chosen(windows, goes_on)
    window = np.repeat(np.arange(len(windows.sentence)), np.diff(offsets))
    sentence = windows.sentence[window]
    order = np.lexsort((windows.word, sentence))
    kept = order[keep[order]]
    num_cut = num_shared = 0
    for one, other in pairwise(kept):
        if sentence[one] != sentence[other] or window[one] == window[other]:
            continue
        num_shared += 1
        # The first word from the next window begins something there, and in the window before, where that holds it.
        in_one = [i for i in np.flatnonzero(window == window[one]) if windows.word[i] == windows.word[other]]
        num_cut += bool(goes_on[other]) or any(goes_on[i] for i in in_one)
    assert num_shared > 20
    assert num_cut == 0


def test_a_word_longer_than_a_window(tokenizer):
    windows = encode_windows([["a", "x" * 100, "b"]], tokenizer, max_length=16)
    keep = chosen(windows, np.zeros(len(windows.word), dtype=bool))
    assert set(windows.word[keep]) == {0, 1, 2}
    assert windows.word[keep][0] == 0


def test_no_room(tokenizer):
    with pytest.raises(ValueError, match="leave no room"):
        encode_windows([["Bern"]], tokenizer, max_length=3)
