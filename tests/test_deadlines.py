"""The suite cannot hang: whatever waits in these files has a deadline, or is one of those that have."""

import ast
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).parent.rglob("*.py"))
# Calls that wait for somebody else, and how many positional arguments they take before that of the deadline.
WAITING = {"communicate": 1, "wait": 0, "join": 0, "result": 0, "urlopen": 2, "create_connection": 1}
NEVER_ENDING = {"check_call", "check_output", "getoutput", "getstatusoutput"}  # these have a better one: `run`
PIPES = {"stdout", "stderr"}


def endless(file: Path) -> list[str]:
    """Places where something waits without a deadline."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if (isinstance(node, ast.While) and isinstance(node.test, ast.Constant)) or (
            isinstance(node, ast.Call) and waits(node)
        ):
            found.append(f"{file.name}:{node.lineno}: {ast.unparse(node).splitlines()[0]}")
        elif isinstance(node, ast.With):  # at its end, a process that is a context is waited for
            contexts = [ast.unparse(item.context_expr) for item in node.items]
            found += [f"{file.name}:{node.lineno}: with {text}" for text in contexts if "Popen(" in text]
    return found


def waits(call: ast.Call) -> bool:
    """Whether a call may last for ever."""
    match call.func:
        case ast.Attribute(attr=name, value=owner):
            pass
        case ast.Name(id=name):
            owner = call.func
        case _:
            return False
    keywords = {keyword.arg for keyword in call.keywords}
    if name == "run" and ast.unparse(owner) == "subprocess":
        return "timeout" not in keywords
    if name in ("read", "readline", "readlines"):
        return isinstance(owner, ast.Attribute) and owner.attr in PIPES  # `line_of` and `communicate` have deadlines
    return name in NEVER_ENDING or (
        name in WAITING and len(call.args) <= WAITING[name] and not keywords & {"timeout", "seconds"}
    )


# Loops that end by themselves.
KNOWN = {"torture.py: while True:": "one has a deadline for each start in it, the other ends when the disk is full"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_waits_has_a_deadline(file):
    places = [place for place in endless(file) if f"{file.name}: {place.split(': ', 1)[1]}" not in KNOWN]
    assert not places


HAVE_NONE = """
process.wait()
process.communicate()
thread.join()
future.result()
urlopen(a)
create_connection(a)
subprocess.run(a)
subprocess.check_output(a)
process.stdout.readline()
process.stderr.read()
with subprocess.Popen(a) as process: pass
while True: pass
"""
HAVE_ONE = """
process.wait(timeout=3)
process.wait(3)
process.communicate(timeout=3)
thread.join(3)
", ".join(a)
urlopen(a, timeout=1)
subprocess.run(a, timeout=1)
file.read()
with started(a) as process: pass
while condition(): pass
"""


def test_an_endless_wait_is_seen(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(HAVE_NONE, encoding="utf-8")
    lines = [number for number, line in enumerate(HAVE_NONE.splitlines(), start=1) if line]
    assert sorted(int(place.split(":")[1]) for place in endless(file)) == lines
    file.write_text(HAVE_ONE, encoding="utf-8")
    assert endless(file) == []
