"""Sentences ranked by how likely their gold tags are wrong, not the model."""

import numpy as np
import pyarrow as pa

from ner.errors import sentence_table
from ner.token_losses import Table, losses, read, sentence_offsets


def suspicion(source: Table) -> np.ndarray:
    """float64 [sentences]"""
    table = read(source, ["word", "loss", "entropy"])
    excess = np.nan_to_num(losses(table) - table["entropy"].to_numpy())
    return reduce_words(np.add, excess, table)


def reduce_words(how: np.ufunc, values: np.ndarray, table: pa.Table) -> np.ndarray:
    """float64 [sentences]: np.add or np.maximum over the words of each sentence. values: float [words]."""
    offsets = sentence_offsets(table)
    return how.reduceat(values.astype(np.float64), offsets[:-1]) if len(values) else np.empty(0)


def suspects(source: Table, top: int | None = None) -> pa.Table:
    """`ner.errors.sentence_table` with the column suspicion, the most suspect first. top: so many of them."""
    found = sentence_table(source)
    scores = suspicion(source)
    order = pa.array(np.argsort(-scores, kind="stable")[:top])
    return found.append_column("suspicion", pa.array(scores)).take(order)
