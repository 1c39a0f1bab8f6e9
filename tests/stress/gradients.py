"""The gradient of one step, split into micro-batches and processes in several ways: not part of the suite.

python -m tests.stress.gradients        # prints the largest relative difference, in fp32; part of `make torture`
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from ner.data import synthetic
from ner.data.corpus import Source, load_corpus
from ner.inputs.batching import EpochPlan, MicroBatch
from ner.inputs.collators import PackedCollator, collate, encoder_inputs
from ner.inputs.encoding import encode
from ner.modeling.loss import micro_batch_loss
from ner.modeling.model import build_model
from ner.modeling.pretrained import load_tokenizer

ROOT = Path(__file__).parent.parent.parent
BATCH_SIZE, ROW_LENGTH = 128, 64


def write_gradient(folder: Path, num_micro_batches: int) -> None:
    """One process's part of the work: the gradient of the first step, as the training loop computes it."""
    accelerator = Accelerator(cpu=True)
    corpus = load_corpus(Source(str(folder / "corpus")), ["de"], ["train"])
    encoded = encode(corpus["de"]["train"], load_tokenizer(str(folder / "encoder")), corpus.tags, max_length=128)
    model = build_model(str(folder / "encoder"), corpus.tags, seed=0).eval()  # no dropout: that depends on the split
    collator = PackedCollator.for_model(model, ROW_LENGTH)
    plan = EpochPlan(
        encoded, BATCH_SIZE, ROW_LENGTH, BATCH_SIZE * ROW_LENGTH, 0, num_processes=accelerator.num_processes
    )
    step = plan[0]
    (whole,) = step.micro_batches[accelerator.process_index]
    parts = np.array_split(np.arange(len(whole.rows)), num_micro_batches)
    micro_batches = [MicroBatch([whole.rows[i] for i in part], whole.row_length) for part in parts]
    assert all(micro_batch.rows for micro_batch in micro_batches)
    model = accelerator.prepare(model)
    for position, micro_batch in enumerate(micro_batches, start=1):
        batch = collate(encoded, micro_batch, collator)
        inputs = encoder_inputs(batch, collator, torch.float32)
        with accelerator.no_sync(model) if position < len(micro_batches) else torch.enable_grad():
            accelerator.backward(
                micro_batch_loss(model(**inputs).logits, batch["labels"], step.num_labels, accelerator.num_processes)
            )
    if accelerator.is_main_process:
        plain = accelerator.unwrap_model(model)
        gradients = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
        save_file(gradients, folder / f"{accelerator.num_processes}-{num_micro_batches}.safetensors")
    accelerator.end_training()


def main() -> None:
    """The command line. With a folder and a number it is one of the processes."""
    if len(sys.argv) > 1:
        write_gradient(Path(sys.argv[1]), int(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic.write_corpus(folder / "corpus")
        synthetic.write_encoder(folder / "encoder")
        ways = [(1, 1), (1, 2), (1, 7), (2, 1), (2, 2), (2, 7)]
        for processes, splits in ways:
            command = [sys.executable, "-m", "tests.stress.gradients", name, str(splits)]
            environment = {
                **os.environ,
                "ACCELERATE_USE_CPU": "true",
                "HF_HUB_OFFLINE": "1",
                "HF_DATASETS_CACHE": str(folder / "cache"),
            }
            subprocess.run(
                ["bash", str(ROOT / "launch/spawn.sh"), str(processes), *command],
                env=environment,
                check=True,
                timeout=600,
            )
        files = [load_file(folder / f"{processes}-{splits}.safetensors") for processes, splits in ways]
        flat = [torch.cat([file[key].flatten() for key in sorted(file)]) for file in files]
        worst = max(float((other - flat[0]).norm() / flat[0].norm()) for other in flat[1:])
    print(f"gradients: (processes, micro-batches) {ways}: largest relative difference {worst:.1e}")
    sys.exit(worst > 1e-6)


if __name__ == "__main__":
    main()
