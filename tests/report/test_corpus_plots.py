import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ner.report import corpus_plots
from ner.report.corpus_plots import bins, length_histogram, type_bars
from ner.report.plots import save

pytest.importorskip("matplotlib")

COUNTS = {"train": {"de": {"PER": 30, "LOC": 1_200}, "fr": {"PER": 5, "LOC": 0}}, "test": {"de": {"PER": 3, "LOC": 2}}}


def heights(axes) -> dict[str, list[float]]:
    """Type -> heights of its bars, from left to right."""
    return {bars.get_label(): [bar.get_height() for bar in bars] for bars in axes.containers}


def shares(patch: Any) -> list[float]:
    """Heights of the bins of a line."""
    return patch.get_data().values.tolist()


def labels(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_bar_for_each_type_and_language():
    figure = type_bars(COUNTS)
    train, test = figure.axes
    assert heights(train) == {"PER": [30, 5], "LOC": [1_200, 0]}
    assert heights(test) == {"PER": [3, 0], "LOC": [2, 0]}
    assert [axes.get_title() for axes in figure.axes] == ["train", "test"]
    assert [label.get_text() for label in test.get_xticklabels()] == ["de", "fr"]
    assert labels(figure) == ["PER", "LOC"]
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bars in train.containers for bar in bars]
    assert all(a[1] <= b[0] + 1e-9 for a, b in zip(sorted(spans), sorted(spans)[1:], strict=False))


def test_rare_types_share_a_bar():
    counts = {f"T{i}": i for i in range(1, 10)}
    figure = type_bars({"train": {"de": counts}})
    assert labels(figure) == ["T9", "T8", "T7", "T6", "T5", "T4", "other types"]
    assert heights(figure.axes[0])["other types"] == [3 + 2 + 1]


def test_shares_of_lengths():
    lengths = {"train": {"de": np.array([1, 2, 2, 4]), "fr": np.array([3])}, "test": {"fr": np.array([4, 4])}}
    figure = length_histogram(lengths)
    train, test = figure.axes
    german, french = train.patches
    assert shares(german) == [25, 50, 0, 25]
    edges: Any = german
    assert edges.get_data().edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert shares(french) == [0, 0, 100, 0]
    assert shares(test.patches[0]) == [0, 0, 0, 100]
    assert test.patches[0].get_edgecolor() == french.get_edgecolor()
    assert labels(figure) == ["de", "fr"]
    assert train.get_xlabel() == "words in a sentence"


def test_the_last_bin_holds_what_is_much_longer():
    lengths = np.array([5] * 999 + [700])
    edges, is_cut = bins([lengths])
    assert (edges.tolist(), is_cut) == ([1, 2, 3, 4, 5, 6], True)
    (axes,) = length_histogram({"train": {"de": lengths}}).axes
    assert shares(axes.patches[0]) == [0, 0, 0, 0, 100]
    assert axes.get_xlabel() == "words in a sentence\n(last bin: longer ones, too)"


@pytest.mark.parametrize("longest", [1, 39, 40, 41, 79, 81, 1_000])
def test_bins_hold_every_length(longest):
    edges, is_cut = bins([np.array([longest])])
    assert edges[0] == 1
    assert longest < edges[-1]
    assert not is_cut
    assert len(edges) <= 42
    assert len(set(np.diff(edges).tolist())) <= 1


def test_files_are_equal_each_time(tmp_path):
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        assert save(type_bars(COUNTS), folder, "entity_types") == ["entity_types.png", "entity_types.svg"]
        found.append([(folder / f"entity_types.{ending}").read_bytes() for ending in ("png", "svg")])
    assert found[0] == found[1]
    assert ElementTree.fromstring(found[0][1]).tag.endswith("svg")
    assert "pyplot" not in Path(corpus_plots.__file__).read_text(encoding="utf-8")  # it would look for a display
