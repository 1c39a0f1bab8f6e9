"""The heat map of probes."""

from typing import Any

import pytest

from ner.analysis.probing.probing import Outcome
from ner.evaluation.bootstrap import Interval
from ner.report.plots import save
from ner.report.probe_plot import probe_map

pytest.importorskip("matplotlib")


def outcome(run: str, language: str, probe: str, difference: float, **more: Any) -> Outcome:
    shared: dict[str, Any] = {"family": "invariance", "measure": "F1", "sentences": 9, "changed": 9, "gold": 9}
    scores: dict[str, Any] = {"before": 0.5, "after": 0.5 + difference, "difference": difference}
    scores["interval"] = Interval(0, 0)
    return Outcome(run, language, probe, **(shared | scores | more))


OUTCOMES = [
    outcome("runs/de", "de", "lower", -0.4),
    outcome("runs/de", "fr", "lower", 0.0),
    outcome("runs/de", "fr", "swiss", 0.0, changed=0),
    outcome("runs/de", "fr", "unseen", -0.02, measure="recall"),
    outcome("runs/all", "fr", "lower", 0.25),
]


def test_cells_of_all_runs():
    """A panel for each run; a probe that changed nothing, and one that was not asked, have dashes."""
    figure = probe_map(OUTCOMES)
    first, second, _ = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["runs/de", "runs/all"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["lower", "swiss", "unseen (recall)"]
    cells = [{text.get_position(): text.get_text() for text in axes.texts} for axes in (first, second)]
    dash = "–"  # noqa: RUF001
    assert cells[0] == {(0, 0): "-0.400", (1, 0): "0.000", (0, 1): dash, (1, 1): dash, (0, 2): dash, (1, 2): "-0.020"}
    assert cells[1][1, 0] == "+0.250"
    assert [axes.images[0].get_clim() for axes in (first, second)] == [(-0.4, 0.4)] * 2
    colors = {text.get_text(): text.get_color() for text in first.texts}
    assert (colors["-0.400"], colors["0.000"]) == ("white", "black")


def test_small_differences_stay_pale_and_files_are_equal_each_time(tmp_path):
    small = [outcome("x", "de", "lower", -0.01)]
    assert probe_map(small).axes[0].images[0].get_clim() == (-0.1, 0.1)
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert save(probe_map(OUTCOMES), tmp_path / name, "probes") == ["probes.png", "probes.svg"]
        found.append([(tmp_path / name / f"probes.{ending}").read_bytes() for ending in ("png", "svg")])
    assert found[0] == found[1]


def test_nothing_overlaps():
    figure = probe_map(OUTCOMES)
    renderer = figure._get_renderer()  # type: ignore[attr-defined]  # the figure that is drawn on it has no public one
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        boxes = [text.get_window_extent(renderer) for text in [*axes.texts, *axes.get_xticklabels(), axes.title]]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
