"""Shared by the tests of the commands."""

import signal
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ner.cli import tag
from ner.data import synthetic
from tests.conftest import part_of
from tests.processes import fork

TEXTS = [
    " ".join(row["tokens"]) for language in synthetic.LANGUAGES for row in synthetic.sentences(language, "validation")
]


@pytest.fixture(scope="session")
def small_corpus(corpus_folder, tmp_path_factory) -> Path:
    """A part of the embedded corpus, for commands that train."""
    return part_of(corpus_folder, tmp_path_factory.mktemp("small"), train=200, validation=60, test=80)


@pytest.fixture
def lines(tmp_path) -> Path:
    """The texts, a line each."""
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    return file


def main(*arguments: object) -> None:
    """`ner tag`, in fp32."""
    AcceleratorState._reset_state(reset_partial_state=True)
    tag.main([*map(str, arguments), "--mixed-precision", "no"])


# `ner` with these arguments, killed while it writes the second block of a file.
KILLED = """
import os, signal
from itertools import islice
from ner.cli.main import main
from ner.tagging.blocks import ROWS_PER_BLOCK
from ner.tagging.journal import Journal

append = Journal.append

def append_or_die(journal, rows):
    if sum(1 for _ in journal.lines()) < ROWS_PER_BLOCK:
        return append(journal, rows)
    append(journal, islice(rows, 100))
    with journal.file.open("ab") as file:
        file.write(b'0badcafe {"text": "half a r')
    os.kill(os.getpid(), signal.SIGKILL)

Journal.append = append_or_die
main()
"""
ROWS_BEFORE_IT = 512 + 100  # which are in the journal then


def killed(*arguments: object) -> None:
    """Runs `ner` in another process, which is killed in the second block of a file: half a row is its last."""
    status, output = fork(KILLED, *arguments, check=False)
    assert status == -signal.SIGKILL, output
