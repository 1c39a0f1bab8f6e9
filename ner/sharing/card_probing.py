"""What `ner probe` found, on the model card: the changes of the sentences that cost most F1, by language."""

from collections.abc import Sequence

from ner.analysis.probing.tables import limits
from ner.evaluation.bootstrap import Interval
from ner.sharing.run_record import Scores, place
from ner.utils import code, quoted, signed, table

MOST = 3  # changes of each language
FORM = "form"  # the family of probes whose losses are no fault: names or context are not there any more


def probing(found: Sequence[Scores]) -> list[str]:
    """A section on what probes found, with a table for each split of some data; nothing without any."""
    groups: dict[tuple[str, ...], list[Scores]] = {}
    for scores in found:
        if scores["family"] != FORM and scores["changed"]:
            groups.setdefault(place(scores)[:-1], []).append(scores)
    parts = [part for group in groups.values() for part in of_split(group)]
    return ["## Probing", *parts] if parts else []


def of_split(group: Sequence[Scores]) -> list[str]:
    """What is said of one split of some data."""
    first = group[0]
    read_as = "" if first["sample"] == ["all"] else f", sample {quoted(' '.join(first['sample']))}"
    read_as += f", types read as {quoted(first['map_tags'])}" if first["map_tags"] else ""
    probes = {scores["probe"] for scores in group}
    languages = list(dict.fromkeys(scores["language"] for scores in group))
    lines: list[list[str | int]] = []
    unharmed: list[str] = []
    for language in languages:
        losses = [scores for scores in group if scores["language"] == language and scores["difference"] < 0]
        lines += [line(scores) for scores in sorted(losses, key=lambda scores: scores["difference"])[:MOST]]
        unharmed += [] if losses else [language]
    text = (
        f"F1 on {quoted(first['split'])} of {code(first['data'])}{read_as}, where its sentences, or names in them, are "
        f"changed in ways that should not matter. Of {len(probes)} change{'s' * (len(probes) > 1)}, those that cost "
        f"most in each language, at most {MOST}. The difference is to the sentences as they are, with its 95% "
        "interval, by bootstrap over the same sentences before and after."
    )
    if unharmed:
        text += f" In {', '.join(map(code, unharmed))} none cost anything."
    header = ["language", "change", "changed sentences", "F1 before", "after", "difference", "95% interval"]
    right = [False, False, True, True, True, True, False]
    return [text, table(header, lines, right=right)] if lines else [text]


def line(scores: Scores) -> list[str | int]:
    """A row of the table."""
    return [
        quoted(scores["language"]),
        code(scores["probe"]),
        scores["changed"],
        f"{scores['before']:.3f}",
        f"{scores['after']:.3f}",
        signed(scores["difference"]),
        limits(Interval(**scores["interval"])),
    ]
