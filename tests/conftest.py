"""Shared by the tests: the embedded corpus and encoder on disk, written once, and no network."""

from tests.environment import CACHES  # isort: skip

import gc
import json
import logging
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import hypothesis
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from datasets import Dataset
from transformers import (
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from ner.data import synthetic
from ner.data.corpus import Source, load_corpus
from ner.inputs.encoding import Encoded, encode
from ner.modeling.model import build_model
from ner.modeling.pretrained import load_tokenizer
from ner.tags import TagSet
from tests.browser import missing_programs, start_browser
from tests.processes import stop_the_server

torch.set_num_threads(1)  # the models are small: a second thread costs more than it does
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # as a machine that is busy is
)
hypothesis.settings.load_profile("suite")

TAGS = TagSet(("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"))


def pytest_configure() -> None:
    datasets.disable_progress_bars()


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage looks through all of torch again, a third of a second each."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Random numbers of a test, and of the fixtures that are made for it, do not depend on what ran before."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.default_generator.manual_seed(0)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was not tested, and why, where it is seen."""
    reasons = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if report.longrepr}
    for reason in sorted(reasons):
        terminalreporter.write_line(f"NOT TESTED HERE: {reason}", yellow=True, bold=True)


def pytest_unconfigure() -> None:
    stop_the_server()
    shutil.rmtree(CACHES, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _nothing_in_the_users_caches() -> Iterator[None]:
    """No test, and no process that one starts, leaves anything where a user without our settings has the caches."""
    yield
    assert not list(CACHES.glob("home/.cache/*"))


@pytest.fixture
def fresh_accelerator() -> Iterator[None]:
    """A process has one accelerator; tests of the scripts make many in one."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded corpus as JSON Lines."""
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    synthetic.write_corpus(folder)
    return folder


@pytest.fixture(scope="session")
def embedded_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small encoder with random weights, and its tokenizer."""
    folder = tmp_path_factory.mktemp("demo") / "encoder"
    synthetic.write_encoder(folder)
    return folder


@pytest.fixture(scope="session")
def encoder_folder(embedded_encoder: Path) -> Path:
    """The encoder of a test; files where it does not matter what one learns take a smaller one, for time."""
    return embedded_encoder


@pytest.fixture(scope="session")
def tokenizer(embedded_encoder: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(embedded_encoder))


@pytest.fixture(scope="session")
def thin_encoder(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of a single narrow layer."""
    return write_small_encoder(tmp_path_factory.mktemp("thin") / "encoder", tokenizer, hidden_size=32, num_layers=1)


@pytest.fixture(scope="session")
def narrow_encoder(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of two narrow layers, which learns a little."""
    return write_small_encoder(tmp_path_factory.mktemp("narrow") / "encoder", tokenizer, hidden_size=64, num_layers=2)


@pytest.fixture
def model(encoder_folder: Path) -> PreTrainedModel:
    return build_model(str(encoder_folder), TAGS, seed=0)


@pytest.fixture(scope="session")
def german(corpus_folder: Path) -> Dataset:
    """German training sentences."""
    return load_corpus(Source(str(corpus_folder)), ["de"], ["train"])["de"]["train"]


@pytest.fixture(scope="session")
def encoded(german: Dataset, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """German training sentences in windows of at most 16 sub-tokens, so that some take several."""
    return encode(german, tokenizer, TAGS, max_length=16)


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What the library logs for a person, as `ner`."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("ner")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium, closed at the end; its files are in a new folder, and its log has every request."""
    pytest.importorskip("selenium.webdriver", reason="no selenium: pip install -e .[dev]")
    if missing := missing_programs():
        pytest.skip(f"no {' and no '.join(missing)}: apt-get install chromium chromium-driver")
    driver = start_browser(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


def write_small_encoder(folder: Path, tokenizer: PreTrainedTokenizerBase, *, hidden_size: int, num_layers: int) -> Path:
    torch.manual_seed(0)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    config = synthetic.build_encoder(tokenizer, hidden_size=hidden_size, num_layers=num_layers)
    AutoModelForTokenClassification.from_config(config).base_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def part_of(corpus: Path, folder: Path, **sizes: int) -> Path:
    """The first sentences of each split of a corpus, in a folder of the same name. sizes: of the splits."""
    for file in corpus.rglob("*.jsonl"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)[: sizes[file.stem]]
        (folder / corpus.name / file.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / corpus.name / file.parent.name / file.name).write_text("".join(lines), encoding="utf-8")
    return folder / corpus.name


def write_json_lines(file: Path, rows: list[dict]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
