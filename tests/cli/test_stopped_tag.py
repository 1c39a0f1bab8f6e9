"""The tagger stopped, its journal damaged, and two of them at once: nothing is lost, and all is said."""

import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from ner.analysis import token_losses
from ner.cli import tag as tag_command
from ner.errors import InputError
from ner.files import locked
from ner.tagging import files, tagger
from ner.tagging.journal import Journal, check_sum
from ner.tagging.tagger import Tagger
from tests.cli.conftest import TEXTS, main
from tests.processes import ROOT, fork_ranks
from tests.taggers import write_tagger

pytestmark = pytest.mark.timeout(method="thread")  # signals are tested here
MADE_BY = {"model": "a"}
ASKED = ("SIGTERM", "SIGHUP", "SIGINT")


@pytest.fixture(scope="module")
def run(encoder_folder, tmp_path_factory):
    return str(write_tagger(tmp_path_factory.mktemp("taggers") / "small", encoder_folder, num_layers=0))


def ended(capsys, status: int, *arguments) -> str:
    """What is said by a command that ends with this status."""
    with pytest.raises(SystemExit) as caught:
        main(*arguments)
    assert caught.value.code == status
    return capsys.readouterr().err


def texts_of(file: Path) -> list[str]:
    return [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ASKED)
def test_a_signal_while_it_tags(run, lines, tmp_path, capsys, monkeypatch, name):
    output = tmp_path / "out.jsonl"
    tag = Tagger.tag

    def interrupted(self, texts):
        for number, tagged in enumerate(tag(self, texts)):
            if number == 700:
                os.kill(os.getpid(), getattr(signal, name))
            yield tagged

    before = {asked: signal.getsignal(getattr(signal, asked)) for asked in ASKED}
    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "tag", interrupted)
        message = ended(capsys, 75, run, "--input", lines, "--output", output)
    assert "out.jsonl: stopped" in message
    assert "the same command goes on after row 512" in message
    assert (name in message) == (name != "SIGINT")
    assert not output.exists()
    assert {asked: signal.getsignal(getattr(signal, asked)) for asked in ASKED} == before
    main(run, "--input", lines, "--output", output)
    assert "800 rows, 288 of them tagged" in capsys.readouterr().err
    assert texts_of(output) == TEXTS
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def stopped(run, lines, tmp_path, capsys, monkeypatch) -> Path:
    """An output that was to be overwritten, and the 512 rows that were tagged for it."""
    output = tmp_path / "out.jsonl"
    output.write_text("of before\n", encoding="utf-8")
    tag = Tagger.tag

    def interrupted(self, texts):
        for number, tagged in enumerate(tag(self, texts)):
            if number == 512:
                os.kill(os.getpid(), signal.SIGTERM)
            yield tagged

    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "tag", interrupted)
        message = ended(capsys, 75, run, "--input", lines, "--output", output, "--overwrite")
    assert "the same command goes on after row 512" in message
    assert output.read_text(encoding="utf-8") == "of before\n"
    return output


def test_what_overwrites_goes_on(run, lines, stopped, capsys):
    main(run, "--input", lines, "--output", stopped, "--overwrite")
    assert "800 rows, 288 of them tagged" in capsys.readouterr().err
    assert texts_of(stopped) == TEXTS
    main(run, "--input", lines, "--output", stopped, "--overwrite")
    assert "800 rows, 800 of them tagged" in capsys.readouterr().err


def test_what_overwrites_begins_anew_with_another_model(run, lines, stopped, capsys):
    main(run, "--input", lines, "--output", stopped, "--overwrite", "--words", "spaces")
    assert "800 rows, 800 of them tagged" in capsys.readouterr().err
    assert texts_of(stopped) == TEXTS


@pytest.mark.parametrize("from_stdin", [False, True])
def test_what_overwrites_keeps_the_rows_that_are_the_same(run, lines, stopped, capsys, monkeypatch, from_stdin):
    """Of an input that has changed within them, or ends there; standard input cannot be read again."""
    journal = stopped.with_name(f".{stopped.name}.unfinished")
    begun = journal.read_bytes()
    for texts, tagged in (([*TEXTS[:300], "Bern", *TEXTS[301:]], 500), (TEXTS[:400], 0)):
        journal.write_bytes(begun)
        content = "".join(f"{text}\n" for text in texts)
        lines.write_text(content, encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode()), encoding="utf-8"))
        source = [] if from_stdin else ["--input", lines]
        main(run, *source, "--output", stopped, "--overwrite")
        assert f"{len(texts)} rows, {tagged} of them tagged" in capsys.readouterr().err
        assert texts_of(stopped) == texts


def test_two_processes_keep_the_rows_that_are_the_same(run, lines, stopped):
    texts = [*TEXTS[:300], "Bern", *TEXTS[301:]]
    lines.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    flags = [run, "--input", lines, "--output", stopped, "--overwrite", "--mixed-precision", "no"]
    assert "800 rows, 500 of them tagged" in fork_ranks(2, ROOT / "ner/__main__.py", "tag", *flags)
    assert texts_of(stopped) == texts


def test_a_signal_while_sentences_are_chosen(run, lines, tmp_path, capsys, monkeypatch):
    tag = Tagger.tag

    def interrupted(self, texts):
        yield next(tag(self, texts))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Tagger, "tag", interrupted)
    message = ended(capsys, 75, run, "--input", lines, "--uncertain", "5", "--output", tmp_path / "out.jsonl")
    assert "out.jsonl: stopped by SIGTERM; nothing is written, and the same command begins again" in message
    assert list(tmp_path.iterdir()) == [lines]


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("where", ["load_token_classifier", "start_accelerator"])
def test_a_signal_while_the_model_loads(run, lines, tmp_path, capsys, monkeypatch, name, where):
    module = tagger if hasattr(tagger, where) else tag_command
    work = getattr(module, where)

    def interrupted(*arguments):
        os.kill(os.getpid(), getattr(signal, name))
        return work(*arguments)

    monkeypatch.setattr(module, where, interrupted)
    message = ended(capsys, 75, run, "--input", lines, "--output", tmp_path / "out.jsonl")
    assert "stopped" in message
    assert "nothing is lost" in message
    assert [file.name for file in tmp_path.iterdir()] == ["lines.txt"]


def test_what_nohup_ignores_stays_ignored(run, lines, tmp_path, monkeypatch):
    load = tagger.load_token_classifier  # type: ignore[attr-defined]  # as it finds it

    def hung_up(name):
        os.kill(os.getpid(), signal.SIGHUP)
        return load(name)

    monkeypatch.setattr(tagger, "load_token_classifier", hung_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        main(run, "--input", lines, "--output", tmp_path / "out.jsonl")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert texts_of(tmp_path / "out.jsonl") == TEXTS


def test_two_write_one_output(run, lines, tmp_path, capsys):
    """The second ends with a message, whatever it was to do with what is there."""
    output = tmp_path / "out.jsonl"
    with locked(tmp_path / ".out.jsonl.lock", "x"):
        for more in ([], ["--overwrite"]):
            message = ended(capsys, 2, run, "--input", lines, "--output", output, *more)
            assert f"{output}: process {os.getpid()} on " in message
            assert "is writing there" in message
        assert not list(tmp_path.glob("*unfinished"))
    main(run, "--input", lines, "--output", output)


def test_the_output_is_held_while_it_is_made(run, lines, tmp_path, monkeypatch):
    tag, refused = Tagger.tag, []

    def watched(self, texts):
        with pytest.raises(InputError, match="is writing there"), locked(tmp_path / ".out.jsonl.lock", "x"):
            pass
        refused.append(True)
        return tag(self, texts)

    monkeypatch.setattr(Tagger, "tag", watched)
    main(run, "--input", lines, "--output", tmp_path / "out.jsonl")
    assert refused


def test_another_finishes_it_just_before(run, lines, tmp_path, capsys, monkeypatch):
    output, count = tmp_path / "out.jsonl", files.count

    def slow(*arguments):
        output.write_text("of the other", encoding="utf-8")
        return count(*arguments)

    monkeypatch.setattr(files, "count", slow)
    assert "is there already; --overwrite" in ended(capsys, 2, run, "--input", lines, "--output", output)
    assert output.read_text(encoding="utf-8") == "of the other"
    assert not list(tmp_path.glob(".*"))


def test_folders_of_the_output(run, lines, tmp_path, capsys):
    main(run, "--input", lines, "--output", tmp_path / "new/one/out.jsonl")
    assert [file.name for file in (tmp_path / "new/one").iterdir()] == ["out.jsonl"]
    message = ended(capsys, 2, run, "--input", lines, "--output", lines / "out.jsonl")
    assert message.endswith(f"{lines}: File exists\n")
    (tmp_path / ".out.jsonl.unfinished").mkdir()
    message = ended(capsys, 2, run, "--input", lines, "--output", tmp_path / "out.jsonl")
    assert message.endswith(".out.jsonl.unfinished: Is a directory\n")


ROWS = [(check_sum({"text": text}), json.dumps({"text": text}) + "\n") for text in TEXTS[:4]]
DAMAGED = {
    "zeros": b"\0" * 40 + b"\n",
    "zeros in a row": b'00000000 {"text": "a\0\0"}\n',
    "no check sum": b'{"text": "a"}\n',
    "half a row": b'00000000 {"text": "a\n',
    "two in one": b'00000000 {"te00000000 {"text": "a"}\n',
    "no object": b"00000000 [1]\n",
    "no UTF-8": b'00000000 {"text": "\xff"}\n',
    "deep": b"00000000 " + b"[" * 100_000 + b"\n",
    "empty": b"\n",
}


@pytest.fixture
def journal(tmp_path):
    found = Journal(tmp_path / ".out.jsonl.unfinished")
    found.open(MADE_BY, again=True)
    found.append(ROWS[:2])
    return found


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line(journal, line):
    with journal.file.open("ab") as file:
        file.write(line)
    journal.append(ROWS[2:])
    with pytest.raises(InputError, match=r"unfinished:4: damaged, .*; `overwrite`"):
        journal.open(MADE_BY, again=False)
    assert journal.open(MADE_BY, again=True) == 0


@pytest.mark.parametrize("line", [b"\0\n", b"[" * 100_000 + b"\n", b"{}\0\n"])
def test_a_damaged_first_line(journal, line):
    journal.file.write_bytes(line)
    with pytest.raises(InputError, match=r"not a file of unfinished rows; `overwrite`"):
        journal.open(MADE_BY, again=False)


def test_zeros_at_the_end_are_cut_off(journal):
    """A power cut leaves them where a row was to be."""
    with journal.file.open("ab") as file:
        file.write(b"\0" * 5000)
    assert journal.open(MADE_BY, again=False) == 2
    journal.append(ROWS[2:])
    assert journal.open(MADE_BY, again=False) == 4


def test_the_command_says_that_the_journal_is_damaged(run, lines, tmp_path, capsys):
    output, journal = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.unfinished"
    header = {"model": Tagger.from_pretrained(run, precision="no").fingerprint(), "column": None}
    journal.write_text(f"{json.dumps(header)}\n\0\0\0\0\n", encoding="utf-8")
    message = ended(capsys, 2, run, "--input", lines, "--output", output)
    assert message.endswith(f"{journal}:2: damaged, b'\\x00\\x00\\x00\\x00\\n'; --overwrite tags all rows again\n")
    main(run, "--input", lines, "--output", output, "--overwrite")
    assert texts_of(output) == TEXTS


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out.conll", "losses.parquet"])
def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch, name):
    file, order = tmp_path / name, []
    monkeypatch.setattr("ner.files.sync", lambda path: order.append((path.name, file.exists())))
    if name == "losses.parquet":
        with token_losses.open_file(file):
            pass
    else:
        files.write([{"tokens": ["a"], "ner_tags": ["O"], "scores": [0.5]}], file, None)
    assert order == [(f".{name}.new", False), (tmp_path.name, True)]
    assert [path.name for path in tmp_path.iterdir()] == [name]
