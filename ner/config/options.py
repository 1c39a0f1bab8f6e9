"""Groups of options, which the scripts and commands share: a line of documentation a field."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ner.arguments import flag, option
from ner.errors import InputError, shorten

Sizes: TypeAlias = int | dict[str, int] | None  # sentences of all languages joined, or of single ones; None: all


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
class ReadingOptions:
    """data"""

    data_config: str = option(
        "auto", "config of a language in Hub layout; auto: PAN-X.{lang} or {lang}, or the only one", metavar="PATTERN"
    )
    columns: str = option(
        "auto",
        "columns of words and tags: word=1,tag=2 counts from 0 in column files and names them elsewhere; auto: "
        "tokens and ner_tags, or the first column that is no running number and the last",
        metavar="COLUMNS",
    )
    tags: tuple[str, ...] | None = option(
        None, "tag names in the order of their ids, for data that has ids without names", metavar="TAG"
    )
    map_tags: str | None = option(None, "entity types to read as others, or as O: MISC=O,GPE=LOC", metavar="OLD=NEW")
    on_bad_row: Literal["stop", "skip"] = option(
        "stop", "rows that can not be used: stop and report them all, or skip them and write them to skipped.jsonl"
    )
    validation_fraction: float | None = option(
        None, "share of the training sentences to validate on, where there is no validation split", metavar="X"
    )
    sample: tuple[str, ...] = option(
        ("auto",),
        "share of every split to keep, after shuffle(seed=0): de=0.5 fr=0.1 (other languages whole); swiss: "
        "de=0.629 fr=0.229 it=0.084 en=0.059, the published corpus; all: everything; auto: swiss for PAN-X, else all",
        metavar="SHARE",
    )


@dataclass(frozen=True)
class DataOptions(ReadingOptions):
    """data"""

    data: str = option(
        "google/xtreme",
        "a Hub name, a folder in Hub layout or of {lang}/{split}.jsonl, a path that holds {lang} and {split}, or a "
        "file; JSON Lines, CoNLL columns or Parquet by the name's ending, .gz too",
        metavar="NAME",
    )


@dataclass(frozen=True)
class TrainingDataOptions(DataOptions):
    """data"""

    train_on: tuple[str, ...] = option(("de",), "languages to train on, joined and shuffled", metavar="LANG")
    max_train_sentences: tuple[str, ...] | None = option(
        None,
        "train on the first N sentences after shuffle(seed=SLICE_SEED): of all languages joined (250), or of single "
        "ones, the others whole (fr=100 it=100)",
        metavar="N",
    )
    slice_seed: int = option(
        42, "of the shuffle behind --max-train-sentences: each seed gives other sentences", metavar="N"
    )

    @property
    def train_sizes(self) -> Sizes:
        """What `max_train_sentences` asks for. Raises InputError for what makes no sense."""
        return parse_sizes(self.max_train_sentences or (), "--max-train-sentences", self.train_on)


def parse_sizes(texts: Sequence[str], name: str, languages: Sequence[str]) -> Sizes:
    """`("250",)` -> 250, `("fr=100", "it=50")` -> {"fr": 100, "it": 50}. Raises InputError. name: of the flag."""
    sizes: dict[str, int] = {}
    for text in texts:
        language, is_named, number = text.rpartition("=")
        if not (number.isdecimal() and len(number) < 19 and int(number) and bool(language) == bool(is_named)):
            raise InputError(f"{name} {shorten(text)}: give a number above 0, or one of single languages, like fr=100")
        if language and language not in languages:
            raise InputError(
                f"{name} {shorten(text)}: {shorten(language)} is none of the languages to train on, "
                + " ".join(languages)
            )
        if language in sizes and language:
            raise InputError(f"{name} names one twice: {shorten(' '.join(texts))}")
        sizes[language] = int(number)
    if "" not in sizes:
        return sizes or None
    if len(texts) > 1:
        how = "a number cuts all languages joined; give one, or sizes like fr=100"
        raise InputError(f"{name} {shorten(' '.join(texts))}: {how}")
    return sizes[""]


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
    max_grad_norm: float = option(1.0, "clip the gradient's norm over all parameters to this", metavar="X")
    evaluate_every: str = option("1e", "evaluate on validation every N steps (200) or epochs (1e)", metavar="N")
    max_validation_sentences: tuple[str, ...] | None = option(
        None,
        "validation sentences that choose best/: train, as many of a language as are trained on; or numbers of single "
        "languages (fr=100), the others whole; all are scored, and what they would have chosen is said",
        metavar="N",
    )
    patience: int | None = option(None, "stop after N evaluations in a row without a better validation F1", metavar="N")
    seed: int = option(42, "of the head's weights, the order of sentences and dropout", metavar="N")
    compile: bool = option(False, "torch.compile the encoder's layers: slow at the start, pays on some machines")
    cuda_graphs: bool = option(
        False, "forward and backward as CUDA graphs, one for each shape of micro-batch: for GPUs, not run on one yet"
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
