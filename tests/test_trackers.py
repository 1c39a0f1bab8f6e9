"""The log in trackers, each of them where it is installed, without a network."""

import importlib
import importlib.util
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

import train
from tests.processes import SECONDS, fork


@pytest.fixture(scope="session")
def encoder_folder(thin_encoder) -> Path:
    return thin_encoder


@pytest.fixture
def run(corpus_folder, encoder_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB__SERVICE_WAIT", str(SECONDS))  # for its own process to start; else 30
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")

    def go(tracker: str, *, alone: bool = False) -> None:
        if importlib.util.find_spec(tracker) is None:
            pytest.skip(f"{tracker} is not installed")
        AcceleratorState._reset_state(reset_partial_state=True)
        flags = "--train-on de --max-steps 3 --log-every 1 --output run --mixed-precision no".split()
        flags += ["--model", str(encoder_folder), "--data", str(corpus_folder), "--trackers", tracker]
        if alone:
            fork(Path(train.__file__), *flags, cwd=tmp_path)
        else:
            train.main(flags)

    return go


def logged(tmp_path) -> list[float]:
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_tensorboard(run, tmp_path):
    run("tensorboard")
    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    (file,) = (tmp_path / "run" / "ner").glob("events*")
    events = accumulator.EventAccumulator(str(file)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(logged(tmp_path), rel=1e-6)


def test_mlflow(run, tmp_path):
    pytest.importorskip("sqlalchemy")
    run("mlflow")
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        rows = database.execute("select step, value from metrics where key = 'loss' order by step").fetchall()
        (options,) = database.execute("select count(*) from params where key = 'train_on'").fetchone()
    assert [step for step, _ in rows] == [1, 2, 3]
    assert [value for _, value in rows] == pytest.approx(logged(tmp_path))
    assert options == 1


def test_trackio(run, tmp_path):
    run("trackio", alone=True)  # it reads where to write when it is imported, once in a process
    with sqlite3.connect(tmp_path / "trackio" / "ner.db") as database:
        rows = [json.loads(metrics) for (metrics,) in database.execute("select metrics from metrics order by id")]
    assert [row["loss"] for row in rows if "loss" in row] == logged(tmp_path)


def test_wandb(run, tmp_path):
    run("wandb")
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    content = file.read_bytes()
    assert b"grad_norm" in content
    assert b"validation/languages/de/f1" in content


@pytest.fixture(autouse=True)
def _no_tracker_stays() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
