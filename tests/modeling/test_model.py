import copy
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from ner.modeling.head import match_head
from ner.modeling.model import build_model, freeze, load_tagger, max_positions, save_model, set_train_mode
from ner.modeling.pretrained import load_tokenizer
from ner.training.optimization import parameter_groups
from tests.conftest import TAGS


def test_half_precision_checkpoints_train_in_fp32(encoder_folder, tmp_path):
    half = AutoModelForTokenClassification.from_pretrained(encoder_folder, dtype=torch.float16)
    half.save_pretrained(tmp_path / "half")
    load_tokenizer(str(encoder_folder)).save_pretrained(tmp_path / "half")
    assert load_file(tmp_path / "half/model.safetensors")["classifier.weight"].dtype == torch.float16
    model = build_model(str(tmp_path / "half"), TAGS, seed=0)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.config.id2label == dict(enumerate(TAGS.names))


def test_the_seed_decides_the_head(encoder_folder):
    weights = [build_model(str(encoder_folder), TAGS, seed).get_parameter("classifier.weight") for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def tagger_folder(model, tokenizer, folder, names: list[str]) -> str:
    """A tagger of other tags, with the encoder of a model; row i of its head is all i + 1."""
    config = copy.deepcopy(model.config)
    config.id2label, config.label2id = dict(enumerate(names)), {name: i for i, name in enumerate(names)}
    tagger = type(model)(config)
    tagger.base_model.load_state_dict(model.base_model.state_dict())
    with torch.no_grad():
        rows = torch.arange(1.0, len(names) + 1)
        tagger.classifier.weight.copy_(rows[:, None].expand_as(tagger.classifier.weight))
        tagger.classifier.bias.copy_(rows)
    save_model(folder, tagger, tokenizer, tagger.state_dict())
    return str(folder)


@pytest.mark.parametrize("same_number", [True, False], ids=["as many tags", "fewer tags"])
def test_the_head_of_a_tagger_goes_on_by_the_names_of_its_tags(model, tokenizer, tmp_path, same_number):
    names = [*reversed(TAGS.names)] if same_number else ["O", "B-MISC", "I-PER", "B-PER"]
    folder = tagger_folder(model, tokenizer, tmp_path / "tagger", names)
    built: Any = build_model(folder, TAGS, seed=0)
    head = built.classifier
    assert torch.equal(head.weight, build_model(folder, TAGS, seed=0).get_parameter("classifier.weight"))
    for tag, i in TAGS.ids.items():
        if tag in names:
            assert set(head.weight[i].tolist()) == {names.index(tag) + 1.0}
            assert head.bias[i].item() == names.index(tag) + 1
        else:
            assert 0 < head.weight[i].abs().max() < 0.5
    assert built.config.id2label == dict(enumerate(TAGS.names))
    assert (built.num_labels, built.config.num_labels) == (len(TAGS), len(TAGS))
    encoder = built.base_model.state_dict()
    assert all(torch.equal(encoder[name], value) for name, value in model.base_model.state_dict().items())
    match = match_head(folder, TAGS)
    assert match is not None
    assert set(match.kept) | set(match.new) == set(TAGS.names)
    assert match.dropped == (() if same_number else ("B-MISC",))
    assert str(match).startswith("its head goes on with O ")


def test_a_head_of_other_labels_does_not_go_on(model, tokenizer, tmp_path):
    """As many labels, and not one of the tags: transformers would take their rows for the tags'."""
    names = [f"LABEL_{i}" for i in range(len(TAGS))]
    folder = tagger_folder(model, tokenizer, tmp_path / "tagger", names)
    assert build_model(folder, TAGS, seed=0).get_parameter("classifier.weight").abs().max() < 0.5
    assert str(match_head(folder, TAGS)).startswith("its head has none of these tags")


def test_an_encoder_has_no_head_to_match(encoder_folder):
    assert match_head(str(encoder_folder), TAGS) is None


def test_a_saved_model_is_a_standard_one(model, tokenizer, tmp_path):
    for _ in range(2):  # the second time replaces the first
        save_model(tmp_path / "best", model, tokenizer, model.state_dict())
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / "best")
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert AutoTokenizer.from_pretrained(tmp_path / "best").get_vocab() == tokenizer.get_vocab()
    assert load_tagger(str(tmp_path / "best"))[1] == TAGS
    found = pipeline("token-classification", model=str(tmp_path / "best"), aggregation_strategy="simple")
    assert isinstance(found("Anna Keller wohnt in Zürich ."), list)


def test_freezing_the_body_trains_the_head_alone(model):
    freeze(model, encoder=True)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["classifier.weight", "classifier.bias"]
    set_train_mode(model)
    batch = {"input_ids": torch.tensor([[0, 9, 12, 2]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    body = model.base_model
    assert torch.equal(body(**batch).last_hidden_state, body(**batch).last_hidden_state)  # no dropout in features
    assert model.dropout.training


def test_freezing_layers(model):
    freeze(model, num_layers=2)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(".layer.2." in name or name.startswith("classifier") for name in trained)
    assert any(".layer.2." in name for name in trained)
    with pytest.raises(ValueError, match="`freeze_layers` 4: the encoder has 3 layers"):
        freeze(model, num_layers=4)


def test_biases_and_norms_do_not_decay(model):
    decaying, still = parameter_groups(model, 0.01)
    assert decaying["weight_decay"] == 0.01
    assert still["weight_decay"] == 0.0
    undecayed = {id(p) for p in still["params"]}
    for name, parameter in model.named_parameters():
        assert (id(parameter) in undecayed) == (name.endswith("bias") or "LayerNorm" in name), name


def test_positions_behind_the_padding_id_are_not_usable(model, tokenizer):
    assert model.config.max_position_embeddings == 130
    assert max_positions(model, tokenizer) == 128


def test_what_is_no_model_is_named(tmp_path):
    for load in (load_tokenizer, load_tagger):
        with pytest.raises(ValueError, match="no-such-model"):
            load(str(tmp_path / "no-such-model"))


def test_a_damaged_model_file_is_named(model, tokenizer, tmp_path):
    save_model(tmp_path / "best", model, tokenizer, model.state_dict())
    (tmp_path / "best/model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match="no model to load"):
        load_tagger(str(tmp_path / "best"))
