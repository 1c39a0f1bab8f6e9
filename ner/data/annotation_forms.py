"""Sentences with their entities in the forms that annotation tools import; `ner.data.annotated_text` reads them again.

Tools get text, the words between single spaces, with the gold entities as annotations to correct, and the predicted
ones to compare.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from ner.data.perturbation import spans
from ner.data.words import join
from ner.files import to_json_line

Format: TypeAlias = Literal["jsonl", "label-studio", "argilla", "doccano", "prodigy"]
Row: TypeAlias = dict[str, Any]
Span: TypeAlias = tuple[int, int, str]  # first word, the one behind the last, type


def to_text(rows: Sequence[Row], form: Format) -> str:
    """The content of a file of such rows: a line for each, or a JSON list for the tools that import one."""
    lines = [to_json_line(row) for row in rows]
    return "".join(lines) if form not in LISTS else f"[\n{','.join(lines)}]\n"


def label_studio(row: Row, place: Row) -> Row:
    """A task for a `Labels` tag named label, on a `Text` named text."""

    def work(side: str) -> list[Row]:
        kept = {"from_name": "label", "to_name": "text", "type": "labels"}
        return [
            {**kept, "value": {"start": start, "end": end, "text": text, "labels": [type_]}}
            for start, end, type_, text in characters(row, side)
        ]

    return {
        "data": {"text": " ".join(row["words"]), **place},
        "annotations": [{"result": work("gold")}],
        "predictions": [{"model_version": row["run"], "result": work("predicted")}],
    }


def argilla(row: Row, place: Row) -> Row:
    """A record of a dataset with a text field `text` and a span question `entities`; the gold tags are suggested."""
    value = [{"start": start, "end": end, "label": type_} for start, end, type_, _ in characters(row, "gold")]
    return {
        "id": place["key"],
        "fields": {"text": " ".join(row["words"])},
        "metadata": {**place, "predicted": entity_text(row["words"], row["predicted"])},
        "suggestions": {"entities": {"value": value}},
        "responses": {},
    }


def doccano(row: Row, place: Row) -> Row:
    """A line of the import of sequence labeling; doccano keeps the other columns."""
    label = [[start, end, type_] for start, end, type_, _ in characters(row, "gold")]
    return {
        "text": " ".join(row["words"]),
        "label": label,
        **place,
        "predicted": entity_text(row["words"], row["predicted"]),
    }


def prodigy(row: Row, place: Row) -> Row:
    """A task for ner.manual, with its tokens."""
    text, offsets = join(row["words"])
    tokens = [
        {"text": text[start:end], "start": start, "end": end, "id": i, "ws": i + 1 < len(offsets)}
        for i, (start, end) in enumerate(offsets)
    ]
    found = zip(characters(row, "gold"), word_spans(row["gold"]), strict=True)
    marked = [
        {"start": start, "end": end, "token_start": first, "token_end": last - 1, "label": type_}
        for (start, end, type_, _), (first, last, _) in found
    ]
    return {
        "text": " ".join(row["words"]),
        "tokens": tokens,
        "spans": marked,
        "meta": {**place, "predicted": entity_text(row["words"], row["predicted"])},
    }


def word_spans(names: Sequence[str]) -> list[Span]:
    """The entities of a sentence. names: of its tags."""
    return [span for span in spans(names) if span[2]]


def entity_text(words: Sequence[str], names: Sequence[str]) -> str:
    """The entities of a sentence as `TYPE words, ...`. names: of its tags."""
    return ", ".join(f"{type_} {' '.join(words[first:last])}" for first, last, type_ in word_spans(names))


def characters(row: Row, side: str) -> list[tuple[int, int, str, str]]:
    """First character, the one behind the last, type and text of the gold or predicted entities."""
    text, offsets = join(row["words"])
    places = [(offsets[first][0], offsets[last - 1][1], type_) for first, last, type_ in word_spans(row[side])]
    return [(start, end, type_, text[start:end]) for start, end, type_ in places]


FORMATS: dict[str, Callable[[Row, Row], Row]] = {
    "label-studio": label_studio,
    "argilla": argilla,
    "doccano": doccano,
    "prodigy": prodigy,
}
LISTS = ("label-studio", "argilla")  # these import a JSON list
