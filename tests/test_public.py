"""The package as others use it: names of `ner`, installed, from any folder."""

import ast
import inspect
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

import ner
from tests.processes import run

ROOT = Path(ner.__file__).parent.parent


def test_parts_have_names_types_and_docstrings():
    tree = ast.parse(Path(ner.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ner.")
        for alias in node.names
    }
    assert typed == {name: f"ner.{room}" for name, room in ner.HOME.items()}
    for name in typed:
        part = getattr(ner, name)
        assert part.__module__ == typed[name]
        assert part.__doc__
        assert name in dir(ner)
        assert not (ROOT / "ner" / f"{name}.py").exists()  # else the room would hide the part
    assert inspect.signature(ner.micro_batch_loss).return_annotation is not inspect.Signature.empty
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ner.nothing


def test_importing_it_loads_nothing():
    program = "import sys, ner; assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    run([sys.executable, "-c", program], cwd=ROOT)


# Of the folders and names without a suffix.
def test_a_tagger_loads_no_more_than_it_uses():
    program = (
        "import sys; from ner import Tagger; "
        "print(*(name for name in sys.modules if name.startswith('ner.')), 'gradio' in sys.modules)"
    )
    *loaded, has_gradio = run([sys.executable, "-c", program], cwd=ROOT).stdout.split()
    assert has_gradio == "False"
    unused = ("analysis", "cli", "report", "sharing", "data.corpus", "data.readers", "training.checkpointer")
    assert not [name for name in loaded if name.startswith(tuple(f"ner.{part}" for part in unused))]


BESIDE = {".ci", ".gitignore", "LICENSE", "docs", "examples", "launch", "ner", "tests"}
BUILD = "import setuptools.build_meta as b; print(b.build_sdist('dist'))"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """The distribution of sources, built of a copy of the tree; nothing needs git."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path_factory.mktemp("source")
    for path in ROOT.iterdir():
        if path.is_dir() and path.name in BESIDE:
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file() and (
            path.suffix in (".py", ".md", ".toml", ".txt", ".in", ".yml", ".cff", ".yaml")
            or path.name in (".dockerignore", "Dockerfile", "LICENSE", "Makefile")
        ):
            shutil.copy(path, copy / path.name)
    name = run([sys.executable, "-c", BUILD], cwd=copy).stdout.split()[-1]
    return copy / "dist" / name


HELP_OF_EACH = """
import sys
from ner.cli.main import main
for command in sys.argv[1:]:
    try:
        main([command, "--help"])
    except SystemExit as end:
        assert not end.code
"""


def files_of(folder: Path) -> set[str]:
    return {
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    }


def test_sources_hold_what_their_tests_need(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"train.py", "evaluate.py", "Makefile", "README.md", "constraints.txt", "pyproject.toml"}
    needed |= {".dockerignore", "Dockerfile", "compose.yaml"}
    for folder in ("ner", "tests", "launch", "docs", "examples"):
        needed |= {f"{folder}/{name}" for name in files_of(ROOT / folder)}
    assert not needed - names


def test_installed_it_runs_from_anywhere(sdist, tmp_path):
    """What `pip install` makes of it: folders, pages, scripts, marker of types. Its dependencies are here already."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    run([*pip, "--no-build-isolation", "--target", tmp_path / "site", sdist])
    scripts = {"scripts/train.py", "scripts/evaluate.py"}
    assert files_of(tmp_path / "site" / "ner") == files_of(ROOT / "ner") | scripts
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    commands = ["tag", "train", "evaluate"]
    done = run([sys.executable, "-c", HELP_OF_EACH, *commands], env=environment, cwd=tmp_path)
    assert re.findall(r"^usage: ner (\w+) ", done.stdout, re.MULTILINE) == commands
    done = run([tmp_path / "site/bin/ner", "--help"], env=environment, cwd=tmp_path)
    assert "usage: ner COMMAND" in done.stdout
