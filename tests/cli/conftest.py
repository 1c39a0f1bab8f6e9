"""Shared by the tests of the commands."""

from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ner.cli import tag
from ner.data import synthetic
from tests.conftest import part_of

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
