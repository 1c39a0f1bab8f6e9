"""A tagged text for a terminal, and as HTML, with where two runs differ on one. assets/app.css has the styles."""

import os
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from ner.errors import harmless
from ner.tagging.document import Entity, TaggedText
from ner.utils import interlinear

BACKGROUNDS = {"PER": 153, "LOC": 157, "ORG": 223, "MISC": 225}  # of the 256 colours, pale: the text on them is black
OTHERS = (195, 229, 189, 217, 159, 255)
RESET = "\x1b[0m"
NOT_TAGGED = "-"  # at a sub-token behind the first of its word

COMMON_TYPES = ("PER", "ORG", "LOC", "MISC")
LEAST_SEEN = 0.005  # probability of a label that has a bar
MOST_BARS = 8
GOLDEN_ANGLE = 137.508  # degrees: however many hues are made with it, neighbours in the list are far apart


class Difference(NamedTuple):
    """Entities of two runs that overlap without being the same, or one that stands alone; None where there is none."""

    first: Entity | None
    second: Entity | None

    @property
    def start(self) -> int:
        return min(entity.start for entity in self if entity)

    def description(self, names: Sequence[str]) -> str:
        """What is different, in words. names: of the two runs."""
        if self.first is None:
            return f"only {names[1]}"
        if self.second is None:
            return f"only {names[0]}"
        if place(self.first)[1:] == place(self.second)[1:]:
            return "other type"
        return "other boundary" if self.first.type == self.second.type else "other type and boundary"


def place(entity: Entity) -> tuple[str, int, int]:
    """What makes two entities the same: type, start and end."""
    return entity.type, entity.start, entity.end


def differences(first: Sequence[Entity], second: Sequence[Entity]) -> list[Difference]:
    """Where two lists of entities of one text differ, in its order.

    Entities that overlap are paired, each once, one of the same type before another.
    """
    in_first, in_second = ({place(entity) for entity in entities} for entities in (first, second))
    rest = [entity for entity in second if place(entity) not in in_first]
    found = []
    for entity in first:
        if place(entity) not in in_second:
            near = [other for other in rest if other.start < entity.end and entity.start < other.end]
            partner = max(near, key=lambda other: other.type == entity.type, default=None)
            if partner:
                rest.remove(partner)
            found.append(Difference(entity, partner))
    return sorted([*found, *(Difference(None, entity) for entity in rest)], key=lambda difference: difference.start)


def hues(types: Iterable[str]) -> dict[str, float]:
    """A hue of each type, in degrees; those of COMMON_TYPES are the same whatever the others are."""
    order = [*COMMON_TYPES, *sorted(set(types) - set(COMMON_TYPES))]
    return {name: (255 + i * GOLDEN_ANGLE) % 360 for i, name in enumerate(order)}


class WordBars(NamedTuple):
    """A word of a text, from start to end, and as HTML what is shown of it on hover and click."""

    start: int
    end: int
    html: str


def probability_bars(tagged: TaggedText) -> list[WordBars]:
    """A bar for each label of a word that is probable enough to be seen; none where no probabilities are kept."""
    found = []
    for i, (start, end) in enumerate(tagged.words if tagged.labels else ()):
        p = tagged.probabilities_of(i) or {}
        seen = sorted((name for name in p if p[name] >= LEAST_SEEN), key=lambda name: -p[name])[:MOST_BARS]
        bars = "".join(f'<i style="--p: {p[name]:.1%}"><b>{escape(name)}</b> {p[name]:.3f}</i>' for name in seen)
        title = escape(tagged.text[start:end])
        found.append(WordBars(start, end, f'<span class="bars"><bdi>{title}</bdi>{bars or "no sub-token"}</span>'))
    return found


def with_bars(text: str, start: int, end: int, bars: Sequence[WordBars]) -> str:
    """text[start:end] as HTML, its words with their bars. bars: of the whole text, in its order."""
    parts = []
    for word in bars[bisect_left(bars, start, key=lambda word: word.start) :]:
        if word.start >= end:
            break
        shown = f'<span class="word" tabindex="0">{escape(text[word.start : word.end])}{word.html}</span>'
        parts += [escape(text[start : word.start]), shown]
        start = word.end
    return "".join([*parts, escape(text[start:end])])


def marked(
    text: str,
    entities: Sequence[Entity],
    hue: Mapping[str, float],
    differing: Iterable[Entity | None] = (),
    bars: Sequence[WordBars] = (),
) -> str:
    """The text as HTML with its entities in <mark>, type and score in small print behind each.

    differing: entities to mark as not those of another run; bars: of its words.
    """
    special = set(differing)
    parts, done = [], 0
    for entity in entities:
        differs = ' class="differs"' if entity in special else ""
        title = escape(f"{entity.type}, {entity.score:.3f}, characters {entity.start} to {entity.end}")
        small = f"<small>{escape(entity.type)} {entity.score:.2f}</small>"
        parts += [
            with_bars(text, done, entity.start, bars),
            f'<mark{differs} style="--hue: {hue[entity.type]:.0f}" title="{title}">'
            f"{with_bars(text, entity.start, entity.end, bars)}{small}</mark>",
        ]
        done = entity.end
    return "".join([*parts, with_bars(text, done, len(text), bars)])


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Rows of HTML as a table."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def entity_table(entities: Sequence[Entity], hue: Mapping[str, float], name: str) -> str:
    """Type, text, start, end and score of each entity that the run of that name finds."""
    rows = [
        (tag(e.type, hue), f"<bdi>{escape(e.text)}</bdi>", f"{e.start}", f"{e.end}", f"{e.score:.3f}") for e in entities
    ]
    return table(["type", "text", "start", "end", "score"], rows, f"{escape(name)}: {len(entities)}")


def tag(type_: str, hue: Mapping[str, float]) -> str:
    """The name of a type in its colour."""
    return f'<span class="type" style="--hue: {hue[type_]:.0f}">{escape(type_)}</span>'


def difference_table(found: Sequence[Difference], names: Sequence[str], hue: Mapping[str, float]) -> str:
    """What each of two runs says where they differ."""

    def cell(entity: Entity | None) -> str:
        return f"{tag(entity.type, hue)} <bdi>{escape(entity.text)}</bdi>" if entity else "–"  # noqa: RUF001

    if not found:
        return '<p class="same">Both runs find the same entities.</p>'
    rows = [(cell(pair.first), cell(pair.second), escape(pair.description(names))) for pair in found]
    return table([*map(escape, names), "difference"], rows, f"Differences: {len(found)}")


def result(
    text: str,
    found: Mapping[str, Sequence[Entity]],
    hue: Mapping[str, float],
    types: Iterable[str],
    bars: Mapping[str, Sequence[WordBars]] | None = None,
) -> str:
    """What one run, or two, find in a text. types: for the legend; bars: of each run's words."""
    legend = "".join(tag(name, hue) for name in sorted(types, key=list(hue).index))
    are_two = len(found) == 2
    note = "with the probability; dashed where the runs differ" if are_two else "with the probability"
    differing = differences(*found.values()) if are_two else []
    sides = [
        f'<section><h2>{escape(name)}</h2><div class="text" dir="auto">'
        f"{marked(text, entities, hue, [pair[i] for pair in differing], (bars or {}).get(name, ()))}</div></section>"
        for i, (name, entities) in enumerate(found.items())
    ]
    tables = [f"<section>{entity_table(entities, hue, name)}</section>" for name, entities in found.items()]
    return "".join(
        [
            f'<div class="legend">{legend}<span class="note">{note}</span></div>',
            f'<div class="sides">{"".join(sides)}</div>',
            f'<div class="differences">{difference_table(differing, list(found), hue)}</div>' if are_two else "",
            f'<div class="sides">{"".join(tables)}</div>',
        ]
    )


def has_colours() -> bool:
    """Whether standard output is a terminal, and nobody set NO_COLOR (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def for_terminal(text: str, entities: Iterable[Entity], colours: bool) -> str:
    """The text with its entities coloured, or in brackets: `[PER Jeff Dean] ist ...`.

    colours: one for each type, with the type behind the entity.
    """
    parts = []
    end = 0
    for entity in entities:
        parts.append(harmless(text[end : entity.start]))
        name, type_ = harmless(entity.text), harmless(entity.type)
        if colours:
            background = BACKGROUNDS.get(entity.type) or OTHERS[sum(entity.type.encode()) % len(OTHERS)]
            parts.append(f"\x1b[48;5;{background};38;5;16m {name} \x1b[1m{type_} {RESET}")
        else:
            parts.append(f"[{type_} {name}]")
        end = entity.end
    return "".join([*parts, harmless(text[end:])])


def word_table(tagged: TaggedText, sub_tokens: Sequence[Sequence[str]], width: int) -> str:
    """The words of a text in columns: sub-tokens, tag and its probability, and that of every label if it is kept.

    sub_tokens: of each word; what the model says stands at the first of them. width: of the terminal, in columns. Empty
    for a text without words.
    """
    names = ["word", "sub-token", "tag", "p", *(f"p({label})" for label in tagged.labels)]

    def positions() -> Iterator[tuple[str, list[list[str]]]]:
        for i, ((start, end), pieces) in enumerate(zip(tagged.words, sub_tokens, strict=True)):
            first, *others = pieces or [""]
            numbers = [tagged.scores[i], *tagged.probabilities[i]]
            said = [tagged.tags[i], *("" if np.isnan(p) else f"{p:.2f}" for p in numbers)]
            yield tagged.text[start:end], [[first, *said], *([piece, *[NOT_TAGGED] * len(said)] for piece in others)]

    return interlinear(names, positions(), width)
