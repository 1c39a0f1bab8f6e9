"""What `--augment` and `--augment-unlabelled` ask for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ner.errors import InputError, shorten

MOST_COPIES = 100  # of a sentence: more would fill a disk, and teach nothing


@dataclass(frozen=True)
class Augmentation:
    """Copies of training sentences.

    mentions: copies of each sentence with an entity, with other mentions; case: share of the sentences that are copied
    in lower or upper case; asides: share that is copied with an aside in brackets. 0: none.
    """

    mentions: int = 0
    case: float = 0.0
    asides: float = 0.0

    @classmethod
    def parse(cls, items: Sequence[str], flag: str = "--augment") -> "Augmentation":
        """From `mentions=2`, `case=0.2` and `asides=0.5`, in any order. Raises InputError for anything else.

        flag: the option that has them, for messages.
        """
        pairs = [item.partition("=")[::2] for item in items]
        names = [name for name, _ in pairs]
        for item, (name, value) in zip(items, pairs, strict=True):
            if name not in ("mentions", "case", "asides"):
                how = "give mentions=2, case=0.2, asides=0.5, or several"
                raise InputError(f"{flag} {shorten(item)}: no such augmentation; {how}")
            if names.count(name) > 1:
                raise InputError(f"{flag} names {name} twice: {shorten(' '.join(items))}")
            if name == "mentions" and not (value.isdecimal() and len(value) < 5 and 1 <= int(value) <= MOST_COPIES):
                how = f"give a number of copies from 1 to {MOST_COPIES}, as in mentions=2"
                raise InputError(f"{flag} {shorten(item)}: {how}")
            if name != "mentions" and not 0 < share(value) <= 1:
                how = f"give a share of the sentences above 0 and up to 1, as in {name}=0.2"
                raise InputError(f"{flag} {shorten(item)}: {how}")
        given = dict(pairs)
        shares = {name: share(given.get(name, "0")) for name in ("case", "asides")}
        return cls(mentions=int(given.get("mentions", "0")), **shares)

    @property
    def items(self) -> tuple[str, ...]:
        """What `parse` reads, in one form for all that ask for the same."""
        return tuple(f"{name}={value}" for name, value in asdict(self).items() if value)


def share(text: str) -> float:
    """A number, or 0 for what is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0
