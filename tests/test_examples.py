"""The files of examples/ are the programs of README and the manual, which tests/test_docs.py runs."""

import ast
import re
import shutil
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import AutoModel

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def without_blank_lines(code: str) -> str:
    return "\n".join(line.rstrip() for line in code.splitlines() if line.strip())


def programs(page: Path) -> list[str]:
    """The blocks of Python of a page that import something."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    imports = (ast.Import, ast.ImportFrom)
    return [
        without_blank_lines(block)
        for block in blocks
        if any(isinstance(node, imports) for node in ast.walk(ast.parse(block)))
    ]


def code_of(file: Path) -> str:
    """What stands below the docstring."""
    text = file.read_text(encoding="utf-8")
    return without_blank_lines("\n".join(text.splitlines()[ast.parse(text).body[0].end_lineno :]))


SHOWN = [(page, program) for page in PAGES for program in programs(page)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_is_shown_on_pages_that_name_it(file):
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    pages = [page for page, program in SHOWN if program == code_of(file)]
    assert pages
    for page in pages:
        assert f"examples/{file.name}" in page.read_text(encoding="utf-8"), page


@pytest.mark.parametrize("program", [program for _, program in SHOWN], ids=[page.name for page, _ in SHOWN])
def test_a_program_is_one_file(program):
    assert [code_of(file) for file in FILES].count(program) == 1


def test_every_file_that_is_named_exists():
    named = {name for page in PAGES for name in re.findall(r"examples/\w+\.py", page.read_text(encoding="utf-8"))}
    assert named == {f"examples/{file.name}" for file in FILES}


def test_an_adapted_encoder_is_the_same_where_the_program_was_stopped(
    thin_encoder, corpus_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    program = (ROOT / "examples/adapt_encoder.py").read_text(encoding="utf-8")
    for name, stand_in in (
        ("xlm-roberta-base", str(thin_encoder)),
        ("google/xtreme", str(corpus_folder)),
        ('start_accelerator("auto")', 'start_accelerator("no")'),
        ("CHECKPOINT_EVERY = 64, 2e-4, 0.06, 42, 500", "CHECKPOINT_EVERY = 64, 2e-4, 0.06, 42, 2"),
        ("num_steps = len(plan) // world", "num_steps = 4"),
        ("keep=1", "keep=2"),
    ):
        assert name in program
        program = program.replace(name, stand_in)

    def adapted() -> dict[str, torch.Tensor]:
        AcceleratorState._reset_state(reset_partial_state=True)
        exec(compile(program, "adapt_encoder.py", "exec"), {"__name__": "adapt_encoder"})
        return load_file("encoders/adapted/encoder/model.safetensors")

    whole = adapted()
    before, after = (AutoModel.from_pretrained(path) for path in (thin_encoder, "encoders/adapted/encoder"))
    assert not torch.equal(before.embeddings.word_embeddings.weight, after.embeddings.word_embeddings.weight)
    shutil.rmtree("encoders/adapted/checkpoints/step-00000004")  # stopped after step 2
    shutil.rmtree("encoders/adapted/encoder")
    again = adapted()
    assert whole.keys() == again.keys()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
