"""Annotated text -> tagged words: the spans that spaCy, Prodigy, Doccano, Label Studio and Argilla export.

A row is one JSON object: a text, and spans of characters with a label. Words are the row's own `tokens` where it has
them (spaCy, Prodigy), else those that its `splitter` makes, which `ner tag --uncertain` writes and the tools keep
among what they know nothing of. Without either, what stands between white space is a word, each punctuation mark and
each Han character by itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ner.data.words import SPLITTERS
from ner.errors import InputError, listed, shorten
from ner.tags import OUTSIDE

SPLITTER, BY_DEFAULT = "splitter", "punctuation"  # a name of SPLITTERS
INSIDE = ("meta", "metadata", "data")  # where annotation tools keep what they do not know
SPANS = ("spans", "entities", "ents", "label", "labels")

Span = tuple[int, int, str]  # first character, the one behind the last, label


def is_spans(row: dict[str, Any]) -> bool:
    """Whether a row is annotated text."""
    return has_text(row) is not None


def has_text(row: dict[str, Any]) -> dict[str, Any] | None:
    """The part of a row that has its text: Label Studio and Argilla keep it beside the work. None without any."""
    if "text" in row:
        return row
    parts = [row[name] for name, work in (("data", "annotations"), ("fields", "responses")) if {name, work} <= set(row)]
    return next((part for part in parts if isinstance(part, dict)), None)


def why_undecided(row: Mapping[str, Any]) -> str:
    """Why nobody has accepted what a row says; empty if somebody has, or the row is of no tool that asks people.

    Prodigy's `reject` and `ignore`; in Label Studio skipped tasks and those with predictions alone; no response in
    Argilla.
    """
    done, responses = row.get("annotations", [] if {"data", "predictions"} <= set(row) else None), row.get("responses")
    if row.get("answer") in ("reject", "ignore"):
        return str(row["answer"]).rstrip("e") + "ed"
    if isinstance(done, list) and all(isinstance(a, dict) and a.get("was_cancelled") for a in done):
        return "skipped" if done else "not annotated"
    return "without a response" if isinstance(responses, dict) and not any(responses.values()) else ""


def is_passed_over(row: Mapping[str, Any]) -> bool:
    """Whether nobody decided, for or against what the row says."""
    return why_undecided(row) not in ("", "rejected")


def text_of(row: dict[str, Any]) -> str:
    """The text of annotated text. Raises InputError for what is none."""
    text = (has_text(row) or {}).get("text")
    if not isinstance(text, str):
        raise InputError(f"text is {shorten(text)}, not a text")
    return text


def tagged_words(row: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Words and IOB2 tags of a row. White space at the ends of a span does not count.

    Raises InputError for a row that is not annotated text, and for a span that is empty, lies outside of the text,
    cuts a word or overlaps another.
    """
    text = text_of(row)
    spans = spans_of(row, text)
    words = token_offsets(row, text) or SPLITTERS[splitter_of(row)](text)
    return [text[start:end] for start, end in words], tags_of(text, words, spans)


def splitter_of(row: dict[str, Any]) -> str:
    """How the text of a row is taken apart. Raises InputError for a name that is none of SPLITTERS."""
    inside = [row, *(row[name] for name in INSIDE if isinstance(row.get(name), dict))]
    name = next((part[SPLITTER] for part in inside if part.get(SPLITTER) is not None), BY_DEFAULT)
    if not isinstance(name, str) or name not in SPLITTERS:
        raise InputError(f"{SPLITTER} is {shorten(name)}, not one of {listed(SPLITTERS)}")
    return name


def spans_of(row: dict[str, Any], text: str) -> list[Span]:
    """The spans of a row. Raises InputError for what is none, and for a row that was not accepted."""
    if row.get("answer", "accept") != "accept":
        raise InputError(f"its answer is {shorten(row['answer'])}, not 'accept'")
    return [span_of(item, text) for item in annotations(row)]


def annotations(row: dict[str, Any]) -> list[Any]:
    """The spans of a row as they stand there. Raises InputError if there are none to find."""
    if "annotations" in row:  # Label Studio: a task with the work of each annotator
        done = [a for a in items(row, "annotations") if isinstance(a, dict) and not a.get("was_cancelled")]
        if len(done) != 1:
            raise InputError(f"{len(done)} annotations of one text; keep one")
        results = items(done[0], "result")
        return [item.get("value") for item in results if isinstance(item, dict) and item.get("type") == "labels"]
    if isinstance(row.get("responses"), dict):  # Argilla: a record with the answers to each question
        answers = [answer for name in row["responses"] for answer in items(row["responses"], name)]
        if len(answers) != 1 or not isinstance(answers[0], dict):
            raise InputError(f"{len(answers)} responses to one text; keep one")
        return items(answers[0], "value")
    name = next((name for name in SPANS if name in row), None)
    if name is None:
        raise InputError(f"text without spans: no {', '.join(SPANS)}; the row has {listed(map(str, row))}")
    return items(row, name)


def items(row: dict[str, Any], name: str) -> list[Any]:
    """A list of the row. Raises InputError if it is something else."""
    if not isinstance(row.get(name), list):
        raise InputError(f"{name} is {shorten(row.get(name))}, not a list")
    return list(row[name])


def span_of(item: Any, text: str) -> Span:
    """[start, end, label], or an object with start and end (or start_offset, end_offset) and label (or labels, type).

    Raises InputError for anything else, and where the object's own `text` is not what stands at that place.
    """
    if isinstance(item, dict):
        label = item.get("label", item.get("labels", item.get("type")))
        if isinstance(label, list) and len(label) == 1:
            label = label[0]
        start, end = item.get("start", item.get("start_offset")), item.get("end", item.get("end_offset"))
    elif isinstance(item, list) and len(item) == 3:
        start, end, label = item
    else:
        raise InputError(f"a span is {shorten(item)}, not [start, end, label] or an object of these")
    if type(start) is not int or type(end) is not int or not isinstance(label, str) or not label.strip():
        raise InputError(f"a span is {shorten(item)}: it needs start and end as numbers and one label")
    if isinstance(item, dict) and item.get("text", text[start:end]) != text[start:end]:
        raise InputError(f"span {start}-{end} is {shorten(text[start:end])}, but its text says {shorten(item['text'])}")
    return start, end, label


def token_offsets(row: dict[str, Any], text: str) -> list[tuple[int, int]]:
    """Offsets of the row's `tokens`, none if it has none. Raises InputError for tokens that are not in the text."""
    words = []
    end = 0
    for token in row.get("tokens") or ():
        if not isinstance(token, dict) or type(token.get("start")) is not int or type(token.get("end")) is not int:
            raise InputError(f"a token is {shorten(token)}, not an object with start and end")
        start, previous_end, end = token["start"], end, token["end"]
        if not previous_end <= start < end <= len(text):
            raise InputError(f"token {start}-{end} is not behind the one before it, or not in the text")
        if text[start:end].strip():  # spaCy keeps white space as tokens
            words.append((start, end))
    return words


def tags_of(text: str, words: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[str]:
    """The IOB2 tag of each word."""
    starts = {start: i for i, (start, _) in enumerate(words)}
    ends = {end: i for i, (_, end) in enumerate(words)}
    tags = [OUTSIDE] * len(words)
    for start, end, label in spans:
        if not 0 <= start < end <= len(text):
            raise InputError(f"span {start}-{end} ({label}) is empty, or not in the text of {len(text)} characters")
        covered = text[start:end]
        name = f"span {start}-{end} {shorten(covered)} ({label})"
        if not covered.strip():
            raise InputError(f"{name} is white space")
        if start not in starts:
            start += len(covered) - len(covered.lstrip())
        if end not in ends:
            end -= len(covered) - len(covered.rstrip())
        if start not in starts or end not in ends:
            edge = start if start not in starts else end
            cut = next((text[a:b] for a, b in words if a < edge < b), None)
            raise InputError(f"{name} cuts the word {shorten(cut)}" if cut else f"{name} begins or ends between words")
        first, last = starts[start], ends[end]
        if any(tag != OUTSIDE for tag in tags[first : last + 1]):
            raise InputError(f"{name} overlaps another span")
        tags[first : last + 1] = [f"B-{label}"] + [f"I-{label}"] * (last - first)
    return tags
