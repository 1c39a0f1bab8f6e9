"""The confusion matrix as a picture."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ner.analysis.views import Confusion
from ner.report import confusion_plot
from ner.report.confusion_plot import confusion
from ner.report.plots import save

pytest.importorskip("matplotlib")

TYPES = Confusion(("LOC", "PER", "spurious"), ("LOC", "PER", "missed"), np.array([[900, 90, 10], [0, 0, 0], [1, 3, 0]]))
TAGS = Confusion(("O", "B-LOC"), ("O", "B-LOC"), np.array([[2_000, 0], [1, 2]]))


def grid(axes: Any) -> list[list[str]]:
    """What stands in the cells, by their places."""
    at = {tuple(reversed(text.get_position())): text.get_text() for text in axes.texts}
    rows, columns = len(axes.get_yticks()), len(axes.get_xticks())
    assert len(at) == rows * columns
    return [[at[y, x] for x in range(columns)] for y in range(rows)]


def test_shares_of_rows_with_their_cases():
    """A row without cases has no shares: dashes, and the colour of nothing."""
    figure = confusion({"Types": TYPES})
    axes, _ = figure.axes
    assert grid(axes) == [["0.90", "0.09", "0.01"], ["–"] * 3, ["0.25", "0.75", "0.00"]]  # noqa: RUF001
    assert [label.get_text() for label in axes.get_yticklabels()] == ["LOC (1,000)", "PER (0)", "spurious (4)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["LOC", "PER", "missed"]
    assert (axes.get_ylabel(), axes.get_xlabel(), axes.get_title()) == ("gold", "predicted", "Types")
    (image,) = axes.images
    array = image.get_array()
    assert array is not None
    drawn = np.ma.masked_invalid(array)
    assert drawn.mask.tolist() == [[False] * 3, [True] * 3, [False] * 3]
    assert drawn[0].tolist() == pytest.approx([0.9, 0.09, 0.01])
    assert axes.yaxis_inverted()  # the first row on top


def test_colours_go_from_0_to_1_in_all_panels():
    figure = confusion({"Tags": TAGS, "Types": TYPES})
    tags, types, bar = figure.axes
    assert [axes.get_title() for axes in (tags, types)] == ["Tags", "Types"]
    assert [axes.images[0].get_clim() for axes in (tags, types)] == [(0, 1), (0, 1)]
    assert bar.get_ylim() == (0, 1)
    assert grid(tags) == [["1.00", "0.00"], ["0.33", "0.67"]]


def test_text_is_white_on_dark_and_nothing_overlaps():
    figure = confusion({"Tags": TAGS, "Types": TYPES})
    colors = {text.get_text(): text.get_color() for axes in figure.axes for text in axes.texts}
    assert (colors["1.00"], colors["0.90"], colors["0.00"], colors["0.09"]) == ("white", "white", "black", "black")
    renderer = figure._get_renderer()  # type: ignore[attr-defined]  # the figure that is drawn on it has no public one
    figure.draw_without_rendering()
    shown = []
    for axes in figure.axes:
        labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title, axes.xaxis.label, axes.yaxis.label]
        shown += [artist for artist in [*axes.texts, *labels] if artist.get_text()]
    boxes = [artist.get_window_extent(renderer) for artist in shown]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert all(figure.bbox.containsx(box.x0) and figure.bbox.containsy(box.y0) for box in boxes)


@pytest.mark.parametrize("number", [1, 19])
def test_cells_have_room_for_two_decimals(number):
    names = tuple(f"I-{i:02}" for i in range(number))
    counts = np.eye(number, dtype=np.int64) * 12_345
    figure = confusion({"Tags": Confusion(names, names, counts)})
    figure.draw_without_rendering()
    axes = figure.axes[0]
    width = axes.get_window_extent().width / number
    assert max(text.get_window_extent().width for text in axes.texts) < width


def test_files_are_equal_each_time(tmp_path):
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        assert save(confusion({"Tags": TAGS}), folder, "confusion") == ["confusion.png", "confusion.svg"]
        found.append([(folder / f"confusion.{ending}").read_bytes() for ending in ("png", "svg")])
    assert found[0] == found[1]
    assert ElementTree.fromstring(found[0][1]).tag.endswith("svg")
    assert "pyplot" not in Path(confusion_plot.__file__).read_text(encoding="utf-8")  # it would look for a display
