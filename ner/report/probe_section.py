"""What probes found, as a section of the report page: differences by probe and language, and what flipped."""

from collections.abc import Sequence

from ner.analysis.probing.files import Probing
from ner.analysis.probing.flips import FLIPS
from ner.analysis.probing.probes import NAMES
from ner.analysis.probing.probing import Outcome
from ner.analysis.probing.tables import ABOUT, limits
from ner.report.elements import Cell, Content, Place, Section, Table
from ner.report.flip_data import FlipTable

ABOUT_PROBES = (
    "Each probe changes the sentences in a way that should not matter, or exchanges names or their context. Flips are "
    "entities that were predicted in the changed sentences before and are not there any more as they were, and new "
    "ones; “Flipped by” below finds their sentences."
)
NOT_PROBED = "Of this choice nothing was probed."
CHANGED = "F1 of the changed sentences minus F1 before; below it the 95% interval, and how many sentences are changed"
RECALL = "recall of these gold mentions minus that of all; below it the 95% interval, and how many sentences have any"
FLIPPED = "entities found before in changed sentences, what became of them, and new ones"


def flip_table(probing: Probing) -> FlipTable:
    """The entities that flipped, with the probes that flipped any in the order of the registry."""
    there = set(probing.flips["probe"].unique().to_pylist())
    probes = [name for name in NAMES if name in there] + sorted(there - set(NAMES))
    return FlipTable(probing.flips, probes, FLIPS[1:])


def probe_section(probing: Probing, places: Sequence[Place]) -> Section:
    """Differences of F1 (and of recall, of slices) and flips at each place."""
    views: dict[Place, Content] = {}
    for place in places:
        found = [
            outcome
            for outcome in probing.outcomes.get((place.run, place.split), ())
            if place.language in (None, outcome.language)
        ]
        views[place] = view(found) if found else [NOT_PROBED]
    return Section("Probing", [ABOUT_PROBES], views, wide=True)


def view(outcomes: Sequence[Outcome]) -> Content:
    """The tables of some outcomes of a run and split, at least one."""
    changes, slices = ([each for each in outcomes if each.measure == name] for name in ("F1", "recall"))
    content: list[str | Table] = []
    if changes:
        before = {each.language: f"{each.before:.3f}" for each in changes}
        caption = f"{CHANGED}. Before: {', '.join(f'{language} {f1}' for language, f1 in before.items())}"
        content += [difference_table(changes, "probe", caption), flips_by_probe(changes)]
    if slices:
        content.append(difference_table(slices, "mentions", RECALL))
    return content


def difference_table(outcomes: Sequence[Outcome], name: str, caption: str) -> Table:
    """Probes by languages; a probe that changed nothing, or was not asked, has no number."""
    languages = list(dict.fromkeys(each.language for each in outcomes))
    found = {(each.probe, each.language): each for each in outcomes}
    probes = list(dict.fromkeys(each.probe for each in outcomes))
    rows: list[list[Cell]] = []
    below = {}
    for i, probe in enumerate(probes):
        below[i, 0] = ABOUT.get(probe, "")
        cells: list[Cell] = []
        for k, language in enumerate(languages, start=1):
            each = found.get((probe, language))
            cells.append(each.difference if each and each.changed else None)
            if each:
                below[i, k] = amount(each)
        rows.append([probe, *cells])
    return Table([name, *languages], rows, caption, below=below, differences=languages)


def amount(outcome: Outcome) -> str:
    """How certain the difference is, and how many of the sentences it is of."""
    count = f"{outcome.changed:,} of {outcome.sentences:,}"
    return f"{limits(outcome.interval)}\n{count}" if outcome.changed else count


def flips_by_probe(outcomes: Sequence[Outcome]) -> Table:
    """How many entities each probe flipped, all languages of the outcomes together."""
    counts: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        if outcome.flips:
            row = counts.setdefault(outcome.probe, dict.fromkeys(("before", *FLIPS), 0))
            row["before"] += outcome.flips.num_before
            for flip in FLIPS:
                row[flip] += outcome.flips.counts[flip]
    rows: list[list[Cell]] = [[probe, *row.values()] for probe, row in counts.items()]
    return Table(["probe", "before", *FLIPS], rows, FLIPPED, bars=FLIPS[1:])
