"""Sentences for a person to look at, as rows that `corrections` reads again and annotation tools import.

Each row has what it is found by (`ner.data.corrections`), whatever the tool makes of it.
"""

import pyarrow as pa

from ner.data.annotation_forms import FORMATS, Format, Row, ToAnnotate, word_spans
from ner.data.corrections import sentence_key
from ner.data.folds import FOLD
from ner.data.words import join


def review(table: pa.Table, form: Format = "jsonl") -> list[Row]:
    """Rows to review, each sentence once.

    Args:
        table: As of `rank_label_errors`, in the order of the rows.
        form: `jsonl` is to edit; the others are what these tools import.
    """
    rows: dict[tuple[str, str, str], Row] = {}
    for row in table.to_pylist():
        split = "train" if row["split"] == FOLD else row["split"]
        place = row["language"], split, sentence_key(row["words"], row["gold"])
        about = {
            **dict(zip(("language", "split", "key"), place, strict=True)),
            "sentence": row["sentence"],
            "label_error_score": round(row["label_error_score"], 4),
        }
        rows.setdefault(place, plain(row, about) if form == "jsonl" else FORMATS[form](to_annotate(row, about)))
    return list(rows.values())


def to_annotate(row: Row, about: Row) -> ToAnnotate:
    """A row of the table, for the tools."""
    text, words = join(row["words"])
    gold, predicted = word_spans(row["gold"]), word_spans(row["predicted"])
    return ToAnnotate(
        text=text, words=words, predicted=predicted, model=row["run"], gold=gold, about=about, id=about["key"]
    )


def plain(row: Row, place: Row) -> Row:
    """To edit: `ner_tags` are the gold tags."""
    losses = [None if loss is None else round(loss, 4) for loss in row["losses"]]
    same = row["predicted"] == row["gold"]
    return {
        **place,
        "tokens": row["words"],
        "ner_tags": row["gold"],
        "predicted": None if same else row["predicted"],
        "losses": losses,
        "drop": False,
    }
