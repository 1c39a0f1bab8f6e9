"""The benchmark's measurements, in small."""

import json
import sys

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn

from tests.bench import contenders, stages


def test_stages_of_an_step(corpus_folder, encoder_folder, tmp_path, monkeypatch, capsys):
    AcceleratorState._reset_state(reset_partial_state=True)
    flags = ["--model", encoder_folder, "--data", corpus_folder, "--train-on", "de", "--output", tmp_path / "run"]
    monkeypatch.setattr(sys, "argv", ["stages", "2", "de,fr", *map(str, flags), "--max-train-sentences", "500"])
    stages.main()
    measured = json.loads(capsys.readouterr().out)
    assert {"wait for data", "forward", "backward", "clip", "optimizer"} <= set(measured["milliseconds"])
    assert min(measured["milliseconds"].values()) > 0
    assert 0.8 < measured["position_efficiency"] <= 1
    assert set(measured["evaluation"]) == {"de", "fr"}
    assert set(measured["encoding"]) == {"encode", "from the cache"}
    # 3 layers of 4 d^2 + 2 d i products, three times two operations each, and attention
    body = 3 * (4 * 128**2 + 2 * 128 * 256) * 6
    assert body < measured["flops_per_position"] < 1.5 * body
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = [contenders.Contender("train.py", [], tmp_path), contenders.Contender("Trainer as published", [], None)]
    for contender, rate in zip(found, (200.0, 20.0), strict=True):
        contender.rates, contender.megabytes = [rate], [1000.0]
    table = contenders.comparison(found, measured)
    assert "| 10.00 x " in table


def test_padding_of_the_trainers_batches(encoded):
    random, grouped = (stages.padded_efficiency(encoded, 16, by_length) for by_length in (False, True))
    assert random < grouped <= 1
    lengths = encoded.lengths[np.random.default_rng(0).permutation(len(encoded))]
    batches = [lengths[i : i + 16] for i in range(0, len(lengths), 16)]
    assert random == pytest.approx(lengths.sum() / sum(len(b) * b.max() for b in batches))


def test_matmul_rate_counts_each_layer():
    model = nn.Sequential(nn.Linear(32, 64), nn.Linear(32, 64), nn.Linear(64, 7))
    assert stages.matmul_rate(model, 100, torch.float32) > 1e6


def test_repeated_sentences(corpus_folder, tmp_path):
    contenders.write_repeated(tmp_path, str(corpus_folder), 1500)
    lines = (tmp_path / "de" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1500
    assert lines[0] == lines[1000]  # there are 1,000
    assert json.loads(lines[0]).keys() == {"tokens", "ner_tags"}


def test_a_program_that_fails_ends_the_benchmark():
    with pytest.raises(SystemExit, match="no such"):
        contenders.run([sys.executable, "-c", "import sys; sys.exit('no such thing')"])
