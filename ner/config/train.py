"""The options of train.py, and which of them may change when a run goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, TypeVar

from ner.arguments import flag, named_twice, not_above_zero, parse_interval
from ner.config.augmentation import Augmentation
from ner.config.data import StreamOptions, TeacherOptions, TrainingDataOptions, parse_fold, parse_shares, parse_sizes
from ner.config.options import (
    AveragingOptions,
    BatchOptions,
    CheckpointOptions,
    EncodingOptions,
    ModelOptions,
    OptimizerOptions,
    PrecisionOptions,
    RunOptions,
    SharingOptions,
    bad_average,
    bad_row_length,
    pushed_nowhere,
)
from ner.errors import InputError, shorten

Options = TypeVar("Options")
LARGEST_SEED = 2**31  # NumPy takes up to 2**32, and each process adds its number

# What may be another when a run goes on: none of these changes what is computed.
FREE_ON_RESUME = tuple(
    """
    output overwrite log_every trackers checkpoint_every keep resume max_bad_steps max_tokens_per_micro_batch
    push_to_hub push_private push_dry_run license allow_pickle
    """.split()
)


# What tells apart the rows and points that runs of one recipe make, or runs of one row.
OUTSIDE_THE_RECIPE = (*FREE_ON_RESUME, "train_on", "max_train_sentences", "slice_seed", "seed", "averaged", "teacher")


@dataclass(frozen=True)
class TrainConfig(
    ModelOptions,
    TrainingDataOptions,
    StreamOptions,
    TeacherOptions,
    EncodingOptions,
    BatchOptions,
    OptimizerOptions,
    AveragingOptions,
    PrecisionOptions,
    RunOptions,
    CheckpointOptions,
    SharingOptions,
):
    """Everything that decides a run of train.py."""

    def __post_init__(self) -> None:
        above_zero = """
            batch_size epochs max_steps min_steps lr max_grad_norm patience
            max_tokens_per_micro_batch max_length log_every validation_fraction
            keep max_bad_steps average_every stream_buffer
        """
        problems = not_above_zero(self, *above_zero.split()) + bad_row_length(self)
        problems += [
            f"{flag(name)} {getattr(self, name)} must not be negative, nor infinite"
            for name in ("warmup", "weight_decay", "freeze_layers", "certainty_power")
            if not 0 <= getattr(self, name) < float("inf")
        ]
        for name, units in (("evaluate_every", "e"), ("checkpoint_every", "em")):
            try:
                parse_interval(getattr(self, name), flag(name), units)
            except InputError as error:
                problems.append(str(error))
        for name in ("validation_sizes", "tag_weights"):
            try:
                getattr(self, name)  # read for what it raises
            except InputError as error:
                problems.append(str(error))
        problems += data_problems(self, self.seed) + teacher_problems(self) + stream_problems(self)
        problems += bad_average(self) + pushed_nowhere(self)
        if not 1 <= self.sampling_temperature < float("inf"):
            problems.append(f"--sampling-temperature {self.sampling_temperature} must be 1 or more, and finite")
        if self.max_steps and self.min_steps:
            problems.append(f"--max-steps {self.max_steps} and --min-steps {self.min_steps}: give one of them")
        if self.resume and self.overwrite:
            problems.append("--resume goes on with a run and --overwrite replaces it; give one of them")
        if problems:
            raise InputError("\n".join(problems))

    @property
    def folder(self) -> Path:
        """The run folder, with the languages filled in."""
        return Path(self.output.replace("{train_on}", "+".join(self.train_on)))

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it reads: the encoder or tagger that it goes on from, and the teachers."""
        return (self.model, *self.teacher)

    @property
    def by_file(self) -> bool:
        """As of `Source`: whether the training sentences stream."""
        return self.stream_buffer is not None

    @property
    def validation_sizes(self) -> dict[str, int] | Literal["train"] | None:
        """What `max_validation_sentences` asks for. Raises InputError for what makes no sense."""
        texts, name = self.max_validation_sentences or (), "--max-validation-sentences"
        if texts == ("train",):
            return "train"
        sizes = parse_sizes(texts, name, self.train_on)
        if isinstance(sizes, int):
            each = " ".join(f"{language}={sizes}" for language in self.train_on)
            raise InputError(f"{name} {sizes}: give train, or a number for each language, like {each}")
        return sizes

    @property
    def tag_weights(self) -> dict[str, float] | Literal["balanced"]:
        """What `class_weights` asks for; empty for nothing. Raises InputError for what makes no sense."""
        if self.class_weights == ("balanced",):
            return "balanced"
        weights: dict[str, float] = {}
        for text in self.class_weights:
            tag, _, number = text.rpartition("=")
            try:
                weight = float(number)
            except ValueError:
                weight = -1
            if not tag or not 0 <= weight < float("inf"):
                raise InputError(
                    f"--class-weights {shorten(text)}: give balanced alone, or a weight of 0 or more for single tags, "
                    "like O=0.5"
                )
            if tag in weights:
                raise InputError(f"--class-weights names one twice: {shorten(' '.join(self.class_weights))}")
            weights[tag] = weight
        return weights

    def plan_steps(self, steps_per_epoch: int) -> tuple[int, int]:
        """How many steps are made, and how many there are between evaluations.

        Where `min_steps` makes more passes over the sentences than `epochs`, an epoch of `evaluate_every` is longer by
        as much: there are as many evaluations as without.
        """
        every, unit = parse_interval(self.evaluate_every, "--evaluate-every")
        at_least = self.min_steps or 0
        num_steps = self.max_steps or max(self.epochs * steps_per_epoch, at_least)
        return num_steps, every * (1 if unit == "steps" else max(steps_per_epoch, -(-at_least // self.epochs)))

    def recipe(self) -> "TrainConfig":
        """`recipe_of` these options."""
        return recipe_of(self)


def data_problems(config: TrainingDataOptions, seed: int) -> list[str]:
    """A message for each option of the training data, and the seed, that makes no sense."""
    problems = named_twice(config, "train_on")
    try:
        config.train_sizes  # noqa: B018  # read for what it raises
        parse_fold(config.fold)
    except InputError as error:
        problems.append(str(error))
    if (config.validation_fraction or 0) >= 1:
        problems.append(f"--validation-fraction {config.validation_fraction} must be below 1")
    problems += augmentation_problems(config.augment, "--augment")
    return problems + [
        f"{flag(name)} {value} must " + ("not be negative" if value < 0 else f"be below {LARGEST_SEED}")
        for name, value in (("seed", seed), ("slice_seed", config.slice_seed))
        if not 0 <= value < LARGEST_SEED
    ]


def teacher_problems(config: TeacherOptions) -> list[str]:
    """A message for each option of unlabelled text that makes no sense."""
    problems = named_twice(config, "unlabelled", paths=("teacher",))
    if bool(config.unlabelled) != bool(config.teacher):
        given, lacking = ("unlabelled", "teacher") if config.unlabelled else ("teacher", "unlabelled")
        problems.append(f"{flag(given)} needs {flag(lacking)}, and the other way round")
    if config.augment_unlabelled and not config.unlabelled:
        problems.append("--augment-unlabelled needs --unlabelled")
    return problems + augmentation_problems(config.augment_unlabelled, "--augment-unlabelled")


def stream_problems(config: TrainConfig) -> list[str]:
    """A message for each option that a stream lacks, or does not go with: what asks for all sentences at once."""
    if not config.stream_buffer:
        return ["--stream-shares needs --stream-buffer"] if config.stream_shares else []
    problems = [] if config.max_steps else ["--stream-buffer needs --max-steps: a stream has no end"]
    if config.stream_buffer < config.batch_size:
        problems.append(f"--stream-buffer {config.stream_buffer} is below --batch-size {config.batch_size}")
    try:
        parse_shares(config.stream_shares, config.train_on)
    except InputError as error:
        problems.append(str(error))
    at_once = {
        "max_train_sentences": None,
        "augment": (),
        "unlabelled": (),
        "sampling_temperature": 1,
        "validation_fraction": None,
        "corrections": None,
        "fold": None,
    }
    wrong = [name for name, default in at_once.items() if getattr(config, name) != default]
    wrong += ["sample"] if config.sample not in (("auto",), ("all",)) else []
    wrong += ["class_weights"] if config.class_weights == ("balanced",) else []
    wrong += ["max_validation_sentences"] if config.max_validation_sentences == ("train",) else []
    return problems + [f"{flag(name)} needs all sentences at once, which --stream-buffer never has" for name in wrong]


def augmentation_problems(items: Sequence[str], name: str) -> list[str]:
    """What is wrong with these items of an option."""
    try:
        Augmentation.parse(items, name)
    except InputError as error:
        return [str(error)]
    return []


def recipe_of(config: Options) -> Options:
    """Options with languages, number of sentences, seeds and what does not change a result at their defaults.

    Equal for runs that may stand in one learning curve, and, with the same languages and sentences, in one row. Of
    teachers, which are other runs for each seed, their number is left.
    """
    names = [item for item in fields(config) if item.name in OUTSIDE_THE_RECIPE]  # type: ignore[arg-type]
    plain = {item.name: item.default for item in names}
    if teachers := getattr(config, "teacher", ()):
        plain["teacher"] = tuple(map(str, range(1, len(teachers) + 1)))
    return replace(config, **plain)  # type: ignore[type-var]
