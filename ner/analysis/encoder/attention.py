"""The attention of an encoder in one text: how much each sub-token takes from each other, by layer and head."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ner.data.words import split_words
from ner.errors import InputError, shorten
from ner.inputs.encoding import WHOLE, tokenized
from ner.inputs.inspection import check_text
from ner.modeling.model import max_positions

MOST_SUB_TOKENS = 128  # that a heat map shows


@dataclass(frozen=True)
class Attention:
    """Attention weights in a text.

    pieces: the sub-tokens, special ones included; weights: float32 [layers, heads, sub-tokens, sub-tokens]; a row is a
    sub-token that takes, and adds up to 1 over those that it takes from.
    """

    pieces: tuple[str, ...]
    weights: np.ndarray

    @property
    def mean_of_last_layer(self) -> np.ndarray:
        """float32 [sub-tokens, sub-tokens]: the mean over the heads of the last layer."""
        return self.weights[-1].mean(axis=0)


def attention(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str) -> Attention:
    """The attention weights of a text, in fp32.

    Args:
        model: Any model of transformers, which computes this with its `eager` attention and keeps the one it has.
        tokenizer: Its tokenizer, a fast one.
        text: Text, split into words as annotated text is.

    Returns:
        The weights of all layers and heads.

    Raises:
        InputError: For a text without words, or with more sub-tokens than a map can show or the encoder takes, and for
            a model that does not give its attention weights.
    """
    ids = sub_token_ids(model, tokenizer, text)
    encoder: Any = model.base_model
    inputs = torch.from_numpy(ids).long()[None].to(model.device)
    usual = model.config._attn_implementation
    model.eval()
    try:
        model.set_attn_implementation("eager")  # the others never have the weights of a whole row at once
        with torch.no_grad():
            output = encoder(input_ids=inputs, attention_mask=torch.ones_like(inputs), output_attentions=True)
    finally:
        model.set_attn_implementation(usual)
    layers = getattr(output, "attentions", None)
    if not layers or any(layer is None for layer in layers):
        raise InputError(f"{model.name_or_path} gives no attention weights; leave `attention` out")
    weights = torch.stack([layer[0] for layer in layers]).float().cpu().numpy()
    return Attention(tuple(tokenizer.convert_ids_to_tokens(ids.tolist())), weights)


def sub_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str) -> np.ndarray:
    """int32 [sub-tokens]: ids of the text, special ones included. Raises InputError as `attention`."""
    check_text(text)
    words = split_words(text)
    if not words:
        raise InputError(f"`attention` {shorten(text)} has no words; give a sentence")
    ids, _, _, _ = tokenized([[list(words)]], tokenizer, WHOLE)
    most = min(MOST_SUB_TOKENS, max_positions(model, tokenizer))
    if len(ids) > most:
        raise InputError(f"`attention`: {len(ids):,} sub-tokens, where {most} are the most; give a shorter text")
    return ids
