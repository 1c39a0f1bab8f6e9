"""`ner tag`: files and standard input, killed and going on, one process and two."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ner.cli import tag
from ner.data.corpus import Source, load_corpus
from ner.tagging import splitting
from ner.tagging.journal import Journal
from ner.tagging.tagger import Tagger
from ner.tagging.windows import sub_tokens
from tests.cli.conftest import ROWS_BEFORE_IT, TEXTS, killed, main
from tests.processes import ROOT, fork_ranks
from tests.taggers import write_tagger

PROGRAM = ROOT / "ner/__main__.py"


@pytest.fixture(scope="session")
def encoder_folder(thin_encoder) -> Path:
    return thin_encoder


@pytest.fixture(scope="session")
def run(encoder_folder, tmp_path_factory):
    return str(write_tagger(tmp_path_factory.mktemp("taggers") / "attends", encoder_folder))


@pytest.fixture(scope="session")
def expected(run):
    return [
        [entity._asdict() | {"score": round(entity.score, 4)} for entity in found]
        for found in Tagger.from_pretrained(run, precision="no")(TEXTS)
    ]


def failure(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        main(*arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def rows_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def same(rows, expected) -> bool:
    """Equal but for the last digit of a score: other rows in a batch round otherwise."""
    places = [[(e["type"], e["text"], e["start"], e["end"]) for e in found] for found in expected]
    scores = [e["score"] for found in expected for e in found]
    return (
        [row["text"] for row in rows] == TEXTS
        and [[(e["type"], e["text"], e["start"], e["end"]) for e in row["entities"]] for row in rows] == places
        and [e["score"] for row in rows for e in row["entities"]] == pytest.approx(scores, abs=2e-4)
    )


def test_texts_are_printed(run, capsys):
    main(run, "--text", TEXTS[0], TEXTS[1])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    entity, *_ = [entity for found in Tagger.from_pretrained(run, precision="no")(TEXTS[:2]) for entity in found]
    assert f"[{entity.type} {entity.text}]" in "".join(shown)


def test_words_in_columns(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    main(run, "--table", "--text", TEXTS[0], "\x1b[31mBern", "")
    *first, escaped, empty = capsys.readouterr().out.removesuffix("\n").split("\n\n")
    lines = "\n".join(first).split("\n")
    assert max(map(len, lines)) <= 50
    shown = [word for line in lines if line.startswith("word ") for word in line.split()[1:]]
    assert shown == TEXTS[0].split()
    assert "\x1b" not in escaped
    assert "\\x1b" in escaped
    assert not empty.strip()
    main(run, "--table", "--probabilities", "--text", "Bern")
    assert "p(B-LOC)" in capsys.readouterr().out


def test_the_table_and_the_thread_that_reads_ahead_have_a_tokenizer_each(run, capsys, monkeypatch):
    """Both set what it cuts: of one tokenizer, words of the table could be cut, and windows not."""
    reading, showing = [], []
    read = Tagger.read

    def read_and_note(self, texts):
        reading.append(self.tokenizer.backend_tokenizer)
        return read(self, texts)

    def show_and_note(words, tokenizer):
        showing.append(tokenizer.backend_tokenizer)
        return sub_tokens(words, tokenizer)

    monkeypatch.setattr(Tagger, "read", read_and_note)
    monkeypatch.setattr(tag, "sub_tokens", show_and_note)
    monkeypatch.setattr(splitting, "CHARACTERS_PER_CHUNK", 1)  # a text is a chunk, and the next is read meanwhile
    main(run, "--table", "--text", *TEXTS[:3])
    assert len(reading) == len(showing) == 3
    assert len({id(tokenizer) for tokenizer in showing}) == 1  # it is copied once
    assert not {id(tokenizer) for tokenizer in reading} & {id(tokenizer) for tokenizer in showing}


def test_probabilities_in_json_lines(run, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("Anna in Bern\n", encoding="utf-8")
    main(run, "--probabilities", "--input", tmp_path / "in.txt", "--output", tmp_path / "out.jsonl")
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert row["tokens"] == ["Anna", "in", "Bern"]
    assert [sum(word.values()) for word in row["probabilities"]] == pytest.approx([1] * 3, abs=1e-5)
    assert [round(max(word.values()), 4) for word in row["probabilities"]] == row["scores"]
    assert "--probabilities needs --table, or an --output" in failure(capsys, run, "--probabilities")
    assert "ends in .jsonl" in failure(capsys, run, "--probabilities", "--output", tmp_path / "a.parquet")
    assert "--table prints; it goes without" in failure(capsys, run, "--table", "--output", tmp_path / "a.jsonl")


def test_standard_input(run, tmp_path, capsys, monkeypatch, expected):
    for output in ([], ["--output", tmp_path / "out.jsonl"]):
        text = io.BytesIO("".join(f"{text}\n" for text in TEXTS).encode())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(text, encoding="ascii"))
        main(run, *output)
    assert len(capsys.readouterr().out.splitlines()) == len(TEXTS)
    assert same(rows_of(tmp_path / "out.jsonl"), expected)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Bern\nB\xffern\n"), encoding="utf-8"))
    assert "standard input:2: not UTF-8: byte 0xff" in failure(capsys, run, "--output", tmp_path / "bad.jsonl")


def test_every_kind_of_output(run, lines, tmp_path, capsys, expected):
    for suffix in ("jsonl", "parquet", "conll"):
        main(run, "--input", lines, "--output", tmp_path / f"out.{suffix}")
        message = capsys.readouterr().err
        assert "800 rows, 800 of them tagged" in message
        assert "words a second" in message
    assert same(rows_of(tmp_path / "out.jsonl"), expected)
    assert same(pq.read_table(tmp_path / "out.parquet").to_pylist(), expected)
    blocks = (tmp_path / "out.conll").read_text(encoding="utf-8").strip().split("\n\n")
    pairs = [[line.split("\t") for line in block.splitlines()] for block in blocks]
    joined = ["".join(word for word, _ in sentence) for sentence in pairs]
    assert joined == [text.replace(" ", "") for text in TEXTS]
    begins = sum(tag.startswith("B-") for sentence in pairs for _, tag in sentence)
    assert begins == sum(map(len, expected))
    # Words come back as words, and the same tags go out.
    main(run, "--input", tmp_path / "out.conll", "--output", tmp_path / "again.conll")
    assert (tmp_path / "again.conll").read_bytes() == (tmp_path / "out.conll").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_killed_it_goes_on(run, tmp_path, capsys, expected):
    """SIGKILL while rows are written; the same command tags the others, and the file is that of one go."""
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"{text}\n" for text in TEXTS * 2), encoding="utf-8")
    output, journal = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.unfinished"
    flags = [run, "--input", lines, "--output", output, "--mixed-precision", "no"]
    killed("tag", *flags)
    assert not output.exists()
    assert journal.exists()
    main(*flags)
    assert f" rows, {1_600 - ROWS_BEFORE_IT:,} of them tagged" in capsys.readouterr().err
    rows = rows_of(output)
    assert len(rows) == 1_600
    assert same(rows[:800], expected)
    assert same(rows[800:], expected)
    assert not journal.exists()


def test_two_processes_share_a_file(run, lines, tmp_path, expected):
    """Each row once and in order; what one process began, two finish."""
    output = tmp_path / "out.jsonl"
    flags = [run, "--input", lines, "--output", output, "--mixed-precision", "no"]
    message = fork_ranks(2, PROGRAM, "tag", *flags)
    assert same(rows_of(output), expected)
    assert message.count("800 rows, 800 of them tagged") == 1


def test_another_input_is_refused(run, lines, tmp_path, capsys):
    output = tmp_path / "out.jsonl"
    main(run, "--input", lines, "--output", output)
    assert "is there already; --overwrite replaces it" in failure(capsys, run, "--input", lines, "--output", output)
    main(run, "--input", lines, "--output", output, "--overwrite")

    journal = tmp_path / ".other.jsonl.unfinished"
    first = rows_of(output)[0]
    begun = Tagger.from_pretrained(run, precision="no").fingerprint()
    header = {"model": begun, "column": None}
    journal.write_text(f"{json.dumps(header)}\n00000000 {json.dumps(first)}\n", encoding="utf-8")
    message = failure(capsys, run, "--input", lines, "--output", tmp_path / "other.jsonl")
    assert "row 1 of the input is another than when it was begun; --overwrite tags the rows from there on" in message
    message = failure(capsys, run, "--input", lines, "--output", tmp_path / "other.jsonl", "--words", "spaces")
    assert "begun with another model, or other options; --overwrite begins it again" in message
    main(run, "--input", lines, "--output", tmp_path / "other.jsonl", "--overwrite")
    assert not journal.exists()


def test_another_field_of_the_input_is_refused(run, tmp_path, capsys, monkeypatch):
    """What goes along with a text is of the same time as the text: no row of before among those of now."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    flags = [run, "--input", source, "--output", output]
    append = Journal.append

    def append_or_fail(journal, rows):
        append(journal, rows)
        raise OSError("no more")

    source.write_text('{"text": "Bern", "year": 1998}\n' * 600, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", append_or_fail)
        with pytest.raises(SystemExit):
            main(*flags)
    source.write_text('{"text": "Bern", "year": 1999}\n' * 600, encoding="utf-8")
    capsys.readouterr()
    assert "row 1 of the input is another than when it was begun; --overwrite" in failure(capsys, *flags)
    main(*flags, "--overwrite")
    assert {row["year"] for row in rows_of(output)} == {1999}


def test_bad_input(run, lines, tmp_path, capsys):
    for arguments, reason in [
        (["runs/none/at/all", "--text", "Bern"], "runs/none/at/all: no such folder"),
        ([run, "--text", "Bern", "--output", "a.jsonl"], "--text prints its texts"),
        ([run, "--input", lines, "--output", "a.csv"], "should end in .jsonl .parquet .conll"),
        ([run, "--input", tmp_path / "none.txt", "--output", "a.jsonl"], "none.txt: no such file"),
        ([run, "--input", tmp_path / "none.txt"], "none.txt: no such file"),
        ([run, "--column", "scores", "--output", "a.jsonl"], "--column scores: what is found is written to a field of"),
    ]:
        assert reason in failure(capsys, *arguments)


def test_a_disk_that_fails(run, lines, tmp_path, capsys):
    """What cannot be written ends it with status 1, and what is done is kept."""
    output = tmp_path / "out.jsonl"
    (tmp_path / ".out.jsonl.new").mkdir()  # where the output is written aside
    with pytest.raises(SystemExit) as caught:
        main(run, "--input", lines, "--output", output)
    assert caught.value.code == 1
    assert "the same command goes on after row 800" in capsys.readouterr().err
    (tmp_path / ".out.jsonl.new").rmdir()
    main(run, "--input", lines, "--output", output)
    assert "800 rows, 0 of them tagged" in capsys.readouterr().err
    assert len(rows_of(output)) == 800


def test_the_sentences_to_annotate_next(run, lines, tmp_path, capsys):
    """The most uncertain one first, each once; what is annotated is not chosen again."""
    file = tmp_path / "to/annotate.jsonl"
    lines.write_text(lines.read_text(encoding="utf-8") * 2, encoding="utf-8")
    main(run, "--input", lines, "--uncertain", 20, "--words", "spaces", "--output", file)
    assert "20 sentences to annotate, of " in (message := capsys.readouterr().err)
    assert "out of 1,600 rows" in message
    rows = rows_of(file)
    texts = [" ".join(row["tokens"]) for row in rows]
    assert len(set(texts)) == 20
    assert [TEXTS[row["row"] - 1] for row in rows] == texts
    tagger = Tagger.from_pretrained(run, precision="no", probabilities=True, words="spaces")
    entropies = [-(p * np.log(p)).sum() for p in (tagged.probabilities for tagged in tagger.tag(TEXTS))]
    assert rows[0]["uncertainty"] == pytest.approx(max(entropies), abs=1e-3)
    assert min(row["uncertainty"] for row in rows) > np.median(entropies)

    flags = [run, "--input", lines, "--uncertain", 20, "--words", "spaces", "--format", "doccano"]
    main(*flags, "--annotated", file, "--output", tmp_path / "next.jsonl", "--uncertainty", "mean")
    others = rows_of(tmp_path / "next.jsonl")
    assert len(others) == 20
    assert not {row["text"] for row in others} & set(texts)
    corpus = load_corpus(Source(str(tmp_path / "next.jsonl")), ["de"], ["train"])
    assert [" ".join(words) for words in corpus["de"]["train"]["tokens"]] == [row["text"] for row in others]


def test_two_processes_choose_as_one_does(run, lines, tmp_path):
    flags = [run, "--input", lines, "--uncertain", 5, "--mixed-precision", "no"]
    message = fork_ranks(2, PROGRAM, "tag", *flags, "--output", tmp_path / "two.jsonl")
    assert message.count("5 sentences to annotate") == 1
    assert "out of 800 rows" in message
    main(*flags[:-2], "--output", tmp_path / "one.jsonl")
    assert [row["row"] for row in rows_of(tmp_path / "two.jsonl")] == [
        row["row"] for row in rows_of(tmp_path / "one.jsonl")
    ]


def test_what_can_not_be_annotated(run, lines, tmp_path, capsys):
    done = tmp_path / "done.jsonl"
    done.write_text('{"tokens": ["Bern"], "ner_tags": ["O"]}\n', encoding="utf-8")
    lines.write_text("Bern\n\n", encoding="utf-8")
    few = [run, "--input", lines, "--uncertain", 5]
    for arguments, reason in [
        ([run, "--uncertain", 5], "--uncertain needs --output"),
        ([run, "--uncertain", 0, "--output", "a.jsonl"], "--uncertain 0 must be above 0"),
        ([run, "--format", "doccano", "--annotated", done], "--annotated goes with --uncertain"),
        ([*few, "--output", "a.jsonl", "--probabilities"], "--probabilities goes without --uncertain"),
        ([*few, "--output", "a.jsonl", "--format", "argilla"], "--output a.jsonl: its name should end in .json, as"),
        ([*few, "--output", "a.conll"], "--output a.conll: its name should end in .jsonl"),
        ([*few, "--output", done], "is there already; --overwrite replaces it"),
        ([*few, "--output", tmp_path / "a.jsonl", "--annotated", done], "no sentence that is not annotated already"),
    ]:
        assert reason in failure(capsys, *arguments)
    assert not list(tmp_path.glob("a.*"))
