"""Weights of the tags in the loss: `--class-weights`."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from ner.errors import InputError, listed
from ner.inputs.encoding import Encoded
from ner.tags import TagSet


def tag_weights(wanted: Literal["balanced"] | Mapping[str, float], encoded: Encoded, tags: TagSet) -> np.ndarray:
    """float32 [tags]: the weight of each tag.

    wanted: `balanced`, or weights by tag, 1 for the others; encoded: what is trained on. Raises InputError for a tag
    that is none of `tags`.
    """
    if wanted == "balanced":
        return balanced(encoded.label_counts(len(tags))).astype(np.float32)
    if unknown := [name for name in wanted if name not in tags.ids]:
        raise InputError(f"`class_weights` names {listed(unknown)}; the tags are {listed(tags.names)}")
    return np.array([wanted.get(name, 1.0) for name in tags.names], np.float32)


def balanced(counts: np.ndarray) -> np.ndarray:
    """float64 [tags]: n / (k * n_tag) with n labels of k tags, as scikit-learn has it: 1 in the mean of all labels.

    counts: float64 [tags], n_tag. A tag without labels is none of the k, and has the weight 1.
    """
    there = counts > 0
    weights = np.ones(len(counts))
    weights[there] = counts.sum() / (there.sum() * counts[there])
    return weights


def described(weights: Sequence[float], tags: TagSet) -> str:
    """The weights, for a message."""
    return ", ".join(f"{name} {weight:.3g}" for name, weight in zip(tags.names, weights, strict=True))
