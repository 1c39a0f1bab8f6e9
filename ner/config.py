"""The options of the scripts: one frozen dataclass each, built from groups, a line of documentation a field."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from ner.arguments import flag, named_twice, not_above_zero, option, parse_interval
from ner.errors import InputError


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
    max_train_sentences: int | None = option(None, "train on the first N sentences after shuffle(seed=42)", metavar="N")


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
    row_length: int = option(64, "sub-tokens in a packed row; a longer window gets a row of a multiple", metavar="N")
    max_tokens_per_micro_batch: int = option(
        8192, "positions (padding included) in one forward and backward on one process: bounds memory", metavar="N"
    )


@dataclass(frozen=True)
class OptimizerOptions:
    """training"""

    batch_size: int = option(64, "sentences per step, over all processes", metavar="N")
    epochs: int = option(3, "passes over the training sentences", metavar="N")
    max_steps: int | None = option(
        None, "train for exactly N steps, however many epochs that takes; overrides --epochs", metavar="N"
    )
    lr: float = option(5e-5, "peak learning rate", metavar="RATE")
    schedule: Literal["linear", "cosine"] = option("linear", "decay of the learning rate to zero")
    warmup: float = option(
        0.0, "rise to the peak first: share of all steps if below 1, else a number of steps", metavar="X"
    )
    weight_decay: float = option(0.01, "AdamW's decay; never on biases and norms", metavar="X")
    max_grad_norm: float = option(1.0, "clip the gradient's norm over all parameters to this", metavar="X")
    evaluate_every: str = option("1e", "evaluate on validation every N steps (200) or epochs (1e)", metavar="N")
    patience: int | None = option(None, "stop after N evaluations in a row without a better validation F1", metavar="N")
    seed: int = option(42, "of the head's weights, the order of sentences and dropout", metavar="N")
    compile: bool = option(False, "torch.compile the encoder's layers: slow at the start, pays on some machines")


@dataclass(frozen=True)
class PrecisionOptions:
    """machine"""

    mixed_precision: Literal["auto", "no", "fp16", "bf16"] = option(
        "auto",
        "weights stay fp32; auto: what `accelerate launch --mixed_precision` says, else bf16 where the "
        "hardware has it, else fp16 on GPUs, else no",
    )


@dataclass(frozen=True)
class RunOptions:
    """run folder"""

    output: str = option("runs/{train_on}", "folder to write; {train_on} becomes de, de+fr, ...", metavar="FOLDER")
    overwrite: bool = option(False, "replace the run that is in the folder")
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
        metavar="COMMIT",
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


UNKNOWN_LICENSE = "unknown"


@dataclass(frozen=True)
class SharingOptions(HubOptions):
    """sharing (the token is that of `hf auth login`, or HF_TOKEN)"""

    license: str = option(
        UNKNOWN_LICENSE,
        "of the model, for its card, as the Hub names it: mit, apache-2.0, cc-by-sa-4.0, ...",
        metavar="ID",
    )


LARGEST_SEED = 2**31  # NumPy takes up to 2**32, and each process adds its number

# What may be another when a run goes on: none of these changes what is computed.
FREE_ON_RESUME = tuple(
    """
    output overwrite log_every trackers checkpoint_every keep resume max_bad_steps max_tokens_per_micro_batch
    push_to_hub push_private push_dry_run license allow_pickle
    """.split()
)


# What tells apart the rows and points that runs of one recipe make, or runs of one row.
OUTSIDE_THE_RECIPE = (*FREE_ON_RESUME, "train_on", "max_train_sentences", "seed")


@dataclass(frozen=True)
class TrainConfig(
    ModelOptions,
    TrainingDataOptions,
    EncodingOptions,
    BatchOptions,
    OptimizerOptions,
    PrecisionOptions,
    RunOptions,
    CheckpointOptions,
    SharingOptions,
):
    """Everything that decides a run of train.py."""

    def __post_init__(self) -> None:
        above_zero = """
            batch_size epochs max_steps lr max_grad_norm patience row_length
            max_tokens_per_micro_batch max_length max_train_sentences log_every validation_fraction
            keep max_bad_steps
        """
        problems = not_above_zero(self, *above_zero.split())
        if (self.validation_fraction or 0) >= 1:
            problems.append(f"--validation-fraction {self.validation_fraction} must be below 1")
        problems += [
            f"{flag(name)} {getattr(self, name)} must not be negative, nor infinite"
            for name in ("warmup", "weight_decay", "freeze_layers", "seed")
            if not 0 <= getattr(self, name) < float("inf")
        ]
        if self.seed >= LARGEST_SEED:
            problems.append(f"--seed {self.seed} must be below {LARGEST_SEED}")
        for name, units in (("evaluate_every", "e"), ("checkpoint_every", "em")):
            try:
                parse_interval(getattr(self, name), flag(name), units)
            except InputError as error:
                problems.append(str(error))
        problems += named_twice(self, "train_on") + pushed_nowhere(self)
        if self.resume and self.overwrite:
            problems.append("--resume goes on with a run and --overwrite replaces it; give one of them")
        if problems:
            raise InputError("\n".join(problems))

    @property
    def folder(self) -> Path:
        """The run folder, with the languages filled in."""
        return Path(self.output.replace("{train_on}", "+".join(self.train_on)))

    def recipe(self) -> "TrainConfig":
        """These options with languages, number of sentences, seed and what does not change a result at their defaults.

        Equal for runs that may stand in one learning curve, and, with the same languages and sentences, in one row.
        """
        defaults: dict[str, Any] = {item.name: item.default for item in fields(self) if item.name in OUTSIDE_THE_RECIPE}
        return replace(self, **defaults)


@dataclass(frozen=True)
class EvaluationOptions:
    """evaluation"""

    runs: tuple[str, ...] = option(
        (), "run folders of train.py, model folders, or Hub names of token classifiers", metavar="RUN", positional=True
    )
    languages: tuple[str, ...] | None = option(
        None, "languages to test on: the columns (every language that a run was trained on)", metavar="LANG"
    )
    splits: tuple[str, ...] = option(("test",), "splits to test on, a matrix each", metavar="SPLIT")
    checkpoint: Literal["best", "last"] = option("best", "which model of a run folder")
    scoring: Literal["default", "strict"] = option(
        "default", "entities of the matrix: conlleval's rules, or strict IOB2; the JSON has both"
    )
    output: str | None = option(
        None, "folder for the matrix, the learning curve and the comparison, as tables and pictures", metavar="FOLDER"
    )
    token_losses: bool = option(
        False, "write token_losses.parquet to --output: loss, probabilities and sub-tokens of every word"
    )
    report: bool = option(
        False, "write report.html to --output: all of this, and every sentence with its errors; implies --token-losses"
    )
    compare: bool = option(
        False, "of two runs: which entities only one, both or neither found, and a paired test of their F1"
    )


@dataclass(frozen=True)
class EvaluationDataOptions:
    """data (each run's own, unless given; with --data, nothing of the run's)"""

    data: str | None = option(None, "as in train.py", metavar="NAME")
    data_config: str | None = option(None, "as in train.py", metavar="PATTERN")
    columns: str | None = option(None, "as in train.py", metavar="COLUMNS")
    tags: tuple[str, ...] | None = option(None, "as in train.py", metavar="TAG")
    map_tags: str | None = option(None, "as in train.py", metavar="OLD=NEW")
    on_bad_row: Literal["stop", "skip"] | None = option(None, "as in train.py; skipped.jsonl goes to --output")
    validation_fraction: float | None = option(None, "as in train.py", metavar="X")
    sample: tuple[str, ...] | None = option(None, "as in train.py", metavar="SHARE")


@dataclass(frozen=True)
class EvaluateConfig(EvaluationOptions, EvaluationDataOptions, BatchOptions, PrecisionOptions, HubOptions):
    """Everything that decides a run of evaluate.py."""

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "row_length", "max_tokens_per_micro_batch")
        problems += named_twice(self, "languages", "splits") + pushed_nowhere(self)
        if self.push_to_hub and self.checkpoint != "best":
            problems.append(f"--push-to-hub uploads best/, and --checkpoint {self.checkpoint} tests another model")
        if self.compare and len(set(self.runs)) != 2:
            problems.append(f"--compare takes two runs, not {len(set(self.runs))}")
        problems += [
            f"{flag(name)} needs a folder to write to: --output FOLDER"
            for name in ("token_losses", "report")
            if getattr(self, name) and not self.output
        ]
        if problems:
            raise InputError("\n".join(problems))


def pushed_nowhere(config: HubOptions) -> list[str]:
    """A message for each option about a repository, where none is named."""
    given = [name for name in ("push_private", "push_dry_run") if getattr(config, name) and not config.push_to_hub]
    return [f"{flag(name)} needs the name of a repository: --push-to-hub NAME" for name in given]
