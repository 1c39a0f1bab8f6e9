"""Windows of one micro-batch -> the tensors an encoder takes, padded or packed, and the proof that both agree.

Packed: several windows share a row; attention is block-diagonal and positions restart, so that each window is computed
as if it stood alone. It needs an encoder that takes a mask [rows, 1, tokens, tokens] and position ids.

A collator by itself makes a batch that an encoder takes. The loop takes `collate`, whose batches have the segment of
each token instead of a mask: a number a token travels to the device, and `encoder_inputs` makes the mask there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ner.errors import InputError
from ner.inputs.batching import MicroBatch, pack
from ner.inputs.encoding import IGNORED, Encoded
from ner.inputs.masks import attention_mask

Features = dict[str, Any]
FILL = {"labels": IGNORED, "words": -1}
PADDING = -1  # the segment of padding

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
        takes_blocks: Whether the encoder adds a mask [rows, 1, tokens, tokens] to its scores, and needs none where
            nothing is padded, as `choose_collator` finds out: then the loop hands over no mask that is looked into.
        local_attention: Width of the sliding attention in sub-tokens, None where there is none.
    """

    pad_id: int
    takes_blocks: bool = False
    local_attention: int | None = None

    def __call__(self, features: Sequence[Features]) -> dict[str, Any]:
        """The tensors of a batch.

        Args:
            features: Windows as dicts of [tokens] arrays or lists: `input_ids`, optionally `labels` and `words`, the
                same in all of them.

        Returns:
            int64 tensors [rows, tokens]: `input_ids`; `attention_mask`, 1 at a token and 0 at padding; `labels`, -100
            at padding, and `words`, -1 at padding, where the windows have them.
        """
        batch = self.lay_out(features)
        segments = batch.pop("segments", torch.zeros_like(batch["input_ids"]))
        return {**batch, "attention_mask": (segments != PADDING).long()}

    def lay_out(self, features: Sequence[Features]) -> dict[str, Tensor]:
        """The same, but for the mask: `segments`, int32 [rows, tokens], -1 at padding, where there is any."""
        lengths = [len(window["input_ids"]) for window in features]
        batch = lay_out(features, [[i] for i in range(len(features))], max(lengths), self.pad_id)
        if min(lengths) < max(lengths):
            is_padding = torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None]
            batch["segments"] = torch.where(is_padding, PADDING, 0).int()
        return batch

    def mask(self, segments: Tensor, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
        """The encoder's mask of these segments, on their device; dtype: that attention computes in."""
        if self.takes_blocks:
            return attention_mask(segments, dtype, self.local_attention)
        return (segments != PADDING).long()


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
        batch = self.lay_out(features, rows)
        return {**batch, "attention_mask": self.mask(batch.pop("segments"), torch.bool)}

    def lay_out(self, features: Sequence[Features], rows: list[list[int]] | None = None) -> dict[str, Tensor]:
        """The same, but for the mask: `segments`, int32 [rows, tokens], the window of each token, -1 at padding."""
        lengths = [len(window["input_ids"]) for window in features]
        if rows is None:
            rows = [row for row, _ in pack(lengths, self.row_length)]
        longest = max(sum(lengths[window] for window in row) for row in rows)
        row_length = -(-longest // self.row_length) * self.row_length
        batch = lay_out(features, rows, row_length, self.pad_id)
        segments = np.full((len(rows), row_length), PADDING, dtype=np.int32)
        positions = np.full((len(rows), row_length), self.position_start)
        for r, row in enumerate(rows):
            start = 0
            for window in row:
                end = start + lengths[window]
                segments[r, start:end] = window
                positions[r, start:end] += np.arange(end - start)
                start = end
        return {**batch, "position_ids": torch.from_numpy(positions), "segments": torch.from_numpy(segments)}

    def mask(self, segments: Tensor, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
        """The encoder's mask of these segments, on their device; dtype: that attention computes in, or bool."""
        return attention_mask(segments, dtype, self.local_attention)


Collator = PaddedCollator | PackedCollator


def lay_out(features: Sequence[Features], rows: list[list[int]], row_length: int, pad_id: int) -> dict[str, Tensor]:
    """Every array of the windows as a tensor [rows, row_length, ...], windows of a row side by side.

    int64, and float32 for soft targets, [tokens, tags] of each window, which are 0 at padding.
    """
    fill = {"input_ids": pad_id} | FILL
    batch = {}
    for name in (name for name in features[0] if name in fill):
        tags = np.shape(features[0][name])[1:]
        batch[name] = np.full((len(rows), row_length, *tags), np.float32(0) if tags else fill[name])
    for name, table in batch.items():
        for r, row in enumerate(rows):
            start = 0
            for window in row:
                values = features[window][name]
                table[r, start : start + len(values)] = values
                start += len(values)
    return {name: torch.from_numpy(table) for name, table in batch.items()}


def collate(
    encoded: Encoded, micro_batch: MicroBatch, collator: Collator, *, with_words: bool = True
) -> dict[str, Tensor]:
    """The tensors of a planned micro-batch: input_ids, labels, words, segments (and position_ids, packed).

    with_words: training has no use for the words. segments is missing where nothing is padded.
    """
    features = [encoded[window] for window in micro_batch.windows]
    if not with_words:
        features = [{name: window[name] for name in window if name != "words"} for window in features]
    if isinstance(collator, PaddedCollator):
        batch = collator.lay_out(features)
    else:
        numbers = iter(range(len(features)))
        batch = collator.lay_out(features, [[next(numbers) for _ in row] for row in micro_batch.rows])
    if micro_batch.filler:
        for name in FILL.keys() & batch.keys():
            batch[name].fill_(0 if batch[name].is_floating_point() else FILL[name])
    return batch


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch on a device; copies from pinned memory do not wait."""
    return {
        name: to_device(value, device) if isinstance(value, dict) else value.to(device, non_blocking=True)
        for name, value in batch.items()
    }


def encoder_inputs(batch: dict[str, Tensor], collator: Collator, dtype: torch.dtype) -> dict[str, Any]:
    """What the encoder takes of a batch of `collate`: its ids, and the mask, made where the batch is.

    dtype: that attention computes in. Without segments nothing is padded: encoders that were probed need no mask then.
    """
    inputs: dict[str, Any] = {name: batch[name] for name in ("input_ids", "position_ids") if name in batch}
    if "segments" in batch:
        inputs["attention_mask"] = collator.mask(batch["segments"], dtype)
    elif isinstance(collator, PaddedCollator) and not collator.takes_blocks:
        inputs["attention_mask"] = torch.ones_like(batch["input_ids"])
    return inputs


def token_logits(
    model: nn.Module, features: Sequence[Features], collator: Collator, *, on_device: bool = False
) -> Tensor:
    """float32 [tokens, tags]: those of all windows, one after the other. on_device: with the mask of the loop."""
    ends = np.cumsum([len(window["input_ids"]) for window in features])
    numbers = np.split(np.arange(ends[-1]), ends[:-1])
    windows = [{"input_ids": w["input_ids"], "words": own} for w, own in zip(features, numbers, strict=True)]
    device = next(model.parameters()).device
    batch = to_device(collator.lay_out(windows) if on_device else collator(windows), device)
    words = batch.pop("words")
    with torch.no_grad():
        logits = model(**(encoder_inputs(batch, collator, torch.float32) if on_device else batch)).logits
    ordered = torch.empty(len(words[words >= 0]), logits.shape[-1], device=device)
    ordered[words[words >= 0]] = logits[words >= 0].float()
    return ordered


def mask_fault(
    model: nn.Module,
    features: Sequence[Features],
    collator: Collator,
    padded: Tensor,
    tolerance: float,
    *,
    on_device: bool,
) -> str:
    """Why this encoder cannot take the collator's mask, or "" if its logits agree with the padded ones.

    padded: `token_logits` of padded windows; on_device: the mask is the one of the loop; others as of `packing_fault`.
    """
    try:
        found = token_logits(model, features, collator, on_device=on_device)
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        return f"it does not take block-diagonal attention ({type(error).__name__}: {str(error).splitlines()[0]})"
    difference = ((padded - found).abs().max() / padded.abs().max()).item()
    return (
        "" if difference <= tolerance else f"packed logits differ from padded ones by {difference:.1e} of the largest"
    )


def packing_fault(model: nn.Module, features: Sequence[Features], packed: PackedCollator, tolerance: float) -> str:
    """Why this encoder cannot be packed, or "" if packed and padded logits agree on these windows.

    Both masks must do: the boolean one of the collator, and the one that the loop makes on the device.

    model: in evaluation mode and full precision, returning `.logits` [rows, tokens, tags].
    tolerance: largest difference, as a share of the largest logit.
    """
    padded = token_logits(model, features, PaddedCollator(packed.pad_id))
    return mask_fault(model, features, packed, padded, tolerance, on_device=False) or mask_fault(
        model, features, packed, padded, tolerance, on_device=True
    )


def takes_blocks(model: nn.Module, features: Sequence[Features], collator: PaddedCollator, tolerance: float) -> bool:
    """Whether the logits are the same with a mask [rows, 1, tokens, tokens], and with none where nothing is padded.

    Arguments as of `packing_fault`.
    """
    with_blocks = replace(collator, takes_blocks=True)
    something_padded = [*features, {"input_ids": features[0]["input_ids"][:1]}]
    return not any(
        mask_fault(model, windows, with_blocks, token_logits(model, windows, collator), tolerance, on_device=True)
        for windows in (something_padded, features[:1])
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
            and the probe finds out what mask the encoder takes.
        row_length: Sub-tokens of a packed row.

    Returns:
        The collator, and the line.

    Raises:
        InputError: If packing is on and the probe finds other logits.
    """
    packed = PackedCollator.for_model(model, row_length)
    padded = PaddedCollator(packed.pad_id, local_attention=packed.local_attention)
    was_training = model.training
    model.eval()
    fault = "" if packing == "off" else packing_fault(model, features, packed, tolerance=1e-4)
    if fault or packing == "off":
        padded = replace(padded, takes_blocks=takes_blocks(model, features, padded, tolerance=1e-4))
    model.train(was_training)
    if packing == "off":
        return padded, "packing: off, padded batches of similar length"
    if not fault:
        return packed, f"packing: on, packed and padded logits agree; rows of {row_length} sub-tokens"
    if packing == "on":
        raise InputError(f"`packing` on: this encoder cannot be packed: {fault}")
    return padded, f"packing: off, padded batches of similar length instead, because {fault}"
