"""The options of a run that is the mean of others."""

from dataclasses import dataclass

from ner.arguments import option
from ner.config.train import TrainConfig, recipe_of


@dataclass(frozen=True)
class SoupOptions:
    """averaging"""

    averaged: tuple[str, ...] = option((), "model folders that it is the mean of", metavar="FOLDER")


@dataclass(frozen=True)
class SoupConfig(TrainConfig, SoupOptions):
    """The options that the runs share of which `ner average` took the mean; the seed is that of the first."""

    def recipe(self) -> "SoupConfig":
        """`recipe_of` these options."""
        return recipe_of(self)
