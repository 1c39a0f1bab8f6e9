"""What is asked of a program on a GPU beside its speed: each in a process of its own, which prints a JSON object.

python -m tests.bench.probes syncs FLAGS OF train.py       # fails where a step waits for the device between log points
python -m tests.bench.probes attention FLAGS OF train.py   # which attention kernels a step takes
python -m tests.bench.probes tagging MODEL DATA PRECISION  # sentences a second and F1; no, fp16, bf16 or int8
"""

import collections
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

import train
from ner import runtime
from ner.arguments import parse
from ner.config import TrainConfig
from ner.inputs.collators import to_device
from ner.inputs.prefetch import prefetch
from ner.modeling.model import set_train_mode
from ner.tagging.tagger import Tagger
from ner.training.metrics_log import JsonLinesLog
from tests.bench.tagging import f1_of, found_by, gold_sentences, quantized

LANGUAGE = "de"


def between_log_points(last_step: int, set_mode: Callable[[str], None]) -> None:
    """From the first log point on, every wait for the device is an error, but for the log points themselves.

    last_step: behind it the validation sentences are scored, and waiting is no fault.
    """
    write = JsonLinesLog.write_metrics

    def write_metrics(log: JsonLinesLog, point: dict[str, Any], *arguments: Any) -> None:
        set_mode("default")
        write(log, point, *arguments)
        if point["step"] < last_step:
            set_mode("error")

    JsonLinesLog.write_metrics = write_metrics  # type: ignore[method-assign,assignment]


def syncs(flags: Sequence[str]) -> dict[str, Any]:
    """Runs train.py so. Its --max-steps must be given, and no evaluation or checkpoint be due before the end."""
    config = parse(TrainConfig, flags, __doc__)
    assert config.max_steps
    between_log_points(config.max_steps, torch.cuda.set_sync_debug_mode)
    train.main(flags)
    return {"steps": config.max_steps, "log_every": config.log_every}


class Counter(TorchDispatchMode):
    """Counts the operations whose name has a part of that name."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part
        self.counts: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.part in func._schema.name:
            self.counts[func._schema.name.removeprefix("aten::")] += 1
        return func(*args, **(kwargs or {}))


def attention(flags: Sequence[str]) -> dict[str, int]:
    """Attention operations of the first step: the name of one is that of its kernels."""
    return operations(flags, "attention")


def operations(flags: Sequence[str], part: str) -> dict[str, int]:
    """Operations of the first step, forward and backward, whose name has that part."""
    config = parse(TrainConfig, flags, __doc__)
    accelerator = runtime.start_accelerator(config.mixed_precision)
    job = train.build(config, accelerator)
    assert job is not None
    model = accelerator.prepare(job.model)
    set_train_mode(model)
    step, batches = next(prefetch(job.plan, job.collator, 0, 1, 1, accelerator.device, with_words=False))
    with Counter(part) as counter:
        for batch in batches:
            train.forward_backward(
                accelerator, job, model, to_device(batch, accelerator.device), step.num_labels, is_last=True
            )
    return dict(counter.counts)


def tagging(model: str, data: str, precision: str, num_sentences: int = 5000) -> dict[str, Any]:
    """Speed and F1 of the tagger on German test sentences; the first of them warm it up."""
    texts, gold = gold_sentences(data, [LANGUAGE], "test", num_sentences)
    tagger = Tagger.from_pretrained(model, words="spaces", precision="bf16" if precision == "int8" else precision)  # type: ignore[arg-type]
    if precision == "int8":
        tagger = quantized(tagger)
    tagger(texts[:200])
    start = time.perf_counter()
    found = found_by(tagger, texts)
    seconds = time.perf_counter() - start
    rate = len(texts) / seconds
    return {"sentences_per_second": rate, "f1": f1_of(found, gold), "device": str(tagger.device)}


def difference(run: Path, other: Path) -> dict[str, Any]:
    """Whether two runs of train.py ended with the same weights, to the last bit, and by how much they differ."""
    weights, others = (load_file(folder / "last" / "model.safetensors") for folder in (run, other))
    if weights.keys() != others.keys():
        raise ValueError(f"{run} and {other} have other weights: {sorted(weights.keys() ^ others.keys())}")
    differ = [name for name, own in weights.items() if not torch.equal(own, others[name])]
    most = max((float((weights[name] - others[name]).abs().max()) for name in differ), default=0.0)
    return {"weights": len(weights), "differ": len(differ), "by": most}


def main() -> None:
    """The command line."""
    name, *arguments = sys.argv[1:]
    if name == "tagging":
        model, data, precision = arguments
        print(json.dumps(tagging(model, data, precision)))
    else:
        print(json.dumps({"syncs": syncs, "attention": attention}[name](arguments)))


if __name__ == "__main__":
    main()
