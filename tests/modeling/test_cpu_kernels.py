"""The CPU's dropout and attention compute what torch's do."""

import pytest
import torch
from torch import nn
from transformers import AttentionInterface, AutoModelForTokenClassification, DebertaV2Config

from ner.modeling import cpu_kernels
from ner.modeling.cpu_kernels import Dropout, attention, dropout_mask, use_cpu_kernels


@pytest.mark.parametrize("p", [0.1, 0.5, 0.03])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mask_drops_at_its_rate_everywhere(p, dtype):
    torch.manual_seed(0)
    masks = torch.stack([dropout_mask(torch.empty(7, 9, 5, dtype=dtype), p) for _ in range(4000)])
    assert masks.dtype == dtype
    assert set(masks.unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).to(dtype).item()}
    dropped = (masks == 0).float()
    assert abs(dropped.mean() - p) < 3e-3
    assert (dropped.mean(dim=0) - p).abs().max() < 5 * (p * (1 - p) / 4000) ** 0.5  # each of the 315 places
    neighbours = dropped.flatten(1)
    together = (neighbours[:, 1:] * neighbours[:, :-1]).mean()  # four of them come from one random number
    assert abs(together - p * p) < 3e-3


def test_dropout_is_torchs_but_for_the_draw():
    torch.manual_seed(0)
    x = torch.randn(200, 50, requires_grad=True)
    layer = Dropout(0.25)
    y = layer(x)
    y.sum().backward()
    kept = y != 0
    assert torch.allclose(y[kept], x[kept] / 0.75)
    assert x.grad is not None
    assert torch.equal(x.grad != 0, kept)
    assert torch.equal(layer.eval()(x), x)
    torch.manual_seed(0)
    torch.randn(200, 50)
    assert torch.equal(layer.train()(x), y)  # of the default generator, which checkpoints store


def random_attention(dtype=torch.float32, tokens=24):
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 4, tokens, 8, dtype=dtype) for _ in range(3))
    segments = torch.randint(0, 4, (3, tokens)).sort(dim=-1).values
    return query, key, value, segments[:, None, :, None] == segments[:, None, None, :]


@pytest.mark.parametrize("tokens", [24, 2 * cpu_kernels.SHORT])
def test_attention_is_torchs(tokens):
    query, key, value, mask = random_attention(tokens=tokens)
    expected = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)
    added = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)
    for given in (mask, added):
        ours, _ = attention(nn.Module(), query, key, value, given)
        assert torch.allclose(ours, expected, atol=1e-5)
    scaled, _ = attention(nn.Module(), query, key, value, mask, scaling=0.1)
    theirs = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.1).transpose(1, 2)
    assert torch.allclose(scaled, theirs, atol=1e-5)


def test_attention_drops_probabilities():
    query, key, value, mask = random_attention()
    torch.manual_seed(1)
    dropped = torch.stack([attention(nn.Module(), query, key, value, mask, dropout=0.3)[0] for _ in range(3000)])
    expected, _ = attention(nn.Module(), query, key, value, mask)
    assert dropped.std(dim=0).mean() > 0.1
    assert (dropped.mean(dim=0) - expected).abs().mean() < 0.02


def test_a_token_that_attends_to_nothing_is_finite():
    query, key, value, mask = random_attention()
    mask[0, 0, 3] = False
    assert attention(nn.Module(), query, key, value, mask)[0].isfinite().all()


class SharedHeads(nn.Module):
    num_key_value_groups = 2


def test_shared_heads_are_left_to_torch():
    query, key, value, mask = random_attention()
    module = SharedHeads()
    ours, _ = attention(module, query, key[:, :2], value[:, :2], mask)
    key, value = (part[:, :2].repeat_interleave(2, dim=1) for part in (key, value))
    expected = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)
    assert torch.allclose(ours, expected, atol=1e-5)


def test_a_model_computes_and_saves_the_same(model, tmp_path):
    ids = torch.randint(5, 250, (4, 20))
    padded = torch.ones(4, 20, dtype=torch.long)
    padded[1, 12:] = 0
    model.eval()
    before = model(input_ids=ids, attention_mask=padded).logits
    model.save_pretrained(tmp_path / "before")
    use_cpu_kernels(model)
    assert not any(type(module) is nn.Dropout for module in model.modules())
    assert not any(module.training for module in model.modules())
    after = model(input_ids=ids, attention_mask=padded).logits
    assert torch.allclose(before[padded == 1], after[padded == 1], atol=1e-5)
    model.save_pretrained(tmp_path / "after")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "before" / name).read_bytes() == (tmp_path / "after" / name).read_bytes()
    assert AutoModelForTokenClassification.from_pretrained(tmp_path / "after").config._attn_implementation == "sdpa"
    model.train()
    assert not torch.equal(model(input_ids=ids, attention_mask=padded).logits, after)


def test_encoders_with_attention_of_their_own_keep_it():
    config = DebertaV2Config(
        vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = AutoModelForTokenClassification.from_config(config).eval()
    ids = torch.randint(5, 250, (2, 9))
    before = model(input_ids=ids).logits
    use_cpu_kernels(model)
    assert torch.equal(model(input_ids=ids).logits, before)


def test_every_layer_uses_it(encoder_folder):
    model = AutoModelForTokenClassification.from_pretrained(encoder_folder)
    use_cpu_kernels(model)
    calls = []

    def counted(*arguments, **others):
        calls.append(1)
        return attention(*arguments, **others)

    AttentionInterface.register(cpu_kernels.NAME, counted)
    model(input_ids=torch.randint(5, 250, (2, 9)))
    AttentionInterface.register(cpu_kernels.NAME, attention)
    assert len(calls) == model.config.num_hidden_layers
