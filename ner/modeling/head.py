"""The head of a tagger that is trained further: its rows are matched by the names of the tags."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from ner.errors import InputError
from ner.modeling.pretrained import load_config
from ner.tags import TagSet, labels_of


@dataclass(frozen=True)
class HeadMatch:
    """Tags of a head that training goes on with, against those of the data.

    old: all labels of the head, in its order; kept: those that the data has, too; new: tags of the data that the head
    lacks; dropped: labels that the data lacks.
    """

    old: tuple[str, ...]
    kept: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        if not self.kept:
            return "its head has none of these tags; the new head starts from random weights"
        parts = [f"its head goes on with {' '.join(self.kept)}"]
        if self.new:
            parts.append(f"new, from random weights: {' '.join(self.new)}")
        if self.dropped:
            parts.append(f"dropped: {' '.join(self.dropped)}")
        return "; ".join(parts)


def match_head(name: str, tags: TagSet) -> HeadMatch | None:
    """How the head of a model fits these tags; None for an encoder without one. Raises InputError as `load_config`."""
    config = load_config(name, "model")
    if not any(str(architecture).endswith("ForTokenClassification") for architecture in config.architectures or ()):
        return None
    try:
        old = tuple(labels_of(config, name))
    except InputError:  # labels that nobody could match: a head of random weights takes its place
        old = ()
    return HeadMatch(
        old=old,
        kept=tuple(tag for tag in tags.names if tag in old),
        new=tuple(tag for tag in tags.names if tag not in old),
        dropped=tuple(label for label in old if label not in tags.ids),
    )


def find_head(model: PreTrainedModel) -> tuple[str, nn.Linear] | None:
    """The path and the linear layer whose outputs are the logits, None without such a layer."""
    body = {id(module) for module in model.base_model.modules()}
    heads = [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) not in body and module.out_features == model.config.num_labels
    ]
    return heads[-1] if heads else None


def replace_head(model: PreTrainedModel, tags: TagSet, match: HeadMatch) -> None:
    """Gives a token classifier a head for these tags, with the rows of those that it had; the others are random.

    model: with the head of `match.old`, or with any if nothing is kept of it. Raises InputError if the head is no
    linear layer.
    """
    if (found := find_head(model)) is None:
        raise InputError(f"{model.name_or_path}: its head is no linear layer; start from its encoder")
    path, old = found
    head = nn.Linear(old.in_features, len(tags), bias=old.bias is not None)
    model._init_weights(head)
    with torch.no_grad():
        for tag in match.kept:
            head.weight[tags.ids[tag]] = old.weight[match.old.index(tag)]
            if old.bias is not None:
                head.bias[tags.ids[tag]] = old.bias[match.old.index(tag)]
    model.set_submodule(path, head)
    model.config.id2label, model.config.label2id = dict(enumerate(tags.names)), dict(tags.ids)
    if hasattr(model, "num_labels"):
        vars(model)["num_labels"] = len(tags)
