"""Entities as vectors: a map in two dimensions, and a number that says whether languages share one space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize

from ner.errors import InputError

ROWS_PER_BLOCK = 1024  # of the similarities: bounds memory


@dataclass(frozen=True)
class EntityVectors:
    """Gold entities, and the mean of the vectors of their words.

    vectors: float32 [entities, hidden]; types, languages: int64 [entities], indices into `type_names` and
    `language_names`; texts: the mention of each.
    """

    vectors: np.ndarray
    types: np.ndarray
    languages: np.ndarray
    texts: tuple[str, ...]
    type_names: tuple[str, ...]
    language_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.types)


@dataclass(frozen=True)
class Alignment:
    """Whether entities of several languages are neighbours for their type, or for their language.

    same_type: share of entities whose nearest neighbour in another language has their type; same_language: share whose
    nearest neighbour of all is of their language; chance: the same for a neighbour that is drawn at random.
    """

    same_type: float
    same_type_chance: float
    same_language: float
    same_language_chance: float
    num_entities: int


def joined(parts: Sequence[EntityVectors]) -> EntityVectors:
    """Entities of several languages, each part of one, as one."""
    names = tuple(name for part in parts for name in part.language_names)
    starts = np.cumsum([0, *(len(part.language_names) for part in parts)])
    return EntityVectors(
        vectors=np.concatenate([part.vectors for part in parts]),
        types=np.concatenate([part.types for part in parts]),
        languages=np.concatenate([part.languages + start for part, start in zip(parts, starts, strict=False)]),
        texts=tuple(text for part in parts for text in part.texts),
        type_names=parts[0].type_names,
        language_names=names,
    )


def principal_components(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two directions in which the vectors differ most (PCA, exact).

    Args:
        vectors: float32 [entities, hidden], at least three, of at least two dimensions.

    Returns:
        float64 [entities, 2], the place of each; and float64 [2], the share of the variance along each direction. Of a
        direction and its opposite it is the one whose greatest component is positive.

    Raises:
        InputError: For fewer than three entities.
    """
    if len(vectors) < 3:
        raise InputError(f"{len(vectors)} entities make no map; raise `max_words`, or test on other languages")
    centred = torch.from_numpy(vectors).double()
    centred = centred - centred.mean(dim=0)
    variances, directions = torch.linalg.eigh(centred.T @ centred)  # rising
    axes = directions[:, [-1, -2]]
    greatest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    axes = axes * torch.where(greatest < 0, -1.0, 1.0)
    shares = variances[[-1, -2]] / variances.sum().clamp_min(1e-30)
    return (centred @ axes).numpy(), shares.numpy()


def alignment(entities: EntityVectors) -> Alignment | None:
    """The alignment of languages by cosine similarity; None where all entities are of one language."""
    languages, types = torch.from_numpy(entities.languages), torch.from_numpy(entities.types)
    if len(languages.unique()) < 2:
        return None
    unit = normalize(torch.from_numpy(entities.vectors).double())
    same_type, same_language, type_chance = (torch.empty(len(entities), dtype=torch.double) for _ in range(3))
    for start in range(0, len(entities), ROWS_PER_BLOCK):
        rows = torch.arange(start, min(start + ROWS_PER_BLOCK, len(entities)))
        similarity = unit[rows] @ unit.T
        is_same = languages[rows][:, None] == languages
        is_alike = types[rows][:, None] == types
        abroad = similarity.masked_fill(is_same, -torch.inf).argmax(dim=1)
        similarity[torch.arange(len(rows)), rows] = -torch.inf  # nobody is their own neighbour
        same_type[rows] = (types[abroad] == types[rows]).double()
        same_language[rows] = (languages[similarity.argmax(dim=1)] == languages[rows]).double()
        type_chance[rows] = (is_alike & ~is_same).sum(dim=1) / (~is_same).sum(dim=1).double()
    sizes = languages.bincount().double()
    return Alignment(
        same_type=same_type.mean().item(),
        same_type_chance=type_chance.mean().item(),
        same_language=same_language.mean().item(),
        same_language_chance=(sizes * (sizes - 1)).sum().item() / (len(entities) * (len(entities) - 1)),
        num_entities=len(entities),
    )
