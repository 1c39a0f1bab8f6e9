"""Names that taggers were trained on, and those that they were not: slices of the mentions, and what is drawn from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from datasets import Dataset

from ner.analysis.probing.probes import Material, Pool
from ner.data.arrow_store import tag_set
from ner.data.perturbation import spans
from ner.modeling.baselines import sentences
from ner.tags import Entities, TagSet

Known = dict[tuple[str, ...], set[str]]  # words of a mention -> its types
NUM_FREQUENT = 20  # words
SLICES = ("seen", "unseen", "ambiguous")


def mentions(rows: Dataset) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Type and words of each gold entity."""
    names = tag_set(rows).names
    for words, tags in sentences(rows):
        for start, end, type_ in spans([names[i] for i in tags]):
            if type_:
                yield type_, tuple(words[start:end])


def known_mentions(parts: Iterable[Dataset]) -> Known:
    """The mentions of sentences, with their types."""
    known: Known = {}
    for rows in parts:
        for type_, words in mentions(rows):
            known.setdefault(words, set()).add(type_)
    return known


def pool(found: Iterable[tuple[str, tuple[str, ...]]], but: Iterable[tuple[str, ...]]) -> Pool:
    """Type -> its different mentions in order of their first, without some."""
    excluded = set(but)
    by_type: dict[str, dict[tuple[str, ...], None]] = {}
    for type_, words in found:
        if words not in excluded:
            by_type.setdefault(type_, {})[words] = None
    return {type_: list(words) for type_, words in by_type.items()}


def materials(tested: Mapping[str, Dataset], trained: Mapping[str, Sequence[Dataset]]) -> dict[str, Material]:
    """What probes draw from, of each tested language.

    tested: the sentences of each; trained: training sentences of the runs by language, of whatever languages they are.
    """
    seen = known_mentions(rows for parts in trained.values() for rows in parts)
    found = {language: list(mentions(rows)) for language, rows in tested.items()}
    for language, parts in trained.items():
        found.setdefault(language, []).extend(mention for rows in parts for mention in mentions(rows))
    here = {language: {words for _, words in of_language} for language, of_language in found.items()}
    return {
        language: Material(
            frequent=frequent_words(rows),
            unseen=pool(mentions(rows), seen),
            foreign=writable(
                pool((m for other, part in found.items() if other != language for m in part), here[language]),
                tag_set(rows),
            ),
        )
        for language, rows in tested.items()
    }


def writable(names: Pool, tags: TagSet) -> Pool:
    """Without mentions of several words of a type that has no I- tag here: they may come from other data."""
    return {
        type_: [words for words in of_type if len(words) == 1 or f"I-{type_}" in tags.ids]
        for type_, of_type in names.items()
    }


def frequent_words(rows: Dataset) -> list[str]:
    """The commonest words in lower case that are in no entity, equally common ones by alphabet."""
    outside = tag_set(rows).outside
    count = Counter(
        word
        for words, tags in sentences(rows)
        for word, tag in zip(words, tags, strict=True)
        if tag == outside and word.isalpha() and word.islower()
    )
    return sorted(count, key=lambda word: (-count[word], word))[:NUM_FREQUENT]


def slices(words: Sequence[str], gold: Entities, types: Sequence[str], known: Known) -> dict[str, np.ndarray]:
    """bool [gold entities] for each of SLICES. words: of all sentences; known: mentions that a run was trained on.

    A mention may be in none (its words were of another type only), and an ambiguous one is seen or not.
    """
    found = [known.get(tuple(words[start:end]), set()) for start, end in zip(gold[0], gold[1], strict=True)]
    is_seen = [types[type_] in of_mention for type_, of_mention in zip(gold[2], found, strict=True)]
    masks = (is_seen, [not of_mention for of_mention in found], [len(of_mention) > 1 for of_mention in found])
    return {name: np.array(mask, dtype=bool) for name, mask in zip(SLICES, masks, strict=True)}
