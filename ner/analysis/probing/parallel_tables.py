"""Outcomes of parallel texts as text: Markdown and CSV."""

import csv
import io
from collections.abc import Sequence

from ner.analysis.probing.parallel import Agreement, ParallelOutcome
from ner.analysis.probing.tables import limits, one_line, shown
from ner.utils import DASH, quoted, signed, table


def by_file(outcomes: Sequence[ParallelOutcome]) -> dict[str, list[ParallelOutcome]]:
    """In the order of the files."""
    files: dict[str, list[ParallelOutcome]] = {}
    for outcome in outcomes:
        files.setdefault(outcome.file, []).append(outcome)
    return files


def parallel_to_markdown(outcomes: Sequence[ParallelOutcome]) -> str:
    """A table for each file, with the types that each run finds there."""
    parts = []
    for file, of_file in by_file(outcomes).items():
        left, right = sides = names_of(of_file[0])
        number = of_file[0].pairs
        parts += [
            f"{quoted(file)}: entities found in {number:,} {'pair' if number == 1 else 'pairs'} of {left} and {right}",
            agreement_table(of_file, sides),
        ]
    return "\n\n".join(parts)


def names_of(outcome: ParallelOutcome) -> tuple[str, str]:
    """What the sides are called: by their languages, if these are two."""
    left, right = outcome.languages
    return (left, right) if left != right else (f"{left} (left)", f"{right} (right)")


def agreement_table(outcomes: Sequence[ParallelOutcome], sides: tuple[str, str]) -> str:
    """How many entities were found on both sides, how far they are the same, and on which there are more."""
    left, right = sides
    header = ["run", "type", left, right, "matched", f"only {left}", f"only {right}"]
    header += ["agreement", "95% interval", f"{right} - {left} per pair", "95% interval", "pairs alike", "95% interval"]
    lines = [[quoted(outcome.run), *cells(found)] for outcome in outcomes for found in outcome.types]
    return table(header, lines, right=[False, False, *[True] * 6, False, True, False, True, False])


def cells(found: Agreement) -> list[object]:
    """A line of the table, behind the run."""
    return [
        found.type,
        found.left,
        found.right,
        found.matched,
        found.left - found.matched,
        found.right - found.matched,
        DASH if found.agreement is None else f"{found.agreement:.3f}",
        str(found.agreement_interval or DASH),
        signed(found.difference),
        limits(found.difference_interval),
        f"{found.alike:.3f}",
        str(found.alike_interval),
    ]


def parallel_examples(outcomes: Sequence[ParallelOutcome]) -> str:
    """The pairs that differ most, with what was found in them."""
    parts = []
    for outcome in outcomes:
        if outcome.examples:
            title = f"### {quoted(outcome.file)}: where {quoted(outcome.run)} differs most"
            lines = [
                one_line(line)
                for example in outcome.examples
                for line in shown(f"line {example.line}, {example.differing} differ", example.left, example.right)
            ]
            parts += [title, "\n".join(["```text", *lines, "```"])]
    return "\n\n".join(parts)


def parallel_to_csv(outcomes: Sequence[ParallelOutcome]) -> str:
    """A line for each run, file and type; six decimals, and nothing for the agreement of nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["run", "file", "left_language", "right_language", "pairs", "type", "left", "right", "matched"]
    writer.writerow(
        header + [f"{name}{end}" for name in ("agreement", "difference", "alike") for end in ("", "_low", "_high")]
    )
    for outcome in outcomes:
        for found in outcome.types:
            numbers = [
                number
                for score, certain in (
                    (found.agreement, found.agreement_interval),
                    (found.difference, found.difference_interval),
                    (found.alike, found.alike_interval),
                )
                for number in ((score, certain.low, certain.high) if certain else (None, None, None))
            ]
            counts = [outcome.pairs, found.type, found.left, found.right, found.matched]
            scores = ["" if number is None else f"{number:.6f}" for number in numbers]
            writer.writerow([outcome.run, outcome.file, *outcome.languages, *counts, *scores])
    return text.getvalue()
