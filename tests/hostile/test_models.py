"""What others made is data: nothing in it is run, nothing outside of it is read or sent."""

import errno
import io
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import AutoModelForTokenClassification

import evaluate
import train
from ner.cli import export as export_command
from ner.cli import serve as serve_command
from ner.cli import tag as tag_command
from ner.cli import tokens as tokens_command
from ner.errors import InputError
from ner.modeling.model import build_model, load_tagger, max_positions
from ner.modeling.pretrained import check_weights, load_config, load_tokenizer
from ner.modeling.pretrained import load_token_classifier as load_model
from ner.tagging import tagger
from ner.tags import TagSet
from tests.conftest import TAGS
from tests.taggers import write_tagger


@pytest.fixture(autouse=True)
def fresh_accelerator() -> None:
    """Whatever precision a test before has left."""
    AcceleratorState._reset_state(reset_partial_state=True)


# A module with every class that auto_map names below; to import it is to run it.
CODE = """
from pathlib import Path
Path({marker!r}).write_text("run")
from transformers import BertConfig, BertForTokenClassification, BertTokenizer

class Config(BertConfig):
    model_type = "stranger"

class Model(BertForTokenClassification):
    config_class = Config

class Tokenizer(BertTokenizer):
    pass
"""
AUTO_MAP = {
    "AutoConfig": "code.Config",
    "AutoModelForTokenClassification": "code.Model",
    "AutoModelForImageClassification": "code.Model",
    "AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"],
}


def change(file: Path, **values: object) -> None:
    """Sets values of a JSON file; None removes one."""
    content = json.loads(file.read_text(encoding="utf-8")) | values
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


def stranger(folder: Path, encoder: Path, marker: Path, *, model_type: str, tokenizer_class: str | None) -> Path:
    """A tagger that brings code of its own for its config, its weights and its tokenizer."""
    write_tagger(folder, encoder)
    (folder / "code.py").write_text(CODE.format(marker=str(marker)), encoding="utf-8")
    change(folder / "config.json", auto_map=AUTO_MAP, model_type=model_type)
    tokenizer_map = {"AutoTokenizer": AUTO_MAP["AutoTokenizer"]} if tokenizer_class is None else None
    change(folder / "tokenizer_config.json", auto_map=tokenizer_map, tokenizer_class=tokenizer_class or "Tokenizer")
    return folder


def commands(folder: Path, corpus: Path, output: Path) -> dict[str, tuple[Callable, list[str]]]:
    """Every command that loads a model, as it is called with that folder."""
    data = ["--data", str(corpus), "--languages", "de"]
    return {
        "tagger": (tag_command.main, [str(folder)]),
        "train": (train.main, ["--model", str(folder), "--data", str(corpus), "--output", str(output / "run")]),
        "evaluate": (evaluate.main, [str(folder), *data]),
        "encoding": (tokens_command.main, ["--model", str(folder), "--text", "Bern"]),
        "export": (export_command.main, [str(folder), *data, "--output", str(output / "onnx")]),
        "widget": (serve_command.main, [str(folder), "--no-browser"]),
    }


@pytest.mark.parametrize(
    ("model_type", "tokenizer_class"),
    [
        ("stranger", None),  # no class of transformers fits
        ("xlm-roberta", "AutoModelForImageClassification"),  # a class that asks by itself
    ],
)
def test_code_in_a_model_folder_is_not_run(
    encoder_folder, corpus_folder, tmp_path, capsys, monkeypatch, model_type, tokenizer_class
):
    marker = tmp_path / "marker"
    folder = stranger(
        tmp_path / "hostile", encoder_folder, marker, model_type=model_type, tokenizer_class=tokenizer_class
    )
    monkeypatch.setattr("ner.tagging.app.build_page", lambda _: pytest.fail("the page is built"))
    for name, (main, arguments) in commands(folder, corpus_folder, tmp_path).items():
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n1\n" * 20))
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert not marker.exists(), name
        message = capsys.readouterr().err
        assert end.value.code == 2, f"{name}: {message}"
        assert f"{folder}: no " in message
        assert "brings code of its own (auto_map), which is not run here" in message, name


@pytest.mark.parametrize("tokenizer_class", [None, "TokenizersBackend"])
def test_code_that_is_not_needed_is_passed_over(encoder_folder, tmp_path, monkeypatch, tokenizer_class):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    marker = tmp_path / "marker"
    folder = stranger(
        tmp_path / "both", encoder_folder, marker, model_type="xlm-roberta", tokenizer_class=tokenizer_class
    )
    assert tagger.Tagger.from_pretrained(folder, precision="no")("Bern") is not None
    assert not marker.exists()


@pytest.fixture
def pickled(encoder_folder, tmp_path) -> Path:
    """A tagger whose weights are a pickle."""
    folder = write_tagger(tmp_path / "pickled", encoder_folder)
    model = AutoModelForTokenClassification.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_pickle_is_refused_with_the_way_to_convert_it(pickled):
    with pytest.raises(InputError, match="is a pickle, which can run code") as refused:
        load_model(str(pickled))
    python, _, program = shlex.split(str(refused.value).partition("convert it: ")[2])
    with pytest.raises(InputError, match=r"pass `allow_pickle`, or convert .* AutoModelForTokenClassification;"):
        build_model(str(pickled), TAGS, seed=0)
    loaded = build_model(str(pickled), TAGS, seed=0, allow_pickle=True)
    assert python == "python"
    exec(program)
    again = load_model(str(pickled))
    assert (pickled / "model.safetensors").is_file()
    assert torch.equal(again.state_dict()["classifier.weight"], loaded.state_dict()["classifier.weight"])


def test_train_takes_a_pickle_where_the_flag_says_so(pickled, corpus_folder, tmp_path, capsys):
    options = ["--model", str(pickled), "--data", str(corpus_folder), "--max-steps", "1", "--max-length", "32"]
    with pytest.raises(SystemExit):
        train.main([*options, "--output", str(tmp_path / "refused")])
    assert "--allow-pickle" in capsys.readouterr().err
    assert not (tmp_path / "refused" / "best").exists()
    train.main([*options, "--output", str(tmp_path / "run"), "--allow-pickle"])
    assert (tmp_path / "run/best/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("file", "values", "reason"),
    [
        ("model.safetensors.index.json", {"weight_map": {"a": "pytorch_model.bin"}}, "no .safetensors file"),
        ("model.safetensors.index.json", {"weight_map": {"a": "../model.safetensors"}}, "not in that folder"),
        ("model.safetensors.index.json", {"weight_map": ["a"]}, "not an index of weights"),
        ("config.json", {"transformers_weights": "adapter_model.bin"}, "no .safetensors file"),
        ("config.json", {"attn_implementation": "somebody/kernel"}, "names code on the Hub"),
        ("config.json", {"intermediate_size": 900_000}, "describes .* weights, and its files have .* bytes"),
        ("config.json", {"vocab_size": 1_500_000}, "describes .* weights, and its files have .* bytes"),
        ("config.json", {"hidden_size": -64}, "no model to load"),
        ("config.json", {"model_type": "t5"}, "do not fit its config.json"),
        ("config.json", {"vocab_size": 10**12}, "vocab_size 1,000,000,000,000; more than"),
        ("config.json", {"num_hidden_layers": 10**9}, "num_hidden_layers 1,000,000,000; more than"),
        ("adapter_config.json", {"base_model_name_or_path": "somebody/else"}, "merge the two"),
    ],
)
def test_weights_are_those_of_the_folder(encoder_folder, tmp_path, file, values, reason):
    folder = write_tagger(tmp_path / "tagger", encoder_folder)
    if not (folder / file).exists():
        (folder / file).write_text("{}", encoding="utf-8")
    change(folder / file, **values)
    with pytest.raises(InputError, match=reason):
        load_model(str(folder))


@pytest.mark.parametrize("values", [{"hidden_size": 64}, {"num_hidden_layers": 5}, {"vocab_size": 299}])
def test_weights_that_do_not_fit_the_config_are_refused(encoder_folder, tmp_path, values):
    """Else `from_pretrained` gives a random encoder and trains it."""
    folder = write_tagger(tmp_path / "tagger", encoder_folder)
    good = build_model(str(folder), TagSet(("O", "B-X")), seed=0)  # another head is none of it
    assert good.config.num_labels == 2
    weights = load_model(str(folder)).state_dict()
    assert all(
        torch.equal(weights[name], tensor) for name, tensor in good.base_model.state_dict(prefix="roberta.").items()
    )
    change(folder / "config.json", **values)
    for load in (load_model, lambda name: build_model(name, TAGS, seed=0)):
        with pytest.raises(InputError, match=r"do not fit its config.json: [\d,]+ of [\d,]+ tensors") as refused:
            load(str(folder))
        assert f"{folder}: " in str(refused.value)


def test_an_encoder_is_no_tagger(encoder_folder, tmp_path):
    for load in (load_model, tagger.Tagger.from_pretrained):
        with pytest.raises(InputError, match=r"have no head for the labels of its config.json: classifier.bias"):
            load(str(encoder_folder))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"0": "O", "2": "B-PER"}, "has the ids 0, 2, not each from 0 on"),
        ({str(i): f"B-X{i}" for i in (0, 1, 2, 3, 4, 5, 9)}, "not each from 0 on"),
        ({"0": "O", "1": 5}, "holds 5, which is no name"),
        ({"0": "O", "1": None}, "holds None, which is no name"),
        ({"0": "O", "1": "  "}, "holds '  ', which is no name"),
        ({"0": "O", "1": "O"}, "names 'O' twice"),
    ],
)
def test_labels_name_each_id_once(encoder_folder, tmp_path, labels, reason):
    folder = write_tagger(tmp_path / "tagger", encoder_folder)
    change(folder / "config.json", id2label=labels, label2id={})
    for load in (load_tagger, tagger.Tagger.from_pretrained):
        with pytest.raises(InputError, match=reason):
            load(str(folder))
    assert build_model(str(folder), TAGS, seed=0).config.id2label == dict(enumerate(TAGS.names))


def test_a_limit_is_a_number(encoder_folder, tmp_path):
    folder = write_tagger(tmp_path / "tagger", encoder_folder)
    tokenizer = load_tokenizer(str(folder))
    change(folder / "tokenizer_config.json", model_max_length="x")
    with pytest.raises(InputError, match="model_max_length 'x'"):
        load_tokenizer(str(folder))
    model = load_model(str(folder))
    model.config.pad_token_id = None
    with pytest.raises(InputError, match="pad_token_id None"):
        max_positions(model, tokenizer)


def test_a_pipe_in_a_model_folder_is_not_waited_for(encoder_folder, tmp_path):
    folder = write_tagger(tmp_path / "tagger", encoder_folder)
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        load_model(str(folder))


def test_weights_that_may_not_be_read_are_not_called_missing(encoder_folder, tmp_path, monkeypatch):
    folder = write_tagger(tmp_path / "tagger", encoder_folder)
    config = load_config(str(folder), "model")

    def refuse(file: Path, *_: object) -> None:  # root may read everything
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"model\.safetensors: Permission denied; its owner can change that"):
        check_weights(folder, config)


def test_a_model_folder_of_another_shape_is_refused_in_one_line(encoder_folder, tmp_path):
    folder = write_tagger(tmp_path / "tagger", encoder_folder)
    for config in ('{"model_type": 5}', "[]", "[" * 100_000, '{"model_type": "xlm-roberta", "hidden_size": "x"}'):
        (folder / "config.json").write_text(config, encoding="utf-8")
        for reader in (load_model, lambda name: load_config(name, "model"), load_tokenizer):
            with pytest.raises(InputError) as refused:
                reader(str(folder))
            assert "\n" not in str(refused.value)
