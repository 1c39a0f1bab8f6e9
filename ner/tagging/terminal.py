"""Texts with their entities, as a terminal shows them."""

import os
import sys
from collections.abc import Iterable

from ner.data.faults import harmless
from ner.tagging.document import Entity

BACKGROUNDS = {"PER": 153, "LOC": 157, "ORG": 223, "MISC": 225}  # of the 256 colours, pale: the text on them is black
OTHERS = (195, 229, 189, 217, 159, 255)
RESET = "\x1b[0m"


def has_colours() -> bool:
    """Whether standard output is a terminal, and nobody set NO_COLOR (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def marked(text: str, entities: Iterable[Entity], colours: bool) -> str:
    """The text with its entities coloured, or in brackets: `[PER Jeff Dean] ist ...`.

    colours: one for each type, with the type behind the entity.
    """
    parts = []
    end = 0
    for entity in entities:
        parts.append(harmless(text[end : entity.start]))
        name, kind = harmless(entity.text), harmless(entity.type)
        if colours:
            background = BACKGROUNDS.get(entity.type) or OTHERS[sum(entity.type.encode()) % len(OTHERS)]
            parts.append(f"\x1b[48;5;{background};38;5;16m {name} \x1b[1m{kind} {RESET}")
        else:
            parts.append(f"[{kind} {name}]")
        end = entity.end
    return "".join([*parts, harmless(text[end:])])
