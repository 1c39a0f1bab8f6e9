"""The embedding table of a multilingual encoder, trained without the rows that no sentence uses.

Those rows get no gradient: all that training does to them is weight decay, the same factor for all. So they are left
out while the model trains (gradient, optimizer state, all-reduce and checkpoints shrink with them), and come back,
decayed, when it is saved: the same model, to the rounding of that factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ner.inputs.collators import Features, PaddedCollator, to_device
from ner.inputs.encoding import Encoded


class TrimmedTable(nn.Embedding):
    """The rows of an embedding table that are used. It takes the ids of the whole table.

    rows: int64 [ids], the row of each id, -1 for those left out.
    """

    rows: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """int64 [...], ids -> float [..., width]. Raises IndexError for one that is left out."""
        return super().forward(self.rows[input])


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

    def state(self, trained: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state dict with the whole table, from that of the trained model."""
        table = trained[self.name].cpu()
        whole = self.whole * table[-1, 0]
        whole[torch.from_numpy(self.used)] = table[:-1]
        return {**trained, self.name: whole}


def trim_embedding(model: PreTrainedModel, texts: Sequence[Encoded]) -> TrimmedEmbedding | None:
    """Leaves out of the model's embedding table what none of the texts uses; None where that is not possible.

    It is not where the table is frozen, shared with another layer or of an unusual kind, and where the trimmed model
    does not compute the same logits. A table that is used up to nine tenths is left alone as well.
    """
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        return None
    if type(table) is not nn.Embedding or not table.weight.requires_grad or table.max_norm or table.scale_grad_by_freq:
        return None
    names = [name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter is table.weight]
    is_used = np.any([text.used_ids(table.num_embeddings) for text in texts], axis=0)
    is_used[[model.config.pad_token_id or 0, table.padding_idx or 0]] = True
    used = np.flatnonzero(is_used)
    if len(names) != 1 or len(used) > 0.9 * table.num_embeddings:
        return None
    trimmed = TrimmedEmbedding(names[0], used, table.weight.detach().cpu())
    probe = [window for text in texts[:1] for window in map(text.__getitem__, range(min(16, len(text))))]
    before = logits(model, probe)
    rows = torch.cat([table.weight.detach()[torch.from_numpy(used)], table.weight.new_ones(1, table.embedding_dim)])
    row_of = torch.full((table.num_embeddings,), -1, device=rows.device)
    row_of[torch.from_numpy(used)] = torch.arange(len(used), device=rows.device)
    padding = None if table.padding_idx is None else int(row_of[table.padding_idx])
    smaller = TrimmedTable.from_pretrained(rows, freeze=False, padding_idx=padding)
    smaller.register_buffer("rows", row_of, persistent=False)
    model.set_input_embeddings(smaller)
    if not torch.equal(before, logits(model, probe)):
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
