"""Attention weights against those of the model, and texts that cannot be shown."""

import numpy as np
import pytest
import torch

from ner.analysis.encoder.attention import attention
from ner.errors import InputError
from ner.modeling.cpu_kernels import use_cpu_kernels

TEXT = "Anna Keller wohnt in Bern."


@pytest.fixture
def encoder_folder(narrow_encoder):
    return narrow_encoder


def test_rows_add_up_to_1_and_are_the_models(model, tokenizer):
    use_cpu_kernels(model)
    usual = model.config._attn_implementation
    found = attention(model, tokenizer, TEXT)
    assert model.config._attn_implementation == usual
    assert found.pieces[0] == tokenizer.cls_token
    assert found.pieces[-1] == tokenizer.sep_token
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    assert found.weights.shape == (layers, heads, len(found.pieces), len(found.pieces))
    np.testing.assert_allclose(found.weights.sum(axis=-1), 1, atol=1e-5)
    model.set_attn_implementation("eager")
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(list(found.pieces))])
    with torch.no_grad():
        plain = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True).attentions
    np.testing.assert_allclose(found.weights, torch.cat(plain).numpy(), atol=1e-6)
    np.testing.assert_allclose(found.mean_of_last_layer, plain[-1][0].mean(dim=0).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "has no words; give a sentence"),
        ("Bern " * 200, "sub-tokens, where .* are the most; give a shorter text"),
        ("\udcff", "not Unicode"),
    ],
)
def test_texts_that_are_refused(model, tokenizer, text, message):
    with pytest.raises(InputError, match=message):
        attention(model, tokenizer, text)
