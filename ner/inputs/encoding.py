"""Words -> sub-tokens, labels and windows: what the encoder reads, and which of its outputs speaks for which word."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ner.data.arrow_store import TAGS, WORDS, batches, flat_column, tag_set
from ner.errors import InputError
from ner.tags import TagSet
from ner.utils import ahead, in_parts, offsets_of, ranges, rows_of

IGNORED = -100  # cross_entropy's ignore_index
WHOLE = 2**31 - 1  # sub-tokens: a window that holds any sentence
SENTENCES_PER_CALL = 500  # of the tokenizer: enough for all cores, few enough to stay in their caches


@dataclass(frozen=True)
class Encoded:
    """Sentences as windows of sub-tokens, flat: window w owns the tokens offsets[w] up to offsets[w + 1].

    A sentence within the encoder's limit is one window; a longer one is several that overlap, and each word is
    labelled and scored in one of them only: where it stands farthest from a cut edge.

    It is a PyTorch dataset of windows: `len(encoded)` is their number, `encoded[i]` is what a collator takes.

    Attributes:
        input_ids: int32 [tokens], ids of sub-tokens, special tokens included.
        labels: int16 [tokens], id of the tag to train on, -100 elsewhere.
        words: int64 [tokens], which word (over all sentences) is scored at this token, -1 elsewhere.
        offsets: int64 [windows + 1], the tokens of each window.
        sentence: int64 [windows], the sentence of each window, never falling.
        gold: int64 [words], id of the gold tag of every word, those without a sub-token too.
        word_offsets: int64 [sentences + 1], the words of each sentence.
        num_sub_tokens: int64 [words], sub-tokens of each word, from the one that is scored on, 0 for a word without
            any; of a word that no window holds whole, those in the window where it is scored.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    words: np.ndarray
    offsets: np.ndarray
    sentence: np.ndarray
    gold: np.ndarray
    word_offsets: np.ndarray
    num_sub_tokens: np.ndarray

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.sentence)

    def __getitem__(self, window: int) -> dict[str, np.ndarray]:
        """The arrays of one window, [tokens of the window] each: what a collator takes.

        Args:
            window: Number of the window, from 0.

        Returns:
            `input_ids`, `labels` and `words`: views of the arrays, not copies.

        Raises:
            IndexError: For a number behind the last window.
        """
        tokens = slice(self.offsets[window], self.offsets[window + 1])
        return {"input_ids": self.input_ids[tokens], "labels": self.labels[tokens], "words": self.words[tokens]}

    @property
    def num_sentences(self) -> int:
        """Sentences, however many windows they take."""
        return len(self.word_offsets) - 1

    def fingerprint(self) -> str:
        """A hash of all of it: equal where sub-tokens, labels and windows are.

        Returns:
            SHA-256 of `input_ids`, `labels`, `words`, `offsets` and `sentence`, in hexadecimal.
        """
        whole = hashlib.sha256()
        for array in (self.input_ids, self.labels, self.words, self.offsets, self.sentence):
            for part in in_parts(array):
                whole.update(part.data)
        return whole.hexdigest()

    def windows_of(self, sentences: np.ndarray) -> list[range]:
        """The windows of sentences. Nothing is kept of each sentence: there may be millions.

        Args:
            sentences: int64 [sentences], their numbers.

        Returns:
            The numbers of the windows of each.
        """
        first, end = (np.searchsorted(self.sentence, sentences, side).tolist() for side in ("left", "right"))
        return list(map(range, first, end))

    def lengths(self, windows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The sub-tokens of windows.

        Args:
            windows: Their numbers.

        Returns:
            int64 [windows].
        """
        windows = np.asarray(windows, np.int64)
        return self.offsets[windows + 1] - self.offsets[windows]

    @cached_property
    def longest(self) -> int:
        """Sub-tokens of the longest window, 0 without any."""
        longest = before = 0
        for ends in in_parts(self.offsets):
            longest = max(longest, int(np.diff(ends, prepend=before).max()))
            before = ends[-1]
        return longest

    def num_labels(self, windows: Sequence[int] | np.ndarray) -> int:
        """How many labels of windows count in the loss.

        Args:
            windows: Their numbers.

        Returns:
            The number for all of them together.
        """
        tokens = ranges(self.offsets[np.asarray(windows, np.int64)], self.lengths(windows))
        return int(np.count_nonzero(self.labels[tokens] != IGNORED))

    def label_counts(self, num_tags: int) -> np.ndarray:
        """How often each tag is a label.

        Args:
            num_tags: Of the tag set.

        Returns:
            float64 [tags]: labels that count in the loss.
        """
        counts = np.zeros(num_tags, np.int64)
        for labels in in_parts(self.labels):
            counts += np.bincount(labels[labels != IGNORED], minlength=num_tags)
        return counts.astype(np.float64)

    def used_ids(self, num_ids: int) -> np.ndarray:
        """Which sub-tokens of a vocabulary occur.

        Args:
            num_ids: Sub-tokens of the vocabulary.

        Returns:
            bool [ids].
        """
        is_used = np.zeros(num_ids, dtype=bool)
        for ids in in_parts(self.input_ids):
            is_used[ids] = True
        return is_used

    @cached_property
    def scored_at(self) -> np.ndarray:
        """int64 [words]: the token where each word is scored, its first sub-token; -1 for a word without any."""
        tokens = np.flatnonzero(self.words >= 0)
        found = np.full(len(self.gold), -1)
        found[self.words[tokens]] = tokens
        return found

    def sub_tokens(self, first: int, end: int) -> np.ndarray:
        """int32 [sub-tokens]: the ids of the words from first up to end, word after word, num_sub_tokens of each.

        Args:
            first: The first word, counted over all sentences.
            end: The word behind the last.

        Returns:
            Ids of the sub-tokens of these words, without special tokens.
        """
        counts = self.num_sub_tokens[first:end]
        return self.input_ids[ranges(self.scored_at[first:end], counts)]


def encode(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    tags: TagSet,
    *,
    max_length: int,
    label_tokens: Literal["first", "all"] = "first",
    progress: Any = None,
) -> Encoded:
    """Sentences of `ner.data.corpus` as windows of at most max_length sub-tokens, gold tags as ids of `tags`.

    Neighbouring windows of a long sentence share a quarter of the sub-tokens that they have room for.

    Args:
        dataset: Sentences of one language and split, as `corpus["de"]["train"]`.
        tokenizer: A fast tokenizer, made by `load_tokenizer`.
        tags: The tags of the model, which may be in another order than those of the data.
        max_length: Longest window in sub-tokens, special tokens included.
        label_tokens: Train on a word's first sub-token, or on all of them (B- goes on as I-); scoring is always per
            word.
        progress: Called with the number of sentences done since the last call.

    Returns:
        The windows of all sentences, in the order of the dataset.

    Raises:
        InputError: For a tag that `tags` lacks, for a tokenizer without word alignment, and for max_length without room
            for two sub-tokens.
    """
    tag_ids, num_words = flat_column(dataset, TAGS)
    word_offsets = offsets_of(num_words)
    gold = tags.ids_of(tag_set(dataset))[tag_ids]
    if len(gold) and gold.min() < 0:
        raise InputError(f"the data holds tags that are not among {' '.join(tags.names)}")

    ids, local, lengths, sentence = tokenized(word_lists(batches(dataset)), tokenizer, max_length, progress)
    offsets = offsets_of(lengths)
    word = np.where(np.isnan(local), -1, local + np.repeat(word_offsets[sentence], lengths)).astype(np.int64)
    run_start, run_end = owned_runs(word, offsets, sentence)

    scored = np.full(len(word), -1, dtype=np.int64)
    scored[run_start] = word[run_start]
    labels = np.full(len(word), IGNORED, dtype=np.int16)
    if label_tokens == "all":
        run_lengths = run_end - run_start
        labels[ranges(run_start, run_lengths)] = np.repeat(tags.inside[gold[word[run_start]]], run_lengths)
    labels[run_start] = gold[word[run_start]]
    num_sub_tokens = np.zeros(len(gold), dtype=np.int64)
    num_sub_tokens[word[run_start]] = run_end - run_start
    return Encoded(ids, labels, scored, offsets, sentence, gold, word_offsets, num_sub_tokens)


def word_lists(tables: Iterable[pa.Table]) -> Iterator[list[list[str]]]:
    """The words of sentences, as many sentences as the tokenizer takes in a call."""
    for rows in tables:
        for start in range(0, len(rows), SENTENCES_PER_CALL):
            yield rows[WORDS].slice(start, SENTENCES_PER_CALL).to_pylist()


def check_alignment(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises InputError for a tokenizer that does not say which word a sub-token belongs to."""
    if not tokenizer.is_fast:
        raise InputError(f"{tokenizer.name_or_path} has no fast tokenizer, which aligns sub-tokens with words")


def tokenized(
    groups: Iterable[Sequence[list[str]]], tokenizer: PreTrainedTokenizerBase, max_length: int, progress: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The windows of all sentences, on all cores; neighbouring windows of a sentence share a quarter of their room.

    Returns (ids int32 [tokens], words float64 [tokens]: the word within its sentence, nan for special tokens,
    lengths int64 [windows], sentences int64 [windows]).
    """
    check_alignment(tokenizer)
    room = max_length - tokenizer.num_special_tokens_to_add()
    if room < 2:
        raise InputError(f"windows of {max_length} sub-tokens leave no room for text; raise `max_length`")
    ids, words = [], []
    lengths: list[int] = []
    sentences: list[int] = []
    start = 0
    # The tokenizer behind transformers' own, set up as that does it: no Python object per sentence in between.
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = tokenizer.split_special_tokens
    backend.no_padding()
    backend.enable_truncation(max_length, stride=room // 4)
    try:
        for encodings in ahead(partial(backend.encode_batch, is_pretokenized=True), groups):
            windows = [(start + i, part) for i, whole in enumerate(encodings) for part in (whole, *whole.overflowing)]
            sentences += [sentence for sentence, _ in windows]
            new_ids = [window.ids for _, window in windows]
            lengths += map(len, new_ids)
            ids.append(np.fromiter(chain.from_iterable(new_ids), np.int32))
            # float: None (a special token) becomes nan without a Python loop over tokens
            words.append(np.array(list(chain.from_iterable(window.word_ids for _, window in windows)), np.float64))
            start += len(encodings)
            if progress:
                progress(len(encodings))
    finally:
        backend.no_truncation()  # else it would be saved with the model
    counted = np.array(lengths, np.int64), np.array(sentences, np.int64)
    return concatenate(ids, np.int32), concatenate(words, np.float64), *counted


def owned_runs(word: np.ndarray, offsets: np.ndarray, sentence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each word that has sub-tokens, the token range [start, end) that speaks for it, in order of start.

    word: int64 [tokens], over all sentences, -1 for special tokens. A word that stands in several windows is taken
    from the one where the nearer cut edge is farthest away; the outer edges of a sentence are no cuts.
    """
    window = rows_of(np.diff(offsets))
    changes = np.flatnonzero((np.diff(word) != 0) | (np.diff(window) != 0)) + 1
    start = np.concatenate([[0], changes]) if len(word) else changes
    end = np.concatenate([changes, [len(word)]]) if len(word) else changes
    is_word = word[start] >= 0
    start, end = start[is_word], end[is_word]
    owner = window[start]
    has_previous = np.concatenate([[False], sentence[1:] == sentence[:-1]])[: len(sentence)]
    has_next = np.concatenate([sentence[1:] == sentence[:-1], [False]])[: len(sentence)]
    left = np.where(has_previous[owner], start - offsets[owner], len(word))
    right = np.where(has_next[owner], offsets[owner + 1] - end, len(word))
    context = np.minimum(left, right)
    # Best context first within each word, earlier windows first among equals: they hold the word's first sub-token.
    order = np.lexsort((start, -context, word[start]))
    first = np.concatenate([[True], np.diff(word[start][order]) != 0])[: len(order)]
    chosen = np.sort(order[first])
    return start[chosen], end[chosen]


def concatenate(arrays: Iterable[np.ndarray], dtype: Any) -> np.ndarray:
    """np.concatenate that takes no arrays, too."""
    return np.concatenate([np.empty(0, dtype), *arrays]).astype(dtype, copy=False)
