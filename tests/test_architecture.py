"""The order of the folders of ner/: every import points down, so that each can be lifted into another project."""

import ast
from pathlib import Path

import pytest

import ner

ROOT = Path(ner.__file__).parent
# From the bottom up. Folders on one line do not know each other; the modules beside them are what all may use.
SHARED = ("errors", "files", "utils", "arguments", "config", "tags", "runtime")
ORDER = (
    ("data",),
    ("inputs",),
    ("modeling",),
    ("training",),
    ("evaluation",),
    ("analysis",),
    ("tagging", "report"),
    ("sharing",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate((name,) for name in SHARED) for name in names}
LEVEL |= {name: len(SHARED) + level for level, names in enumerate(ORDER) for name in names}
FILES = sorted(file for file in ROOT.rglob("*.py") if file.name != "__init__.py" and file.parent != ROOT / "scripts")


def place(parts: tuple[str, ...]) -> str:
    """The folder or module right below ner/."""
    return parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    """Folders and modules right below ner/ that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ner":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names if alias.name in LEVEL}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_down(file):
    here = place(file.relative_to(ROOT).parts)
    if here == "__main__":
        return
    above = {other for other in imported(file) - {here} if LEVEL[other] >= LEVEL[here]}
    assert not above


def test_every_place_has_its_level():
    places = {
        path.name.removesuffix(".py")
        for path in ROOT.iterdir()
        if (path.is_dir() and path.name != "__pycache__") or path.suffix == ".py"
    }
    assert places - {"__init__", "__main__"} == set(LEVEL)
    assert len(list(ROOT.glob("[!_]*"))) + 2 <= 20


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_is_long(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 330


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_command_line_alone_prints_and_exits(file):
    """Only ner/cli and the two scripts print, parse, or exit; the modules that they do it with are two."""
    here = place(file.relative_to(ROOT).parts)
    if here in ("cli", "arguments", "__main__"):
        return
    calls = {
        ast.unparse(n.func) for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)
    }
    assert not calls & {"print", "exit_on_input_error", "argparse.ArgumentParser"}


def test_nobody_imports_the_command_line():
    users = {str(file.relative_to(ROOT)) for file in FILES if "cli" in imported(file)}
    assert {user for user in users if not user.startswith("cli/")} == {"__main__.py"}
