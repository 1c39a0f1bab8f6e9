"""Sentences with their entities in the forms that annotation tools import; `ner.data.annotated_text` reads them again.

Tools get a text with entities to correct. These are the gold ones of annotated data, with the predicted ones to
compare; and the predicted ones where nobody has annotated.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from ner.data.perturbation import spans
from ner.files import to_json_line

Format: TypeAlias = Literal["jsonl", "label-studio", "argilla", "doccano", "prodigy"]
Row: TypeAlias = dict[str, Any]
Span: TypeAlias = tuple[int, int, str]  # first word, the one behind the last, type


class ToAnnotate(NamedTuple):
    """A sentence for a person to look at.

    words: first character and the one behind the last of each; predicted: entities, by the model of that name; gold:
    those of the data, None where there are none; about: what the tools keep with it; id: of the sentence.
    """

    text: str
    words: Sequence[tuple[int, int]]
    predicted: Sequence[Span]
    model: str
    gold: Sequence[Span] | None
    about: Row
    id: str

    @property
    def shown(self) -> Sequence[Span]:
        """The entities to correct."""
        return self.predicted if self.gold is None else self.gold

    @property
    def compared(self) -> Row:
        """`about`, and the predicted entities to compare with gold ones, for tools that show one side alone."""
        if self.gold is None:
            return self.about
        places = characters(self, self.predicted)
        return {**self.about, "predicted": ", ".join(f"{type_} {self.text[a:b]}" for a, b, type_ in places)}


def suffix_of(form: Format) -> str:
    """How the name of a file in that form should end, for its tool and for `--data`."""
    return ".json" if form in LISTS else ".jsonl"


def to_text(rows: Sequence[Row], form: Format) -> str:
    """The content of a file of such rows: a line for each, or a JSON list for the tools that import one."""
    lines = [to_json_line(row) for row in rows]
    return "".join(lines) if form not in LISTS else f"[\n{','.join(lines)}]\n"


def label_studio(sentence: ToAnnotate) -> Row:
    """A task for a `Labels` tag named label, on a `Text` named text."""

    def work(entities: Sequence[Span]) -> list[Row]:
        kept = {"from_name": "label", "to_name": "text", "type": "labels"}
        return [
            {**kept, "value": {"start": start, "end": end, "text": sentence.text[start:end], "labels": [type_]}}
            for start, end, type_ in characters(sentence, entities)
        ]

    annotations = {} if sentence.gold is None else {"annotations": [{"result": work(sentence.gold)}]}
    return {
        "data": {"text": sentence.text, **sentence.about},
        **annotations,
        "predictions": [{"model_version": sentence.model, "result": work(sentence.predicted)}],
    }


def argilla(sentence: ToAnnotate) -> Row:
    """A record of a dataset with a text field `text` and a span question `entities`; what is shown is suggested."""
    value = [{"start": start, "end": end, "label": type_} for start, end, type_ in characters(sentence, sentence.shown)]
    return {
        "id": sentence.id,
        "fields": {"text": sentence.text},
        "metadata": sentence.compared,
        "suggestions": {"entities": {"value": value}},
        "responses": {},
    }


def doccano(sentence: ToAnnotate) -> Row:
    """A line of the import of sequence labeling; doccano keeps the other columns."""
    label = [list(span) for span in characters(sentence, sentence.shown)]
    return {"text": sentence.text, "label": label, **sentence.compared}


def prodigy(sentence: ToAnnotate) -> Row:
    """A task for ner.manual, with its tokens."""
    text, words = sentence.text, sentence.words
    tokens = [
        {"text": text[start:end], "start": start, "end": end, "id": i, "ws": text[end : end + 1] == " "}
        for i, (start, end) in enumerate(words)
    ]
    places = zip(characters(sentence, sentence.shown), sentence.shown, strict=True)
    marked = [
        {"start": start, "end": end, "token_start": first, "token_end": last - 1, "label": type_}
        for (start, end, type_), (first, last, _) in places
    ]
    return {"text": text, "tokens": tokens, "spans": marked, "meta": sentence.compared}


def word_spans(names: Sequence[str]) -> list[Span]:
    """The entities of a sentence. names: of its tags."""
    return [span for span in spans(names) if span[2]]


def entity_text(words: Sequence[str], names: Sequence[str]) -> str:
    """The entities of a sentence as `TYPE words, ...`. names: of its tags."""
    return ", ".join(f"{type_} {' '.join(words[first:last])}" for first, last, type_ in word_spans(names))


def characters(sentence: ToAnnotate, entities: Sequence[Span]) -> list[Span]:
    """First character, the one behind the last, and type of entities."""
    words = sentence.words
    return [(words[first][0], words[last - 1][1], type_) for first, last, type_ in entities]


FORMATS: dict[str, Callable[[ToAnnotate], Row]] = {
    "label-studio": label_studio,
    "argilla": argilla,
    "doccano": doccano,
    "prodigy": prodigy,
}
LISTS = ("label-studio", "argilla")  # these import a JSON list
