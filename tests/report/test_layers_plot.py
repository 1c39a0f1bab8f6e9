"""Probes by layer and maps of entities as pictures and tables, from scores made by hand."""

import csv
import io

import numpy as np
import pytest

from ner.analysis.encoder.entity_map import EntityVectors
from ner.analysis.encoder.layer_scores import LayerScore, Task
from ner.analysis.encoder.linear_probe import ProbeScore
from ner.analysis.encoder.survey import Findings
from ner.report import layer_tables
from ner.report.layers_plot import entity_maps, layer_curves
from ner.report.plots import save

pytest.importorskip("matplotlib")

BEFORE, AFTER = "models/e5", "runs/de"


def scores(encoder: str, task: Task, language: str, values: list[float]) -> list[LayerScore]:
    return [
        LayerScore(
            encoder, task, ("de",), 1_200, language, layer, ProbeScore(value, value - 0.1, value - 0.3, 0.5, 0.25, 80)
        )
        for layer, value in enumerate(values)
    ]


def entities_of(language: str, vectors: list[list[float]], types: list[int]) -> EntityVectors:
    count = len(types)
    return EntityVectors(
        np.array(vectors, dtype=np.float32),
        np.array(types),
        np.zeros(count, dtype=np.int64),
        tuple(f"{language} {i}" for i in range(count)),
        ("LOC", "PER"),
        (language,),
    )


@pytest.fixture
def findings() -> list[Findings]:
    """German and French lie apart before, and are aligned after fine-tuning."""
    apart = {"de": entities_of("de", [[1, 0], [1, 0.17]], [0, 1]), "fr": entities_of("fr", [[0.17, 1], [0, 1]], [0, 1])}
    near = {"de": entities_of("de", [[1, 0], [0, 9]], [0, 1]), "fr": entities_of("fr", [[1, 0.1], [0.1, 1]], [0, 1])}
    return [
        Findings(
            BEFORE,
            False,
            [*scores(BEFORE, "tag", "de", [0.6, 0.7]), *scores(BEFORE, "type", "de", [0.5, 0.5])],
            1,
            apart,
        ),
        Findings(AFTER, True, scores(AFTER, "tag", "de", [0.6, 0.9]), 1, near),
    ]


def test_tables(findings):
    text = layer_tables.to_markdown(findings, "test", "train")
    assert (
        "| layer | e5 (before) accuracy | e5 (before) macro F1 | e5 (before) selectivity | de (after) accuracy |"
        in text
    )
    assert "| 1 | 0.700 | 0.600 | 0.300 | 0.900 | 0.800 | 0.300 |" in text
    assert "tag of a word, de: fitted on 1,200 words (de, train), scored on 80 (test)" in text
    assert "the commonest class everywhere scores 0.500; 25% of the words are among those" in text
    assert "type of a word in an entity, de" in text
    assert "| e5 (before) | 1 | 4 | 0.500 | 0.500 | 1.000 | 0.333 |" in text
    assert "| de (after) | 1 | 4 | 1.000 | 0.500 | 0.000 | 0.333 |" in text


def test_files(findings):
    rows = list(csv.DictReader(io.StringIO(layer_tables.to_csv(findings))))
    assert len(rows) == 6
    assert rows[-1]["encoder"] == AFTER
    assert (rows[-1]["layer"], rows[-1]["accuracy"], rows[-1]["fine_tuned"]) == ("1", "0.900000", "True")
    assert float(rows[-1]["selectivity"]) == pytest.approx(0.3)
    plain = layer_tables.to_plain(findings)
    assert [each["alignment"]["same_type"] for each in plain] == [0.5, 1.0]
    points = list(csv.DictReader(io.StringIO(layer_tables.map_to_csv(findings))))
    assert [row["text"] for row in points[:4]] == ["de 0", "de 1", "fr 0", "fr 1"]
    assert [row["language"] for row in points[:4]] == ["de", "de", "fr", "fr"]


def test_names_that_end_alike_are_shown_whole(findings):
    findings[1].name = "other/e5"
    assert layer_tables.labels(findings) == {BEFORE: "models/e5 (before)", "other/e5": "other/e5 (after)"}


def test_lines_are_dashed_before_and_solid_after(findings):
    all_scores = [score for found in findings for score in found.scores]
    figure = layer_curves(all_scores, {BEFORE: False, AFTER: True}, layer_tables.labels(findings))
    f1, selectivity, accuracy, _ = figure.axes
    assert f1.get_title() == "Tested on de"
    before, after = f1.lines
    assert (before.get_linestyle(), after.get_linestyle()) == ("--", "-")
    assert np.asarray(after.get_xdata()).tolist() == [0, 1]
    assert np.asarray(after.get_ydata()).tolist() == pytest.approx([0.5, 0.8])
    assert np.asarray(selectivity.lines[1].get_ydata()).tolist() == pytest.approx([0.3, 0.3])
    assert len(accuracy.lines) == 1  # of types, the run has no scores
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["e5 (before)", "de (after)"]


def test_maps_have_a_colour_for_each_type_and_language(findings):
    figure = entity_maps({found.name: layer_tables.map_of(found) for found in findings})
    assert [axes.get_title() for axes in figure.axes] == [
        f"{name}: by {what}" for name in (BEFORE, AFTER) for what in ("type", "language")
    ]
    by_type, by_language, *_ = figure.axes
    for axes, names in ((by_type, ["LOC", "PER"]), (by_language, ["de", "fr"])):
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == names
        assert len(np.asarray(axes.collections[0].get_offsets())) == 4
    assert by_type.get_xlabel().endswith("% of the variance")


def test_files_are_equal_each_time(findings, tmp_path):
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        save(entity_maps({"a": layer_tables.map_of(findings[0])}), folder, "map")
        found.append([(folder / f"map.{ending}").read_bytes() for ending in ("png", "svg")])
    assert found[0] == found[1]
