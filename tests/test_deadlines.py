"""The suite can not hang: whatever waits in these files has a deadline, or is one of those that have."""

import ast
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.rglob("*.py"))
# Calls that wait for somebody else, and how many positional arguments they take before that of the deadline.
WAITING = {"communicate": 1, "wait": 0, "urlopen": 2, "create_connection": 1, "check_call": 99, "check_output": 99}


def endless(file: Path) -> list[str]:
    """Places where something waits without a deadline."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.While) and isinstance(node.test, ast.Constant):
            found.append(f"{file.name}:{node.lineno}: while {node.test.value}")
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        owner = (
            function.value.id if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) else ""
        )
        keywords = {keyword.arg for keyword in node.keywords}
        if name in WAITING and len(node.args) <= WAITING[name] and not keywords & {"timeout", "seconds"}:
            found.append(f"{file.name}:{node.lineno}: {name}()")
        if owner == "subprocess" and name == "run" and "timeout" not in keywords:
            found.append(f"{file.name}:{node.lineno}: subprocess.run()")
    return found


# Loops that end by themselves, and waits that have their deadline elsewhere.
KNOWN = {
    "processes.py: wait()": "Fork.wait has one by default",
    "test_report.py: wait()": "the browser's own, of 20 seconds",
    "test_widget.py: wait()": "the browser's own, of 20 seconds",
    "torture.py: while True": "each start in it has a deadline",
    "test_encoding.py: wait()": "Fork.wait has one by default",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_waits_has_a_deadline(file):
    places = [place for place in endless(file) if f"{file.name}: {place.split(': ', 1)[1]}" not in KNOWN]
    assert not places


def test_an_endless_wait_is_seen(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(
        "process.wait()\nprocess.wait(timeout=3)\nprocess.communicate()\nurlopen(a)\nurlopen(a, timeout=1)\n"
        "subprocess.run(a)\nsubprocess.run(a, timeout=1)\nwhile True:\n    pass\n",
        encoding="utf-8",
    )
    assert [place.split(":")[1] for place in sorted(endless(file))] == ["1", "3", "4", "6", "8"]
