"""Files of sentences to review: what is in them, and that corrections read them again."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ner.analysis import token_losses
from ner.analysis.label_errors import rank_label_errors
from ner.analysis.review import review
from ner.cli import label_errors
from ner.data.annotation_forms import FORMATS, LISTS, Format, to_text
from ner.data.arrow_store import tag_set
from ner.data.corpus import Source, load_corpus
from tests.analysis.test_views import words_table

# As of `words_table`: the second sentence stands there twice.
SENTENCES = [
    ("de", "Anna wohnt in Bern", "B-PER O O B-LOC", "B-PER O O B-ORG", [0.5, 0.25, 0.25, 2.0]),
    ("de", "Mu|sik ist , « schön »", "B-LOC O O O O O", "O O O O O O", [4.0, 0.25, 0.0, 0.0, 0.25, 0.0]),
    ("de", "Uni Bern", "B-ORG I-ORG", "B-ORG I-ORG", [0.5, 0.5]),
    ("de", "Mu|sik ist , « schön »", "B-LOC O O O O O", "O O O O O O", [4.0, 0.25, 0.0, 0.0, 0.25, 0.0]),
]
TOOLS: list[Format] = ["label-studio", "argilla", "doccano", "prodigy"]


@pytest.fixture
def ranked():
    return rank_label_errors(words_table(SENTENCES))


@pytest.fixture
def folder(tmp_path) -> Path:
    """The corpus that the table is of."""
    file = tmp_path / "corpus/de/test.jsonl"
    file.parent.mkdir(parents=True)
    rows = [{"tokens": words.replace("|", "").split(), "ner_tags": tags.split()} for _, words, tags, _, _ in SENTENCES]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "corpus"


def corrected(folder: Path, text: str) -> list[str]:
    """Tags of each sentence with these corrections; and the note on them, at the end."""
    file = folder.parent / "review.jsonl"
    file.write_text(text, encoding="utf-8")
    corpus = load_corpus(Source(str(folder), corrections=str(file)), ["de"], ("test",))
    names = tag_set(corpus["de"]["test"]).names
    return [" ".join(names[i] for i in row) for row in corpus["de"]["test"]["ner_tags"]] + [corpus.notes[0]]


def test_rows_to_edit(ranked):
    first, second, third = review(ranked)
    assert first["tokens"] == ["Musik", "ist", ",", "«", "schön", "»"]
    assert first["ner_tags"] == ["B-LOC", "O", "O", "O", "O", "O"]
    assert first["predicted"] == ["O"] * 6
    assert first["losses"] == [4.0, 0.25, 0.0, 0.0, 0.25, 0.0]
    assert (first["language"], first["split"], first["sentence"], first["drop"]) == ("de", "test", 1, False)
    # (2.0 + 4.0 + 4.0) / 3 is the mean loss of B-LOC
    assert first["label_error_score"] == pytest.approx(4 - 10 / 3, abs=1e-4)
    by_word = {row["tokens"][0]: row["predicted"] for row in (second, third)}
    assert by_word == {"Anna": ["B-PER", "O", "O", "B-ORG"], "Uni": None}  # None: the same


def test_rows_that_are_edited_and_read_again(ranked, folder):
    first, second, third = review(ranked)
    assert corrected(folder, to_text((first, second, third), "jsonl"))[-1].endswith(
        "0 sentences changed, 0 dropped, 4 as they were"
    )
    first["ner_tags"][0] = "O"
    third["drop"] = True
    found = corrected(folder, to_text((first, second, third), "jsonl"))
    kept = [tags for _, words, tags, _, _ in SENTENCES if words.split() != third["tokens"]]
    assert found == [*[tags.replace("B-LOC O O O O O", "O O O O O O") for tags in kept], found[-1]]
    assert found[-1] == "corrections of de test: 2 sentences changed, 1 dropped, 1 as they were"


def exported(ranked: pa.Table, form: Format) -> list[dict[str, Any]]:
    """What a person who changed nothing exports from the tool."""
    text = to_text(review(ranked, form), form)
    rows = json.loads(text) if form in LISTS else list(map(json.loads, text.splitlines()))
    for row in rows:
        if form == "argilla":
            row["responses"] = {"entities": [{"value": row["suggestions"]["entities"]["value"], "user_id": "a"}]}
        if form == "prodigy":
            row["answer"] = "accept"
    return rows


@pytest.mark.parametrize("form", TOOLS)
def test_what_tools_export_is_read_again(ranked, folder, form):
    rows = exported(ranked, form)
    assert corrected(folder, to_text(rows, form))[-1].endswith(": 0 sentences changed, 0 dropped, 4 as they were")

    place = {"label-studio": "data", "argilla": "metadata", "prodigy": "meta"}.get(form)
    musik = next(row for row in rows if (row[place] if place else row)["sentence"] == 1)
    spans = {
        "label-studio": lambda: musik["annotations"][0]["result"],
        "argilla": lambda: musik["responses"]["entities"][0]["value"],
        "doccano": lambda: musik["label"],
        "prodigy": lambda: musik["spans"],
    }[form]()
    assert len(spans) == 1
    spans.clear()
    assert corrected(folder, to_text(rows, form))[-1].endswith(": 2 sentences changed, 0 dropped, 2 as they were")


def test_the_spans_of_tools(ranked):
    """Bern is characters 14 to 18 of `Anna wohnt in Bern`."""
    rows = {form: exported(ranked, form) for form in TOOLS}
    anna = {form: next(row for row in rows[form] if "Anna" in json.dumps(row)) for form in TOOLS}
    result = [item["value"] for item in anna["label-studio"]["annotations"][0]["result"]]
    assert result[1] == {"start": 14, "end": 18, "text": "Bern", "labels": ["LOC"]}
    assert anna["label-studio"]["predictions"][0]["result"][1]["value"]["labels"] == ["ORG"]
    assert anna["doccano"]["label"] == [[0, 4, "PER"], [14, 18, "LOC"]]
    bern = {"start": 14, "end": 18, "token_start": 3, "token_end": 3, "label": "LOC"}
    assert anna["prodigy"]["spans"][1] == bern
    assert anna["prodigy"]["tokens"][3] == {"text": "Bern", "start": 14, "end": 18, "id": 3, "ws": False}
    assert anna["argilla"]["suggestions"]["entities"]["value"][1] == {"start": 14, "end": 18, "label": "LOC"}
    assert anna["argilla"]["metadata"]["predicted"] == anna["doccano"]["predicted"] == "PER Anna, ORG Bern"
    assert set(TOOLS) == set(FORMATS)


def test_the_command_writes_what_is_asked_for_and_replaces_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with token_losses.open_file(tmp_path / "losses.parquet") as writer:
        writer.write_table(words_table(SENTENCES))
    label_errors.main(["losses.parquet", "--top", "2", "--output", "review.jsonl"])
    assert capsys.readouterr().out == "review.jsonl: 1 sentences to review\n"  # the two are one
    assert len(Path("review.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    Path("review.jsonl").write_text("work", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        label_errors.main(["losses.parquet", "--output", "review.jsonl"])
    assert caught.value.code == 2
    assert "--output review.jsonl is there, and may hold somebody's work" in capsys.readouterr().err
    assert Path("review.jsonl").read_text(encoding="utf-8") == "work"


def test_folds_of_several_runs_are_reviewed_together(tmp_path, capsys, monkeypatch):
    """Each sentence is of the run that left it out, and a row of the split train."""
    monkeypatch.chdir(tmp_path)
    with token_losses.open_file(tmp_path / "losses.parquet") as writer:
        for run, sentences in (("fold-1", SENTENCES[:2]), ("fold-2", SENTENCES[2:])):
            writer.write_table(words_table(sentences, run=run, split="fold"))
    label_errors.main(["losses.parquet", "--output", "review.jsonl"])
    rows = [json.loads(line) for line in Path("review.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["tokens"][0] for row in rows[:1]] == ["Musik"]
    assert {row["split"] for row in rows} == {"train"}
    assert len(rows) == 3
    with token_losses.open_file(tmp_path / "losses.parquet") as writer:
        for run in ("a", "b"):
            writer.write_table(words_table(SENTENCES, run=run))
    with pytest.raises(SystemExit):
        label_errors.main(["losses.parquet"])
    assert "holds the runs a, b; name one: --run a" in capsys.readouterr().err
