"""What reading a corpus met, a line each: tags converted, rows left out, sentences in two splits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import DatasetDict

from ner.data.conversion import Converted
from ner.data.summary import in_both
from ner.data.tag_schemes import SchemeStats


def scheme_notes(stats: Mapping[tuple[str, str], SchemeStats]) -> Iterator[str]:
    """What was converted to IOB2, and how much of it was illegal."""
    for (language, split), tally in stats.items():
        yield from scheme_note(f"{language} {split}", tally)


def scheme_note(place: str, tally: SchemeStats) -> Iterator[str]:
    """As `scheme_notes`, of one place."""
    if tally.scheme != "IOB2":
        yield f"{place}: {tally.scheme}, converted to IOB2"
    if tally.repaired:
        yield f"{place}: {tally.repaired:,} words with a tag that {tally.scheme} forbids; {tally.repair}"


def skip_notes(
    parts: Mapping[tuple[str, str], Sequence[Any]], converted: Mapping[tuple[str, str], Sequence[Converted]]
) -> Iterator[str]:
    """How many rows of each place were left out. parts: the rows as they were read, of each language and split."""
    for key, shards in parts.items():
        for part, iob2 in zip(shards, converted[key], strict=True):
            if bad := part.rows.num_faults + iob2.num_faults:
                yield f"{part.rows.place}: {bad:,} of {bad + len(iob2.data):,} rows skipped"


def undecided_notes(shards: Sequence[Any]) -> Iterator[str]:
    """How many rows of each place nobody has accepted, and why. shards: the rows as they were read."""
    for part in shards:
        if counts := part.rows.undecided:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
            yield f"{part.rows.place}: {sum(counts.values()):,} rows that nobody has accepted are left out: {reasons}"


def overlap_notes(corpus: Mapping[str, DatasetDict]) -> Iterator[str]:
    """Sentences that stand in train and in another split too."""
    for language, splits in corpus.items():
        for split, part in splits.items():
            if "train" in splits and split != "train" and (both := in_both(splits["train"], part)):
                yield f"{language}: {both:,} of {len(part):,} {split} sentences also stand in train"
