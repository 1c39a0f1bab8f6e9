"""Texts of any length as overlapping windows that are read each by itself, and which reading of a word counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from ner.inputs.encoding import IGNORED, SENTENCES_PER_CALL, WHOLE, Encoded, tokenized
from ner.utils import offsets_of, rows_of


@dataclass(frozen=True)
class Windows:
    """Windows that are read each by itself, a word that stands in several in each of them.

    encoded: every window a sentence of its own; its words are those that the window holds, in part or whole
    word: int64 [words of encoded], which word of its sentence each is
    sentence: int64 [windows], never falling
    """

    encoded: Encoded
    word: np.ndarray
    sentence: np.ndarray


def encode_windows(sentences: Sequence[list[str]], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Windows:
    """Words without tags as windows of at most max_length sub-tokens, each read by itself. Raises as `encode` does."""
    groups = (sentences[i : i + SENTENCES_PER_CALL] for i in range(0, len(sentences), SENTENCES_PER_CALL))
    ids, local, lengths, sentence = tokenized(groups, tokenizer, max_length)
    offsets, window = offsets_of(lengths), rows_of(lengths)
    is_first = np.concatenate([[True], (np.diff(local) != 0) | (np.diff(window) != 0)])[: len(local)]
    at = np.flatnonzero(is_first & ~np.isnan(local))
    words = np.full(len(ids), -1)
    words[at] = np.arange(len(at))
    ignored = np.full(len(at), IGNORED)
    word_offsets = np.searchsorted(at, offsets)
    encoded = Encoded(
        ids,
        np.full(len(ids), IGNORED),
        words,
        offsets,
        np.arange(len(lengths)),
        ignored,
        word_offsets,
        np.zeros_like(at),
    )
    return Windows(encoded, local[at].astype(np.int64), sentence)


def sub_tokens(words: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[str]]:
    """The sub-tokens of each word, none of a word without any. Raises InputError as `encode` does."""
    ids, word, _, _ = tokenized([[list(words)]], tokenizer, WHOLE)
    found: list[list[str]] = [[] for _ in words]
    for piece, number in zip(tokenizer.convert_ids_to_tokens(ids.tolist()), word.tolist(), strict=True):
        if not math.isnan(number):
            found[int(number)].append(piece)
    return found


def chosen(windows: Windows, goes_on: np.ndarray) -> np.ndarray:
    """bool [words of the windows]: which reading of each word counts, so that no entity is cut between two windows.

    goes_on: bool, whether a word continues an entity in its window. Where neighbouring windows share words, the one
    before speaks up to a word that continues nothing in either, the one nearest to the middle, and the next from there.
    """
    offsets = windows.encoded.word_offsets
    keep = np.ones(len(windows.word), dtype=bool)
    for window in np.flatnonzero(np.diff(windows.sentence) == 0).tolist():
        first, middle, last = offsets[window : window + 3].tolist()
        in_next = windows.word[first:middle] >= windows.word[middle] if middle < last else np.zeros(0, dtype=bool)
        num_shared = int(in_next.sum())
        if not num_shared:
            continue
        shared = middle - num_shared
        # Not the first shared word: the next window may hold no more than its end.
        cuts = np.arange(1, num_shared) if num_shared > 1 else np.array([1])
        if num_shared > 1:
            free = cuts[~goes_on[shared + cuts] & ~goes_on[middle + cuts]]
            cuts = free if len(free) else cuts  # an entity longer than what is shared is cut after all
        cut = int(cuts[np.abs(cuts - num_shared / 2).argmin()])
        keep[shared + cut : middle] = False
        keep[middle : middle + cut] = False
    return keep
