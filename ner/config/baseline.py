"""The options of `ner baseline`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ner.arguments import not_above_zero, option
from ner.config.data import TrainingDataOptions
from ner.config.options import FolderOptions
from ner.config.train import data_problems, recipe_of
from ner.errors import InputError


@dataclass(frozen=True)
class BaselineOptions:
    """baseline"""

    method: Literal["crf", "dictionary"] = option(
        "crf",
        "crf: a linear-chain CRF on words, affixes, shapes and neighbours; dictionary: what was an entity in training "
        "is one everywhere",
    )
    seed: int = option(
        42,
        "of what copies draw, and of the order of sentences, which moves a CRF by rounding alone: its training "
        "is convex",
        metavar="N",
    )


@dataclass(frozen=True)
class BaselineConfig(BaselineOptions, TrainingDataOptions, FolderOptions):
    """Everything that decides a run of `ner baseline`."""

    output: str = option(
        "runs/{train_on}-{method}", "folder to write; {train_on} becomes de, de+fr, ..., {method} crf", metavar="FOLDER"
    )

    def __post_init__(self) -> None:
        if problems := not_above_zero(self, "validation_fraction") + data_problems(self, self.seed):
            raise InputError("\n".join(problems))

    @property
    def folder(self) -> Path:
        """The run folder, with languages and method filled in."""
        return Path(self.output.replace("{train_on}", "+".join(self.train_on)).replace("{method}", self.method))

    def recipe(self) -> "BaselineConfig":
        """`recipe_of` these options."""
        return recipe_of(self)
