"""Two runs on the same sentences: which gold entities only one, both or neither found, and a paired test of F1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ner.evaluation.bootstrap import Difference, compare, f1_of
from ner.evaluation.metrics import sentence_counts
from ner.tags import SCORINGS, Entities, Scoring, TagSet, entities, first_words, is_among
from ner.utils import table

GROUPS = ("only A", "only B", "both", "neither")
SPURIOUS = ("only A", "only B", "both")
EXAMPLES = 5  # of each group and language
ALL = "all"
DASH = "–"  # noqa: RUF001


@dataclass(frozen=True)
class LabelPair:
    """What a run says of sentences.

    gold, predicted: int64 [words], ids of `tags`; word_offsets: int64 [sentences + 1].
    """

    gold: np.ndarray
    predicted: np.ndarray
    word_offsets: np.ndarray
    tags: TagSet

    def counts(self) -> np.ndarray:
        """int64 [2 scorings, sentences, types, 3]: correct, predicted and gold entities of each sentence and type."""
        return np.stack(
            [sentence_counts(self.gold, self.predicted, self.word_offsets, self.tags, scoring) for scoring in SCORINGS]
        )

    def with_tags(self, tags: TagSet) -> "LabelPair":
        """The same in the ids of other tags, which hold all of these."""
        ids = tags.ids_of(self.tags)
        return LabelPair(ids[self.gold], ids[self.predicted], self.word_offsets, tags)


@dataclass(frozen=True)
class Example:
    """A gold entity. sentence: its number in the split; text: the words, the entity in square brackets.

    first, second: what the runs predict that overlaps with it, such as `Bern LOC`, empty if nothing.
    """

    language: str
    sentence: int
    type: str
    text: str
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """Of two runs, A and B, on one split.

    found: language -> type -> how many gold entities are in each of GROUPS; spurious: language -> type -> predicted
    entities that are not gold, in each of SPURIOUS; f1: language -> F1 of A and of B; test: language -> the difference,
    B minus A. Beside the languages, `all` is all their sentences together.
    """

    runs: tuple[str, str]
    split: str
    scoring: Scoring
    found: dict[str, dict[str, dict[str, int]]]
    spurious: dict[str, dict[str, dict[str, int]]]
    f1: dict[str, tuple[float, float]]
    test: dict[str, Difference]
    examples: dict[str, list[Example]]


def comparison(
    runs: tuple[str, str],
    split: str,
    tagged: Mapping[str, tuple[LabelPair, LabelPair]],
    words: Mapping[str, Sequence[Sequence[str]]],
    scoring: Scoring,
) -> Comparison:
    """Compares two runs. tagged: language -> of A and of B, on the same sentences; words: language -> sentences."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    spurious: dict[str, dict[str, dict[str, int]]] = {}
    examples: dict[str, list[Example]] = {group: [] for group in GROUPS}
    counts: dict[str, list[np.ndarray]] = {}
    tags = TagSet.collect(name for pair in tagged.values() for part in pair for name in part.tags.names)
    for language, pair in tagged.items():
        run_a, run_b = (part.with_tags(tags) for part in pair)
        assert (run_a.gold == run_b.gold).all()
        start = first_words(run_a.word_offsets)
        gold = entities(run_a.gold, start, tags, scoring)
        of_runs = [entities(part.predicted, start, tags, scoring) for part in (run_a, run_b)]
        by_a, by_b = (is_among(gold, predicted, len(run_a.gold)) for predicted in of_runs)
        groups = dict(zip(GROUPS, (by_a & ~by_b, ~by_a & by_b, by_a & by_b, ~by_a & ~by_b), strict=True))
        found[language] = by_type({group: gold[2][mask] for group, mask in groups.items()}, tags)
        spurious[language] = by_type(spurious_types(gold, of_runs[0], of_runs[1], len(run_a.gold)), tags)
        for group, mask in groups.items():
            chosen = spread(np.flatnonzero(mask))
            examples[group] += [
                example(language, tuple(int(part[i]) for part in gold), run_a, of_runs, words[language])
                for i in chosen.tolist()
            ]
        counts[language] = [part.counts()[SCORINGS.index(scoring)].sum(axis=1) for part in (run_a, run_b)]
    if len(counts) > 1:
        counts[ALL] = [np.concatenate(parts) for parts in zip(*counts.values(), strict=True)]
    f1 = {lang: (float(f1_of(a.sum(axis=0))), float(f1_of(b.sum(axis=0)))) for lang, (a, b) in counts.items()}
    test = {lang: compare(a, b) for lang, (a, b) in counts.items()}
    return Comparison(runs, split, scoring, with_sum(found), with_sum(spurious), f1, test, examples)


def by_type(type_ids: Mapping[str, np.ndarray], tags: TagSet) -> dict[str, dict[str, int]]:
    """Type -> group -> how many, of the types that occur. type_ids: group -> int64, as of `entities`."""
    counted = {group: np.bincount(types, minlength=len(tags.types)) for group, types in type_ids.items()}
    rows = {type_: {group: int(n[i]) for group, n in counted.items()} for i, type_ in enumerate(tags.types)}
    return {type_: row for type_, row in rows.items() if any(row.values())}


def spurious_types(gold: Entities, first: Entities, second: Entities, num_words: int) -> dict[str, np.ndarray]:
    """Group -> types of the predicted entities that are not gold."""
    not_gold, of_second = (~is_among(part, gold, num_words) for part in (first, second))
    shared = is_among(first, second, num_words)
    alone = ~is_among(second, first, num_words)
    masks = (first[2][not_gold & ~shared], second[2][of_second & alone], first[2][not_gold & shared])
    return dict(zip(SPURIOUS, masks, strict=True))


def with_sum(of_language: dict[str, dict[str, dict[str, int]]]) -> dict[str, dict[str, dict[str, int]]]:
    """With all languages together, if there are several."""
    if len(of_language) < 2:
        return of_language
    total: dict[str, dict[str, int]] = {}
    for rows in of_language.values():
        for type_, row in rows.items():
            known = total.setdefault(type_, dict.fromkeys(row, 0))
            total[type_] = {group: known[group] + n for group, n in row.items()}
    return {**of_language, ALL: dict(sorted(total.items()))}


def spread(places: np.ndarray) -> np.ndarray:
    """At most EXAMPLES of them, evenly spread: the first ones would all come from the start of a split."""
    return places[np.unique(np.linspace(0, len(places) - 1, min(EXAMPLES, len(places))).astype(np.int64))]


def example(
    language: str,
    entity: Sequence[int],
    labels: LabelPair,
    of_runs: Sequence[Entities],
    sentences: Sequence[Sequence[str]],
) -> Example:
    """The gold entity (start, end, type) of these words, and what both runs make of it."""
    start, end, type_ = entity
    sentence = int(np.searchsorted(labels.word_offsets, start, side="right")) - 1
    offset = int(labels.word_offsets[sentence])
    words = list(sentences[sentence])

    def overlapping(predicted: Entities) -> str:
        starts, ends, types = predicted
        places = np.flatnonzero((starts < end) & (ends > start))
        return ", ".join(
            f"{' '.join(words[starts[i] - offset : ends[i] - offset])} {labels.tags.types[types[i]]}" for i in places
        )

    marked = [*words[: start - offset], f"[{' '.join(words[start - offset : end - offset])}]", *words[end - offset :]]
    first, second = (overlapping(predicted) for predicted in of_runs)
    return Example(language, sentence, labels.tags.types[type_], " ".join(marked), first, second)


def to_markdown(compared: Comparison) -> str:
    """All of it in Markdown: the test, both tables, the examples."""
    tests = [
        [
            language,
            *(f"{f1:.3f}" for f1 in compared.f1[language]),
            f"{test.f1:+.3f}",
            f"[{test.interval.low:+.3f}, {test.interval.high:+.3f}]",
            f"{test.p:.4f}",
        ]
        for language, test in compared.test.items()
    ]
    parts = [
        f"{compared.split}: A is {compared.runs[0]}, B is {compared.runs[1]} ({compared.scoring} scoring)",
        "F1 of the same sentences; interval by paired bootstrap, two-sided p by approximate randomisation",
        table(["language", "A", "B", "B - A", "95% interval", "p"], tests),
        "Gold entities, by who found them",
        counts_table(compared.found, GROUPS),
        "Predicted entities that are not gold, by who predicted them",
        counts_table(compared.spurious, SPURIOUS),
    ]
    for group, examples in compared.examples.items():
        if examples:
            lines = [
                f"{e.language} {e.sentence} {e.type}: {e.text}\n    A: {e.first or DASH}  B: {e.second or DASH}"
                for e in examples
            ]
            parts += [f"Found by {group}", "\n".join(["```text", *lines, "```"])]
    return "\n\n".join(parts)


def counts_table(of_language: Mapping[str, Mapping[str, Mapping[str, int]]], groups: Sequence[str]) -> str:
    """Language, type, then a column for each group; types together at the end of each language."""
    lines: list[list[Any]] = []
    for language, rows in of_language.items():
        lines += [[language, type_, *(row[group] for group in groups)] for type_, row in rows.items()]
        lines.append([language, "all types", *(sum(row[group] for row in rows.values()) for group in groups)])
    return table(["language", "type", *groups], lines)
