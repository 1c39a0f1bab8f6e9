"""Tag schemes: IOB1, IOBES, BILOU and plain types -> IOB2, illegal sequences repaired, one tag set mapped onto another.

One rule for all of them, conlleval's: an entity begins at B-, S- and U-, where the type changes, and after E-, L-, S-
and U-; any other tag of a type continues the entity before it. So `I-PER` after `O` begins an entity, `I-LOC` after
`B-PER` too, and no word loses its type.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ner.errors import InputError, listed
from ner.tags import OUTSIDE, TagSet, is_prefixed

PLAIN = "T"  # stands for the prefix of a plain type
MOST_PLAIN_TYPES = 1000


@dataclass(frozen=True)
class ParsedLabels:
    """Raw tag names, taken apart. prefix: O, one of B I E S L U, or T for a plain type; types: None for O.

    malformed: names that fit no scheme, or not that of the others.
    """

    names: tuple[str, ...]
    prefix: tuple[str, ...]
    types: tuple[str | None, ...]
    malformed: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> "ParsedLabels":
        """Plain types are told by there being no tag with a prefix, and not too many of them."""
        names = tuple(dict.fromkeys(names))
        others = {name for name in names if name != OUTSIDE and not is_prefixed(name)}
        has_prefixes = len(others) < len(names) - (OUTSIDE in names)
        plain = not has_prefixes and len(others) <= MOST_PLAIN_TYPES
        malformed = {name for name in names if name != name.strip() or not name or (name in others and not plain)}
        prefixes = tuple(OUTSIDE if name == OUTSIDE else PLAIN if name in others else name[0] for name in names)
        types = tuple(None if name == OUTSIDE else name if name in others else name[2:] for name in names)
        return cls(names, prefixes, types, frozenset(malformed))

    @property
    def are_plain(self) -> bool:
        """Whether these are types without prefixes."""
        return PLAIN in {
            prefix for name, prefix in zip(self.names, self.prefix, strict=True) if name not in self.malformed
        }


def parse_map(text: str | None) -> dict[str, str]:
    """`MISC=O,GPE=LOC` -> {"MISC": "O", "GPE": "LOC"}: entity types onto types or O. Raises InputError."""
    mapping: dict[str, str] = {}
    for item in (text or "").split(","):
        old, equals, new = (part.strip() for part in item.partition("="))
        if not item.strip():
            continue
        if not old or not equals or not new or is_prefixed(old) or is_prefixed(new):
            raise InputError(f"`map_tags` {item}: give entity types, as in MISC=O,GPE=LOC")
        if mapping.setdefault(old, new) != new:
            raise InputError(f"`map_tags` {item}: {old} is mapped onto {mapping[old]} before")
    return mapping


def check_mapped(mapping: Mapping[str, str], types: Iterable[str]) -> None:
    """Raises InputError for a type that is mapped, and is none of these of the data."""
    types = set(types)
    if lost := sorted(set(mapping) - types):
        raise InputError(f"`map_tags` {lost[0]}: the data has no such type; it has {listed(sorted(types))}")


def mapped_types(names: ParsedLabels, mapping: Mapping[str, str]) -> tuple[str | None, ...]:
    """The type of each name after the mapping, None for O."""
    mapped = (type_ if type_ is None else mapping.get(type_, type_) for type_ in names.types)
    return tuple(None if type_ == OUTSIDE else type_ for type_ in mapped)


def declared_tags(names: Sequence[str], mapping: Mapping[str, str]) -> TagSet:
    """The IOB2 tag set of names that stand in a certain order, which is kept as far as it can be.

    IOB2 names that nothing is mapped in stay as they are. Raises InputError for malformed names.
    """
    parts = ParsedLabels.of(names)
    if parts.malformed:
        raise InputError(f"malformed tags among the names: {listed(map(repr, sorted(parts.malformed)))}")
    of_name = list(zip(parts.prefix, mapped_types(parts, mapping), strict=True))
    has_begin = {type_ for prefix, type_ in of_name if prefix == "B"}
    new = []
    for prefix, type_ in of_name:
        pair = [f"B-{type_}", f"I-{type_}"]
        alone = {"B": pair[:1], "I": pair[1:] if type_ in has_begin else pair}
        new += [OUTSIDE] if type_ is None else alone.get(prefix, pair)
    return TagSet(tuple(dict.fromkeys(new if OUTSIDE in new else [OUTSIDE, *new])))


def collected_tags(names: ParsedLabels, used: Iterable[str], mapping: Mapping[str, str]) -> TagSet:
    """The IOB2 tag set of the names that are used: O, then B- and I- of each type in alphabetical order.

    Malformed names are left out: they are found as such in their rows.
    """
    used = set(used) - names.malformed
    mapped = zip(names.names, mapped_types(names, mapping), strict=True)
    return TagSet.collect([OUTSIDE, *(f"B-{type_}" for name, type_ in mapped if name in used and type_ is not None)])


@dataclass(frozen=True)
class SchemeStats:
    """What a conversion met. prefixes: how often each was there; the others count words that a scheme forbids."""

    prefixes: Counter[str] = field(default_factory=Counter)
    not_iob1: int = 0
    not_iob2: int = 0
    not_chunked: int = 0

    @property
    def scheme(self) -> str:
        """The name of the scheme that these tags are in."""
        used = set(self.prefixes)
        if used & set("LU"):
            return "BILOU"
        if used & set("ES"):
            return "IOBES"
        if PLAIN in used:
            return "plain types"
        return "IOB1" if self.not_iob2 and not self.not_iob1 else "IOB2"

    @property
    def repaired(self) -> int:
        """Words whose tag is illegal in that scheme."""
        if self.scheme in ("BILOU", "IOBES"):
            return self.not_chunked
        return self.not_iob2 if self.scheme == "IOB2" else 0

    @property
    def repair(self) -> str:
        """The rule by which they were repaired."""
        if self.scheme == "IOB2":
            return "an I- that continues nothing begins an entity"
        return "entities begin where the type changes, at B-, S-, U-, and after E-, L-, S-, U-"

    def __add__(self, other: "SchemeStats") -> "SchemeStats":
        return SchemeStats(
            self.prefixes + other.prefixes,
            self.not_iob1 + other.not_iob1,
            self.not_iob2 + other.not_iob2,
            self.not_chunked + other.not_chunked,
        )


class SchemeConverter:
    """Indices of raw names -> ids of IOB2 tags. repair: an I- that continues nothing becomes a B-, or stays."""

    def __init__(self, names: ParsedLabels, mapping: Mapping[str, str], tags: TagSet, *, repair: bool = True) -> None:
        self.repair = repair
        self.prefix = (*names.prefix, OUTSIDE)  # the last stands for what is before a sentence
        name_types = [*names.types, None]
        types = list(dict.fromkeys(name_types))
        self.type = np.array([-1 if type_ is None else types.index(type_) for type_ in name_types])
        self.begin, self.inside = (
            np.array(
                [
                    -1 if name in names.malformed else tags.ids.get(OUTSIDE if type_ is None else letter + type_, -1)
                    for name, type_ in zip(names.names, mapped_types(names, mapping), strict=True)
                ],
                dtype=np.int64,
            )
            for letter in ("B-", "I-")
        )

    def has(self, letters: str) -> np.ndarray:
        """bool [names + 1]: whether the prefix is one of these."""
        return np.array([prefix in letters for prefix in self.prefix])

    def __call__(self, raw: np.ndarray, sentence_start: np.ndarray) -> tuple[np.ndarray, SchemeStats]:
        """IOB2 ids (-1: the tag set lacks it) and what was met.

        raw: int64 [words], indices into the names; sentence_start: bool [words]. Entities are told apart by their
        types before the mapping.
        """
        before = np.concatenate([[0], raw[:-1]])[: len(raw)]
        before[sentence_start] = len(self.prefix) - 1
        type_changes = self.type[raw] != self.type[before]
        is_entity = self.type[raw] >= 0
        start = is_entity & (self.has("BSU")[raw] | self.has("ESLU")[before] | type_changes)
        begins = start
        if not self.repair:
            # But where two types become one: there, an I- would make one entity of two. -2: before a sentence.
            begins = start & (~self.has("I")[raw] | (self.inside[raw] == np.append(self.inside, -2)[before]))
        ids = np.where(begins, self.begin[raw], self.inside[raw])

        was_open = self.has("BI")[before]
        stays_open = self.has("BI")[raw] & np.append(sentence_start[1:], True)[: len(raw)]
        broken = (self.has("IEL")[raw] != was_open) | (was_open & type_changes) | stays_open
        counts: Counter[str] = Counter()
        for prefix, count in zip(self.prefix, np.bincount(raw, minlength=len(self.prefix)).tolist(), strict=True):
            if count:
                counts[prefix] += count
        return ids, SchemeStats(
            counts,
            not_iob1=int((self.has("B")[raw] & type_changes).sum()),
            not_iob2=int((self.has("I")[raw] & start).sum()),
            not_chunked=int(broken.sum()),
        )
