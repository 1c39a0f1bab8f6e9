"""The vectors of words on every layer of an encoder, gathered in one pass over the sentences.

A word's vector is that of its first sub-token, where the tagger reads its tag. Layer 0 is the embeddings.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ner.errors import InputError
from ner.evaluation.inference import Processes, word_logits
from ner.inputs.collators import PaddedCollator
from ner.inputs.encoding import Encoded


class AllLayers(nn.Module):
    """The encoder of a token classifier, with the states of all layers where `word_logits` looks for logits."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.encoder: Any = getattr(model, "base_model", model)
        self.name = name

    def forward(self, **inputs: Any) -> SimpleNamespace:
        """Returns `logits`: float [rows, tokens, layers + 1, hidden]. Raises InputError for an encoder without them."""
        states: tuple[Tensor, ...] | None = getattr(
            self.encoder(**inputs, output_hidden_states=True), "hidden_states", None
        )
        if not states:
            raise InputError(f"{self.name} gives no hidden states of its layers; take an encoder that does")
        if len({state.shape for state in states}) > 1:
            raise InputError(f"{self.name}: its layers differ in size, so no probe fits them all; take another encoder")
        return SimpleNamespace(logits=torch.stack(states, dim=2))


@torch.no_grad()
def word_vectors(
    model: nn.Module,
    encoded: Encoded,
    words: np.ndarray,
    processes: Processes,
    *,
    name: str,
    max_tokens: int,
    progress: Any = None,
) -> np.ndarray:
    """The vectors of chosen words on all layers; the sentences go through the encoder once.

    Args:
        model: A transformers model on the device of `processes`, which has `config.pad_token_id`.
        encoded: Sentences as windows of sub-tokens.
        words: int64 [chosen], numbers of words over all sentences, each with a sub-token (`scored_at` is not -1).
        processes: `ner.evaluation.inference.Alone(device)`.
        name: Of the model, for messages.
        max_tokens: Positions (padding included) in a micro-batch at most: bounds memory.
        progress: Called with the number of sentences done since the last call.

    Returns:
        float32 [layers + 1, chosen, hidden], layer 0 being the embeddings.

    Raises:
        InputError: For an encoder that does not give the states of its layers.
    """
    nowhere = len(words)
    place = torch.full((len(encoded.gold) + 1,), nowhere)
    place[torch.from_numpy(words)] = torch.arange(len(words))
    config: Any = model.config
    collator = PaddedCollator(config.pad_token_id or 0)
    found: Tensor | None = None
    for _, at, states in word_logits(
        AllLayers(model, name), encoded, collator, processes, max_tokens=max_tokens, progress=progress
    ):
        if found is None:
            found = torch.full((states.shape[2], len(words), states.shape[3]), torch.nan)
        places = place[at.cpu()]
        is_chosen = places < nowhere
        found[:, places[is_chosen]] = states[is_chosen.to(states.device)].float().cpu().transpose(0, 1)
    if found is None or any(layer.isnan().any() for layer in found):
        raise InputError(f"{name} gives no vector, or no numbers, for some of {len(words):,} words; is it damaged?")
    return found.numpy()
