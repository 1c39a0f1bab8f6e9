"""Versions, device and commit of a run; git is the real one, in repositories that are made here."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import ner
from ner.training.environment import device_name, environment, git_state, versions
from tests.processes import SECONDS

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=SECONDS).stdout.strip()


@pytest.fixture
def package(tmp_path) -> Path:
    """A package in a folder that is no repository."""
    folder = tmp_path / "checkout/package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("", encoding="utf-8")
    return folder


@pytest.fixture
def fake_git(tmp_path, monkeypatch):
    """Puts a program in the place of git."""

    def put(script: str) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/git").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / "bin/git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    return put


@needs_git
def test_the_commit_and_whether_tracked_files_have_changes(package, tmp_path, monkeypatch):
    assert git_state(package) is None  # no repository
    git(package.parent, "init", "-q")
    assert git_state(package) is None  # none that tracks the package
    git(package.parent, "add", "-A")
    assert git_state(package) is None  # no commit
    git(package.parent, "commit", "-qm", "First")
    commit = git(package, "rev-parse", "HEAD")
    assert len(commit) == 40
    (package / "untracked.txt").write_text("", encoding="utf-8")
    assert git_state(package, SECONDS) == {"commit": commit, "dirty": False}
    (package / "__init__.py").write_text("1\n", encoding="utf-8")
    assert git_state(package, SECONDS) == {"commit": commit, "dirty": True}
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(package, SECONDS) == {"commit": commit, "dirty": True}
    assert git_state(tmp_path / "nowhere") is None


def test_without_git(package, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_state(package) is None


def test_a_git_that_takes_long_is_not_waited_for(package, fake_git):
    fake_git("sleep 5; echo abc")
    assert git_state(package, seconds=0.2) is None


def test_a_commit_is_known_where_its_changes_are_not(package, fake_git):
    fake_git('case "$*" in *status*) exit 1 ;; *) echo abc ;; esac')
    assert git_state(package, SECONDS) == {"commit": "abc", "dirty": None}


def test_versions_and_device():
    found = environment(torch.device("cpu"))
    assert json.loads(json.dumps(found)) == found
    assert found["versions"] == versions()
    assert versions()["torch"] == torch.__version__
    assert versions()["crosslingual-ner"] == ner.__version__
    assert set(versions()) == {
        *("python", "torch", "accelerate", "transformers", "datasets", "seqeval"),
        "crosslingual-ner",
    }
    assert found["processes"] == 1
    assert found["device"] == device_name(torch.device("cpu")) != ""
    assert device_name(torch.device("mps")) == "mps"
