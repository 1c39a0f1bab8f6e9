"""What is in a corpus, as plots: entities of each type, and lengths of sentences, by language."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from ner.report.plots import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHERS = "other types"
MOST_BINS = 40
LONG = 99.5  # percent of the sentences of a language and split; longer ones share the last bin


def type_bars(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> "Figure":
    """Entities of each type by language, as bars side by side; a panel for each split.

    Args:
        counts: Split -> language -> type -> number of entities. Beyond seven types, all but the six most frequent ones
            are one bar.

    Returns:
        The figure, with numbers of entities on the y axis of each panel.
    """
    figure, panels = panels_of(counts)
    types = shown_types(counts)
    languages = list(dict.fromkeys(language for part in counts.values() for language in part))
    width = 0.8 / max(len(types), 1)
    for axes, (split, part) in zip(panels, counts.items(), strict=True):
        for i, (type_, color) in enumerate(zip(types, COLORS, strict=False)):
            heights = [number_of(part.get(language, {}), type_, types) for language in languages]
            x = np.arange(len(languages)) + (i - (len(types) - 1) / 2) * width
            axes.bar(x, heights, width, color=color, label=type_)
        axes.set_xticks(range(len(languages)), languages)
        axes.set_xlabel("language")
        axes.set_title(split)
    panels[0].set_ylabel("entities")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def shown_types(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[str]:
    """The types as they come; if there are more than colours, the most frequent ones, and the others as one."""
    sums: Counter[str] = Counter()
    for part in counts.values():
        for row in part.values():
            sums.update(row)
    if len(sums) <= len(COLORS):
        return list(sums)
    return [*(type_ for type_, _ in sums.most_common(len(COLORS) - 1)), OTHERS]


def number_of(row: Mapping[str, int], type_: str, types: Sequence[str]) -> int:
    """Entities of a type, or of all that are not shown by themselves."""
    if type_ == OTHERS and type_ not in row:
        return sum(number for name, number in row.items() if name not in types)
    return row.get(type_, 0)


def length_histogram(lengths: Mapping[str, Mapping[str, np.ndarray]]) -> "Figure":
    """Lengths of sentences in words, as a line for each language; a panel for each split.

    Args:
        lengths: Split -> language -> int64 [sentences], words of each sentence.

    Returns:
        The figure. On the y axis: the share of the language's sentences in each bin, in percent. Where few sentences
        are much longer than the others, the last bin holds them, too, and the x axis says so.
    """
    figure, panels = panels_of(lengths)
    edges, is_cut = bins([part for by_language in lengths.values() for part in by_language.values()])
    languages = list(dict.fromkeys(language for part in lengths.values() for language in part))
    colors = dict(zip(languages, cycle(COLORS), strict=False))
    for axes, (split, part) in zip(panels, lengths.items(), strict=True):
        for language, words in part.items():
            counts, _ = np.histogram(np.minimum(words, edges[-1] - 1), edges)
            shares = 100 * counts / max(len(words), 1)
            axes.stairs(shares, edges - 0.5, color=colors[language], label=language, linewidth=1.6)
        axes.set_xlabel("words in a sentence" + ("\n(last bin: longer ones, too)" if is_cut else ""))
        axes.set_title(split)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("% of the language's sentences")
    drawn = [axes.get_legend_handles_labels() for axes in panels]
    by_label = {label: handle for handles, labels in drawn for handle, label in zip(handles, labels, strict=True)}
    figure.legend(by_label.values(), by_label, loc="outside lower center", ncols=8, frameon=False)
    return figure


def bins(lengths: Sequence[np.ndarray]) -> tuple[np.ndarray, bool]:
    """Edges of bins of whole words, and whether some lengths are behind the last.

    int64 [bins + 1]: bin i holds the lengths from edges[i] up to edges[i + 1] - 1.
    """
    longest = max(int(part.max()) for part in lengths)
    usual = max(int(np.percentile(part, LONG, method="nearest")) for part in lengths)
    width = -(-usual // MOST_BINS)
    edges = np.arange(1, usual + width + 1, width)
    return edges, longest >= edges[-1]


def panels_of(of_split: Mapping[str, Any]) -> tuple["Figure", Sequence[Any]]:
    """A figure with a panel for each split, side by side."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    figure = Figure(figsize=(max(4.8, 3.6 * len(of_split)), 3.6), layout="constrained")
    panels: Sequence[Any] = figure.subplots(1, len(of_split), squeeze=False)[0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    return figure, panels
