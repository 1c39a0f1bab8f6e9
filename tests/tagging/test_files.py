"""Files of texts and words, in and out."""

import gzip
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.data import corpus
from ner.data.corpus import Source
from ner.data.words import SPLITTERS
from ner.tagging.document import Entity, TaggedText
from ner.tagging.files import Text, count, read, read_lines, read_stdin, row_of, sound, to_columns, write

TAGGED = TaggedText(
    "Anna, Bern",
    [(0, 4), (4, 5), (6, 10)],
    ["B-PER", "O", "B-LOC"],
    np.array([0.9876, np.nan, 0.5], np.float32),
    [Entity("PER", "Anna", 0, 4, 0.9876), Entity("LOC", "Bern", 6, 10, 0.5)],
)


def with_probabilities() -> TaggedText:
    p = np.array([[0.25, 0.75], [np.nan, np.nan], [0.5, 0.5]], np.float32)
    return replace(TAGGED, labels=("O", "B-X"), probabilities=p)


def test_rows_with_probabilities():
    found = [{"O": 0.25, "B-X": 0.75}, None, {"O": 0.5, "B-X": 0.5}]
    of_words = {"ner_tags": TAGGED.tags, "scores": [0.9876, None, 0.5], "probabilities": found}
    words = {"tokens": ["Anna", ",", "Bern"]}
    text = row_of(Text(1, "Anna, Bern", {"text": "Anna, Bern", "id": 3}), with_probabilities(), as_words=False)
    assert [entity["text"] for entity in text.pop("entities")] == ["Anna", "Bern"]
    assert text == {"text": "Anna, Bern", "id": 3} | words | of_words
    row: dict[str, Any] = {"tokens": ["Anna", ",", "Bern"], "id": 3}
    assert row_of(Text(1, row["tokens"], row), with_probabilities(), as_words=False) == row | of_words


def contents(file: Path, column: str | None = None) -> list:
    return [sound(item).content for item in read(file, column)]


def test_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfBern\r\n\r\n  Zug \n")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("Zürich\n".encode()))
    assert contents(tmp_path / "a.txt") == ["Bern", "", "  Zug "]
    assert contents(tmp_path / "a.txt.gz") == ["Zürich"]
    assert count(tmp_path / "a.txt") == 3


@pytest.mark.parametrize("newline", ["\n", None])
def test_standard_input_is_read_as_a_file_is(tmp_path, monkeypatch, newline):
    """Python opens it with line ends as they are, but for Windows; and with the encoding of the terminal."""
    content = "\ufeffBern\r\n\r\n  Zug \nBasel\rGenf\r\r\n\x85\u2028\x0b\nZürich\ufeff\r".encode()
    (tmp_path / "a.txt").write_bytes(content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii", newline=newline))
    found = [sound(item) for item in read_stdin()]
    assert found == [sound(item) for item in read(tmp_path / "a.txt")]
    lines = ["Bern", "", "  Zug ", "Basel", "Genf", "", "\x85\u2028\x0b", "Zürich\ufeff"]
    assert [text.content for text in found] == lines


def test_json_lines(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": 1, "text": "Bern"}\n\n{"text": ""}\n', encoding="utf-8")
    assert [sound(item) for item in read(file)] == [
        Text(1, "Bern", {"id": 1, "text": "Bern"}),
        Text(3, "", {"text": ""}),
    ]
    file.write_text('{"tokens": ["in", "Bern"], "title": "Genf"}\n', encoding="utf-8")
    assert contents(file) == [["in", "Bern"]]
    assert contents(file, "title") == ["Genf"]


def test_parquet(tmp_path):
    file = tmp_path / "a.parquet"
    table = pa.table({"text": ["Bern", "Zug"], "n": [1, 2], "at": pa.array([1, 2], pa.timestamp("s"))})
    pq.write_table(table, file)
    assert [sound(item) for item in read(file)] == [
        Text(0, "Bern", {"text": "Bern", "n": 1}),
        Text(1, "Zug", {"text": "Zug", "n": 2}),
    ]
    with pytest.raises(ValueError, match=r"a\.parquet: no column title; it has text, n, at"):
        count(file, "title")
    with pytest.raises(ValueError, match=r"at is timestamp.*, neither text nor lists of words"):
        count(file, "at")


@pytest.mark.parametrize(
    "text", ["in O\nBern B-LOC\n\nZug B-LOC\n", "in\nBern\n\nZug\n", "# x y\n1\tin\tO\n2\tBern\tO\n\n1\tZug\tO\n"]
)
def test_columns(tmp_path, text):
    file = tmp_path / "a.conll"
    file.write_text(text, encoding="utf-8")
    assert contents(file) == [["in", "Bern"], ["Zug"]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": 3}', "a.jsonl:2: 3, neither a text nor a list of words; it has text; fix the row"),
        (b'{"tokens": ["a", null]}', "neither a text nor a list of words"),
        (b'{"tokens": ["a", "b\\tc"]}', "is empty, or holds a tab or a line break"),
        (b'{"title": "Bern"}', "no text and no words; it has title"),
        (b'{"text": "Be', "not JSON: the line breaks off"),
        (b'["Bern"]', "not a JSON object"),
        (b'{"text": "B\\ud83dern"}', r"half a surrogate pair U\+D83D"),
        (b'{"text": "B\xffern"}', "not UTF-8: byte 0xff"),
    ],
)
def test_what_is_wrong_with_a_row(tmp_path, line, reason):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"text": "Bern"}\n' + line + b"\n")
    with pytest.raises(ValueError, match=reason):
        count(file)


def test_all_faults_at_once(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("{}\n" * 30, encoding="utf-8")
    with pytest.raises(ValueError, match="30 faults in the data") as caught:
        count(file)
    assert "and 10 more" in str(caught.value)
    assert "on-bad-row" not in str(caught.value)


def test_what_is_no_input(tmp_path):
    for name, reason in (("a.pdf", "should end in .txt"), ("none.txt", "no such file")):
        with pytest.raises(ValueError, match=reason):
            count(tmp_path / name)
    (tmp_path / "a.txt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.txt: empty"):
        count(tmp_path / "a.txt")
    (tmp_path / "mixed.jsonl").write_text('{"text": "Bern"}\n{"tokens": ["Bern"]}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="1 of 2 rows are words and the others texts"):
        count(tmp_path / "mixed.jsonl")
    (fault,) = read_lines("standard input", ["B\udcffern\n"])
    with pytest.raises(ValueError, match="standard input:1: not UTF-8"):
        sound(fault)


def test_rows(tmp_path):
    text = Text(1, TAGGED.text, {"id": 7, "text": TAGGED.text})
    row = row_of(text, TAGGED, as_words=False)
    assert row == {
        "id": 7,
        "text": "Anna, Bern",
        "entities": [
            {"type": "PER", "text": "Anna", "start": 0, "end": 4, "score": 0.9876},
            {"type": "LOC", "text": "Bern", "start": 6, "end": 10, "score": 0.5},
        ],
    }
    words = row_of(text, TAGGED, as_words=True)
    assert words == {
        "tokens": ["Anna", ",", "Bern"],
        "ner_tags": ["B-PER", "O", "B-LOC"],
        "scores": [0.9876, None, 0.5],
    }
    assert to_columns(words) == "Anna\tB-PER\n,\tO\nBern\tB-LOC\n\n"
    listed = row_of(
        Text(1, ["Anna", ",", "Bern"], {"tokens": ["Anna", ",", "Bern"], "ner_tags": [0, 0, 0]}), TAGGED, False
    )
    assert listed == words


def test_what_is_written_trains(tmp_path):
    """Tagged texts, words and columns are read by our own corpus again."""
    text = Text(1, TAGGED.text, {"text": TAGGED.text})
    for name, as_words in (("a.jsonl", False), ("b.jsonl", True), ("c.conll", True), ("d.parquet", True)):
        write([row_of(text, TAGGED, as_words)] * 3, tmp_path / name, None)
        rows = corpus.load_corpus(Source(str(tmp_path / name)), ["de"], ["train"])["de"]["train"]
        assert len(rows) == 3
        names = rows.features["ner_tags"].feature.names
        assert rows[0]["tokens"] == ["Anna", ",", "Bern"]
        assert [names[tag] for tag in rows[0]["ner_tags"]] == TAGGED.tags
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "c.conll", "d.parquet"]


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_words_of_any_text_come_back_from_columns(tmp_path, splitter):
    text = "Anna\twohnt in\r\nBern,\n\nseit\u00a01998\u2028.\r\x0b\x85\x1c,"
    words = SPLITTERS[splitter](text)
    tagged = TaggedText(text, words, ["O"] * len(words), np.ones(len(words), np.float32), [])
    write([row_of(Text(1, text, {"text": text}), tagged, as_words=True)], tmp_path / "a.conll", None)
    assert contents(tmp_path / "a.conll") == [[text[slice(*word)] for word in words]]


def test_parquet_out(tmp_path):
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": pa.array([1], pa.int16()), "text": ["Anna, Bern"]}), source)
    (text,) = read(source)
    write([row_of(sound(text), TAGGED, as_words=False)], tmp_path / "out.parquet", source)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.names == ["n", "text", "entities"]
    assert table.schema.field("n").type == pa.int16()
    assert table["entities"][0].as_py()[1] == {"type": "LOC", "text": "Bern", "start": 6, "end": 10, "score": 0.5}
    write([], tmp_path / "none.parquet", None)
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


PARQUET_IN: dict[str, tuple[dict, str | None, dict]] = {
    "a set of texts with ids of tags": (
        {"text": ["Anna, Bern"], "tokens": [["Anna", ",", "Bern"]], "ner_tags": [[1, 0, 2]]},
        None,
        {"ner_tags": [1, 0, 2], "tokens": ["Anna", ",", "Bern"]},
    ),
    "a score of a text": ({"text": ["Anna, Bern"], "scores": [0.25]}, None, {"scores": 0.25}),
    "entities that are texts": ({"body": ["Anna, Bern"], "entities": [["Anna"]]}, "body", {}),
    "words with ids of tags": ({"tokens": [["Anna", ",", "Bern"]], "ner_tags": [[1, 0, 2]], "scores": [3]}, None, {}),
    "words by another name": ({"words": [["Anna", ",", "Bern"]], "n": [1], "text": ["a"]}, "words", {"text": "a"}),
}


@pytest.mark.parametrize(("columns", "column", "kept"), PARQUET_IN.values(), ids=PARQUET_IN)
@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_what_goes_along_keeps_its_type(tmp_path, columns, column, kept, suffix):
    """Only what was found has the type of what is found; of JSON Lines, it is beside the text or words alone."""
    source = tmp_path / f"in.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table(columns), source)
    else:
        source.write_text(json.dumps({name: values[0] for name, values in columns.items()}), encoding="utf-8")
    assert count(source, column) == 1
    rows = [row_of(sound(item), TAGGED, as_words=False) for item in read(source, column)]
    write(rows, tmp_path / "out.parquet", source, column)
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    content = column or ("text" if "text" in columns else "tokens")
    assert row[content] == columns[content][0]
    if isinstance(row[content], str):
        assert [entity["text"] for entity in row["entities"]] == ["Anna", "Bern"]
    else:
        assert (row["ner_tags"], row["scores"]) == (TAGGED.tags, [0.9876, None, 0.5])
    if suffix == "parquet":
        assert list(row) == list(rows[0])
        assert row.items() >= kept.items()
    else:
        found = {"entities"} if isinstance(row[content], str) else {"ner_tags", "scores"}
        assert set(row) == {content} | found


def test_json_lines_into_parquet(tmp_path):
    """Whatever the other fields are, and by whatever name the text goes."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text('{"text": "Anna, Bern", "tokens": 512}\n{"text": "Anna, Bern"}\n', encoding="utf-8")
    write([row_of(sound(item), TAGGED, as_words=False) for item in read(source)], output, source)
    table = pq.read_table(output)
    assert table.column_names == ["text", "entities"]
    assert table["text"].to_pylist() == ["Anna, Bern"] * 2
    # A name that is for other files.
    write([row_of(Text(1, "Anna, Bern", {"text": "Anna, Bern"}), TAGGED, False)], output, tmp_path / "in.txt", "body")
    assert pq.read_table(output).column_names == ["text", "entities"]
    source.write_text('{"text": "Bern"}\n{"tokens": "Bern"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"in\.jsonl: what is to be tagged stands in text in some rows and in tokens"):
        count(source)


def test_parquet_without_rows(tmp_path):
    """It has the columns that one with rows has."""
    for content in ({"text": pa.array([], pa.string())}, {"tokens": pa.array([], pa.list_(pa.string()))}):
        pq.write_table(pa.table(content), tmp_path / "in.parquet")
        write([], tmp_path / "out.parquet", tmp_path / "in.parquet")
        found = ["entities"] if "text" in content else ["ner_tags", "scores"]
        assert pq.read_table(tmp_path / "out.parquet").column_names == [*content, *found]


def test_fields_that_go_along_are_json(tmp_path):
    """Half a surrogate pair in another field is the same escape in what is written."""
    (tmp_path / "a.jsonl").write_text('{"text": "Anna, Bern", "note": "\\ud83d"}\n', encoding="utf-8")
    (text,) = read(tmp_path / "a.jsonl")
    write([row_of(sound(text), TAGGED, as_words=False)], tmp_path / "b.jsonl", None)
    assert json.loads((tmp_path / "b.jsonl").read_text(encoding="utf-8"))["note"] == "\ud83d"
