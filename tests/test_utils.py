"""Tables as text, and rows of different lengths that stand one after another."""

import numpy as np
import pytest

from ner.utils import aligned, offsets_of, ranges, rows_of, table


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
