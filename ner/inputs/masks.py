"""Attention masks, made on the device from the segment of each token."""

import torch
from torch import Tensor

HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


def compute_dtype(mixed_precision: str) -> torch.dtype:
    """The type that attention computes in. mixed_precision: no, fp16 or bf16."""
    return HALF.get(mixed_precision, torch.float32)


def attention_mask(
    segments: Tensor, dtype: torch.dtype, local_attention: int | None = None
) -> Tensor | dict[str, Tensor]:
    """A mask by which each token attends to the tokens of its segment.

    Encoders take a mask of four dimensions as it is. One that is added to the scores is made once; torch would make it
    of a boolean one in every layer.

    Args:
        segments: int [rows, tokens], the segment of each token. Padding is a segment, too: it attends to itself, so
            that no token attends to nothing.
        dtype: bool: true where a token attends. Else what is added to the scores: 0 where it attends, elsewhere the
            lowest number of this type (not -inf, of which a sum may be nan).
        local_attention: Width of the sliding attention in sub-tokens, None where there is none.

    Returns:
        [rows, 1, tokens, tokens] of dtype; with local_attention two of them: `full_attention`, and `sliding_attention`
        for near tokens alone.
    """
    apart = segments[:, None, :, None] != segments[:, None, None, :]
    if local_attention is None:
        return as_dtype(apart, dtype)
    place = torch.arange(segments.shape[-1], device=segments.device)
    far = (place[:, None] - place[None, :]).abs() > local_attention // 2
    return {"full_attention": as_dtype(apart, dtype), "sliding_attention": as_dtype(apart | far, dtype)}


def as_dtype(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """hidden: bool, true where a token does not attend."""
    if dtype == torch.bool:
        return ~hidden
    return torch.zeros_like(hidden, dtype=dtype).masked_fill_(hidden, torch.finfo(dtype).min)
