"""The package as others use it: names of `ner`, installed, from any folder."""

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ner

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
    assert inspect.signature(ner.update_loss).return_annotation is not inspect.Signature.empty
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ner.nothing


def test_importing_it_loads_nothing():
    program = "import sys, ner; assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_installed_it_runs_from_anywhere(tmp_path):
    """What `pip install .` installs: all rooms, the pages, the marker of types. Its dependencies are here already."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
    for file in (ROOT / "ner").rglob("*"):  # what is not committed yet
        if file.is_file() and "__pycache__" not in file.parts:
            (copy / file.relative_to(ROOT)).parent.mkdir(exist_ok=True)
            (copy / file.relative_to(ROOT)).write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(tmp_path / "site"), str(copy)], check=True)
    installed = tmp_path / "site" / "ner"
    names = {
        str(file.relative_to(ROOT / "ner")) for file in (ROOT / "ner").rglob("*") if "__pycache__" not in file.parts
    }
    assert names == {
        str(file.relative_to(installed)) for file in installed.rglob("*") if "__pycache__" not in file.parts
    }
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    for room in ("tagger", "errors"):
        program = [sys.executable, "-m", f"ner.{room}", "--help"]
        done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "usage:" in done.stdout
