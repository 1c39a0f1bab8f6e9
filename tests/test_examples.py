"""The files of examples/ are the programs of README and the manual, which tests/test_docs.py runs."""

import ast
import re
from pathlib import Path

import pytest

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
