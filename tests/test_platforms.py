"""Other versions of Python, other systems: what can be seen from here."""

import ast
import re
import sys
import tomllib
from dataclasses import fields
from importlib.metadata import packages_distributions
from pathlib import Path

import ner
from ner.arguments import to_yaml
from ner.config import TrainConfig
from tests.processes import fork

ROOT = Path(ner.__file__).parent.parent
SOURCES = [*(ROOT / "ner").rglob("*.py"), ROOT / "train.py", ROOT / "evaluate.py"]


def imports(file: Path, *, needed: bool = False) -> set[str]:
    """The modules that a file imports, wherever. needed: but for those that it can do without."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if needed:
        for node in ast.walk(tree):
            if isinstance(node, ast.Try) and [ast.unparse(h.type or node) for h in node.handlers] == ["ImportError"]:
                node.body = []
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return modules | {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_annotations_are_read_as_every_version_has_them():
    """Since 3.14, `vars(cls)["__annotations__"]` is not there, and a config.yaml without keys was the result."""
    for file in SOURCES:
        names = {
            node.value
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant)
        }
        attributes = {
            node.attr
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert "__annotations__" not in names | attributes, file
    keys = [line.partition(":")[0] for line in to_yaml(TrainConfig()).splitlines() if not line.startswith("-")]
    assert keys[0] == "model"
    assert set(keys) == {item.name for item in fields(TrainConfig)}


WINDOWS = """
import os, signal, sys
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGKILL"):
    delattr(signal, name)
for name in ("sched_getaffinity", "fork", "getuid", "geteuid", "killpg", "setsid", "O_DIRECTORY"):
    delattr(os, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
import importlib
from ner.training import signals
signals = importlib.reload(signals)
assert [number.name for number in signals.SIGNALS] == ["SIGTERM", "SIGINT"]
with signals.SignalHandler().listening():
    pass
from ner.data import cache_locks
cache_locks = importlib.reload(cache_locks)
cache_locks.hold(cache_locks.Path("cache/ner-0123456789abcdef01234567"))
assert cache_locks.fcntl is None
"""


def test_no_module_of_ours_needs_what_windows_lacks():
    """The other packages bring their own builds for Windows; ours are the only sources that are checked here."""
    for file in SOURCES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert not imports(file, needed=True) & {"fcntl", "resource", "pwd", "grp", "termios", "pty"}, file
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                posix = {"signal": {"SIGHUP", "SIGUSR1", "SIGKILL", "SIGALRM"}, "os": {"fork", "getuid", "killpg"}}
                assert node.attr not in posix.get(node.value.id, ()), f"{file}: {node.attr}"


def declared() -> set[str]:
    """The distributions that pyproject.toml names, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [*project["dependencies"], *(n for extra in project["optional-dependencies"].values() for n in extra)]
    return {re.split(r"[\[<>=!~ ;]", name)[0].lower().replace("_", "-") for name in names}


def test_what_is_imported_is_declared():
    packages = {name.partition(".")[0] for file in SOURCES for name in imports(file)}
    distributions = packages_distributions()
    for package in packages - {"ner", "train", "evaluate", *sys.stdlib_module_names}:
        names = {name.lower().replace("_", "-") for name in distributions[package]}
        assert names & declared(), f"{package} is of {names}"


def test_signals_that_a_system_lacks_are_left_out():
    fork(WINDOWS)
