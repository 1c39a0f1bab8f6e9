"""Tables as text, and rows of different lengths that stand one after another."""

import threading
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.utils import NARROWEST, ahead, aligned, fitted, interlinear, offsets_of, ranges, rows_of, table, text_width


def test_table():
    assert table(["a", "b|"], [["x|y", 1234], ["", 5]]).splitlines() == [
        "| a    |   b\\| |",
        "|------|------:|",
        "| x\\|y | 1,234 |",
        "|      |     5 |",
    ]


def test_a_table_without_rows_has_no_numbers():
    assert table(["a", "longer"], []).splitlines() == ["| a   | longer |", "|-----|--------|"]


def test_a_table_that_is_not_padded():
    text = table(["run", "F1", "n"], [["de|fr", "0.912", ""]], right=[False, True, True], layout="compact")
    assert text.splitlines() == ["| run | F1 | n |", "|---|--:|--:|", "| de\\|fr | 0.912 |  |"]


def test_a_table_of_runs():
    assert aligned(["de", "fr"], [["de+fr", "0.912", "–"]]).splitlines() == [  # noqa: RUF001
        "| trained on |    de |   fr |",
        "| ---        |  ---: | ---: |",
        "| de+fr      | 0.912 |    – |",  # noqa: RUF001
    ]


@pytest.mark.parametrize("lengths", [[2, 0, 3], [0], [], [1, 1], [0, 0, 2, 0]])
def test_rows_of_different_lengths(lengths):
    """Against lists."""
    array, start = np.array(lengths, dtype=np.int64), np.arange(len(lengths)) * 10
    elements = [(row, place) for row, length in enumerate(lengths) for place in range(length)]
    assert offsets_of(array).tolist() == [sum(lengths[:row]) for row in range(len(lengths) + 1)]
    assert rows_of(array).tolist() == [row for row, _ in elements]
    assert ranges(0, array).tolist() == [place for _, place in elements]
    assert ranges(start, array).tolist() == [10 * row + place for row, place in elements]
    assert {part.dtype for part in (offsets_of(lengths), rows_of(array), ranges(start, array))} == {np.dtype(np.int64)}


WORDS = [("Anna", [["▁An", "B-PER", "0.50"], ["na", "-", "-"]]), ("in", [["▁in", "O", "0.25"]])]
LINES = [
    "word       Anna       in",
    "sub-token  ▁An    na  ▁in",
    "tag        B-PER  -   O",
    "loss       0.50   -   0.25",
]


def test_words_above_their_positions():
    assert interlinear(["word", "sub-token", "tag", "loss"], WORDS, 80).splitlines() == LINES


def test_what_is_too_wide_goes_on_below():
    text = interlinear(["word", "sub-token", "tag", "loss"], [*WORDS, WORDS[0]], 27)
    assert text.splitlines() == [
        *LINES,
        "",
        "word       Anna",
        "sub-token  ▁An    na",
        "tag        B-PER  -",
        "loss       0.50   -",
    ]
    assert interlinear(["word", "tag"], [], 80) == ""
    # 6 + 12 columns: the word is cut, and its sub-tokens go on below.
    text = interlinear(["word", "a"], [("Donaudampfschiff", [["Donau"], ["dampf"], ["schiff"]])], 18)
    assert text.splitlines() == ["word  Donaudamp...", "a     Donau  dampf", "", "word", "a     schiff"]


def test_a_word_wider_than_its_sub_tokens():
    assert interlinear(["word", "a"], [("Bern", [["1"]]), ("x", [["2"]])], 80).splitlines() == [
        "word  Bern  x",
        "a     1     2",
    ]


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("Zürich", 6),
        ("Zu\u0308rich", 6),  # a combining diaeresis
        ("東京", 4),
        ("ﾄｳ", 2),  # half-width katakana
        ("Ａ", 2),  # noqa: RUF001  # full-width
        ("か\u3099", 2),
        ("한국", 4),
        (unicodedata.normalize("NFD", "한국"), 4),
        ("ירושלים", 7),
        ("नई", 2),
        ("", 0),
    ],
)
def test_width_in_a_terminal(text, width):
    assert text_width(text) == width
    assert text_width(fitted(text, 8)) == 8
    assert fitted(text, 8).rstrip() == text


def test_cut_at_whole_characters():
    assert fitted("東京タワー", 8) == "東京... "
    assert fitted("e\u0301e\u0301e\u0301e\u0301e\u0301", 4) == "e\u0301..."


CELLS = st.text(st.sampled_from("aBö東\u0308\u3099한\u1161\u200d\x1b\n\u202e \u00a0"), max_size=12)
POSITIONS = st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=4)


@given(words=st.lists(st.tuples(CELLS, POSITIONS), max_size=6), width=st.integers(1, 60))
def test_lines_fit_and_escapes_are_shown(words, width):
    text = interlinear(["word", "東", "tag"], words, width)
    assert text.replace("\n", "").isprintable()
    lines = text.split("\n")
    assert max(map(text_width, lines)) <= max(width, 6 + NARROWEST)
    blocks = text.split("\n\n") if words else []
    assert all(len(block.split("\n")) == 3 for block in blocks)


@given(words=st.lists(st.tuples(st.sampled_from(["東京", "a\u0308", "Bern"]), st.just([["x", "y"]])), max_size=9))
def test_columns_begin_together(words):
    """Each `x` and `y` stands below the first column of its word."""
    for block in interlinear(["word", "1", "2"], words, 30).split("\n\n"):
        first, *others = block.split("\n")
        at = [i for i, character in enumerate(first[6:], start=6) if character in "東aB"]
        columns = [text_width(first[:i]) for i in at]
        for line, letter in zip(others, "xy", strict=False):
            assert [i for i, character in enumerate(line) if character == letter] == columns


def test_nothing_is_made_behind_what_could_not_be():
    """A file that is asked for six times would be asked for six times more, before anybody hears of it."""
    made = []

    def make(item: int) -> int:
        made.append(item)
        if item == 2:
            raise ValueError("two")
        return item

    assert list(ahead(make, range(2))) == [0, 1]
    made.clear()
    with pytest.raises(ValueError, match="two"):
        list(ahead(make, range(6)))
    assert made == [0, 1, 2]


def test_one_item_takes_no_thread():
    assert list(ahead(lambda item: (item, threading.current_thread()), [1])) == [(1, threading.current_thread())]
    assert list(ahead(str, [])) == []
