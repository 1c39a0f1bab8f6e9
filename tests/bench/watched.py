"""Runs a program of Python in this process, and writes what it used of the GPU, and how its Trainer came along.

python -m tests.bench.watched FILE [--every N] [--validate DATA] [--deterministic] -- PROGRAM ARGUMENTS

PROGRAM: a script, or -m and a module. FILE gets a JSON object: megabytes that torch allocated and reserved on the GPU
at the peak, and the points of a transformers.Trainer. --every: a point every N steps and at the last one, with the
seconds of training till then. --validate: with F1 on the German validation sentences of that corpus; the time that
takes is not counted. --deterministic: kernels that compute the same bits each time, where torch has them.
"""

import argparse
import json
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MEGABYTE = 2**20


def gpu_memory() -> dict[str, float]:
    """Of this process, at its peak; nothing where no GPU was used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    return {
        "allocated_megabytes": torch.cuda.max_memory_allocated() / MEGABYTE,
        "reserved_megabytes": torch.cuda.max_memory_reserved() / MEGABYTE,
    }


class Validation:
    """F1 of a model in training on the German validation sentences, computed as train.py computes its own."""

    def __init__(self, data: str, tokenizer: Any, labels: Sequence[str]) -> None:
        """labels: of the model, by id. Raises ValueError where they are not the corpus's tags in their order."""
        from ner.data.corpus import Source, load_corpus
        from ner.inputs.collators import PaddedCollator
        from ner.inputs.encoding import encode

        corpus = load_corpus(Source(data), ["de"], ["validation"])
        if tuple(labels) != corpus.tags.names:
            raise ValueError(f"{data} has the tags {corpus.tags.names}, and the model {tuple(labels)}")
        self.tags = corpus.tags
        self.windows = encode(corpus["de"]["validation"], tokenizer, corpus.tags, max_length=512)
        self.collator = PaddedCollator(tokenizer.pad_token_id)

    def f1(self, model: Any) -> float:
        """Of the model, which is left in training mode."""
        from accelerate import Accelerator

        from ner.evaluation.inference import evaluate

        counts = evaluate(model, self.windows, self.collator, Accelerator(), self.tags, max_tokens=8192)
        model.train()
        return counts.f1


def watch_trainers(every: int, data: str | None) -> list[dict[str, float]]:
    """The points of every Trainer that this process makes from now on; the list grows as it trains."""
    import torch
    from transformers import TrainerCallback, trainer

    points: list[dict[str, float]] = []

    class Watch(TrainerCallback):
        """Notes steps and seconds. Its own time, and that of an evaluation, is not counted."""

        start = paused = 0.0
        validation: Validation | None = None

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.start, self.paused = time.perf_counter(), 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **found: Any) -> None:
            if state.global_step % every and state.global_step != state.max_steps:
                return
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            now = time.perf_counter()
            point = {"step": state.global_step, "seconds": now - self.start - self.paused}
            if data:
                model = found["model"]
                labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
                self.validation = self.validation or Validation(data, found["processing_class"], labels)
                point["f1"] = self.validation.f1(model)
            points.append(point)
            self.paused += time.perf_counter() - now

    callbacks: list[type[TrainerCallback]] = trainer.DEFAULT_CALLBACKS  # type: ignore[assignment]  # of one of them
    callbacks.append(Watch)
    return points


def run_program(program: Sequence[str]) -> None:
    """Runs it as `python PROGRAM` does."""
    if program[0] == "-m":
        sys.argv = list(program[1:])
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(program)
        sys.path.insert(0, str(Path(program[0]).resolve().parent))
        runpy.run_path(program[0], run_name="__main__")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--every", type=int)
    parser.add_argument("--validate", metavar="DATA")
    parser.add_argument("--deterministic", action="store_true")
    at = sys.argv.index("--")
    options, program = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1 :]
    if options.deterministic:
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)
    points = watch_trainers(options.every, options.validate) if options.every else []
    run_program(program)
    options.file.write_text(json.dumps({**gpu_memory(), "points": points}), encoding="utf-8")


if __name__ == "__main__":
    main()
