"""How a tokenizer suits sentences: their lengths in sub-tokens, and what it does not know."""

from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ner.data.arrow_store import WORDS, batches
from ner.inputs.encoding import WHOLE, tokenized, word_lists
from ner.utils import rows_of

PERCENTILES = (50, 90, 95, 99, 100)


@dataclass(frozen=True)
class SubTokenStats:
    """Sub-tokens of sentences.

    Attributes:
        lengths: int64 [sentences], sub-tokens of each sentence, special tokens included.
        num_special: Special tokens that each sentence gets.
        num_words: Words of all sentences.
        num_bare_words: Words without a sub-token, which count as O.
        num_unknown: Sub-tokens that are the unknown piece.
    """

    lengths: np.ndarray
    num_special: int
    num_words: int
    num_bare_words: int
    num_unknown: int

    @property
    def num_sub_tokens(self) -> int:
        """Sub-tokens of all sentences, without special tokens."""
        return int(self.lengths.sum()) - self.num_special * len(self.lengths)

    @property
    def sub_tokens_per_word(self) -> float:
        """Mean number of sub-tokens of a word; 0 without words."""
        return self.num_sub_tokens / max(self.num_words, 1)

    @property
    def share_unknown(self) -> float:
        """Share of the unknown piece among the sub-tokens, 0 to 1, special tokens left out."""
        return self.num_unknown / max(self.num_sub_tokens, 1)

    def percentiles(self, of: tuple[int, ...] = PERCENTILES) -> list[int]:
        """Lengths that so many percent of the sentences do not exceed, in sub-tokens with special tokens.

        Args:
            of: Percentages, 0 to 100.

        Returns:
            A length that occurs, for each of them; none without sentences.
        """
        return np.percentile(self.lengths, of, method="nearest").tolist() if len(self.lengths) else []

    def num_split(self, max_length: int) -> int:
        """Sentences that become several windows.

        Args:
            max_length: Longest window in sub-tokens, special tokens included.

        Returns:
            How many sentences are longer.
        """
        return int((self.lengths > max_length).sum())


def sub_token_stats(dataset: Dataset, tokenizer: PreTrainedTokenizerBase) -> SubTokenStats:
    """Counts the sub-tokens of sentences, a batch at a time.

    Args:
        dataset: Sentences of one language and split, as `corpus["de"]["train"]`.
        tokenizer: A fast tokenizer, made by `load_tokenizer`.

    Returns:
        The counts.

    Raises:
        InputError: For a tokenizer without word alignment.
    """
    lengths = [np.empty(0, np.int64)]
    num_words = num_with_sub_tokens = num_unknown = 0
    for rows in batches(dataset):
        ids, word, of_sentences, _ = tokenized(word_lists([rows]), tokenizer, WHOLE)
        is_text = ~np.isnan(word)
        sentence = rows_of(of_sentences)[is_text]
        word = word[is_text]
        lengths.append(of_sentences)
        num_words += len(rows[WORDS].combine_chunks().flatten())
        num_with_sub_tokens += int(((np.diff(word) != 0) | (np.diff(sentence) != 0)).sum()) + bool(len(word))
        num_unknown += int((ids[is_text] == tokenizer.unk_token_id).sum()) if tokenizer.unk_token_id is not None else 0
    return SubTokenStats(
        lengths=np.concatenate(lengths),
        num_special=tokenizer.num_special_tokens_to_add(),
        num_words=num_words,
        num_bare_words=num_words - num_with_sub_tokens,
        num_unknown=num_unknown,
    )
