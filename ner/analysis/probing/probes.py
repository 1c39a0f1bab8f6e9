"""The probes by name: what each changes, or which mentions it is about."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal, TypeAlias

from datasets import Dataset

from ner.analysis.probing.changed_sets import ChangedSet, change_sentences
from ner.data.mention_changes import alone, frequent_context, nonsense_names, other_names
from ner.data.perturbation import Mention
from ner.data.spelling_changes import (
    Changed,
    as_it_is,
    capitalized,
    glued,
    lower_entities,
    no_full_stop,
    other_apostrophes,
    other_quotes,
    spelled,
    swiss,
    typo,
    without_accents,
    without_umlauts,
)
from ner.errors import InputError, listed

Family: TypeAlias = Literal["invariance", "names", "form"]
Pool: TypeAlias = Mapping[str, Sequence[Mention]]  # type -> different mentions
PARAGRAPH = 5  # sentences


@dataclass(frozen=True)
class Material:
    """What probes of one language draw from.

    frequent: the commonest words outside of entities, in lower case; unseen: mentions of the language that no run was
    trained on; foreign: of other languages, which are none in this one.
    """

    frequent: Sequence[str] = ()
    unseen: Pool = field(default_factory=dict)
    foreign: Pool = field(default_factory=dict)


ChangeFrom = Callable[[Sequence[str], Sequence[str], Random, Material], Changed | Iterator[Changed]]


@dataclass(frozen=True)
class Probe:
    """A question to a tagger.

    change: of a sentence, or of `group_size` neighbours that are joined; None: no change, but the recall of the gold
    mentions that `ner.analysis.probing.names.slices` names so.
    """

    name: str
    family: Family
    about: str
    change: ChangeFrom | None = None
    group_size: int = 1

    def apply(self, rows: Dataset, material: Material, seed: str) -> ChangedSet:
        """The sentences that it changes. seed: equal ones change the same in the same way."""
        assert self.change
        change = self.change

        def of_sentence(words: Sequence[str], tags: Sequence[str], rng: Random) -> Iterator[Changed]:
            found = change(words, tags, rng, material)
            yield from [found] if isinstance(found, Changed) else found

        return change_sentences(rows, of_sentence, Random(f"{seed} {self.name}"), self.group_size)


def spelling(spell: Callable[[str], str]) -> ChangeFrom:
    """Of every word."""
    return lambda words, tags, *_: spelled(words, tags, spell)


def plain(change: Callable[[Sequence[str], Sequence[str]], Changed | Iterator[Changed]]) -> ChangeFrom:
    """Without chance."""
    return lambda words, tags, *_: change(words, tags)


def typos(*, inside: bool) -> ChangeFrom:
    """One in each sentence."""
    return lambda words, tags, rng, _: typo(words, tags, rng, inside=inside)


ALL: tuple[Probe, ...] = (
    Probe("lower", "invariance", "all in lower case", spelling(str.lower)),
    Probe("upper", "invariance", "all in upper case", spelling(str.upper)),
    Probe("title", "invariance", "each word with a capital", spelling(capitalized)),
    Probe("lower-entities", "invariance", "entities alone in lower case", plain(lower_entities)),
    Probe("swiss", "invariance", "ss for ß", spelling(swiss)),
    Probe("umlauts", "invariance", "ae, oe, ue for ä, ö, ü", spelling(without_umlauts)),
    Probe("no-accents", "invariance", "letters without accents", spelling(without_accents)),
    Probe("apostrophes", "invariance", "curly for straight apostrophes, and the reverse", spelling(other_apostrophes)),
    Probe("quotes", "invariance", "«» for other quotation marks, straight ones for «»", plain(other_quotes)),
    Probe("no-full-stop", "invariance", "no full stop at the end", plain(no_full_stop)),
    Probe("glued", "invariance", "marks glued to words, as people write them", plain(glued)),
    Probe("typos-outside", "invariance", "a typing error in a word outside of entities", typos(inside=False)),
    Probe("typos-inside", "invariance", "a typing error in a word of an entity", typos(inside=True)),
    Probe("paragraph", "invariance", "five sentences joined as one", plain(as_it_is), PARAGRAPH),
    Probe("seen", "names", "recall of mentions that are in the training data, with this type"),
    Probe("unseen", "names", "recall of mentions that are not in the training data"),
    Probe("ambiguous", "names", "recall of mentions that have several types in the training data"),
    Probe(
        "unseen-names",
        "names",
        "mentions exchanged for some of the split that are in no training data",
        lambda words, tags, rng, material: other_names(words, tags, rng, material.unseen),
    ),
    Probe(
        "foreign-names",
        "names",
        "mentions exchanged for some of another language",
        lambda words, tags, rng, material: other_names(words, tags, rng, material.foreign),
    ),
    Probe(
        "nonsense", "form", "each mention a nonsense word", lambda words, tags, rng, _: nonsense_names(words, tags, rng)
    ),
    Probe(
        "frequent-context",
        "form",
        "words outside of entities exchanged for frequent ones",
        lambda words, tags, rng, material: frequent_context(words, tags, rng, material.frequent),
    ),
    Probe("alone", "form", "each mention alone as a sentence", plain(alone)),
)
NAMES = tuple(probe.name for probe in ALL)
EVERY = "all"


def chosen(names: Sequence[str]) -> tuple[Probe, ...]:
    """The probes of these names in the order of the registry; `all`, or none, for all of them. Raises InputError."""
    if unknown := [name for name in names if name not in (*NAMES, EVERY)]:
        raise InputError(f"`probes`: no probe {listed(unknown)}; there are {' '.join(NAMES)}, and {EVERY}")
    return tuple(probe for probe in ALL if not names or EVERY in names or probe.name in names)
