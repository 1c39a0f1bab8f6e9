"""Shared by the tests of `ner tag`."""

from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from ner.cli import tag
from ner.data import synthetic

TEXTS = [
    " ".join(row["tokens"]) for language in synthetic.LANGUAGES for row in synthetic.sentences(language, "validation")
]


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
