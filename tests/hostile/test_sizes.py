"""Small files that would need large memory are refused, by file, line and limit; and take little until then."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.data import limits, readers
from ner.data.arrow_store import Row
from ner.data.corpus import Source, load_corpus
from ner.data.parquet import open_parquet
from ner.errors import InputError
from ner.tagging import files
from tests.conftest import write_json_lines
from tests.processes import fork

MOST_MEGABYTES = 700  # more than the program takes before it reads; unbounded, some of these take gigabytes


def repeated(word: str, rows: int, words: int) -> pa.Array:
    """So many lists of so many words, all the same and stored once."""
    indices = pa.array(np.zeros(rows * words, np.int32))
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * words)
    return pa.ListArray.from_arrays(offsets, pa.DictionaryArray.from_arrays(indices, pa.array([word])))


def parquet(file: Path, word: str, rows: int, words: int) -> None:
    """A file that says in 1 kB what is much longer."""
    table = pa.table({"tokens": repeated(word, rows, words), "ner_tags": repeated("O", rows, words)})
    pq.write_table(table, file, compression="zstd", dictionary_pagesize_limit=1 << 30, store_schema=False)


def write_bombs(folder: Path) -> dict[str, str]:
    """Files, and what is said of each."""
    word_line = ("a" * 99_990 + " O\n").encode()
    (folder / "line.conll").write_bytes(b"Bern O\n" + b"a" * (1 << 24) + b" O\n\n")
    (folder / "word.conll").write_bytes(b"Bern O\n\nfine O\n" + b"a" * 10_001 + b" O\n\n")
    (folder / "endless.conll.gz").write_bytes(gzip.compress(b"a O\n" * 2_000_000, 1))
    (folder / "wide.tsv.gz").write_bytes(gzip.compress(word_line * 400, 1))
    (folder / "probe.conll.gz").write_bytes(gzip.compress((word_line + b"\n") * 500, 1))
    header = b"tokens,ner_tags\n"
    (folder / "quote.csv").write_bytes(header + b'a,O\n"' + b"a\n" * 70_000)
    (folder / "columns.csv.gz").write_bytes(gzip.compress(header + b"," * 15_000_000, 1))
    (folder / "record.csv.gz").write_bytes(gzip.compress(header + b'"a\nb",' * 6_000_000, 1))
    (folder / "arrays.jsonl").write_text(
        '{"tokens": ["Bern"], "ner_tags": ["O"], "x": [' + "[]," * 2_000_000 + "[]]}\n", encoding="utf-8"
    )
    (folder / "deep.jsonl").write_text('{"tokens": ' + "[" * 900_000 + "\n", encoding="utf-8")
    write_json_lines(folder / "word.jsonl", [{"tokens": ["a" * 10_001], "ner_tags": ["O"]}])
    write_json_lines(folder / "words.jsonl", [{"tokens": ["a"] * 100_001, "ner_tags": ["O"] * 100_001}])
    write_json_lines(folder / "text.jsonl", [{"text": "a" * 10_001, "spans": []}])
    parquet(folder / "word.parquet", "a" * 20_000_000, 1000, 1)
    parquet(folder / "words.parquet", "a", 1, 9_000_000)
    parquet(folder / "values.parquet", "a", 1, 40_000_000)
    parquet(folder / "bytes.parquet", "a" * 9_000, 10, 90_000)
    with gzip.open(folder / "zeros.parquet.gz", "wb") as zeros:
        for _ in range(400):
            zeros.write(bytes(1 << 20))
    return {
        "line.conll": "line 2 is longer than 100,000 characters",
        "word.conll": "3: word 2 has 10,001 characters, where 10,000 are the most",
        "endless.conll.gz": "line 1: a sentence of more than 100,000 words",
        "wide.tsv.gz": "line 1: a sentence of more than 100,000 words, or 16,777,216 characters",
        "probe.conll.gz": "1: word 1 has 99,990 characters, where 10,000 are the most",
        "quote.csv": "line 3: field larger than field limit (131072)",
        "columns.csv.gz": "line 2: a row of more than 16,777,216 characters, or 1,000,000 columns",
        "record.csv.gz": "line 2: a row of more than 16,777,216 characters, or 1,000,000 columns",
        "arrays.jsonl": "1: 4,000,007 brackets and commas, where 1,000,000 are the most of a line",
        "deep.jsonl": "1: nested too deeply",
        "word.jsonl": "1: word 1 has 10,001 characters, where 10,000 are the most",
        "words.jsonl": "1: 100,001 words, where 100,000 are the most",
        "text.jsonl": "1: word 1 has 10,001 characters",
        "word.parquet": "row 0: a word of 20,000,000 bytes, where 10,000 are the most",
        "words.parquet": "row 0: tokens has 9,000,000 values, where 100,000 are the most",
        "values.parquet": "40,000,000 values in ",
        "bytes.parquet": "row 0 has 810,090,000 bytes of text",
        "zeros.parquet.gz": "bytes that unpack to more than",
    }


@pytest.fixture(scope="module")
def bombs(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("bombs")
    return folder, write_bombs(folder)


def test_rows_that_are_legal_and_too_many(tmp_path, monkeypatch):
    """None of them is too large, and together they would fill the disk."""
    monkeypatch.setattr(limits, "ANYHOW_UNPACKED", 1 << 16)
    row = b'{"tokens": ["Bern"], "ner_tags": ["O"]}'
    for name, start, rows in [
        ("columns.conll.gz", b"", b"Bern O\n\n"),
        ("rows.jsonl.gz", b"", row + b"\n"),
        ("list.json.gz", b"[" + row, b",\n" + row),
        ("table.csv.gz", b"tokens,ner_tags\n", b"Bern,O\n"),
        ("zeros.parquet.gz", b"PAR1", bytes(8)),
    ]:
        (tmp_path / name).write_bytes(gzip.compress(start + rows * (2_000_000 // len(rows))))
        with pytest.raises(InputError, match=r"bytes that unpack to more than [\d,]+; unpack it yourself"):
            list(readers.read(tmp_path / name))


def read_all(folder: Path) -> dict[str, list[str]]:
    """What is said of each file as training data, and as texts to tag."""
    outcomes: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir()):
        for read in (lambda: load_corpus(Source(str(file)), ["de"], ["train"]), lambda: files.count(file, None)):  # noqa: B023
            try:
                read()
                outcomes.setdefault(file.name, []).append("read")
            except InputError as error:
                outcomes.setdefault(file.name, []).append(str(error))
    return outcomes


def test_small_files_of_large_content_are_refused_in_little_memory(bombs, tmp_path):
    folder, expected = bombs
    program = (
        "import json, sys; from pathlib import Path; import datasets; import tests.hostile.test_sizes as t;"
        "from tests.stress.memory import peak_megabytes;"
        "datasets.disable_progress_bars(); datasets.config.HF_DATASETS_CACHE = Path(sys.argv[2]);"
        "before = peak_megabytes(); outcomes = t.read_all(Path(sys.argv[1]));"
        "print(json.dumps([outcomes, peak_megabytes() - before]))"
    )
    _, output = fork(program, folder, tmp_path)
    outcomes, megabytes = json.loads(output.splitlines()[-1])
    for name, reason in expected.items():
        assert reason in outcomes[name][0], name
        assert name in outcomes[name][0]
        assert len(outcomes[name][0]) < 5000
    untagged = {name: reason for name, (_, reason) in outcomes.items()}
    assert untagged.pop("text.jsonl") == "read"  # a text may have a long word, and the tagger takes it
    assert {name for name, reason in untagged.items() if reason == "read"} <= {"words.jsonl"}
    assert megabytes < MOST_MEGABYTES


def test_a_sentence_of_the_limits_is_read(tmp_path):
    file = tmp_path / "large.conll"
    file.write_text("".join("w" * 20 + f"{i} O\n" for i in range(99_999)) + "a" * 10_000 + " O\n\n", encoding="utf-8")
    (row,) = readers.read(file)
    assert isinstance(row, Row)
    assert len(row.words) == 100_000
    rows = [{"tokens": [f"{i}" for i in range(100_000)], "ner_tags": ["O"] * 100_000}]
    (row,) = readers.read(write_json_lines(tmp_path / "large.jsonl", rows))
    assert isinstance(row, Row)
    pq.write_table(pa.Table.from_pylist(rows * 3), tmp_path / "large.parquet")
    (table,) = readers.read(tmp_path / "large.parquet")
    assert isinstance(table, pa.Table)
    assert len(table) == 3


def test_lists_of_all_kinds_come_back_from_parquet(tmp_path):
    """What is read as a dictionary is what was written: empty lists, none, repeated words, other columns."""
    rows = [
        {"tokens": ["a", "b", "a"], "ner_tags": [1, 2, 3], "note": "x", "all": [["y"], []]},
        {"tokens": [], "ner_tags": [], "note": None, "all": None},
        {"tokens": ["ü" * 100], "ner_tags": [0], "note": "x", "all": [["y", None]]},
    ] * 5000
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    with open_parquet(tmp_path / "rows.parquet") as opened:
        batches = list(opened.batches(["all", "tokens", "ner_tags", "note"]))
        assert {batch.schema for batch in batches} == {batches[0].schema}
        assert pa.types.is_string(batches[0].schema.field("note").type)
    assert pa.Table.from_batches(batches).to_pylist() == rows
