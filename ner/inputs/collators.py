"""Windows of one micro-batch -> the tensors an encoder takes, padded or packed, and the proof that both agree.

Packed: several windows share a row; attention is block-diagonal and positions restart, so that each window is computed
as if it stood alone. It needs an encoder that takes a mask [rows, 1, tokens, tokens] and position ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ner.errors import InputError
from ner.inputs.batching import MicroBatch, pack
from ner.inputs.encoding import IGNORED, Encoded

Features = dict[str, Any]
FILL = {"labels": IGNORED, "words": -1}

# Their position ids start behind the padding id, because that row of the position embedding is the padding's.
POSITIONS_BEHIND_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "xmod", "data2vec-text", "mpnet"}
)


@dataclass(frozen=True)
class PaddedCollator:
    """One window per row, padded to the longest: input_ids, attention_mask, and what else the windows bring.

    It is a `collate_fn` for a DataLoader, and a `data_collator` for transformers' Trainer.

    Attributes:
        pad_id: The id of the padding token.
    """

    pad_id: int

    def __call__(self, features: Sequence[Features]) -> dict[str, Any]:
        """The tensors of a batch.

        Args:
            features: Windows as dicts of [tokens] arrays or lists: `input_ids`, optionally `labels` and `words`, the
                same in all of them.

        Returns:
            int64 tensors [rows, tokens]: `input_ids`; `attention_mask`, 1 at a token and 0 at padding; `labels`, -100
            at padding, and `words`, -1 at padding, where the windows have them.
        """
        lengths = [len(window["input_ids"]) for window in features]
        batch = lay_out(features, [[i] for i in range(len(features))], max(lengths), self.pad_id)
        batch["attention_mask"] = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
        return batch


@dataclass(frozen=True)
class PackedCollator:
    """Several windows per row: input_ids, attention_mask, position_ids, and what else the windows bring.

    It is a `collate_fn` for a DataLoader, and a `data_collator` for transformers' Trainer.

    Attributes:
        pad_id: The id of the padding token.
        row_length: Sub-tokens of a row; a longer window gets a row of a multiple.
        position_start: First position id.
        local_attention: Width of the sliding attention in sub-tokens, None where there is none.
    """

    pad_id: int
    row_length: int
    position_start: int = 0
    local_attention: int | None = None

    @classmethod
    def for_model(cls, model: nn.Module, row_length: int) -> "PackedCollator":
        """The collator that suits a transformers model, by its config.

        Args:
            model: A transformers model. That it can be packed is not checked; `choose_collator` does.
            row_length: Sub-tokens of a row.

        Returns:
            The collator.
        """
        config: Any = model.config
        behind = config.model_type in POSITIONS_BEHIND_PADDING
        return cls(
            pad_id=config.pad_token_id or 0,
            row_length=row_length,
            position_start=config.pad_token_id + 1 if behind else 0,
            local_attention=config.local_attention if config.model_type == "modernbert" else None,
        )

    def __call__(self, features: Sequence[Features], rows: list[list[int]] | None = None) -> dict[str, Any]:
        """The tensors of a batch.

        Args:
            features: Windows as dicts of [tokens] arrays or lists: `input_ids`, optionally `labels` and `words`, the
                same in all of them.
            rows: Indices into features, of the windows of each row. None packs them into rows of row_length (of a
                multiple, if a window is longer).

        Returns:
            int64 tensors [rows, tokens]: `input_ids`; `position_ids`, which restart at each window; `labels`, -100 at
            padding, and `words`, -1 at padding, where the windows have them. `attention_mask` is bool
            [rows, 1, tokens, tokens], true within a window, or for encoders with sliding attention a dict of two such
            masks. tokens is a multiple of row_length.
        """
        lengths = [len(window["input_ids"]) for window in features]
        if rows is None:
            rows = [row for row, _ in pack(lengths, self.row_length)]
        longest = max(sum(lengths[window] for window in row) for row in rows)
        row_length = -(-longest // self.row_length) * self.row_length
        batch = lay_out(features, rows, row_length, self.pad_id)
        segments = np.full((len(rows), row_length), -1)  # padding attends to itself: no row of the mask is empty
        positions = np.full((len(rows), row_length), self.position_start)
        for r, row in enumerate(rows):
            start = 0
            for window in row:
                end = start + lengths[window]
                segments[r, start:end] = window
                positions[r, start:end] += np.arange(end - start)
                start = end
        batch["position_ids"] = torch.from_numpy(positions)
        same = torch.from_numpy(segments[:, None, :, None] == segments[:, None, None, :])
        batch["attention_mask"] = same if self.local_attention is None else self.sliding(same)
        return batch

    def sliding(self, same: Tensor) -> dict[str, Tensor]:
        """The two masks of an encoder whose layers alternate between full and sliding attention.

        Args:
            same: bool [rows, 1, tokens, tokens], true within a window.

        Returns:
            `full_attention`, which is `same`, and `sliding_attention`, which is true for near tokens only.
        """
        assert self.local_attention is not None
        place = torch.arange(same.shape[-1])
        near = (place[:, None] - place[None, :]).abs() <= self.local_attention // 2
        return {"full_attention": same, "sliding_attention": same & near}


Collator = PaddedCollator | PackedCollator


def lay_out(features: Sequence[Features], rows: list[list[int]], row_length: int, pad_id: int) -> dict[str, Any]:
    """Every array of the windows as an int64 tensor [rows, row_length], windows of a row side by side."""
    fill = {"input_ids": pad_id} | FILL
    batch = {name: np.full((len(rows), row_length), fill[name]) for name in features[0] if name in fill}
    for name, table in batch.items():
        for r, row in enumerate(rows):
            start = 0
            for window in row:
                values = features[window][name]
                table[r, start : start + len(values)] = values
                start += len(values)
    return {name: torch.from_numpy(table) for name, table in batch.items()}


def collate(encoded: Encoded, micro_batch: MicroBatch, collator: Collator) -> dict[str, Any]:
    """The tensors of a planned micro-batch: input_ids, labels, words, attention_mask (and position_ids, packed)."""
    features = [encoded[window] for window in micro_batch.windows]
    if isinstance(collator, PaddedCollator):
        batch = collator(features)
    else:
        numbers = iter(range(len(features)))
        batch = collator(features, [[next(numbers) for _ in row] for row in micro_batch.rows])
    if micro_batch.filler:
        batch["labels"].fill_(IGNORED)
        batch["words"].fill_(-1)
    return batch


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch on a device; copies from pinned memory do not wait."""
    return {
        name: to_device(value, device) if isinstance(value, dict) else value.to(device, non_blocking=True)
        for name, value in batch.items()
    }


def packing_fault(model: nn.Module, features: Sequence[Features], packed: PackedCollator, tolerance: float) -> str:
    """Why this encoder can not be packed, or "" if packed and padded logits agree on these windows.

    model: in evaluation mode and full precision, returning `.logits` [rows, tokens, tags].
    tolerance: largest difference, as a share of the largest logit.
    """
    windows = [{"input_ids": window["input_ids"], "words": np.arange(len(window["input_ids"]))} for window in features]
    for i, window in enumerate(windows[1:], start=1):
        window["words"] = window["words"] + windows[i - 1]["words"][-1] + 1
    device = next(model.parameters()).device
    num_tokens = sum(len(window["input_ids"]) for window in windows)
    results = []
    for collator in (PaddedCollator(packed.pad_id), packed):
        batch = to_device(collator(windows), device)
        words = batch.pop("words")
        try:
            with torch.no_grad():
                logits = model(**batch).logits
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            if collator is not packed:
                raise
            return f"it does not take block-diagonal attention ({type(error).__name__}: {str(error).splitlines()[0]})"
        ordered = torch.empty(num_tokens, logits.shape[-1], device=device)
        ordered[words[words >= 0]] = logits[words >= 0].float()
        results.append(ordered)
    padded, mixed = results
    difference = ((padded - mixed).abs().max() / padded.abs().max()).item()
    return (
        "" if difference <= tolerance else f"packed logits differ from padded ones by {difference:.1e} of the largest"
    )


def choose_collator(
    model: nn.Module, features: Sequence[Features], packing: Literal["auto", "on", "off"], row_length: int
) -> tuple[Collator, str]:
    """The collator for an encoder, and a line that says why.

    The probe computes a few windows padded and packed, with the model in evaluation mode for that long. They agree
    where no logit differs by more than 1e-4 of the largest.

    Args:
        model: A transformers model in full precision.
        features: A few windows for the probe.
        packing: `auto` packs where the probe finds the same logits as padding does; `on` packs, or fails; `off` pads,
            without a probe.
        row_length: Sub-tokens of a packed row.

    Returns:
        The collator, and the line.

    Raises:
        InputError: If packing is on and the probe finds other logits.
    """
    padded = PaddedCollator(model.config.pad_token_id or 0)  # type: ignore[union-attr, arg-type]
    if packing == "off":
        return padded, "packing: off, padded batches of similar length"
    packed = PackedCollator.for_model(model, row_length)
    was_training = model.training
    model.eval()
    fault = packing_fault(model, features, packed, tolerance=1e-4)
    model.train(was_training)
    if not fault:
        return packed, f"packing: on, packed and padded logits agree; rows of {row_length} sub-tokens"
    if packing == "on":
        raise InputError(f"`packing` on: this encoder can not be packed: {fault}")
    return padded, f"packing: off, padded batches of similar length instead, because {fault}"
