"""Training sentences in K parts, of which one is left out: to see each sentence by a tagger that did not learn it.

Which part a sentence is in follows from its characters alone. So sentences that repeat each other stand in one part,
and it does not matter how many sentences there are, or in which order.
"""

from collections.abc import Sequence

import numpy as np
from datasets import DatasetDict

from ner.config.data import parse_fold
from ner.data.arrow_store import WORDS, batches
from ner.data.words import characters_key
from ner.errors import InputError

FOLD = "fold"  # the split of the sentences that are left out of `train`


def leave_out(kept: DatasetDict, splits: Sequence[str] | None, fold: str | None) -> DatasetDict:
    """Splits with `train` less the part that `fold` names, and that part as the split `fold`.

    Args:
        kept: Splits, `train` whole.
        splits: What is asked for, in order, which may be the split `fold`; None for all.
        fold: `2/5`; None leaves nothing out.

    Raises:
        InputError: For a fold that makes no sense, and for the split `fold` where there is none.
    """
    place = parse_fold(fold)
    if splits and FOLD in splits and not place:
        raise InputError(f"no split {FOLD}: nothing is left out of the training sentences; `{FOLD}` 2/5 does that")
    if not place or "train" not in kept:
        return kept
    number, count = place
    train = kept["train"]
    keys = (characters_key(words) for rows in batches(train) for words in rows[WORDS].to_pylist())
    parts = np.array([key % count + 1 for key in keys])
    found = {
        **kept,
        "train": train.select(np.flatnonzero(parts != number), keep_in_memory=True),
        FOLD: train.select(np.flatnonzero(parts == number), keep_in_memory=True),
    }
    return DatasetDict({split: found[split] for split in splits or found})
