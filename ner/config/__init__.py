"""The options: one frozen dataclass for each script, built from groups."""

from ner.config.baseline import BaselineConfig
from ner.config.data import ReadingOptions, Sizes
from ner.config.evaluate import EvaluateConfig, EvaluationDataOptions
from ner.config.options import UNKNOWN_LICENSE, BatchOptions, HubOptions, PrecisionOptions, RunOptions
from ner.config.soup import SoupConfig
from ner.config.tag import TagConfig
from ner.config.train import FREE_ON_RESUME, TrainConfig

__all__ = [
    "FREE_ON_RESUME",
    "UNKNOWN_LICENSE",
    "BaselineConfig",
    "BatchOptions",
    "EvaluateConfig",
    "EvaluationDataOptions",
    "HubOptions",
    "PrecisionOptions",
    "ReadingOptions",
    "RunOptions",
    "Sizes",
    "SoupConfig",
    "TagConfig",
    "TrainConfig",
]
