import dataclasses
import math
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from ner.evaluation.learning_curve import curves
from ner.evaluation.matrix import Cell, f1_cells
from ner.report.plots import apart, can_draw, heat_map, learning_curves, save, training_curves
from ner.report.tables import by_size, sizes_to_text
from ner.training.log_entries import Evaluation
from tests.evaluation.test_learning_curve import FRENCH, GERMAN, JOINED, result
from tests.evaluation.test_matrix import ALL, LANGUAGES, OF_SEEDS


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def boxes(figure, artists):
    renderer = figure._get_renderer()
    figure.draw_without_rendering()
    return [artist.get_window_extent(renderer) for artist in artists]


def test_the_heat_map_shows_every_cell_and_nothing_overlaps():
    figure = heat_map({"test": f1_cells(OF_SEEDS, LANGUAGES, "default"), "dev": f1_cells(ALL, LANGUAGES, "default")})
    shown = texts(figure)
    cells: Any = f1_cells(OF_SEEDS, LANGUAGES, "default")
    assert f"{cells['de']['de'].f1:.3f}" in shown
    assert str(cells["fr"]["it"].interval) in shown
    assert "0.820" in shown
    for axes in figure.axes[:2]:
        drawn = boxes(figure, axes.texts)
        assert not any(a.overlaps(b) for i, a in enumerate(drawn) for b in drawn[i + 1 :])
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["tested on"] * 2
    bold = [text.get_text() for text in figure.axes[1].texts if text.get_fontweight() == "bold"]
    assert bold == ["0.820", "0.820", "0.900", "0.850"]


@pytest.mark.parametrize(("level", "outcome"), [(0.55, "reached"), (0.001, "exceeded already"), (0.95, "not reached")])
def test_the_curve_shows_points_level_and_crossing(level, outcome):
    found, _ = curves([*FRENCH, result("de", "de", 12580, level)], "default")
    axes: Any
    (axes,) = learning_curves({"test": found}).axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[0] == "fr alone"
    assert axes.get_title() == "Tested on fr, test"
    assert legend[1].startswith(f"fr alone: zero-shot from de, {outcome} at")
    assert [bar.lines[0].get_marker() for bar in axes.containers] == (["D"] if outcome == "reached" else [])
    assert axes.get_xscale() == "log"
    (line, *_) = axes.lines
    assert line.get_xdata().tolist() == [250, 1000, 2000, 4580]
    labels = [label for label in axes.get_xticklabels() if label.get_text()]
    assert [label.get_text() for label in labels] == ["250", "1,000", "2,000", "4,580"]


SEVERAL = [*FRENCH, *JOINED, GERMAN]
ITALIAN = [
    dataclasses.replace(
        r,
        run=f"it {r.run}",
        language="it",
        trained_on=tuple({"fr": "it"}.get(name, name) for name in r.trained_on),
        max_train_sentences={"it": r.annotated or 0} if len(r.trained_on) > 1 else None,
    )
    for r in SEVERAL
]


def test_curves_of_several_methods_and_languages():
    """A column for each language, micro and macro F1, a method in one colour, one legend that covers nothing."""
    found, _ = curves([*SEVERAL, *ITALIAN], "default")
    figure = learning_curves({"test": found})
    panels: Any = figure.axes
    assert [axes.get_title() for axes in panels] == ["Tested on fr, test", "Tested on it, test", "", ""]
    assert [axes.get_ylabel() for axes in panels] == [
        "F1 (entities, micro average)",
        "",
        "F1 (macro: mean of the types)",
        "",
    ]
    looks = [[(line.get_label(), line.get_color(), line.get_marker()) for line in axes.lines] for axes in panels]
    assert looks == [looks[0]] * 4
    assert len({look[1:] for look in looks[0]}) == 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["alone", "with de", "zero-shot from de"]
    (box, *drawn) = boxes(figure, [legend, *panels, *(axes.xaxis.label for axes in panels)])
    assert not any(box.overlaps(other) for other in drawn)
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_the_table_by_size():
    found, _ = curves([*SEVERAL, *ITALIAN], "default")
    cells = by_size(found)
    assert list(cells) == ["zero-shot from de", "alone", "with de"]
    assert list(cells["alone"]) == [f"{lang} {n}" for lang in ("fr", "it") for n in "50 250 1,000 2,000 4,580".split()]
    assert cells["alone"]["fr 50"] is None
    point = found[1].points[0]
    assert cells["with de"]["fr 50"] == Cell(point.f1, (), point.interval)
    text = sizes_to_text({"test": found}, "default")
    assert f"**{point.f1:.3f}**" in text
    assert str(point.interval) in text
    assert sizes_to_text({"test": found[:1]}, "default") == ""


def test_labels_of_sizes_keep_apart():
    assert apart([250, 500, 1000, 2000, 4000, 4580]) == [250, 500, 1000, 2000, 4580]
    assert apart([100, 110, 120, 130]) == [100, 130]


def test_files_are_the_same_every_time(tmp_path):
    found, _ = curves([*FRENCH, GERMAN], "default")
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        assert save(learning_curves({"test": found}), folder, "curve") == ["curve.png", "curve.svg"]
    for name in ("curve.png", "curve.svg"):
        one, two = ((tmp_path / folder / name).read_bytes() for folder in "ab")
        assert one == two
    assert ElementTree.parse(tmp_path / "a/curve.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "a/curve.png").read_bytes()[:4] == b"\x89PNG"


def test_the_training_shows_losses_and_f1_by_epoch():
    evaluations = [
        Evaluation(10, 1.0, None, 0.5, 0.8, 0.6, 0.7, 0.9),
        Evaluation(20, 2.0, 0.75, 0.25, 0.8, 0.6, 0.75, 0.9),
    ]
    losses, scores = training_curves(evaluations).axes
    drawn: Any = {str(line.get_label()): line for line in losses.lines}
    assert drawn["validation"].get_xdata().tolist() == [1.0, 2.0]
    assert drawn["validation"].get_ydata().tolist() == [0.5, 0.25]
    assert math.isnan(drawn["training"].get_ydata()[0])
    assert drawn["training"].get_ydata()[1] == 0.75
    assert losses.get_ylim()[0] == 0
    f1: Any = scores.lines[0]
    assert f1.get_ydata().tolist() == [0.7, 0.75]


def test_without_matplotlib(monkeypatch):
    assert can_draw()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not can_draw()
