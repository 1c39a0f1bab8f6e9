"""Small runs of train.py, for tests that need one."""

from pathlib import Path

from accelerate.state import AcceleratorState

import train


def train_run(encoder: Path, corpus: Path, output: Path, flags: str) -> None:
    """Trains in fp32, at a rate that suits the small encoders. flags: more of them, as they are typed."""
    paths = ["--model", str(encoder), "--data", str(corpus), "--output", str(output)]
    AcceleratorState._reset_state(reset_partial_state=True)
    train.main([*paths, "--lr", "2e-3", "--mixed-precision", "no", *flags.split()])
    AcceleratorState._reset_state(reset_partial_state=True)
