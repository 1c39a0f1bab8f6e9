"""What `ner calibrate` has fitted, in the config.json of a tagger: it changes scores, and no tag."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from ner.errors import InputError, shorten
from ner.modeling.head import find_head

KEY = "ner_calibration"  # in config.json
SMALL = 1e-6  # a score of 0 or 1 is so far from it: its log-odds are finite


@dataclass(frozen=True)
class Calibration:
    """The numbers between what a model says and what its scores say. As they stand here they change nothing.

    Attributes:
        temperature: What logits are divided by.
        slope: Of the log-odds of an entity's score (Platt scaling); above 0, so that no order changes.
        intercept: What is added to them.
    """

    temperature: float = 1.0
    slope: float = 1.0
    intercept: float = 0.0

    def scores(self, score: np.ndarray) -> np.ndarray:
        """What scores of entities become, float [entities]."""
        if (self.slope, self.intercept) == (1.0, 0.0):
            return score
        return (1 / (1 + np.exp(-(self.slope * log_odds(score) + self.intercept)))).astype(score.dtype)

    def plain(self) -> dict[str, float]:
        """What config.json has."""
        return asdict(self)


UNCHANGED = Calibration()


def log_odds(score: np.ndarray) -> np.ndarray:
    """float64 [entities]."""
    clipped = np.clip(score.astype(np.float64), SMALL, 1 - SMALL)
    return np.log(clipped / (1 - clipped))


def calibration_of(config: Any, name: str | None, score: str = "mean") -> Calibration:
    """That of a model's config; one that changes nothing, if it has none.

    name: of the model, for the message; score: of entities, mean or min. Raises InputError for a broken one, and for
    scores that the map was not fitted to.
    """
    given = getattr(config, KEY, {})
    names = set(Calibration().plain())
    is_sound = isinstance(given, dict) and set(given) <= names
    if is_sound and all(type(value) in (int, float) and math.isfinite(value) for value in given.values()):
        found = Calibration(**given)
        if score != "mean" and (found.slope, found.intercept) != (1.0, 0.0):
            remedy = f"leave `score` at mean, or take {KEY} out of its config.json"
            raise InputError(f"`score` {score}: the scores of {name} are calibrated as means; {remedy}")
        if found.temperature > 0 and found.slope > 0:
            return found
    raise InputError(f"{name}: its config.json says {KEY} {shorten(given)}; fit it: ner calibrate")


@torch.no_grad()
def fold_temperature(model: PreTrainedModel) -> None:
    """Divides the weights of the head by the temperature, for programs that do not know of it.

    The config says nothing of it then. Raises InputError for a calibrated model whose head is no linear layer.
    """
    temperature = calibration_of(model.config, model.name_or_path).temperature
    if temperature == 1.0:
        return
    if (found := find_head(model)) is None:
        raise InputError(f"{model.name_or_path}: its head is no linear layer, which a temperature could go into")
    for weights in found[1].parameters():
        weights.div_(temperature)
    setattr(model.config, KEY, {**getattr(model.config, KEY), "temperature": 1.0})
