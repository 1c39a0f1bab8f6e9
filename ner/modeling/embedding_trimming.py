"""The embedding table of a multilingual encoder, trained without the rows that no sentence uses.

Those rows get no gradient: all that training does to them is weight decay, the same factor for all. So they are left
out while the model trains (gradient, optimizer state, all-reduce and checkpoints shrink with them), and come back,
decayed, when it is saved: the same model, to the rounding of that factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ner.inputs.collators import Features, PaddedCollator, to_device
from ner.inputs.encoding import Encoded


@dataclass(frozen=True)
class TrimmedEmbedding:
    """Which rows of the embedding table a model has while it trains.

    name: of the table in the state dict. used: int64 [rows], ids in rising order. whole: float32 [ids, width], the
    table before training. The trained table has one row more, of ones: no token uses it, and so it becomes the factor
    by which weight decay has shrunk what is left out, through resumed runs and skipped steps alike.
    """

    name: str
    used: np.ndarray
    whole: Tensor

    def encoded(self, encoded: Encoded) -> Encoded:
        """The same windows, ids as rows of the trained table."""
        return replace(encoded, input_ids=self.rows[encoded.input_ids])

    @property
    def rows(self) -> np.ndarray:
        """int32 [ids]: the row of each id, -1 for those left out."""
        rows = np.full(len(self.whole), -1, dtype=np.int32)
        rows[self.used] = np.arange(len(self.used), dtype=np.int32)
        return rows

    def state(self, trained: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state dict with the whole table, from that of the trained model."""
        table = trained[self.name].cpu()
        whole = self.whole * table[-1, 0]
        whole[torch.from_numpy(self.used)] = table[:-1]
        return {**trained, self.name: whole}


def trim_embedding(model: PreTrainedModel, texts: Sequence[Encoded]) -> TrimmedEmbedding | None:
    """Leaves out of the model's embedding table what none of the texts uses; None where that is not possible.

    It is not where the table is frozen, shared with another layer or of an unusual kind, and where the trimmed model
    does not compute the same logits, because it gives a meaning to the numbers themselves. A table that is used up to
    nine tenths is left alone as well.
    """
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        return None
    if type(table) is not nn.Embedding or not table.weight.requires_grad or table.max_norm or table.scale_grad_by_freq:
        return None
    names = [name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter is table.weight]
    # Ids up to that of padding keep their number: encoders tell padding by it.
    padding = model.config.pad_token_id or 0
    used = np.unique(np.concatenate([np.arange(padding + 1), *(text.input_ids for text in texts)]))
    if len(names) != 1 or len(used) > 0.9 * table.num_embeddings:
        return None
    trimmed = TrimmedEmbedding(names[0], used, table.weight.detach().cpu())
    probe = [window for text in texts[:1] for window in map(text.__getitem__, range(min(16, len(text))))]
    before = logits(model, probe)
    rows = torch.cat([table.weight.detach()[torch.from_numpy(used)], table.weight.new_ones(1, table.embedding_dim)])
    model.set_input_embeddings(nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=table.padding_idx))
    after = logits(model, [{"input_ids": trimmed.rows[window["input_ids"]]} for window in probe])
    if not torch.equal(before, after):
        model.set_input_embeddings(table)
        return None
    return trimmed


@torch.no_grad()
def logits(model: PreTrainedModel, windows: Sequence[Features]) -> Tensor:
    """float [windows, tokens, tags], without dropout."""
    was_training = model.training
    model.eval()
    padded = PaddedCollator(model.config.pad_token_id or 0)([{"input_ids": w["input_ids"]} for w in windows])
    result = model(**to_device(padded, model.device)).logits
    model.train(was_training)
    return result
