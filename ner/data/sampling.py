"""Which sentences are used: shares of languages, sentences held out for validation, languages joined."""

from collections.abc import Mapping, Sequence

import numpy as np
from datasets import Dataset, concatenate_datasets

from ner.errors import InputError
from ner.utils import numbers

SWISS = {"de": 0.629, "fr": 0.229, "it": 0.084, "en": 0.059}


def hold_out(dataset: Dataset, fraction: float) -> tuple[Dataset, Dataset]:
    """(the rest, a fraction of the rows), in order; which ones is the same at every call."""
    chosen = np.random.default_rng(0).permutation(len(dataset))[: max(1, int(fraction * len(dataset)))]
    return dataset.select(np.setdiff1d(np.arange(len(dataset)), chosen)), dataset.select(np.sort(chosen))


def join_languages(
    parts: Mapping[str, Dataset], sizes: int | Mapping[str, int] | None = None, seed: int = 42
) -> tuple[Dataset, np.ndarray]:
    """Training sentences of several languages in one order, shuffle(seed=seed), and the language of each.

    sizes: a number keeps the first of all of them; numbers of languages, the first of each language's own shuffle, the
    same whatever it is joined with. Returns also uint8 [sentences]: numbers of the languages, in the order of parts.
    Raises InputError where a language has fewer sentences.
    """
    sentences, order, languages = lay_end_to_end(parts, sizes, seed)
    return sentences.select(order, keep_in_memory=True), languages


def lay_end_to_end(
    parts: Mapping[str, Dataset], sizes: int | Mapping[str, int] | None = None, seed: int = 42
) -> tuple[Dataset, np.ndarray, np.ndarray]:
    """The sentences of `join_languages` as they stand, language after language, which copies nothing; and their order.

    Returns the sentences; int [sentences], which of them stands at each place of that order; and the languages in that
    order. Arguments as of `join_languages`. Raises InputError.
    """
    if isinstance(sizes, Mapping):
        for language, size in sizes.items():
            if size > len(parts[language]):
                found = f"there are {len(parts[language]):,} {language} training sentences"
                raise InputError(f"`max_train_sentences` {language}={size}: {found}")
        if len(parts) == 1:
            (sizes,) = sizes.values()
        else:
            parts = {name: take_first(part, sizes.get(name, len(part)), seed) for name, part in parts.items()}
            sizes = None
    whole = concatenate_datasets(list(parts.values()))
    of_language = np.arange(len(parts), dtype=np.min_scalar_type(len(parts)))
    order = shuffled(len(whole), seed)[:sizes]
    languages = np.repeat(of_language, [len(part) for part in parts.values()])[order]
    if len(order) < len(whole):
        kept = np.sort(order)
        whole, order = whole.select(kept, keep_in_memory=True), np.searchsorted(kept, order)
    return whole, order, languages


def sizes_of(languages: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How many sentences there are of each language. languages: int [sentences], as of `join_languages`."""
    return dict(zip(names, np.bincount(languages, minlength=len(names)).tolist(), strict=True))


def take_first(dataset: Dataset, size: int, seed: int) -> Dataset:
    """The first rows of shuffle(seed=seed), in that order; all of them as they are."""
    return dataset.select(shuffled(len(dataset), seed)[:size], keep_in_memory=True) if size < len(dataset) else dataset


def shuffled(size: int, seed: int) -> np.ndarray:
    """int32 [rows], or int64: the rows in the order that shuffle(seed=seed) of `datasets` gives them."""
    rows = numbers(size)
    np.random.default_rng(seed).shuffle(rows)
    return rows


def take_share(dataset: Dataset, share: float) -> Dataset:
    """The first int(share * rows) rows after shuffle(seed=0), as the published Swiss corpus is cut."""
    # In memory, not in the cache, which may be another user's.
    return dataset.select(shuffled(len(dataset), 0)[: int(share * len(dataset))], keep_in_memory=True)


def leave_share(dataset: Dataset, share: float) -> Dataset:
    """The rows that `take_share` leaves."""
    return dataset.select(shuffled(len(dataset), 0)[int(share * len(dataset)) :], keep_in_memory=True)


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
