"""Options of a script: frozen dataclasses whose fields become flags, `--help`, and the keys of a YAML file.

A script's options are one dataclass that inherits from groups; a group's docstring is its heading in `--help`, and each
field carries one line of documentation. `parse` reads YAML first and flags second, so that a flag wins.
"""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import yaml

Options = TypeVar("Options")


def option(default: Any, text: str, *, metavar: str | None = None, positional: bool = False) -> Any:
    """A dataclass field with its line of documentation. positional: required, without a flag."""
    return field(default=default, metadata={"text": text, "metavar": metavar, "positional": positional})


@dataclass(frozen=True)
class ModelOptions:
    """model"""

    model: str = option("xlm-roberta-base", "pretrained encoder: a Hub name or a local folder", metavar="NAME")
    freeze: Literal["nothing", "body"] = option(
        "nothing", "body: train the linear head alone, on the encoder's fixed features"
    )
    freeze_layers: int = option(0, "keep the embeddings and the first N layers as they are", metavar="N")


@dataclass(frozen=True)
class DataOptions:
    """data"""

    data: str = option(
        "google/xtreme",
        "a Hub name, a local folder in Hub layout, or JSON Lines: a folder of {lang}/{split}.jsonl, or a path that "
        "holds {lang} and {split}",
        metavar="NAME",
    )
    data_config: str = option("PAN-X.{lang}", "config of a language in a Hub layout", metavar="PATTERN")
    sample: tuple[str, ...] = option(
        ("auto",),
        "share of every split to keep, after shuffle(seed=0): de=0.5 fr=0.1 (other languages whole); swiss: "
        "de=0.629 fr=0.229 it=0.084 en=0.059, the published corpus; all: everything; auto: swiss for PAN-X, else all",
        metavar="SHARE",
    )
    tags: tuple[str, ...] | None = option(
        None, "tag names in the order of their ids, for data that has ids without names", metavar="TAG"
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
        None, "longest window in sub-tokens; longer sentences become overlapping windows (the encoder's limit)",
        metavar="N",
    )  # fmt: skip


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

    batch_size: int = option(64, "sentences per update, over all processes", metavar="N")
    epochs: int = option(3, "passes over the training sentences", metavar="N")
    max_updates: int | None = option(
        None, "train for exactly N updates, however many epochs that takes; overrides --epochs", metavar="N"
    )
    lr: float = option(5e-5, "peak learning rate", metavar="RATE")
    schedule: Literal["linear", "cosine"] = option("linear", "decay of the learning rate to zero")
    warmup: float = option(
        0.0, "rise to the peak first: share of all updates if below 1, else a number of updates", metavar="X"
    )
    weight_decay: float = option(0.01, "AdamW's decay; never on biases and norms", metavar="X")
    max_grad_norm: float = option(1.0, "clip the gradient's norm over all parameters to this", metavar="X")
    evaluate_every: str = option("1e", "evaluate on validation every N updates (200u) or epochs (1e)", metavar="N")
    patience: int | None = option(None, "stop after N evaluations in a row without a better validation F1", metavar="N")
    seed: int = option(42, "of the head's weights, the order of sentences and dropout", metavar="N")


@dataclass(frozen=True)
class PrecisionOptions:
    """machine"""

    mixed_precision: Literal["auto", "no", "fp16", "bf16"] = option(
        "auto", "weights stay fp32; auto: what `accelerate launch --mixed_precision` says, else bf16 where the "
        "hardware has it, else fp16 on GPUs, else no",
    )  # fmt: skip


@dataclass(frozen=True)
class RunOptions:
    """run folder"""

    output: str = option("runs/{train_on}", "folder to write; {train_on} becomes de, de+fr, ...", metavar="FOLDER")
    overwrite: bool = option(False, "replace the run that is in the folder")
    log_every: int = option(20, "updates between log points", metavar="N")
    trackers: tuple[str, ...] = option(
        (), "experiment trackers, through Accelerate: tensorboard, wandb, mlflow, ...", metavar="NAME"
    )


@dataclass(frozen=True)
class TrainConfig(
    ModelOptions, TrainingDataOptions, EncodingOptions, BatchOptions, OptimizerOptions, PrecisionOptions, RunOptions
):
    """Everything that decides a run of train.py."""

    def __post_init__(self) -> None:
        parse_interval(self.evaluate_every, "--evaluate-every")
        positive = ["batch_size", "epochs", "max_updates", "lr", "max_grad_norm", "patience", "row_length",
                    "max_tokens_per_micro_batch", "max_length", "max_train_sentences", "log_every"]  # fmt: skip
        problems = [
            f"{flag(name)} {value} must be above 0"
            for name in positive
            if (value := getattr(self, name)) is not None and not value > 0
        ]
        problems += [
            f"{flag(name)} {getattr(self, name)} must not be negative"
            for name in ("warmup", "weight_decay", "freeze_layers", "seed")
            if not getattr(self, name) >= 0
        ]
        if repeated := sorted({language for language in self.train_on if self.train_on.count(language) > 1}):
            problems.append(f"--train-on names {', '.join(repeated)} twice")
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def folder(self) -> Path:
        """The run folder, with the languages filled in."""
        return Path(self.output.replace("{train_on}", "+".join(self.train_on)))


@dataclass(frozen=True)
class EvaluationOptions:
    """evaluation"""

    runs: tuple[str, ...] = option(
        (), "run folders of train.py, model folders, or Hub names of token classifiers", metavar="RUN",
        positional=True,
    )  # fmt: skip
    languages: tuple[str, ...] | None = option(
        None, "languages to test on: the columns (every language that a run was trained on)", metavar="LANG"
    )
    splits: tuple[str, ...] = option(("test",), "splits to test on, a matrix each", metavar="SPLIT")
    checkpoint: Literal["best", "last"] = option("best", "which model of a run folder")
    scoring: Literal["default", "strict"] = option(
        "default", "entities of the matrix: conlleval's rules, or strict IOB2; the JSON has both"
    )
    output: str | None = option(None, "folder for matrix.md, matrix.csv and matrix.json", metavar="FOLDER")


@dataclass(frozen=True)
class EvaluationDataOptions:
    """data (each run's own, unless given)"""

    data: str | None = option(None, "as in train.py", metavar="NAME")
    data_config: str | None = option(None, "as in train.py", metavar="PATTERN")
    sample: tuple[str, ...] | None = option(None, "as in train.py", metavar="SHARE")
    tags: tuple[str, ...] | None = option(None, "as in train.py", metavar="TAG")


@dataclass(frozen=True)
class EvaluateConfig(EvaluationOptions, EvaluationDataOptions, BatchOptions, PrecisionOptions):
    """Everything that decides a run of evaluate.py."""


def flag(name: str) -> str:
    """train_on -> --train-on."""
    return "--" + name.replace("_", "-")


def parse_interval(text: str, name: str) -> tuple[int, Literal["updates", "epochs"]]:
    """`200u` -> (200, "updates"), `1e` -> (1, "epochs"). Raises ValueError on anything else."""
    number, unit = text[:-1], {"u": "updates", "e": "epochs"}.get(text[-1:])
    if unit is None or not number.isdecimal() or int(number) < 1:
        raise ValueError(f"{name} {text}: give a number of updates (200u) or epochs (1e)")
    return int(number), unit  # type: ignore[return-value]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, instead of behind a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default as it would be typed, and none where there is none to type."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default in ((), argparse.SUPPRESS)
        if nothing or not action.option_strings:
            return action.help
        default = " ".join(action.default) if isinstance(action.default, tuple) else action.default
        return f"{action.help} (default: {default})"


def parse(config_class: type[Options], arguments: Sequence[str] | None, description: str) -> Options:
    """Options from the command line (None: sys.argv) and the YAML file of `--config`.

    Raises ValueError for a value that makes no sense; a flag that does not exist ends the program with status 2.
    """
    hints = get_type_hints(config_class)
    positional = [item.metadata["metavar"] for item in fields(config_class) if item.metadata["positional"]]  # type: ignore[arg-type]
    parser = Parser(
        usage=" ".join(["%(prog)s", *(f"{name} [{name} ...]" for name in positional), "[options]"]),
        description=description.partition("\n\n")[0],
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file of these options; flags win over it")
    groups = [base for base in config_class.__mro__[1:] if base.__doc__ and base is not object]
    headings = {base.__doc__: parser.add_argument_group(str(base.__doc__)) for base in groups}
    for item in fields(config_class):  # type: ignore[arg-type]
        owner = [base for base in groups if item.name in base.__annotations__][-1]
        add_argument(headings[owner.__doc__], item, hints[item.name])
    known = vars(parser.parse_args(arguments))
    file = known.pop("config")
    values = read_yaml(file, hints) if file else {}
    # A flag that was not given is absent from the second reading: only then do the file's values show.
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    given = vars(parser.parse_args(arguments))
    given.pop("config", None)
    return config_class(**(values | {name: freeze(value) for name, value in given.items()}))


def add_argument(group: argparse._ArgumentGroup, item: Field, hint: Any) -> None:
    """One field as a flag (or as the positional arguments)."""
    kind, is_list = element_type(hint)
    settings: dict[str, Any] = {"help": item.metadata["text"].replace("%", "%%"), "metavar": item.metadata["metavar"]}
    if item.metadata["positional"]:
        group.add_argument(item.name, nargs="+", **settings)
        return
    settings |= {"default": item.default, "dest": item.name}
    if kind is bool:
        settings |= {"action": "store_true"}
        settings.pop("metavar")
    elif get_origin(kind) is Literal:
        settings |= {"choices": get_args(kind), "metavar": "{" + ",".join(get_args(kind)) + "}"}
    else:
        settings |= {"type": kind} | ({"nargs": "+"} if is_list else {})
    group.add_argument(flag(item.name), **settings)


def element_type(hint: Any) -> tuple[Any, bool]:
    """The type of a value and whether there are several: `tuple[str, ...] | None` -> (str, True)."""
    if isinstance(hint, UnionType):
        hint = next(kind for kind in get_args(hint) if kind is not NoneType)
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def read_yaml(file: str | Path, hints: dict[str, Any]) -> dict[str, Any]:
    """The options of a YAML file, each of its field's type. Raises ValueError naming the file and the key."""
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected `option: value` lines, got {type(content).__name__}")
    values = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name not in hints:
            close = difflib.get_close_matches(name, hints, n=1)
            raise ValueError(f"{file}: no option {key}" + (f"; did you mean {close[0]}?" if close else ""))
        values[name] = convert(value, hints[name], f"{file}: {key}")
    return values


def convert(value: Any, hint: Any, where: str) -> Any:
    """A YAML value as its field's type. YAML 1.1 reads 5e-5 as a string, so numbers go through their own type."""
    kind, is_list = element_type(hint)
    if value is None:
        if isinstance(hint, UnionType):
            return None
        raise ValueError(f"{where}: has no value")
    if is_list:
        return tuple(convert(element, kind, where) for element in (value if isinstance(value, list) else [value]))
    if get_origin(kind) is Literal:
        value = "no" if value is False else value  # YAML 1.1 reads a bare no as false
        if value not in get_args(kind):
            raise ValueError(f"{where}: {value} is none of {', '.join(get_args(kind))}")
        return value
    fraction_lost = kind is int and isinstance(value, float) and not value.is_integer()
    if isinstance(value, bool) != (kind is bool) or isinstance(value, list | dict) or fraction_lost:
        raise ValueError(f"{where}: {value!r} is not {kind.__name__}")
    try:
        return kind(value)
    except ValueError as error:
        raise ValueError(f"{where}: {value!r} is not {kind.__name__}") from error


def read_config(config_class: type[Options], file: str | Path) -> Options:
    """Options that a script stored. Raises ValueError naming the file and the key."""
    return config_class(**read_yaml(file, get_type_hints(config_class)))


def freeze(value: Any) -> Any:
    """Lists of argparse as the tuples of a frozen dataclass."""
    return tuple(value) if isinstance(value, list) else value


def to_yaml(config: Any) -> str:
    """The resolved options as YAML that `--config` reads back."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
    in_order_of_help = [name for group in type(config).__mro__[1:] for name in vars(group).get("__annotations__", ())]
    return yaml.safe_dump({name: plain[name] for name in in_order_of_help}, sort_keys=False, allow_unicode=True)
