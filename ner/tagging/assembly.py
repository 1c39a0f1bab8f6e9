"""The tags of words, as a model gives them -> the result of each text, with its entities."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ner.evaluation.metrics import score_of
from ner.modeling.calibration import Calibration
from ner.tagging.document import Entity, TaggedText
from ner.tagging.splitting import Segmented
from ner.tags import TagSet, entities
from ner.utils import offsets_of, ranges


class TaggedWords(NamedTuple):
    """What the model says of the words of many texts, one after another.

    ids: int64 [words], IOB2 tags; is_first: bool [words], of a sentence; scores: float32 [words]; labels: the model's,
    where their probabilities are kept; probabilities: float32 [words, labels].
    """

    ids: np.ndarray
    is_first: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]
    probabilities: np.ndarray


def results(
    parts: Sequence[Segmented],
    tagged: TaggedWords,
    tags: TagSet,
    score: Literal["mean", "min"],
    calibration: Calibration,
    min_score: float = 0.0,
) -> Iterator[TaggedText]:
    """The result of each text.

    score: of an entity, from those of its words; calibration: of that; min_score: others are left out.
    """
    start, end, type_id = entities(tagged.ids, tagged.is_first, tags)
    scores = calibration.scores(score_of(tagged.scores, start, end, score))
    is_low = scores < min_score
    if is_low.any():
        low = ranges(start[is_low], end[is_low] - start[is_low])
        tagged = tagged._replace(ids=tagged.ids.copy())
        tagged.ids[low] = tags.outside
        start, end, type_id, scores = (each[~is_low] for each in (start, end, type_id, scores))
    offsets = offsets_of([len(part.words) for part in parts])
    of_text = np.searchsorted(start, offsets)
    for i, (text, words, _) in enumerate(parts):
        found = []
        for entity in range(of_text[i], of_text[i + 1]):
            begin, behind = words[start[entity] - offsets[i]][0], words[end[entity] - 1 - offsets[i]][1]
            found.append(Entity(tags.types[type_id[entity]], text[begin:behind], begin, behind, float(scores[entity])))
        place = slice(offsets[i], offsets[i + 1])
        yield TaggedText(
            text=text,
            words=words,
            tags=[tags.names[tag] for tag in tagged.ids[place]],
            scores=tagged.scores[place],
            entities=found,
            labels=tagged.labels,
            probabilities=tagged.probabilities[place],
        )
