"""A trimmed embedding table trains the model that the whole table trains."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import AdamW
from transformers import XLMRobertaForTokenClassification

from ner.inputs.collators import PaddedCollator
from ner.inputs.encoding import Encoded
from ner.modeling.embedding_trimming import logits, trim_embedding
from ner.modeling.loss import micro_batch_loss
from ner.modeling.model import build_model
from ner.training.optimization import parameter_groups
from tests.conftest import TAGS


@pytest.fixture
def few(encoded):
    """Windows that use a part of the table."""
    length = encoded.offsets[12]
    return Encoded(
        encoded.input_ids[:length],
        encoded.labels[:length],
        encoded.words[:length],
        encoded.offsets[:13],
        encoded.sentence[:12],
        encoded.gold,
        encoded.word_offsets,
        encoded.num_sub_tokens,
    )


def table(model) -> nn.Embedding:
    found = model.get_input_embeddings()
    assert isinstance(found, nn.Embedding)
    return found


def train(model, windows: Encoded, num_steps: int = 5) -> None:
    model.eval()  # no dropout
    optimizer = AdamW(parameter_groups(model, 0.3), lr=1e-2)
    batch = PaddedCollator(model.config.pad_token_id)([windows[i] for i in range(len(windows))])
    labels = batch.pop("labels")
    del batch["words"]
    for _ in range(num_steps):
        micro_batch_loss(model(**batch).logits, labels, int((labels >= 0).sum()), 1).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def test_training_is_the_same(encoder_folder, few):
    whole, trimmed = (build_model(str(encoder_folder), TAGS, seed=0) for _ in range(2))
    pretrained = table(whole).weight.detach().clone()
    vocabulary = trim_embedding(trimmed, [few])
    assert vocabulary
    assert len(vocabulary.used) < 0.5 * len(pretrained)
    assert table(trimmed).weight.shape == (len(vocabulary.used) + 1, pretrained.shape[1])
    train(whole, few)
    train(trimmed, few)
    expected, found = whole.state_dict(), vocabulary.state(trimmed.state_dict())
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, atol=1e-6), name
    unused = np.setdiff1d(np.arange(len(pretrained)), vocabulary.used)
    decayed = found[vocabulary.name][torch.from_numpy(unused)] / pretrained[torch.from_numpy(unused)]
    assert torch.allclose(decayed, torch.tensor((1 - 0.3 * 1e-2) ** 5), atol=1e-5)


def test_ids_come_back(model, few):
    ids = torch.from_numpy(few.input_ids).long()
    before = table(model)(ids)
    vocabulary = trim_embedding(model, [few])
    assert vocabulary
    assert vocabulary.used.tolist() == sorted({*few.input_ids.tolist(), model.config.pad_token_id})
    assert torch.equal(table(model)(ids), before)
    assert vocabulary.used[table(model).padding_idx] == model.config.pad_token_id
    unused = np.setdiff1d(np.arange(len(vocabulary.whole)), vocabulary.used)[:1]
    with pytest.raises(IndexError):
        table(model)(torch.from_numpy(unused))


def test_left_alone(encoder_folder, few):
    frozen = build_model(str(encoder_folder), TAGS, seed=0)
    table(frozen).weight.requires_grad_(False)
    assert trim_embedding(frozen, [few]) is None
    shared = build_model(str(encoder_folder), TAGS, seed=0)
    decoder = nn.Linear(128, 300, bias=False)
    decoder.weight = table(shared).weight
    shared.add_module("decoder", decoder)
    assert trim_embedding(shared, [few]) is None
    used_up = build_model(str(encoder_folder), TAGS, seed=0)
    assert trim_embedding(used_up, [replace(few, input_ids=np.arange(300, dtype=np.int32))]) is None


class Counting(XLMRobertaForTokenClassification):
    """Reads a meaning into the ids themselves, as ESM does, which looks for the number of its mask token."""

    def forward(self, input_ids, **others):
        result = super().forward(input_ids, **others)
        result.logits = result.logits + input_ids.float().mean()
        return result


def test_an_encoder_that_reads_the_numbers_gets_those_of_the_whole_table(encoder_folder, few):
    model = Counting.from_pretrained(encoder_folder)
    before = logits(model, [few[i] for i in range(3)])
    assert trim_embedding(model, [few])
    assert torch.equal(logits(model, [few[i] for i in range(3)]), before)


class Noisy(XLMRobertaForTokenClassification):
    """Computes other logits for other tables."""

    def forward(self, input_ids, **others):
        result = super().forward(input_ids, **others)
        result.logits = result.logits + self.get_input_embeddings().num_embeddings
        return result


def test_a_table_is_left_alone_where_the_logits_differ(encoder_folder, few):
    model = Noisy.from_pretrained(encoder_folder)
    before = table(model)
    assert trim_embedding(model, [few]) is None
    assert table(model) is before
