"""Which sentences are used: shares of languages, sentences held out for validation, languages joined."""

from collections.abc import Sequence

import numpy as np
from datasets import Dataset, concatenate_datasets

from ner.errors import InputError

SWISS = {"de": 0.629, "fr": 0.229, "it": 0.084, "en": 0.059}


def hold_out(dataset: Dataset, fraction: float) -> tuple[Dataset, Dataset]:
    """(the rest, a fraction of the rows), in order; which ones is the same at every call."""
    chosen = np.random.default_rng(0).permutation(len(dataset))[: max(1, int(fraction * len(dataset)))]
    return dataset.select(np.setdiff1d(np.arange(len(dataset)), chosen)), dataset.select(np.sort(chosen))


def join_languages(parts: Sequence[Dataset], max_sentences: int | None = None) -> Dataset:
    """Training sentences of several languages in one order, shuffle(seed=42), cut to the first max_sentences."""
    joined = concatenate_datasets(list(parts)).shuffle(seed=42, keep_in_memory=True)
    return joined.select(range(min(max_sentences or len(joined), len(joined))))


def take_share(dataset: Dataset, share: float) -> Dataset:
    """The first int(share * rows) rows after shuffle(seed=0), as the published Swiss corpus is cut."""
    shuffled = dataset.shuffle(seed=0, keep_in_memory=True)  # not into the cache, which may be another user's
    return shuffled.select(range(int(share * dataset.num_rows)))


def leave_share(dataset: Dataset, share: float) -> Dataset:
    """The rows that `take_share` leaves."""
    shuffled = dataset.shuffle(seed=0, keep_in_memory=True)
    return shuffled.select(np.arange(int(share * dataset.num_rows), len(dataset)))


def resolve_sample(sample: Sequence[str], pattern: str) -> tuple[str, ...]:
    """What `("auto",)` means for configs of this pattern: `("swiss",)` for PAN-X, else `("all",)`."""
    if tuple(sample) == ("auto",):
        return ("swiss",) if pattern.startswith("PAN-X.") else ("all",)
    return tuple(sample)


def parse_sample(sample: Sequence[str]) -> dict[str, float]:
    """`("swiss",)`, `("all",)` or `("de=0.5", ...)` -> language -> share. Raises InputError."""
    if tuple(sample) == ("swiss",):
        return SWISS
    if tuple(sample) == ("all",):
        return {}
    shares = {}
    for item in sample:
        language, _, share = item.partition("=")
        try:
            shares[language] = float(share)
        except ValueError:
            shares[language] = -1.0
        if not 0 < shares[language] <= 1:
            raise InputError(f"`sample` {item}: give auto, swiss, all, or shares above 0 and up to 1 like de=0.5")
    return shares
