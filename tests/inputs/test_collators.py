"""Packed against padded, forward and gradient, on tiny random encoders of every family that packs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForTokenClassification

from ner.inputs.batching import MicroBatch
from ner.inputs.collators import PackedCollator, PaddedCollator, choose_collator, collate, encoder_inputs, packing_fault
from ner.inputs.encoding import IGNORED
from ner.inputs.masks import attention_mask, compute_dtype
from ner.modeling.cpu_kernels import use_cpu_kernels
from ner.modeling.loss import micro_batch_loss
from tests.conftest import gradients

LABELS: dict[str, Any] = {"num_labels": 7}
COMMON: dict[str, Any] = {
    **LABELS,
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 100,
    "pad_token_id": 1,
}
FAMILIES: dict[str, Any] = {
    "bert": transformers.BertConfig(**COMMON),
    "electra": transformers.ElectraConfig(**COMMON, embedding_size=16),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=60, dim=32, n_layers=3, n_heads=4, hidden_dim=48, pad_token_id=1, **LABELS
    ),
    "roberta": transformers.RobertaConfig(**COMMON),
    "xlm-roberta": transformers.XLMRobertaConfig(**COMMON),
    "camembert": transformers.CamembertConfig(**COMMON),
    "modernbert": transformers.ModernBertConfig(
        **COMMON, local_attention=6, bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2
    ),
}


def features(seed=0, lengths=(7, 19, 3, 12, 30, 5, 9)):
    rng = np.random.default_rng(seed)
    start = np.concatenate([[0], np.cumsum(lengths)])
    return [
        {
            "input_ids": rng.integers(5, 60, n),
            "labels": np.where(rng.random(n) < 0.7, rng.integers(0, 7, n), IGNORED),
            "words": start[i] + np.arange(n),
        }
        for i, n in enumerate(lengths)
    ]


def in_order(batch, logits):
    """Logits of all windows one after the other: [tokens, tags]."""
    words = batch["words"]
    return logits[words >= 0][words[words >= 0].argsort()]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("row_length", [32, 40])
def test_packed_equals_padded_forward_and_gradient(family, row_length):
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_config(FAMILIES[family]).eval()
    windows = features()
    num_labels = sum(int((w["labels"] != IGNORED).sum()) for w in windows)
    outcomes = []
    for collator in (PaddedCollator(1), PackedCollator.for_model(model, row_length)):
        batch = collator(windows)
        labels, words = batch.pop("labels"), batch.pop("words")
        model.zero_grad()
        logits = model(**batch).logits
        micro_batch_loss(logits, labels, num_labels, 1).backward()
        outcomes.append((in_order({"words": words}, logits.detach()), gradients(model)))
    (padded, padded_gradient), (packed, packed_gradient) = outcomes
    torch.testing.assert_close(packed, padded, rtol=1e-5, atol=1e-6)
    assert padded_gradient.keys() == packed_gradient.keys()
    for name, gradient in padded_gradient.items():
        torch.testing.assert_close(packed_gradient[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def outcome(model, collator, windows, *, on_device):
    """Logits of the tokens, the loss and its gradient. on_device: with the mask of the loop, else the collator's."""
    batch = collator.lay_out(windows) if on_device else collator(windows)
    labels, words = batch.pop("labels"), batch.pop("words")
    inputs = encoder_inputs(batch, collator, torch.float32) if on_device else batch
    model.zero_grad()
    logits = model(**inputs).logits
    loss = micro_batch_loss(logits, labels, 50, 1)
    loss.backward()
    return in_order({"words": words}, logits.detach()), loss.detach(), gradients(model)


@pytest.mark.parametrize("family", ["xlm-roberta", "bert", "modernbert"])
@pytest.mark.parametrize("attention", ["sdpa", "eager", "ours"])
@pytest.mark.parametrize("packed", [True, False])
def test_the_mask_of_the_device_is_that_of_the_collator(family, attention, packed):
    torch.manual_seed(0)
    implementation = "eager" if attention == "eager" else "sdpa"
    model = AutoModelForTokenClassification.from_config(FAMILIES[family], attn_implementation=implementation).eval()
    if attention == "ours":
        use_cpu_kernels(model)
    packing = PackedCollator.for_model(model, 32)
    local = packing.local_attention
    collator = packing if packed else PaddedCollator(1, takes_blocks=True, local_attention=local)
    # transformers' eager attention adds a boolean mask as it is: there the padded batch is what is right.
    today = PaddedCollator(1) if attention == "eager" else collator
    for windows in (features(), features(lengths=(9, 9, 9)), features(lengths=(32,))):
        (logits, loss, gradient), (expected, expected_loss, expected_gradient) = (
            outcome(model, given, windows, on_device=on_device)
            for given, on_device in ((collator, True), (today, False))
        )
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(loss, expected_loss, rtol=1e-6, atol=0)
        for name, value in expected_gradient.items():
            torch.testing.assert_close(gradient[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_added_mask_is_the_boolean_one(dtype):
    segments = torch.tensor([[0, 0, 1, 1, -1], [3, 3, 3, -1, -1]], dtype=torch.int32)
    boolean: Any = attention_mask(segments, torch.bool)
    added: Any = attention_mask(segments, dtype)
    assert added.dtype == dtype
    assert added.shape == (2, 1, 5, 5)
    assert torch.equal(added == 0, boolean)
    assert (added[~boolean] == torch.finfo(dtype).min).all()
    assert boolean.any(dim=-1).all()  # no token attends to nothing
    masks: Any = attention_mask(segments, dtype, local_attention=2)
    assert torch.equal(masks["full_attention"], added)
    near = (torch.arange(5)[:, None] - torch.arange(5)).abs() <= 1
    assert torch.equal(masks["sliding_attention"] == 0, boolean & near)
    assert (masks["sliding_attention"] == 0).any(dim=-1).all()


def test_the_mask_has_the_type_that_attention_computes_in():
    types = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    assert {name: compute_dtype(name) for name in types} == types


class HostSyncs(TorchDispatchMode):
    """Names of the operations that read a value back from the device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", ["xlm-roberta", "bert", "modernbert"])
@pytest.mark.parametrize("lengths", [(7, 19, 3, 12, 30), (9, 9, 9)], ids=["padded", "nothing is padded"])
def test_no_mask_is_read_back(family, lengths):
    model = AutoModelForTokenClassification.from_config(FAMILIES[family])
    padded, _ = choose_collator(model, features(), "off", 32)
    packed, _ = choose_collator(model, features(), "on", 32)
    for collator in (padded, packed):
        batch = collator.lay_out(features(lengths=lengths))
        with HostSyncs() as syncs:
            inputs = encoder_inputs(batch, collator, torch.float32)
            micro_batch_loss(model(**inputs).logits, batch["labels"], 50, 1).backward()
        assert not syncs.found
        assert "words" not in inputs
    with HostSyncs() as syncs:  # what a mask of two dimensions costs
        model(**encoder_inputs(features_of_two_dimensions(lengths), PaddedCollator(1), torch.float32))
    assert syncs.found


def features_of_two_dimensions(lengths):
    return PaddedCollator(1).lay_out(features(lengths=lengths))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_probe_accepts_what_packs(family):
    model = AutoModelForTokenClassification.from_config(FAMILIES[family])
    collator, reason = choose_collator(model, features(), "auto", 32)
    assert isinstance(collator, PackedCollator)
    assert "agree" in reason
    assert model.training  # as it was


def test_the_probe_sees_positions_and_masks_that_are_wrong():
    model = AutoModelForTokenClassification.from_config(FAMILIES["xlm-roberta"]).eval()
    assert "differ" in packing_fault(model, features(), PackedCollator(1, 32, position_start=0), 1e-4)
    assert "differ" in packing_fault(model, features(), PackedCollator(1, 32, position_start=1), 1e-4)
    assert packing_fault(model, features(), PackedCollator(1, 32, position_start=2), 1e-4) == ""
    modern = AutoModelForTokenClassification.from_config(FAMILIES["modernbert"]).eval()
    assert "differ" in packing_fault(modern, features(), PackedCollator(1, 32), 1e-4)
    assert "differ" in packing_fault(modern, features(), PackedCollator(1, 32, local_attention=4), 1e-4)


def test_an_encoder_that_does_not_pack_is_padded_and_says_why():
    config = transformers.DebertaV2Config(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        pad_token_id=1,
        **LABELS,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
    )
    model = AutoModelForTokenClassification.from_config(config)
    collator, reason = choose_collator(model, features(), "auto", 32)
    assert isinstance(collator, PaddedCollator)
    assert "because it does not take block-diagonal attention" in reason
    with pytest.raises(ValueError, match="`packing` on"):
        choose_collator(model, features(), "on", 32)
    for few in (features(), features(lengths=(9, 9))):  # of equal windows nothing is padded, and all masks agree
        collator, _ = choose_collator(model, few, "off", 32)
        assert collator == PaddedCollator(1)  # the mask of two dimensions: it adds none
    outcome(model, collator, features(), on_device=True)


def test_a_model_that_was_not_probed_gets_a_mask_always():
    """One of one's own, or of ONNX, may need it."""
    collator = PaddedCollator(1)
    inputs = encoder_inputs(collator.lay_out(features(lengths=(9, 9))), collator, torch.float32)
    assert torch.equal(inputs["attention_mask"], torch.ones(2, 9, dtype=torch.long))
    probed = replace(collator, takes_blocks=True)
    assert "attention_mask" not in encoder_inputs(probed.lay_out(features(lengths=(9, 9))), probed, torch.float32)


def test_padded_encoders_add_the_mask_too():
    model = AutoModelForTokenClassification.from_config(FAMILIES["modernbert"])
    assert choose_collator(model, features(), "off", 32)[0] == PaddedCollator(1, takes_blocks=True, local_attention=6)


def test_packed_layout():
    batch = PackedCollator(pad_id=9, row_length=8, position_start=2)(
        [{"input_ids": [1, 2, 3], "labels": [0, 1, IGNORED]}, {"input_ids": [4, 5], "labels": [2, 2]}], [[0, 1]]
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 9, 9, 9]]
    assert batch["labels"].tolist() == [[0, 1, -100, 2, 2, -100, -100, -100]]
    assert batch["position_ids"].tolist() == [[2, 3, 4, 2, 3, 2, 2, 2]]
    mask = batch["attention_mask"]
    assert mask.shape == (1, 1, 8, 8)
    assert mask.dtype == torch.bool
    blocks = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2), torch.ones(3, 3)).bool()
    assert (mask[0, 0] == blocks).all()


def test_padded_layout():
    batch = PaddedCollator(pad_id=9)([{"input_ids": [1, 2, 3]}, {"input_ids": [4]}])
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert set(batch) == {"input_ids", "attention_mask"}


def test_a_filler_trains_and_scores_nothing(encoded):
    batch = collate(encoded, MicroBatch([[0]], 16, filler=True), PackedCollator(1, 16))
    assert (batch["labels"] == IGNORED).all()
    assert (batch["words"] == -1).all()


@pytest.mark.parametrize("collator", [PackedCollator(1, 16), PaddedCollator(1)])
def test_training_has_no_words(encoded, collator):
    micro_batch = MicroBatch([[0], [1]], 16)
    whole = collate(encoded, micro_batch, collator)
    for filler in (False, True):
        batch = collate(encoded, replace(micro_batch, filler=filler), collator, with_words=False)
        assert batch.keys() == whole.keys() - {"words"}
        assert torch.equal(batch["input_ids"], whole["input_ids"])
