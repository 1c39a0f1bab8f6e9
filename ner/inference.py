"""A model over encoded sentences: the tag and the loss of every word, and the scores that follow."""

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from ner.batching import EpochPlan
from ner.collating import Collator, PackedCollator, to_device
from ner.encoding import IGNORED, Encoded
from ner.feed import feed
from ner.loss import token_loss
from ner.metrics import Counts, count
from ner.tags import TagSet

SENTENCES_PER_GROUP = 256  # enough that packed rows are full, few enough that memory is bounded by max_tokens


@torch.inference_mode()
def predict(
    model: nn.Module,
    encoded: Encoded,
    collator: Collator,
    accelerator: Accelerator,
    *,
    outside: int,
    max_tokens: int,
    progress: Any = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tags every word of this process's share of the sentences.

    outside: the tag of a word that has no sub-token. max_tokens: positions in a micro-batch.
    progress: called with the number of sentences done, over all processes.
    Returns (tags int64 [words], losses float32 [words], mine bool [words]): losses against encoded.gold, nan for words
    without a sub-token; both are meaningful where mine is true, and each word is mine on one process.
    """
    model.eval()
    row_length = collator.row_length if isinstance(collator, PackedCollator) else None
    plan = EpochPlan(encoded, SENTENCES_PER_GROUP, row_length, max_tokens, num_processes=accelerator.num_processes)
    num_words = len(encoded.gold)
    gold = torch.from_numpy(np.append(encoded.gold, IGNORED)).to(accelerator.device)
    # One place more than there are words takes what belongs to no word: no host sync to find out which tokens count.
    tags = torch.full((num_words + 1,), outside, device=accelerator.device)
    losses = torch.full((num_words + 1,), torch.nan, device=accelerator.device)
    mine = np.zeros(num_words, dtype=bool)
    rank = accelerator.process_index
    for update, batches in feed(plan, collator, rank, 1, len(plan), accelerator.device):
        for micro_batch, batch in zip(update.micro_batches[rank], batches, strict=True):
            batch = to_device(batch, accelerator.device)
            words = batch.pop("words")
            words = torch.where(words < 0, num_words, words)
            del batch["labels"]
            logits = model(**batch).logits
            tags[words] = logits.argmax(dim=-1)
            losses[words] = token_loss(logits, gold[words])
            if not micro_batch.filler:
                for sentence in encoded.sentence[micro_batch.windows]:
                    mine[encoded.word_offsets[sentence] : encoded.word_offsets[sentence + 1]] = True
        if progress:
            progress(len(update.sentences))
    return tags[:-1].cpu().numpy(), losses[:-1].cpu().numpy(), mine


def evaluate(
    model: nn.Module,
    encoded: Encoded,
    collator: Collator,
    accelerator: Accelerator,
    tags: TagSet,
    *,
    max_tokens: int,
    progress: Any = None,
) -> Counts:
    """Counts over all sentences, each scored once at any number of processes. Arguments as in `predict`."""
    predicted, losses, mine = predict(
        model, encoded, collator, accelerator, outside=tags.outside, max_tokens=max_tokens, progress=progress
    )
    sentence_start = np.zeros(len(encoded.gold) + 1, dtype=bool)
    sentence_start[encoded.word_offsets] = True
    own = count(encoded.gold[mine], predicted[mine], sentence_start[:-1][mine], losses[mine], tags)
    whole = torch.tensor([own.words, own.correct_words, own.scored_words], device=accelerator.device)
    entities = torch.from_numpy(own.entities).to(accelerator.device)
    loss = torch.tensor(own.loss, dtype=torch.float64, device=accelerator.device)
    whole, entities, loss = (accelerator.reduce(part) for part in (whole, entities, loss))
    words, correct_words, scored_words = whole.tolist()
    return Counts(tags.types, entities.cpu().numpy(), words, correct_words, loss.item(), scored_words)
