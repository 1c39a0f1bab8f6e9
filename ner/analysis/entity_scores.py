"""Views on a table of token losses as precision, recall and F1 of entities: by type, and by length.

A predicted entity is correct where a gold one has its type and boundaries, as in `ner.analysis.entity_errors`. Like
`ner.analysis.views`, these pool whatever the table holds.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ner.analysis.entity_errors import CORRECT
from ner.analysis.token_losses import Table, read, sentence_offsets
from ner.analysis.views import LENGTHS, bin_names, bins, entity_matches, tag_ids
from ner.evaluation.metrics import RATIOS, entity_counts, ratios, sentence_counts

ENTITY_LENGTHS = (1, 2, 3, 4, 6)  # words where a bin of entity lengths begins


def score_table(name: str, names: Sequence[str], counts: np.ndarray, **others: np.ndarray) -> pa.Table:
    """name, others, gold, predicted, correct: int64; precision, recall, f1: float64, 0 without cases.

    counts: int64 [names, 3], correct, predicted and gold entities; others: more columns, int64 [names].
    """
    correct, predicted, gold = counts.T
    scores = [ratios(row) for row in counts]
    columns = {"gold": gold, "predicted": predicted, "correct": correct}
    columns |= {key: np.array([row[key] for row in scores], dtype=np.float64) for key in RATIOS}
    return pa.table({name: pa.array(names, pa.string()), **others, **columns})


def type_scores(source: Table) -> pa.Table:
    """type, and columns of `score_table`: entities of each type that occurs, in the order of `TagSet`."""
    table = read(source, ["word", "gold", "predicted"])
    tags, gold, predicted = tag_ids(table)
    return present(score_table("type", tags.types, entity_counts(gold, predicted, table["word"].to_numpy() == 0, tags)))


def present(scores: pa.Table) -> pa.Table:
    """The rows of `score_table` with an entity."""
    return scores.filter(pc.greater(pc.add(scores["gold"], scores["predicted"]), 0))


def scores_by_sentence_length(source: Table, starts: Sequence[int] = LENGTHS) -> pa.Table:
    """length, sentences, and columns of `score_table`: entities by how many words their sentence has, short ones first.

    starts: as of `by_length`; a bin without a sentence is left out.
    """
    names = bin_names(starts)
    table = read(source, ["word", "gold", "predicted"])
    tags, gold, predicted = tag_ids(table)
    offsets = sentence_offsets(table)
    bin_of = bins(np.diff(offsets), starts)
    counts = np.zeros((len(names), 3), dtype=np.int64)
    np.add.at(counts, bin_of, sentence_counts(gold, predicted, offsets, tags).sum(axis=1))
    sentences = np.bincount(bin_of, minlength=len(names))
    found = score_table("length", names, counts, sentences=sentences)
    return found.filter(pc.greater(found["sentences"], 0))


def scores_by_entity_length(source: Table, starts: Sequence[int] = ENTITY_LENGTHS) -> pa.Table:
    """length, and columns of `score_table`: recall of gold entities, precision of predicted ones of so many words.

    A correct entity has the same length on both sides. starts: as of `by_length`; a bin without an entity is left out.
    """
    names = bin_names(starts)
    _, matches = entity_matches(source)
    spans = (matches.gold_end - matches.gold_start, matches.predicted_end - matches.predicted_start)
    of_gold, of_predicted = (bins(length, starts) for length in spans)  # -1 where there is no entity: of no words
    correct = of_gold[matches.kind == CORRECT]
    sides = (correct, of_predicted[of_predicted >= 0], of_gold[of_gold >= 0])
    counts = np.stack([np.bincount(side, minlength=len(names)) for side in sides], axis=1)
    return present(score_table("length", names, counts))
