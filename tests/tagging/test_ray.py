"""The program for Ray Data, on a local cluster of two workers."""

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ner.data import synthetic
from ner.tagging.tagger import Tagger
from tests.processes import ROOT, run, wait_until
from tests.taggers import write_tagger

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="no ray: pip install -e .[ray]")
NUM_ROWS = 800
SECONDS = 300
LOADS = '        self.tagger = Tagger.from_pretrained("runs/all")\n'
# What a worker does beside: a line for each tagger that it loads, with its threads.
TOLD = """
        import os, torch
        with open(f"{os.getpid()}.worker", "a", encoding="utf-8") as file:
            print(torch.get_num_threads(), file=file)
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For the sockets of the cluster: their paths have at most 107 characters, of which Ray takes 70."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        yield Path(folder)


def of_cluster(folder: Path) -> list[Path]:
    """Processes that have this folder in their environment."""
    mark, found = f"RAY_TMPDIR={folder}".encode(), []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [file.parent] if mark in file.read_bytes().split(b"\0") else []
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.timeout(SECONDS + 60)
def test_two_workers_tag_each_row_once(thin_encoder, tmp_path, short_folder):
    folder = write_tagger(tmp_path / "runs/all", thin_encoder, num_layers=0)
    sentences = [row["tokens"] for name in synthetic.LANGUAGES for row in synthetic.sentences(name, "validation")]
    texts = [" ".join(words) for words in sentences[:NUM_ROWS]]
    lines = "".join(json.dumps({"text": text, "number": i}) + "\n" for i, text in enumerate(texts))
    (tmp_path / "web.jsonl").write_text(lines, encoding="utf-8")
    program = (ROOT / "examples/tag_ray.py").read_text(encoding="utf-8")
    assert LOADS in program
    (tmp_path / "program.py").write_text(program.replace(LOADS, LOADS + TOLD), encoding="utf-8")
    own = {"RAY_TMPDIR": str(short_folder), "PYTHONPATH": str(ROOT)}
    assert not of_cluster(short_folder)
    run([sys.executable, "program.py"], cwd=tmp_path, env={**os.environ, **own}, timeout=SECONDS)
    wait_until(lambda: not of_cluster(short_folder))

    rows = sorted(pq.read_table(tmp_path / "tagged-by-ray").to_pylist(), key=lambda row: row["number"])
    assert [(row["number"], row["text"]) for row in rows] == list(enumerate(texts))
    expected = Tagger.from_pretrained(str(folder))(texts)
    for row, entities in zip(rows, expected, strict=True):
        scores = [found.pop("score") for found in row["entities"]]
        assert scores == pytest.approx([entity.score for entity in entities], abs=1e-6)
        assert row["entities"] == [
            {name: value for name, value in entity._asdict().items() if name != "score"} for entity in entities
        ]
    assert any(expected)
    workers = [file.read_text(encoding="utf-8") for file in tmp_path.glob("*.worker")]
    assert workers == ["1\n", "1\n"]
