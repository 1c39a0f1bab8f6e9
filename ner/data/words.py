"""Text -> words: at white space, at each mark, or with the marks at their ends by themselves; and words -> text."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate

from tokenizers import Regex
from tokenizers.pre_tokenizers import BertPreTokenizer, Split, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as Steps

HAN = Split(Regex(r"\p{Han}"), "isolated")
SPLITTER = Steps([BertPreTokenizer(), HAN])
# Marks: punctuation and symbols, with what modifies them (an emoji's variation selectors and joiners). At the end of a
# word each run of them is looked at once, from its start: from each of its marks, a long run takes its length squared.
MARK, MODIFIER, EITHER = r"[\p{P}\p{S}]", r"[\p{M}\u200d]", r"[\p{P}\p{S}\p{M}\u200d]"
AT_START = rf"\A{MARK}{EITHER}*+"
AT_END = rf"{MARK}(?<!{EITHER}.){EITHER}*+\z"
BEHIND_MODIFIERS = rf"{MODIFIER}(?<!{EITHER}.){MODIFIER}*+\K{MARK}{EITHER}*+\z"  # which are those of a letter
EDGES = Split(Regex(f"{AT_START}|{AT_END}|{BEHIND_MODIFIERS}"), "isolated")
EDGE_SPLITTER = Steps([WhitespaceSplit(), EDGES, HAN])


def split_offsets(text: str) -> list[tuple[int, int]]:
    """First character and the one behind the last of each word."""
    return [offsets for _, offsets in SPLITTER.pre_tokenize_str(text)]


def split_words(text: str) -> list[str]:
    """The words of a text: between white space, each punctuation mark and each Han character by itself."""
    return [text[start:end] for start, end in split_offsets(text)]


def split_edges(text: str) -> list[tuple[int, int]]:
    """Offsets of words as corpora like PAN-X have them: the marks at the ends of what stands between white space go.

    `(Saint-Étienne),` is `(`, `Saint-Étienne` and `),`. Each Han character is a word.
    """
    return [offsets for _, offsets in EDGE_SPLITTER.pre_tokenize_str(text)]


def split_spaces(text: str) -> list[tuple[int, int]]:
    """Offsets of what stands between blanks, tabs and line breaks, for text whose words are split already.

    Other white space is part of a word, as the no-break spaces of corpora are. Files of a word a line hold it, too.
    """
    return [match.span() for match in re.finditer(r"[^ \t\r\n]+", text)]


SPLITTERS = {"edges": split_edges, "punctuation": split_offsets, "spaces": split_spaces}


def join(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words joined by blanks, and the first character and the one behind the last of each."""
    ends = list(accumulate(len(word) + 1 for word in words))
    return " ".join(words), [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]


def characters_key(words: Sequence[str]) -> int:
    """64 bits that stand for the characters of a sentence, white space left out: however words are taken apart."""
    text = "".join("".join(words).split())
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")
