"""The rooms of the tagger, in the order a sentence walks through them:

corpus -> encoding -> batching -> collating -> model -> loss -> metrics -> matrix.

The names below are the parts to build with; each is loaded when it is first used, so that `import ner` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ner.batching import EpochPlan as EpochPlan
    from ner.collating import PackedCollator as PackedCollator
    from ner.collating import PaddedCollator as PaddedCollator
    from ner.collating import choose_collator as choose_collator
    from ner.corpus import Corpus as Corpus
    from ner.corpus import Source as Source
    from ner.corpus import load_corpus as load_corpus
    from ner.encoding import Encoded as Encoded
    from ner.encoding import encode as encode
    from ner.encoding import load_tokenizer as load_tokenizer
    from ner.inference import evaluate as evaluate
    from ner.inference import predict as predict
    from ner.loss import token_loss as token_loss
    from ner.loss import update_loss as update_loss
    from ner.metrics import Counts as Counts
    from ner.model import build_model as build_model
    from ner.model import load_tagger as load_tagger
    from ner.tagged import Entity as Entity
    from ner.tagged import Tagged as Tagged
    from ner.tagger import Tagger as Tagger
    from ner.tags import TagSet as TagSet

ROOMS = {
    "batching": ("EpochPlan",),
    "collating": ("PackedCollator", "PaddedCollator", "choose_collator"),
    "corpus": ("Corpus", "Source", "load_corpus"),
    "encoding": ("Encoded", "encode", "load_tokenizer"),
    "inference": ("evaluate", "predict"),
    "loss": ("token_loss", "update_loss"),
    "metrics": ("Counts",),
    "model": ("build_model", "load_tagger"),
    "tagged": ("Entity", "Tagged"),
    "tagger": ("Tagger",),
    "tags": ("TagSet",),
}
HOME = {name: room for room, names in ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(import_module(f"ner.{HOME[name]}"), name)
    raise AttributeError(f"module 'ner' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *HOME]
