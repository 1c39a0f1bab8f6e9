"""`ner tag` from folder to folder: killed, stopped, by two processes, and with shards that cannot be tagged."""

import gzip
import json
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.files import locked, write_json
from ner.tagging import shards
from ner.tagging.tagger import Tagger
from tests.cli.conftest import ROWS_BEFORE_IT, TEXTS, killed, main
from tests.processes import ROOT, fork_ranks
from tests.taggers import write_tagger

pytestmark = pytest.mark.timeout(method="thread")  # signals are tested here
PROGRAM = ROOT / "ner/__main__.py"
LARGE = 1_600  # rows: several blocks
SHARDS = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def run(thin_encoder, tmp_path_factory):
    """A tagger that says the same of a text in any batch."""
    return str(write_tagger(tmp_path_factory.mktemp("taggers") / "small", thin_encoder, num_layers=0))


@pytest.fixture(scope="module")
def expected(run):
    """The entities of each text."""
    found = Tagger.from_pretrained(run, precision="no")(TEXTS)
    entities = [[entity._asdict() | {"score": round(entity.score, 4)} for entity in own] for own in found]
    return dict(zip(TEXTS, entities, strict=True))


@pytest.fixture
def texts() -> dict[str, list[str]]:
    """Those of each shard; one of them takes several blocks."""
    return {name: (TEXTS * 2)[:LARGE] if name == "b" else TEXTS[20 * i : 20 * i + 30] for i, name in enumerate(SHARDS)}


@pytest.fixture
def folder(tmp_path, texts) -> Path:
    """The shards as lines of text."""
    (tmp_path / "in").mkdir()
    for name, own in texts.items():
        (tmp_path / f"in/{name}.txt").write_text("".join(f"{text}\n" for text in own), encoding="utf-8")
    return tmp_path


def lot(run: str, folder: Path, *more: object) -> None:
    main(run, "--input", folder / "in", "--output", folder / "out", *more)


def ended(capsys, status: int, run: str, folder: Path, *more: object) -> str:
    """What is said by a command that ends with this status."""
    with pytest.raises(SystemExit) as caught:
        lot(run, folder, *more)
    assert caught.value.code == status
    return capsys.readouterr().err


def rows_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def check(folder: Path, texts: dict[str, list[str]], expected: dict) -> None:
    """Each row once and in order, with its entities; nothing else is left but a record for each shard."""
    for name, own in texts.items():
        rows = rows_of(folder / f"out/{name}.jsonl")
        assert [row["text"] for row in rows] == own
        assert [row["entities"] for row in rows] == [expected[text] for text in own]
    names = {f"{name}.jsonl" for name in texts}
    assert {file.name for file in (folder / "out").iterdir()} == names | {f".{name}.done" for name in names}


def state(folder: Path) -> dict[str, int]:
    """When each output was written."""
    return {file.name: file.stat().st_mtime_ns for file in (folder / "out").glob("[!.]*")}


def test_every_kind_of_input(run, tmp_path, capsys, expected):
    source, output = tmp_path / "in", tmp_path / "out/new"
    (source / "below").mkdir(parents=True)
    (source / "a.txt").write_text("".join(f"{text}\n" for text in TEXTS[:30]), encoding="utf-8")
    (source / "B.TXT.gz").write_bytes(gzip.compress("".join(f"{text}\n" for text in TEXTS[30:60]).encode()))
    rows = [{"text": text, "id": i} for i, text in enumerate(TEXTS[60:90])]
    (source / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.table({"text": TEXTS[90:120]}), source / "d.parquet")
    (source / "e.conll").write_text("Anna\nBern\n\nZug\n", encoding="utf-8")
    for name in ("notes.md", ".hidden.txt", "_SUCCESS", "below/f.txt"):
        (source / name).write_text("no input\n", encoding="utf-8")
    main(run, "--input", source, "--output", output)
    message = capsys.readouterr().err
    assert "5 of 5 shards, 0 of them from before, with 122 rows; 122 rows tagged" in message
    assert f"2 left alone, which are no files to tag: {source / 'below'}, {source / 'notes.md'}" in message
    assert sorted(path.name for path in output.glob("[!.]*")) == ["B.jsonl", "a.jsonl", "c.jsonl", "d.jsonl", "e.jsonl"]
    for start, name in enumerate(("a", "B", "c", "d")):
        found = rows_of(output / f"{name}.jsonl")
        assert [row["text"] for row in found] == TEXTS[30 * start : 30 * start + 30]
        assert [row["entities"] for row in found] == [expected[row["text"]] for row in found]
    assert [row["id"] for row in rows_of(output / "c.jsonl")] == list(range(30))
    assert [row["tokens"] for row in rows_of(output / "e.jsonl")] == [["Anna", "Bern"], ["Zug"]]
    main(run, "--input", source / "a.txt", source / "d.parquet", "--output", output, "--shard-format", "parquet")
    assert pq.read_table(output / "d.parquet").column_names == ["text", "entities"]


def test_run_again_it_leaves_alone_what_is_finished(run, folder, texts, expected, capsys):
    lot(run, folder)
    check(folder, texts, expected)
    before = state(folder)
    (folder / "in/f.txt").write_text(f"{TEXTS[0]}\n", encoding="utf-8")
    os.utime(folder / "in/a.txt", (0, 0))  # a copy is no other input
    capsys.readouterr()
    for _ in range(2):
        lot(run, folder, "--overwrite")  # which is for what something else made
        assert state(folder).items() > before.items()
    assert "6 of 6 shards, 6 of them from before, with 1,721 rows; 0 rows tagged" in capsys.readouterr().err
    check(folder, texts | {"f": TEXTS[:1]}, expected)


def test_killed_in_the_middle_of_a_shard(run, folder, texts, expected, capsys):
    """SIGKILL within the large one: what is finished stays, the shard goes on."""
    flags = [run, "--input", folder / "in", "--output", folder / "out", "--mixed-precision", "no"]
    killed("tag", *flags)
    assert (folder / "out/a.jsonl").exists()
    assert not (folder / "out/b.jsonl").exists()
    before = state(folder)
    lot(run, folder)
    assert f"; {LARGE + 90 - ROWS_BEFORE_IT:,} rows tagged" in capsys.readouterr().err
    assert state(folder).items() > before.items()
    check(folder, texts, expected)


@pytest.mark.parametrize("written", ["output", "record"])
def test_killed_when_a_shard_is_written(run, folder, texts, expected, capsys, monkeypatch, written):
    """Before its record is there, or before its journal has gone."""

    def killed(file, content):
        if written == "record":
            write_json(file, content)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_json", killed)
        assert "out: stopped by SIGTERM; the same command does what is left" in ended(capsys, 75, run, folder)
    assert (folder / "out/a.jsonl").exists()
    assert (folder / "out/.a.jsonl.done").exists() == (written == "record")
    lot(run, folder)
    assert f"{LARGE + 90:,} rows tagged" in capsys.readouterr().err
    check(folder, texts, expected)


def test_two_processes_share_the_shards(run, folder, texts, expected):
    flags = [run, "--input", folder / "in", "--output", folder / "out", "--mixed-precision", "no"]
    message = fork_ranks(2, PROGRAM, "tag", *flags)
    assert message.count("5 of 5 shards, 0 of them from before, with 1,720 rows; 1,720 rows tagged") == 1
    assert "100%" in message
    check(folder, texts, expected)


def test_a_changed_input_is_refused(run, folder, texts, expected, capsys):
    """Finished or begun: the others are done first, and --overwrite makes that one again."""
    lot(run, folder)
    for name in ("c", "e"):
        texts[name] = TEXTS[:40]
        (folder / f"in/{name}.txt").write_text("".join(f"{text}\n" for text in TEXTS[:40]), encoding="utf-8")
    header = (folder / "out/.e.jsonl.done").read_text(encoding="utf-8").replace("\n", "") + "\n"
    (folder / "out/.e.jsonl.unfinished").write_text(header, encoding="utf-8")
    for file in ("a.jsonl", ".a.jsonl.done"):
        (folder / "out" / file).unlink()
    before = state(folder)
    message = ended(capsys, 2, run, folder)
    assert "2 of 5 shards are not tagged" in message
    assert "out/c.jsonl: was made with another input; --overwrite tags its rows again" in message
    assert ".e.jsonl.unfinished: was made with another input" in message
    assert message.index("the others are, first") < message.index("30 rows tagged") < message.index("are not tagged")
    assert state(folder).items() > before.items()
    lot(run, folder, "--overwrite")
    assert "5 of 5 shards, 3 of them from before" in capsys.readouterr().err
    check(folder, texts, expected)


def test_an_input_that_changes_while_it_is_tagged(run, folder, capsys, monkeypatch):
    tag = Tagger.tag

    def changing(self, contents):
        yield from tag(self, contents)
        with (folder / "in/a.txt").open("a", encoding="utf-8") as file:
            file.write("more\n")

    monkeypatch.setattr(Tagger, "tag", changing)
    message = ended(capsys, 2, run, folder)
    assert "in/a.txt: has changed while it was tagged; --overwrite" in message
    assert "1 of 5 shards are not tagged" in message
    assert not (folder / "out/a.jsonl").exists()


def test_another_model_is_refused_before_anything_is_tagged(run, folder, capsys):
    lot(run, folder)
    (folder / "out/b.jsonl").unlink()
    before = state(folder)
    message = ended(capsys, 2, run, folder, "--words", "spaces")
    assert "4 of 5 shards were made with another model, or other options; nothing is tagged" in message
    assert "out/a.jsonl: was made with another model, or other options; --overwrite" in message
    assert state(folder) == before
    lot(run, folder, "--words", "spaces", "--overwrite")
    assert "5 of 5 shards, 0 of them from before" in capsys.readouterr().err


def test_a_damaged_shard(run, folder, texts, expected, capsys):
    """It is named with its line, before and after the others are tagged."""
    (folder / "in/a.txt").write_bytes(f"{TEXTS[0]}\nB\xfcrn\n".encode("latin-1", errors="replace"))
    (folder / "in/d.txt.gz").write_bytes(gzip.compress(b"Bern\n")[:-6])
    (folder / "in/d.txt").unlink()
    message = ended(capsys, 2, run, folder)
    for part in message.split("1,660 rows tagged"):
        assert "in/a.txt:2: not UTF-8: byte 0xfc" in part
        assert "in/d.txt.gz: " in part
    assert "2 of 5 shards are not tagged" in message
    texts |= {"a": TEXTS[:1], "d": TEXTS[5:6]}
    (folder / "in/a.txt").write_text(f"{TEXTS[0]}\n", encoding="utf-8")
    (folder / "in/d.txt.gz").write_bytes(gzip.compress(f"{TEXTS[5]}\n".encode()))
    lot(run, folder)
    assert "5 of 5 shards, 3 of them from before, with 1,662 rows; 2 rows tagged" in capsys.readouterr().err
    check(folder, texts, expected)


def test_a_shard_that_another_program_writes(run, folder, texts, expected, capsys):
    (folder / "out").mkdir()
    with locked(folder / "out/.c.jsonl.lock", "x"):
        message = ended(capsys, 2, run, folder)
        assert f"out/c.jsonl: process {os.getpid()} on " in message
        assert "4 of 5 shards, 0 of them from before, with 1,690 rows" in message
    lot(run, folder)
    check(folder, texts, expected)


def test_files_that_nothing_is_known_of(run, folder, capsys):
    lot(run, folder)
    (folder / "out/.a.jsonl.done").write_text("[]", encoding="utf-8")
    with (folder / "out/c.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    (folder / "out/.d.jsonl.unfinished").write_text("nothing\n", encoding="utf-8")
    message = ended(capsys, 2, run, folder)
    assert "out/a.jsonl: is there, and nothing says what made it; --overwrite replaces it" in message
    assert "out/c.jsonl: has " in message
    assert ".d.jsonl.unfinished: not a file of unfinished rows; --overwrite" in message
    assert "3 of 5 shards are not tagged" in message
    lot(run, folder, "--overwrite")
    assert "5 of 5 shards, 2 of them from before, with 1,720 rows; 90 rows tagged" in capsys.readouterr().err


def test_a_disk_that_fails(run, folder, texts, expected, capsys):
    (folder / "out/.b.jsonl.new").mkdir(parents=True)  # where the shard is written aside
    message = ended(capsys, 1, run, folder)
    assert "the same command does what is left:\n  " in message
    assert "1 of 5 shards" in message
    (folder / "out/.b.jsonl.new").rmdir()
    lot(run, folder)
    assert "5 of 5 shards, 1 of them from before, with 1,720 rows; 90 rows tagged" in capsys.readouterr().err
    check(folder, texts, expected)


def test_what_can_not_be_asked(run, folder, capsys):
    (folder / "empty").mkdir()
    a, b = folder / "in/a.txt", folder / "in/b.txt"
    for arguments, reason in [
        (["--input", folder / "in"], "only go into a folder: --output"),
        (["--input", a, b, "--uncertain", 5, "--output", folder / "x.jsonl"], "only go into a folder"),
        (["--input", a, b, "--output", folder / "x.jsonl"], "x.jsonl: names a file; several files go into a folder"),
        (["--input", folder / "in", "--output", folder / "in"], "is the folder of the input"),
        (["--input", folder / "empty", "--output", folder / "x"], "empty: no file that ends in .txt"),
        (["--input", a, folder / "none.txt", "--output", folder / "x"], "none.txt: no such file"),
        (["--input", a, "--output", a], "a.txt: its name should end in .jsonl"),
        (["--input", a, "--output", f"{a}/"], "a.txt: File exists"),
        (["--input", a, "--output", f"{folder}/x/", "--probabilities", "--shard-format", "conll"], "needs --table"),
        (["--input", a, "--output", folder / "x.jsonl", "--shard-format", "conll"], "--shard-format needs a folder"),
        (["--input", folder / "in", "--shard-format", "jsonl"], "--shard-format needs a folder"),
        (["--text", "Bern", "--shard-format", "jsonl"], "--shard-format needs a folder"),
        (["--output", folder / "x.jsonl", "--shard-format", "jsonl"], "--shard-format needs a folder"),
        (
            ["--input", a, "--uncertain", 5, "--output", f"{folder}/x/", "--shard-format", "jsonl"],
            "--shard-format needs a folder",
        ),
    ]:
        with pytest.raises(SystemExit) as caught:
            main(run, *arguments)
        assert caught.value.code == 2
        assert reason in capsys.readouterr().err
    assert not (folder / "x").exists()
