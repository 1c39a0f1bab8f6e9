"""Multilingual named-entity recognition: data, inputs, modeling, training, evaluation, analysis, report, tagging.

The names below are the parts to build with. Each is loaded when it is first used, so that `import ner` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ner.data.corpus import Corpus as Corpus
    from ner.data.corpus import Source as Source
    from ner.data.corpus import load_corpus as load_corpus
    from ner.evaluation.inference import evaluate as evaluate
    from ner.evaluation.inference import predict as predict
    from ner.evaluation.metrics import Counts as Counts
    from ner.evaluation.metrics import classification_report as classification_report
    from ner.inputs.batching import EpochPlan as EpochPlan
    from ner.inputs.collators import PackedCollator as PackedCollator
    from ner.inputs.collators import PaddedCollator as PaddedCollator
    from ner.inputs.collators import choose_collator as choose_collator
    from ner.inputs.encoding import Encoded as Encoded
    from ner.inputs.encoding import encode as encode
    from ner.modeling.loss import micro_batch_loss as micro_batch_loss
    from ner.modeling.loss import token_loss as token_loss
    from ner.modeling.model import build_model as build_model
    from ner.modeling.model import load_tagger as load_tagger
    from ner.modeling.pretrained import load_tokenizer as load_tokenizer
    from ner.tagging.document import Entity as Entity
    from ner.tagging.document import TaggedText as TaggedText
    from ner.tagging.tagger import Tagger as Tagger
    from ner.tags import TagSet as TagSet

__version__ = "0.1.0"

MODULES = {
    "inputs.batching": ("EpochPlan",),
    "inputs.collators": ("PackedCollator", "PaddedCollator", "choose_collator"),
    "data.corpus": ("Corpus", "Source", "load_corpus"),
    "inputs.encoding": ("Encoded", "encode"),
    "evaluation.inference": ("evaluate", "predict"),
    "modeling.loss": ("token_loss", "micro_batch_loss"),
    "evaluation.metrics": ("Counts", "classification_report"),
    "modeling.pretrained": ("load_tokenizer",),
    "modeling.model": ("build_model", "load_tagger"),
    "tagging.document": ("Entity", "TaggedText"),
    "tagging.tagger": ("Tagger",),
    "tags": ("TagSet",),
}
HOME = {name: module for module, names in MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(import_module(f"ner.{HOME[name]}"), name)
    raise AttributeError(f"module 'ner' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *HOME]
