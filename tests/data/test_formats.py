"""Random corpora through every format and tag scheme, and back."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from ner.data.corpus import Source, load_corpus
from tests.conftest import write_json_lines
from tests.data.test_tag_schemes import random_entities, write
from tests.processes import fork
from tests.stress import fuzz

NAMES = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
PIECES = [
    *["a", "Zü", "ß", "é", "e\u0301", "Ж", "我", "ك", "😀", "👨\u200d👩", "'", '"', "\\", "|", "{", "-", "#", "0", "&"],
    *["\u00a0x", "x\u2028x", "x\x0cx", "x\x85x", "x\ufeff", "\u200b"],
]

Rows = list[tuple[list[str], list[str]]]


def random_rows(rng: np.random.Generator, *, simple: bool) -> Rows:
    """Words and IOB2 tags of some sentences. simple: words of letters, which need no annotation to be found."""
    rows = []
    for _ in range(int(rng.integers(1, 40))):
        tags = write(random_entities(rng), "IOB2")[: int(rng.integers(1, 14))]
        pieces = ["a", "Zü", "ß", "e\u0301", "Ж"] if simple else PIECES
        words = ["".join(rng.choice(pieces, int(rng.integers(1, 5)))) for _ in tags]
        rows.append(([word if word.strip() else "x" for word in words], tags))
    return [(["Bern"], ["B-LOC"]), (["Li", "Wu"], ["B-PER", "I-PER"]), *rows]


def in_scheme(rows: Rows, scheme: str) -> Rows:
    """The rows with their tags in another scheme."""
    changed = []
    for words, tags in rows:
        found: list[tuple[str, int, int]] = []
        for i, tag in enumerate(tags):
            if tag[0] == "B":
                found.append((tag[2:], i, i))
            elif tag[0] == "I":
                found[-1] = (*found[-1][:2], i)
        changed.append((words, write(found, scheme)[: len(tags)]))
    return changed


def json_lines(rows: Rows, ids: bool = False) -> str:
    tags: list[list] = [[NAMES.index(tag) for tag in own] if ids else own for _, own in rows]
    return "\n".join(
        json.dumps({"tokens": words, "ner_tags": own}, ensure_ascii=bool(i % 2))
        for i, ((words, _), own) in enumerate(zip(rows, tags, strict=True))
    )


def json_list(lines: str, indent: int | None = None) -> str:
    return json.dumps([json.loads(line) for line in lines.split("\n")], indent=indent)


def spans(rows: Rows, with_tokens: bool) -> str:
    """Words with a blank between; the spans are read off the tags."""
    lines = []
    for words, tags in rows:
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        starts = ends - [len(word) for word in words]
        found: list[list] = []
        for start, end, tag in zip(starts.tolist(), ends.tolist(), tags, strict=True):
            if tag[0] == "B":
                found.append([start, end, tag[2:]])
            elif tag[0] == "I":
                found[-1][1] = end
        row: dict = {"text": " ".join(words), "spans": found}
        if with_tokens:
            row["tokens"] = [{"start": s, "end": e} for s, e in zip(starts.tolist(), ends.tolist(), strict=True)]
        lines.append(json.dumps(row))
    return "\n".join(lines)


def columns(rows: Rows, separator: str, form: str) -> str:
    sentences = []
    for words, tags in rows:
        fields = {
            "two": [[word, tag] for word, tag in zip(words, tags, strict=True)],
            "index": [[str(i), word, "x", tag] for i, (word, tag) in enumerate(zip(words, tags, strict=True))],
            "swapped": [[tag, "y", word] for word, tag in zip(words, tags, strict=True)],
        }[form]
        sentences.append("\n".join(separator.join(own) for own in fields))
    return "# a comment\n-DOCSTART- -X- O\n\n" + "\n\n".join(sentences) + "\n"


def sentence_table(rows: Rows, separator: str, end: str = "\n") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerow(["id", "tokens", "ner_tags"])
    writer.writerows([str(i), " ".join(words), " ".join(tags)] for i, (words, tags) in enumerate(rows))
    return text.getvalue()


def parquet(file: Path, rows: Rows, kind: str) -> None:
    tags: list = [own for _, own in rows] if kind == "names" else [[NAMES.index(tag) for tag in own] for _, own in rows]
    types = {"names": Value("string"), "ids": Value("int8"), "labels": ClassLabel(names=list(NAMES))}
    features = Features({"tokens": List(Value("string")), "ner_tags": List(types[kind])})
    Dataset.from_dict({"tokens": [words for words, _ in rows], "ner_tags": tags}, features).to_parquet(file)


# name -> suffix, how the text is written, options to read it
TEXTS: dict[str, tuple[str, Callable[[Rows], str], dict]] = {
    "jsonl names": (".jsonl", lambda rows: json_lines(rows), {}),
    "jsonl ids": (".jsonl", lambda rows: json_lines(rows, ids=True), {"tags": NAMES}),
    "JSON list": (".json", lambda rows: json_list(json_lines(rows)), {}),
    "JSON list, laid out": (".json", lambda rows: json_list(spans(rows, True), indent=1), {}),
    "spans with tokens": (".jsonl", lambda rows: spans(rows, True), {}),
    "spans": (".jsonl", lambda rows: spans(rows, False), {}),
    "tabs": (".tsv", lambda rows: columns(rows, "\t", "two"), {}),
    "blanks": (".bio", lambda rows: columns(rows, " ", "two"), {}),
    "index": (".conllu", lambda rows: columns(rows, "\t", "index"), {}),
    "swapped": (".txt", lambda rows: columns(rows, " ", "swapped"), {"columns": "word=2,tag=0"}),
    "CRLF and BOM": (".conll", lambda rows: "\ufeff" + columns(rows, "\t", "two").replace("\n", "\r\n"), {}),
    "CSV": (".csv", lambda rows: sentence_table(rows, ","), {}),
    "CSV of Excel": (".csv", lambda rows: "\ufeff" + sentence_table(rows, ",", "\r\n"), {}),
    "a sentence a row, tabs": (".tsv", lambda rows: sentence_table(rows, "\t"), {}),
    "IOB1": (".tsv", lambda rows: columns(in_scheme(rows, "IOB1"), "\t", "two"), {}),
    "IOBES": (".tsv", lambda rows: columns(in_scheme(rows, "IOBES"), "\t", "two"), {}),
    "BILOU": (".jsonl", lambda rows: json_lines(in_scheme(rows, "BILOU")), {}),
}


def read_back(file: Path, options: dict) -> Rows:
    corpus = load_corpus(Source(str(file), **options), ["de"], ["train"])
    names = corpus.tags.names
    return [(row["tokens"], [names[tag] for tag in row["ner_tags"]]) for row in corpus["de"]["train"]]


@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_texts(tmp_path, form, packed):
    suffix, write_text, options = TEXTS[form]
    for seed in range(5):
        rows = random_rows(np.random.default_rng(seed), simple=form == "spans")
        data = write_text(rows).encode()
        file = tmp_path / f"{seed}{suffix}{packed}"
        file.write_bytes(gzip.compress(data) if packed else data)
        assert read_back(file, options) == rows


@pytest.mark.parametrize("kind", ["names", "ids", "labels"])
def test_parquet(tmp_path, kind):
    for seed in range(5):
        rows = random_rows(np.random.default_rng(seed), simple=False)
        file = tmp_path / f"{seed}.parquet"
        parquet(file, rows, kind)
        options = {"tags": NAMES} if kind == "ids" else {}
        assert read_back(file, options) == rows
        packed = tmp_path / f"{seed}.parquet.gz"
        packed.write_bytes(gzip.compress(file.read_bytes()))
        assert read_back(packed, options) == rows


@pytest.mark.timeout(900)  # 75 s of processor time on the slowest machine, and other programs may run beside
def test_two_thousand_broken_files_end_in_rows_or_in_a_clean_message():
    """In a process of its own, whose memory is its own; see `tests.stress.fuzz`."""
    _, output = fork(Path(fuzz.__file__), "--files", 2000, seconds=880)
    summary = json.loads(output)
    assert summary["files"] == 2000
    assert summary["failures"] == []
    assert min(summary["read"], summary["refused"]) > 200
    assert summary["peak_megabytes"] < 1000


HANGING = """
import json, sys, time
from ner.data import readers
from ner.data.corpus import Source
from tests.stress import fuzz
fuzz.SECONDS = 1
readers.lines = lambda *_: time.sleep(60)
print(json.dumps(fuzz.attempt(Source(sys.argv[1]))))
"""


def test_a_reader_that_hangs_is_no_refusal(tmp_path):
    file = write_json_lines(tmp_path / "x.jsonl", [{"tokens": ["a"], "ner_tags": ["O"]}])
    _, output = fork(HANGING, file)
    outcome, why = json.loads(output.splitlines()[-1])
    assert outcome == "failed"
    assert "Hangs: more than 1 seconds" in why
