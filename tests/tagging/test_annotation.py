"""Sentences to annotate: what is written for each tool, and that what a tool exports of it is read again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.data.annotation_forms import FORMATS, Format, suffix_of, to_text
from ner.data.arrow_store import tag_set
from ner.data.corpus import Source, load_corpus
from ner.data.words import SPLITTERS, split_edges
from ner.tagging.annotation import Reading, fill, keys_of_file, known_sentences, to_rows
from ner.tagging.document import TaggedText
from ner.tagging.files import Text
from ner.tagging.selection import Candidate, Pool
from ner.tags import OUTSIDE
from tests.conftest import write_json_lines

TEXT = "Anna Müller (Saint-Étienne), ©Novartis. Li wohnt in Köln."
# Words at the edges: Anna Müller ( Saint-Étienne ), © Novartis . / Li wohnt in Köln .
TAGS = "B-PER I-PER O B-LOC O O B-ORG O B-PER O O B-LOC O".split()
FIRST = ("Anna Müller ( Saint-Étienne ), © Novartis .".split(), "B-PER I-PER O B-LOC O O B-ORG O".split())
SECOND = ("Li wohnt in Köln .".split(), "B-PER O O B-LOC O".split())
FORMS: list[Format] = ["jsonl", "label-studio", "argilla", "doccano", "prodigy"]


def tagged(text: str, tags: list[str], sure: float = 0.5) -> TaggedText:
    """As a tagger with two labels has it: each word is the first with that probability."""
    words = split_edges(text)
    probabilities = np.array([[sure, 1 - sure]] * len(words), dtype=np.float32)
    scores = np.full(len(words), sure, dtype=np.float32)
    return TaggedText(text, words, tags, scores, [], labels=("O", "B-X"), probabilities=probabilities)


def candidates(text: str | list[str], found: TaggedText, splitter: str = "edges", **settings: Any) -> list[Candidate]:
    reading = Reading(splitter=splitter, measure="total", model="runs/de", **settings)
    return list(reading.candidates(Text(7, text, {}), found))


@pytest.fixture
def two() -> list[Candidate]:
    return candidates(TEXT, tagged(TEXT, TAGS))


def test_each_sentence_of_a_text_is_a_candidate(two):
    """8 words and 5, each with an entropy of ln 2."""
    assert [(each.row, each.part, each.words, each.score) for each in two] == [
        (7, 0, FIRST[0], 5.5452),
        (7, 1, SECOND[0], 3.4657),
    ]
    assert [each.content.text for each in two] == ["Anna Müller (Saint-Étienne), ©Novartis.", "Li wohnt in Köln."]
    assert two[1].content.predicted == [(0, 1, "PER"), (3, 4, "LOC")]
    assert two[1].content.words == [(0, 2), (3, 8), (9, 11), (12, 16), (16, 17)]
    assert len({each.content.id for each in two}) == 2


def test_words_are_one_sentence_and_split_at_blanks():
    words = ["Li", ".", "Bern"]
    text = " ".join(words)
    (found,) = candidates(words, tagged(text, ["B-PER", "O", "B-LOC"]))
    assert found.content.text == text
    assert found.content.about["splitter"] == "spaces"
    assert candidates("", tagged("", [])) == []


@given(st.text(st.sampled_from("aB東。!」… é.-か?\u0301©\n"), max_size=12), st.sampled_from(["edges", "punctuation"]))
def test_the_splitter_finds_the_words_of_each_sentence_by_itself(text, splitter):
    words = SPLITTERS[splitter](text)
    probabilities = np.full((len(words), 2), 0.5, dtype=np.float32)
    found = TaggedText(text, words, [OUTSIDE] * len(words), probabilities[:, 0], [], ("O", "B-X"), probabilities)
    parts = candidates(text, found, splitter)
    assert [word for part in parts for word in part.words] == [text[start:end] for start, end in words]
    for part in parts:
        assert SPLITTERS[part.content.about["splitter"]](part.content.text) == part.content.words


# What each tool makes of its import once a person has accepted all of it, with what else it exports. By the public
# sources: Label Studio's task format; argilla's Record.to_dict; doccano's ExportedExample and formatters; Prodigy's
# interfaces.
def by_label_studio(row: dict) -> dict:
    done = {"id": 5, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "lead_time": 4.2}
    (prediction,) = row["predictions"]
    result = [{"id": f"r{i}", "origin": "prediction", **item} for i, item in enumerate(prediction["result"])]
    kept = {"id": 3, "data": row["data"], "project": 1, "drafts": [], "total_annotations": 1}
    return {**kept, "annotations": [{**done, "result": result}], "predictions": [{**prediction, "task": 3}]}


def by_argilla(row: dict) -> dict:
    (value,) = (suggestion["value"] for suggestion in row["suggestions"].values())
    suggestions = {"entities": {"value": value, "score": None, "agent": None}}
    responses = {"entities": [{"value": value, "user_id": "6a0d"}]}
    return {**row, "suggestions": suggestions, "responses": responses, "vectors": {}, "_server_id": "77c1"}


def by_doccano(row: dict) -> dict:
    about = {name: value for name, value in row.items() if name not in ("text", "label")}
    return {"id": 11, "text": row["text"], **about, "label": sorted(row["label"]), "Comments": []}


def by_prodigy(row: dict) -> dict:
    return {**row, "_input_hash": 1, "_task_hash": 2, "_view_id": "ner_manual", "answer": "accept", "_timestamp": 3}


EXPORTS: dict[str, Callable[[dict], dict]] = {
    "jsonl": lambda row: row,
    "label-studio": by_label_studio,
    "argilla": by_argilla,
    "doccano": by_doccano,
    "prodigy": by_prodigy,
}


def read(file: Path) -> tuple[list[tuple[list[str], list[str]]], tuple[str, ...]]:
    """Words and tags as `--data` has them, and the notes."""
    corpus = load_corpus(Source(str(file)), ["de"], ["train"])
    names = tag_set(corpus["de"]["train"]).names
    rows = corpus["de"]["train"]
    return [(words, [names[i] for i in ids]) for words, ids in zip(rows["tokens"], rows["ner_tags"], strict=True)], (
        corpus.notes
    )


def parsed(text: str, form: Format) -> list[dict]:
    return json.loads(text) if suffix_of(form) == ".json" else [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_exported_is_read_as_the_same_entities(two, tmp_path, form):
    rows = parsed(to_text(to_rows(two, form), form), form)
    file = tmp_path / f"export{suffix_of(form)}"
    file.write_text(to_text([EXPORTS[form](row) for row in rows], form), encoding="utf-8")
    assert read(file) == ([FIRST, SECOND], ())
    assert set(FORMS) == {"jsonl", *FORMATS}


def test_a_tool_that_loses_the_splitter(two, tmp_path):
    """The words are those of other annotated text then, and the entities the same characters."""
    (row, _) = to_rows(two, "doccano")
    file = write_json_lines(tmp_path / "export.jsonl", [{"text": row["text"], "label": row["label"]}])
    words = "Anna Müller ( Saint - Étienne ) , ©Novartis .".split()
    with pytest.raises(ValueError, match=r"export\.jsonl:1: span 30-38 'Novartis' \(ORG\) cuts the word '©Novartis'"):
        read(file)
    write_json_lines(file, [{"text": row["text"], "label": row["label"][:2]}])
    assert read(file)[0] == [(words, "B-PER I-PER O B-LOC I-LOC I-LOC O O O O".split())]


@pytest.mark.parametrize("form", ["label-studio", "argilla"])
def test_what_nobody_has_annotated_is_left_out(two, tmp_path, form):
    """Predictions and suggestions are no annotations."""
    rows = parsed(to_text(to_rows(two, form), form), form)
    file = tmp_path / "export.json"
    file.write_text(to_text([EXPORTS[form](rows[0]), rows[1]], form), encoding="utf-8")
    sentences, (note,) = read(file)
    assert sentences == [FIRST]
    why = {"label-studio": "not annotated", "argilla": "without a response"}[form]
    assert note == f"{file}: 1 rows that nobody has accepted are left out: 1 {why}"


def test_the_rows_of_each_form(two):
    """Köln is characters 12 to 16 of `Li wohnt in Köln.`, and its fourth word."""
    rows = {form: to_rows(two, form)[1] for form in FORMS}
    about: dict[str, Any] = {"row": 7, "uncertainty": 3.4657}
    assert rows["jsonl"] == {**about, "tokens": SECOND[0], "ner_tags": SECOND[1]}
    about["splitter"] = "edges"
    text = "Li wohnt in Köln."
    assert rows["doccano"] == {"text": text, "label": [[0, 2, "PER"], [12, 16, "LOC"]], **about}
    assert rows["argilla"] == {
        "id": two[1].content.id,
        "fields": {"text": text},
        "metadata": about,
        "suggestions": {
            "entities": {"value": [{"start": 0, "end": 2, "label": "PER"}, {"start": 12, "end": 16, "label": "LOC"}]}
        },
        "responses": {},
    }
    prodigy = rows["prodigy"]
    assert prodigy["meta"] == about
    assert prodigy["spans"][1] == {"start": 12, "end": 16, "token_start": 3, "token_end": 3, "label": "LOC"}
    assert prodigy["tokens"][3:] == [
        {"text": "Köln", "start": 12, "end": 16, "id": 3, "ws": False},
        {"text": ".", "start": 16, "end": 17, "id": 4, "ws": False},
    ]
    studio = rows["label-studio"]
    assert set(studio) == {"data", "predictions"}
    assert studio["data"] == {"text": text, **about}
    assert studio["predictions"][0]["model_version"] == "runs/de"
    assert studio["predictions"][0]["result"][1] == {
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 12, "end": 16, "text": "Köln", "labels": ["LOC"]},
    }


def test_only_sentences_that_are_not_known_are_offered(tmp_path):
    """Known in whatever way they are split, and whatever became of them."""
    known: list[dict] = [
        {"tokens": ["Anna", "wohnt", "hier", "."], "ner_tags": ["B-PER", "O", "O", "O"]},
        {"text": "Li wohnt dort.", "spans": [], "answer": "ignore"},
    ]
    file = write_json_lines(tmp_path / "done.jsonl", known)
    assert len(known_sentences([str(file)])) == 2
    with pytest.raises(ValueError, match=r"`annotated` .*none\.jsonl: No such file"):
        known_sentences([str(tmp_path / "none.jsonl")])
    with pytest.raises(ValueError, match=r"`annotated` x\.xlsx: no reader for this name"):
        list(keys_of_file(Path("x.xlsx")))
    write_json_lines(tmp_path / "bad.jsonl", [*known, {"tokens": ["a"]}])
    with pytest.raises(ValueError, match=r"bad\.jsonl:3: no column ner_tags"):
        known_sentences([str(tmp_path / "bad.jsonl")])

    texts = ["Anna wohnt hier.", "Li wohnt dort.", "Sie wohnt in Bern.", "Sie wohnt in Bern."]
    pool = Pool(10)
    done: list[int] = []
    reading = Reading("edges", "mean", "runs/de", known_sentences([str(file)]))
    rows = [Text(number, text, {}) for number, text in enumerate(texts, start=1)]

    def tag(all_of_them):
        return (tagged(str(text), [OUTSIDE] * 5) for text in all_of_them)

    assert fill(pool, rows, tag, reading, done.append) == 4
    assert [(each.row, each.score) for each in pool.best()] == [(3, 0.6931)]
    assert done == [1, 1, 1, 1]
