"""What PyTorch does slowly on CPUs for short rows, done quickly: dropout, and attention.

torch draws dropout's Bernoulli numbers one after the other in a single thread, a fifth of a training step; and its
attention falls back to fp32, or to tiles made for long sequences.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

SHORT = 128  # sub-tokens; in longer rows torch's attention is the faster one, unless it has dropout
NAME = "ner_short_rows"


def use_cpu_kernels(model: PreTrainedModel) -> None:
    """Replaces dropout and attention of a model that computes on a CPU. What is saved of it stays the same.

    Attention is left alone in encoders that bring their own, such as DeBERTa.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p).train(child.training))
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


class Dropout(nn.Dropout):
    """nn.Dropout with `dropout_mask`."""

    def forward(self, x: Tensor) -> Tensor:
        """x: float, any shape."""
        return x * dropout_mask(x, self.p) if self.training and self.p else x


def dropout_mask(like: Tensor, p: float) -> Tensor:
    """What dropout multiplies by: 0 with probability p, else 1 / (1 - p); shape and dtype of `like`.

    Four elements share a random 64-bit integer of torch's default generator; p is rounded to 1 / 65536.
    """
    if torch.compiler.is_compiling():
        return compiled_dropout_mask(like.detach(), p)
    bits = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    threshold = round(p * 2**16) - 2**15
    # Compared into like's dtype at once: by way of a boolean it takes three times as long.
    mask = torch.ge(bits[: like.numel()].view(like.shape), threshold, out=torch.empty_like(like))
    return mask.mul_(1 / (1 - p))


@torch.library.custom_op("ner::dropout_mask", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def compiled_dropout_mask(like: Tensor, p: float) -> Tensor:
    """`dropout_mask` as an operation that torch.compile takes as it is; else it would break each layer into pieces."""
    return dropout_mask(like, p)


@compiled_dropout_mask.register_fake
def _(like: Tensor, p: float) -> Tensor:
    return torch.empty_like(like)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of transformers' interface, as its `eager` one computes it.

    query, key, value: float [rows, heads, tokens, width]; attention_mask: [rows, 1, tokens, tokens], bool (true where
    it attends) or float (added). Returns [rows, tokens, heads, width]. Long rows without dropout, no mask, shared
    heads and position biases are left to torch.
    """
    is_slow = dropout or query.shape[2] <= SHORT
    if not is_slow or attention_mask is None or key.shape != query.shape or others.get("position_bias") is not None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    scores = (query * (query.shape[-1] ** -0.5 if scaling is None else scaling)) @ key.mT
    if attention_mask.dtype == torch.bool:
        # The lowest number, not -inf: a token that attends to nothing must not become NaN.
        lowest = torch.finfo(scores.dtype).min
        attention_mask = scores.new_zeros(attention_mask.shape).masked_fill_(~attention_mask, lowest)
    probabilities = torch.softmax(scores + attention_mask, dim=-1)
    if dropout:
        probabilities = probabilities * dropout_mask(probabilities, dropout)
    return (probabilities @ value).transpose(1, 2).contiguous(), None
