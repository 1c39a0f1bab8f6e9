"""Groups of options, which the scripts and commands share: a line of documentation a field."""

from dataclasses import dataclass
from typing import Literal

from ner.arguments import flag, option
from ner.errors import shorten


@dataclass(frozen=True)
class ModelOptions:
    """model"""

    model: str = option("xlm-roberta-base", "pretrained encoder: a Hub name or a local folder", metavar="NAME")
    freeze: Literal["nothing", "encoder"] = option("nothing", "encoder: train the linear head alone, on fixed features")
    freeze_layers: int = option(0, "keep the embeddings and the first N layers as they are", metavar="N")
    allow_pickle: bool = option(
        False, "load pytorch_model.bin where there are no safetensors: a pickle, which can run code of whoever made it"
    )


@dataclass(frozen=True)
class EncodingOptions:
    """encoding"""

    label_tokens: Literal["first", "all"] = option(
        "first", "which sub-tokens of a word are trained on; scoring is per word either way"
    )
    max_length: int | None = option(
        None,
        "longest window in sub-tokens; longer sentences become overlapping windows (the encoder's limit)",
        metavar="N",
    )


@dataclass(frozen=True)
class BatchOptions:
    """batches"""

    packing: Literal["auto", "on", "off"] = option(
        "auto", "several sentences in a row with block-diagonal attention; auto: where a probe shows the same logits"
    )
    row_length: str = option(
        "auto",
        "sub-tokens in a packed row; a longer window gets a row of a multiple; auto: 256 on GPUs with CUDA, else 64",
        metavar="N",
    )
    max_tokens_per_micro_batch: int = option(
        8192, "positions (padding included) in one forward and backward on one process: bounds memory", metavar="N"
    )

    def row_length_on(self, device_type: str) -> int:
        """Sub-tokens in a packed row, `auto` resolved. device_type: cpu, cuda, ...

        A GPU is better off with few shapes and large products, a CPU with short rows: attention is quadratic in them.
        """
        if self.row_length == "auto":
            return 256 if device_type == "cuda" else 64
        return int(self.row_length)


@dataclass(frozen=True)
class OptimizerOptions:
    """training"""

    batch_size: int = option(64, "sentences per step, over all processes", metavar="N")
    sampling_temperature: float = option(
        1.0,
        "draw languages by their number of sentences to the power of 1/T (XLM-R's alpha): above 1, an epoch repeats "
        "sentences of small languages and takes a part of large ones, and is as long as before",
        metavar="T",
    )
    epochs: int = option(3, "passes over the training sentences", metavar="N")
    max_steps: int | None = option(
        None, "train for exactly N steps, however many epochs that takes; overrides --epochs", metavar="N"
    )
    min_steps: int | None = option(
        None,
        "train for N steps at least: few sentences are passed over more often than --epochs says, and an epoch of "
        "--evaluate-every is stretched as much",
        metavar="N",
    )
    lr: float = option(5e-5, "peak learning rate", metavar="RATE")
    schedule: Literal["linear", "cosine"] = option("linear", "decay of the learning rate to zero")
    warmup: float = option(
        0.0, "rise to the peak first: share of all steps if below 1, else a number of steps", metavar="X"
    )
    weight_decay: float = option(0.01, "AdamW's decay; never on biases and norms", metavar="X")
    class_weights: tuple[str, ...] = option(
        (),
        "weights of the tags in the loss, for rare types: balanced (the inverse of how often a tag is a label, 1 "
        "in the mean), or weights of single tags (O=0.5), the others 1",
        metavar="TAG=X",
    )
    max_grad_norm: float = option(1.0, "clip the gradient's norm over all parameters to this", metavar="X")
    evaluate_every: str = option("1e", "evaluate on validation every N steps (200) or epochs (1e)", metavar="N")
    max_validation_sentences: tuple[str, ...] | None = option(
        None,
        "validation sentences that choose best/: train, as many of a language as are trained on; or numbers of single "
        "languages (fr=100), the others whole; all are scored, and what they would have chosen is said",
        metavar="N",
    )
    patience: int | None = option(None, "stop after N evaluations in a row without a better validation F1", metavar="N")
    seed: int = option(42, "of the head's weights, the order of sentences, dropout and copies", metavar="N")
    compile: bool = option(False, "torch.compile the encoder's layers: slow at the start, pays on some machines")
    cuda_graphs: bool = option(
        False, "forward and backward as CUDA graphs, one for each shape of micro-batch: for GPUs, not run on one yet"
    )


@dataclass(frozen=True)
class AveragingOptions:
    """averaging"""

    average: Literal["on", "off"] = option(
        "off", "on: write average/ beside best/ and last/, the mean of the weights over the last part of training"
    )
    average_from: float = option(0.5, "share of all steps after which it begins", metavar="X")
    average_every: int | None = option(
        None, "steps between the weights that go into it (so many that 100 do, or all)", metavar="N"
    )
    average_decay: float | None = option(
        None, "an exponential mean: each time it keeps this share of itself (a uniform mean)", metavar="X"
    )


@dataclass(frozen=True)
class PrecisionOptions:
    """machine"""

    mixed_precision: Literal["auto", "no", "fp16", "bf16"] = option(
        "auto",
        "weights stay fp32; auto: what `accelerate launch --mixed_precision` says, else bf16 where the "
        "hardware has it, else fp16 on GPUs, else no",
    )


@dataclass(frozen=True)
class FolderOptions:
    """run folder"""

    output: str = option("runs/{train_on}", "folder to write; {train_on} becomes de, de+fr, ...", metavar="FOLDER")
    overwrite: bool = option(False, "replace the run that is in the folder")


@dataclass(frozen=True)
class RunOptions(FolderOptions):
    """run folder"""

    log_every: int = option(20, "steps between log points", metavar="N")
    trackers: tuple[str, ...] = option(
        (), "experiment trackers, through Accelerate: tensorboard, wandb, mlflow, ...", metavar="NAME"
    )


@dataclass(frozen=True)
class CheckpointOptions:
    """checkpoints"""

    checkpoint_every: str = option(
        "10m",
        "write everything that the run needs to go on, every N steps (200), epochs (1e) or minutes (10m)",
        metavar="N",
    )
    keep: int = option(2, "checkpoints to keep, the newest; the best model is always kept", metavar="N")
    resume: str | None = option(
        None,
        "auto: go on from the newest sound checkpoint of the run folder, start afresh without one, and leave a "
        "finished run alone; or the folder of a checkpoint",
        metavar="CHECKPOINT",
    )
    max_bad_steps: int = option(
        20, "stop after N steps in a row whose gradient is not finite; none of them changes the weights", metavar="N"
    )


@dataclass(frozen=True)
class HubOptions:
    """sharing (the token is that of `hf auth login`, or HF_TOKEN)"""

    push_to_hub: str | None = option(
        None,
        "repository to upload best/ and the model card to, when all is done; {run} becomes the run folder's name",
        metavar="NAME",
    )
    push_private: bool = option(False, "make the repository a private one, if it is new")
    push_dry_run: bool = option(False, "print what would go, and upload nothing; needs no token and no network")


def bad_average(config: AveragingOptions) -> list[str]:
    """A message for each option of averaging that makes no sense."""
    problems = [
        f"{flag(name)} needs --average on"
        for name in ("average_every", "average_decay")
        if getattr(config, name) is not None and config.average == "off"
    ]
    if not 0 <= config.average_from < 1:
        problems.append(f"--average-from {config.average_from} must be a share of the steps: 0 or more, and below 1")
    if config.average_decay is not None and not 0 < config.average_decay < 1:
        problems.append(f"--average-decay {config.average_decay} must be above 0 and below 1")
    return problems


def bad_row_length(config: BatchOptions) -> list[str]:
    """A message for a length of rows that is none."""
    text = config.row_length
    if text == "auto" or (text.isdecimal() and 0 < int(text) <= LONGEST_ROW):
        return []
    if text.removeprefix("-").isdecimal() and int(text) <= 0:
        return [f"--row-length {text} must be above 0"]
    return [f"--row-length {shorten(text)}: give auto, or a number up to {LONGEST_ROW}"]


LONGEST_ROW = 2**20
UNKNOWN_LICENSE = "unknown"


@dataclass(frozen=True)
class SharingOptions(HubOptions):
    """sharing (the token is that of `hf auth login`, or HF_TOKEN)"""

    license: str = option(
        UNKNOWN_LICENSE,
        "of the model, for its card, as the Hub names it: mit, apache-2.0, cc-by-sa-4.0, ...",
        metavar="ID",
    )


def pushed_nowhere(config: HubOptions) -> list[str]:
    """A message for each option about a repository, where none is named."""
    given = [name for name in ("push_private", "push_dry_run") if getattr(config, name) and not config.push_to_hub]
    return [f"{flag(name)} needs the name of a repository: --push-to-hub NAME" for name in given]
