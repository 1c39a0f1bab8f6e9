"""Outcomes of probes as text: Markdown, CSV, and what JSON takes."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from ner.analysis.probing.files import Part
from ner.analysis.probing.flips import FLIPS
from ner.analysis.probing.probes import ALL
from ner.analysis.probing.probing import NameOutcome, Outcome
from ner.evaluation.bootstrap import Interval
from ner.utils import DASH, quoted, signed, table

Samples = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]  # language -> probe -> sentences before and after
ABOUT = {probe.name: probe.about for probe in ALL}
FLIP_EXAMPLES = 2  # of each kind, probe, language and run


def limits(interval: Interval) -> str:
    """Both ends, signed."""
    return f"[{signed(interval.low)}, {signed(interval.high)}]"


def by_run(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """In the order of the runs."""
    runs: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        runs.setdefault(outcome.run, []).append(outcome)
    return runs


def to_markdown(outcomes: Sequence[Outcome], names: Sequence[NameOutcome], split: str) -> str:
    """The tables of each run: F1 and flips of the probes, recall of slices, and lists of names."""
    parts = []
    for run, of_run in by_run(outcomes).items():
        if changes := [outcome for outcome in of_run if outcome.measure == "F1"]:
            parts += [
                f"{quoted(run)} on {quoted(split)}: F1 before and after a change of the sentences",
                scores(changes),
            ]
            parts += ["Entities found before in the changed sentences, and what became of them", flip_table(changes)]
        if slices := [outcome for outcome in of_run if outcome.measure == "recall"]:
            parts += [f"{quoted(run)} on {quoted(split)}: recall of all mentions, and of some", slice_table(slices)]
    if names:
        parts += ["Lists of names: recall of each name alone, and in sentences of a language", name_table(names)]
    return "\n\n".join(parts)


def scores(outcomes: Sequence[Outcome]) -> str:
    """F1 before and after, the difference, and how many sentences were changed."""
    lines = [
        [
            outcome.language,
            outcome.probe,
            outcome.changed,
            f"{outcome.before:.3f}",
            *(after(outcome) if outcome.changed else [DASH] * 3),
        ]
        for outcome in outcomes
    ]
    header = ["language", "probe", "changed sentences", "F1 before", "after", "difference", "95% interval"]
    return table(header, lines, right=[False, False, True, True, True, True, False])


def after(outcome: Outcome) -> list[str]:
    """The score behind the change or of the slice, the difference, and its interval."""
    return [f"{outcome.after:.3f}", signed(outcome.difference), limits(outcome.interval)]


def flip_table(outcomes: Sequence[Outcome]) -> str:
    """How many entities there were, and how many were kept, lost, retyped, re-bounded; and new ones."""
    lines = [
        [outcome.language, outcome.probe, flips.num_before, *(flips.counts[flip] for flip in FLIPS)]
        for outcome in outcomes
        if (flips := outcome.flips)
    ]
    return table(["language", "probe", "before", *FLIPS], lines, right=[False, False, *[True] * (1 + len(FLIPS))])


def slice_table(outcomes: Sequence[Outcome]) -> str:
    """Recall of all gold mentions, and of those of a slice."""
    lines = [
        [outcome.language, outcome.probe, outcome.gold, f"{outcome.before:.3f}", *after(outcome)]
        for outcome in outcomes
    ]
    header = ["language", "mentions", "number", "recall of all", "of these", "difference", "95% interval"]
    return table(header, lines, right=[False, False, True, True, True, True, False])


def name_table(outcomes: Sequence[NameOutcome]) -> str:
    """Recall of each list and place, and what the names were taken for."""
    lines = [
        [
            quoted(each.run),
            f"{each.type} {quoted(each.file)}",
            each.place,
            each.names,
            each.sentences,
            f"{each.recall:.3f}",
            str(each.interval),
            ", ".join(f"{type_} {count:,}" for type_, count in each.wrong_type.items()) or DASH,
            each.wrong_boundary,
            each.missed,
        ]
        for each in outcomes
    ]
    header = [
        "run",
        "list",
        "place",
        "names",
        "sentences",
        "recall",
        "95% interval",
        "other type",
        "boundary",
        "missed",
    ]
    return table(header, lines, right=[False, False, False, True, True, True, False, False, True, True])


def examples(outcomes: Sequence[Outcome], samples: Samples) -> str:
    """Some changed sentences of each probe with their gold entities, and some flips with what is predicted."""
    parts = []
    for language, of_language in samples.items():
        for probe, pairs in of_language.items():
            if not pairs:
                continue
            lines = [line for pair in pairs for line in shown("gold", *pair)]
            for outcome in outcomes:
                if (outcome.language, outcome.probe) == (language, probe) and outcome.flips:
                    lines += [f"{outcome.run}:", *flip_lines(outcome)]
            parts += [f"### {probe} ({language}): {ABOUT[probe]}", "\n".join(["```text", *map(one_line, lines), "```"])]
    return "\n\n".join(parts)


def one_line(text: str) -> str:
    """Text of others inside a block of code, which it cannot end."""
    return text.replace("```", "'''")


def flip_lines(outcome: Outcome) -> Iterable[str]:
    """FLIP_EXAMPLES of each kind."""
    assert outcome.flips
    for kind in FLIPS[1:]:
        for flip in [flip for flip in outcome.flips.examples if flip.kind == kind][:FLIP_EXAMPLES]:
            yield from shown(f"{kind} {flip.sentence}", flip.before, flip.after)


def shown(title: str, before: str, after: str) -> list[str]:
    """Before, and after below it."""
    return [f"{title}: {before}", f"{' ' * len(title)}> {after}"]


def to_csv(outcomes: Sequence[Outcome]) -> str:
    """A line for each run, language and probe; six decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [item.name for item in fields(Outcome) if item.name not in ("interval", "flips")]
    flip_names = [flip.replace("-", "_") for flip in FLIPS]
    writer.writerow([*names, "low", "high", *flip_names, "gone"])
    for outcome in outcomes:
        values = [getattr(outcome, name) for name in names] + [outcome.interval.low, outcome.interval.high]
        flips = outcome.flips
        counts: list[Any] = [*(flips.counts[flip] for flip in FLIPS), flips.gone] if flips else [""] * (len(FLIPS) + 1)
        writer.writerow([f"{value:.6f}" if isinstance(value, float) else value for value in values] + counts)
    return text.getvalue()


def failures_to_csv(outcomes: Sequence[NameOutcome]) -> str:
    """The names of lists that were not found as they are, a line for each sentence."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "type", "place", "name", "kind", "found", "sentence"])
    for each in outcomes:
        for failure in each.failures:
            row = [each.run, each.type, each.place, failure.name, failure.kind, failure.found, failure.text]
            writer.writerow(row)
    return text.getvalue()


def to_plain(
    outcomes: Sequence[Outcome],
    names: Sequence[NameOutcome],
    samples: Samples,
    split: str,
    seed: int,
    tested: Sequence[Part] = (),
) -> dict[str, Any]:
    """All of it but the entities of `Flips`, as JSON takes it. tested: what the outcomes are of."""
    return {
        "split": split,
        "seed": seed,
        "tested": [part._asdict() for part in tested],
        "probes": {probe.name: {"family": probe.family, "about": probe.about} for probe in ALL},
        "outcomes": [outcome_to_plain(outcome) for outcome in outcomes],
        "names": [asdict(outcome) for outcome in names],
        "changes": samples,
    }


def outcome_to_plain(outcome: Outcome) -> dict[str, Any]:
    """As JSON takes it."""
    plain = asdict(replace(outcome, flips=None))
    if flips := outcome.flips:
        examples = [asdict(example) for example in flips.examples]
        plain["flips"] = {"counts": flips.counts, "gone": flips.gone, "examples": examples}
    return plain
