"""What the suite promises of itself: what is measured, and that no locale changes what it reads."""

import ast
import json
from pathlib import Path

import pytest

from tests.environment import CACHES
from tests.processes import ROOT, fork

MEASURED = """
import json, sys
from coverage import Coverage
coverage = Coverage(data_file=None, config_file=sys.argv[1])
coverage.start()
import evaluate, train
from ner import tags
coverage.stop()
print(json.dumps([coverage.get_option("run:branch"), sorted(coverage.get_data().measured_files())]))
"""


def test_both_scripts_are_measured_and_no_test_is():
    """By the settings of pyproject.toml, which ignored `include` where there is a `source`."""
    _, output = fork(MEASURED, ROOT / "pyproject.toml")
    has_branches, files = json.loads(output.splitlines()[-1])
    names = {Path(file).relative_to(ROOT).as_posix() for file in files}
    assert has_branches
    assert {"train.py", "evaluate.py"} <= names
    assert not {name for name in names if name.startswith("tests/")}


def in_the_locales_encoding(source: str) -> list[int]:
    """Lines where a file is read or written as text, and no encoding is said."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or {"encoding", "again"} & {keyword.arg for keyword in node.keywords}:
            continue  # a journal is opened `again`
        values = [argument.value if isinstance(argument, ast.Constant) else "" for argument in node.args]
        match node.func:
            case ast.Attribute(attr="read_text"):
                is_text = not values
            case ast.Attribute(attr="write_text"):
                is_text = len(values) == 1
            case ast.Attribute(attr="open", value=owner) if ast.unparse(owner) not in ("os", "gzip", "tarfile", "page"):
                is_text = not values or (str(values[0])[:1] in tuple("rwax") and "b" not in str(values[0]))
            case ast.Name(id="open"):
                is_text = len(values) < 2 or "b" not in str(values[1])
            case _:
                is_text = False
        lines += [node.lineno] * is_text
    return sorted(lines)


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.rglob("*.py")), ids=lambda file: file.name)
def test_no_locale_changes_what_is_read(file):
    assert in_the_locales_encoding(file.read_text(encoding="utf-8")) == []


def test_a_file_in_the_encoding_of_a_locale_is_seen():
    calls = [
        "a.read_text()",
        "a.read_text('utf-8')",
        "a.write_text(b)",
        "a.open()",
        "a.open('rb')",
        "a.open('w')",
        "open(a)",
    ]
    source = "\n".join([*calls, "open(a, 'rb')"])
    assert in_the_locales_encoding(source) == [1, 3, 4, 6, 7]


def test_programs_of_tests_share_the_folder_of_caches():
    """A fork ends without its finalizers: a folder of its own would stay for ever."""
    _, output = fork("from tests.environment import CACHES; print(CACHES)", env={"MASTER_PORT": "1"})
    assert output.split() == [str(CACHES)]
