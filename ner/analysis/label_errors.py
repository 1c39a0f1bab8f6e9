"""Sentences ranked by how likely their gold tags are wrong, and not the model.

A wrong tag is one word where the model is sure of something else, and a hard sentence is many words where it is not; so
the worst word of a sentence decides, and its loss is compared with what words of its gold tag usually cost: an O that
the model takes for an entity is rarer than an organisation taken for a place. `python -m tests.stress.label_errors`
measures this against other rankings.
"""

import numpy as np
import pyarrow as pa

from ner.analysis.token_losses import Table, codes, losses, read, sentence_offsets
from ner.analysis.views import sentence_table


def label_error_score(source: Table) -> np.ndarray:
    """float64 [sentences], in nats: how much more than the mean of its gold tag the worst word of each sentence costs.

    Means are over the whole table: give it one run, one split, and rather one language. A sentence where no word has a
    sub-token comes last, with -inf.
    """
    table = read(source, ["word", "gold", "loss"])
    loss = losses(table).astype(np.float64)
    gold, names = codes(table["gold"])
    scored = ~np.isnan(loss)
    count = np.bincount(gold[scored], minlength=len(names))
    mean = np.bincount(gold[scored], weights=loss[scored], minlength=len(names)) / np.maximum(count, 1)
    return of_sentences(np.maximum, np.where(scored, loss - mean[gold], -np.inf), table)


def of_sentences(how: np.ufunc, values: np.ndarray, table: pa.Table) -> np.ndarray:
    """[sentences]: np.add or np.maximum over the words of each sentence. values: [words]."""
    return how.reduceat(values, sentence_offsets(table)[:-1]) if len(values) else np.empty(0)


def rank_label_errors(source: Table, top: int | None = None) -> pa.Table:
    """`sentence_table` with a column label_error_score, the likeliest error first. top: so many of them."""
    scores = label_error_score(source)
    order = pa.array(np.argsort(-scores, kind="stable")[:top])
    return sentence_table(source).append_column("label_error_score", pa.array(scores)).take(order)
