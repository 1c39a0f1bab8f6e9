"""Words -> sub-tokens, labels and windows: what the encoder reads, and which of its outputs speaks for which word."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any, Literal

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ner.corpus import TAGS, WORDS, tag_set
from ner.tags import TagSet

IGNORED = -100  # cross_entropy's ignore_index


@dataclass(frozen=True)
class Encoded:
    """Sentences as windows of sub-tokens, flat: window w owns the tokens offsets[w] up to offsets[w + 1].

    A sentence within the encoder's limit is one window; a longer one is several that overlap, and each word is
    labelled and scored in one of them only: where it stands farthest from a cut edge.

    input_ids: int32 [tokens], special tokens included
    labels: int64 [tokens], the tag to train on, -100 elsewhere
    words: int64 [tokens], which word (over all sentences) is scored at this token, -1 elsewhere
    offsets: int64 [windows + 1]
    sentence: int64 [windows], never falling
    gold: int64 [words], every word, those without a sub-token too
    word_offsets: int64 [sentences + 1], the words of each sentence
    """

    input_ids: np.ndarray
    labels: np.ndarray
    words: np.ndarray
    offsets: np.ndarray
    sentence: np.ndarray
    gold: np.ndarray
    word_offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.sentence)

    def __getitem__(self, window: int) -> dict[str, np.ndarray]:
        """The arrays of one window, [tokens of the window] each: what a collator takes."""
        tokens = slice(self.offsets[window], self.offsets[window + 1])
        return {"input_ids": self.input_ids[tokens], "labels": self.labels[tokens], "words": self.words[tokens]}

    @property
    def num_sentences(self) -> int:
        """Sentences, however many windows they take."""
        return len(self.word_offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """int64 [windows]: sub-tokens of each window."""
        return np.diff(self.offsets)

    @cached_property
    def num_labels(self) -> np.ndarray:
        """int64 [windows]: labels that count in the loss."""
        return np.diff(np.concatenate([[0], np.cumsum(self.labels != IGNORED)])[self.offsets])

    @cached_property
    def first_window(self) -> np.ndarray:
        """int64 [sentences + 1]: the windows of each sentence, as offsets."""
        return np.searchsorted(self.sentence, np.arange(self.num_sentences + 1))


def encode(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    tags: TagSet,
    *,
    max_length: int,
    label_tokens: Literal["first", "all"] = "first",
    progress: Any = None,
) -> Encoded:
    """Sentences of `ner.corpus` as windows of at most max_length sub-tokens, gold tags as ids of `tags`.

    label_tokens: train on a word's first sub-token, or on all of them (B- goes on as I-); scoring is always per word.
    progress: called with the number of sentences done. Raises ValueError for a tag that `tags` lacks, for a tokenizer
    without word alignment, and for max_length without room for two sub-tokens.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"{tokenizer.name_or_path} has no fast tokenizer, which aligns sub-tokens with words")
    room = max_length - tokenizer.num_special_tokens_to_add()
    if room < 2:
        raise ValueError(f"windows of {max_length} sub-tokens leave no room for text; raise --max-length")
    rows = dataset[TAGS][:]
    word_offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64)
    gold = tags.ids_of(tag_set(dataset))[np.fromiter(chain.from_iterable(rows), np.int64, word_offsets[-1])]
    if len(gold) and gold.min() < 0:
        raise ValueError(f"the data holds tags that are not among {' '.join(tags.names)}")

    ids, words, lengths, sentences = [], [], [], []
    sentence_texts = iter(dataset[WORDS][:])
    start = 0
    while batch := list(islice(sentence_texts, 1000)):
        encoded = tokenizer(
            batch,
            is_split_into_words=True,
            truncation=True,
            max_length=max_length,
            stride=room // 4,  # sub-tokens that neighbouring windows share
            return_overflowing_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        lengths += [len(window) for window in encoded["input_ids"]]
        ids.append(np.fromiter(chain.from_iterable(encoded["input_ids"]), np.int32))
        # float: None (a special token) becomes nan without a Python loop over tokens
        words.append(np.array(list(chain.from_iterable(e.word_ids for e in encoded.encodings)), dtype=np.float64))
        sentences.append(start + np.array(encoded["overflow_to_sample_mapping"], dtype=np.int64))
        start += len(batch)
        if progress:
            progress(len(batch))
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    sentence = concatenate(sentences, np.int64)
    local = concatenate(words, np.float64)
    word = np.where(np.isnan(local), -1, local + np.repeat(word_offsets[sentence], lengths)).astype(np.int64)
    run_start, run_end = owned_runs(word, offsets, sentence)

    scored = np.full(len(word), -1, dtype=np.int64)
    scored[run_start] = word[run_start]
    labels = np.full(len(word), IGNORED, dtype=np.int64)
    if label_tokens == "all":
        runs = np.repeat(np.arange(len(run_start)), run_end - run_start)
        position = np.arange(len(runs)) - np.repeat(
            np.cumsum(run_end - run_start) - (run_end - run_start), run_end - run_start
        )
        labels[run_start[runs] + position] = tags.inside[gold[word[run_start]]][runs]
    labels[run_start] = gold[word[run_start]]
    return Encoded(concatenate(ids, np.int32), labels, scored, offsets, sentence, gold, word_offsets)


def owned_runs(word: np.ndarray, offsets: np.ndarray, sentence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each word that has sub-tokens, the token range [start, end) that speaks for it, in order of start.

    word: int64 [tokens], over all sentences, -1 for special tokens. A word that stands in several windows is taken
    from the one where the nearer cut edge is farthest away; the outer edges of a sentence are no cuts.
    """
    window = np.repeat(np.arange(len(sentence)), np.diff(offsets))
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
