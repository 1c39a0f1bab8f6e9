"""ONNX files of real small models: a run end to end, other shapes than the example's, and what is refused."""

import contextlib
import io
import shutil
import sys
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from ner.cli import export as export_command
from ner.data import synthetic
from ner.evaluation.inference import Predictions
from ner.evaluation.metrics import count
from ner.files import verify
from ner.inputs.encoding import encode
from ner.modeling.model import load_tagger
from ner.modeling.pretrained import load_tokenizer
from ner.sharing import onnx as export
from ner.sharing.onnx import OnnxModel, missing
from tests.conftest import TAGS
from tests.processes import fork
from tests.runs import train_run

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def run(corpus_folder, tokenizer, tmp_path_factory):
    """A run on German and French, of one layer: an export takes seconds, layer by layer."""
    folder, encoder_folder = (tmp_path_factory.mktemp("runs") / name for name in ("run", "encoder"))
    torch.manual_seed(0)
    encoder = AutoModelForTokenClassification.from_config(synthetic.build_encoder(tokenizer, num_layers=1))
    encoder.base_model.save_pretrained(encoder_folder)
    tokenizer.save_pretrained(encoder_folder)
    train_run(encoder_folder, corpus_folder, folder, "--train-on de fr --max-steps 60 --batch-size 32")
    return folder


@pytest.fixture(scope="module")
def exported(run):
    """Its export in fp32 and 8 bits, and what was printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        export_command.main([str(run), "--format", "onnx-int8", "--max-sentences", "100"])
    return run / "onnx", printed.getvalue()


def status(*arguments):
    with pytest.raises(SystemExit) as caught:
        export_command.main([*map(str, arguments)])
    return caught.value.code


def largest_difference(model, onnx, rows, tokens):
    """Of the logits, in rows of which the second is half as long."""
    ids = torch.randint(5, 90, (rows, tokens), generator=torch.Generator().manual_seed(rows))
    mask = torch.ones_like(ids)
    mask[1:2, (tokens + 1) // 2 :] = 0
    ids[mask == 0] = model.config.pad_token_id
    with torch.no_grad():
        expected = model.eval()(input_ids=ids, attention_mask=mask).logits
    logits = onnx(input_ids=ids, attention_mask=mask).logits
    assert logits.shape == expected.shape
    return (logits - expected)[mask == 1].abs().max().item()


def test_the_folder(run, exported):
    folder, _ = exported
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "manifest.json",
        "model.onnx",
        "model_quantized.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert verify(folder)["exported_from"] == str(run / "best")
    assert AutoConfig.from_pretrained(folder).id2label == dict(enumerate(TAGS.names))
    words = "Anna Frei wohnt in Bern".split()
    own, theirs = (
        AutoTokenizer.from_pretrained(place)(words, is_split_into_words=True) for place in (run / "best", folder)
    )
    assert own["input_ids"] == theirs["input_ids"]
    fp32, int8 = ((folder / name).read_bytes() for name in ("model.onnx", "model_quantized.onnx"))
    assert len(int8) < len(fp32) / 2.5
    assert b".py" not in fp32 + int8  # no stack traces


def test_rows_and_tokens_of_any_number(run, exported):
    model = AutoModelForTokenClassification.from_pretrained(run / "best")
    fp32, int8 = (OnnxModel(exported[0] / name) for name in ("model.onnx", "model_quantized.onnx"))
    for one in (fp32, int8):
        assert [(own.name, own.type, own.shape) for own in one.session.get_inputs()] == [
            (name, "tensor(int64)", ["rows", "tokens"]) for name in ("input_ids", "attention_mask")
        ]
        assert [own.name for own in one.session.get_outputs()] == ["logits"]
    for shape in ((1, 1), (1, 7), (2, 8), (5, 128)):
        assert largest_difference(model, fp32, *shape) < 1e-4
        assert 1e-4 < largest_difference(model, int8, *shape) < 1.5


def test_what_is_printed(exported):
    header, _, *lines = (line.strip("| ").split() for line in exported[1].split("\n\n")[0].splitlines())
    assert header == "model | MB | words tagged otherwise | F1 de | F1 fr | F1 all | sentences/s".split()
    torch_, fp32, int8 = ([cell for cell in line if cell != "|"] for line in lines)
    assert [line[0] for line in (torch_, fp32, int8)] == ["PyTorch", "model.onnx", "model_quantized.onnx"]
    assert (torch_[2], fp32[2]) == ("0", "0")
    assert torch_[3:6] == fp32[3:6]
    assert float(torch_[5]) > 0.3  # it tags something
    assert float(int8[5]) == pytest.approx(float(torch_[5]), abs=0.05)
    assert all(int(line[-1].replace(",", "")) > 0 for line in (torch_, fp32, int8))


SMALL = {"vocab_size": 100, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
ENCODERS: dict[str, dict[str, Any]] = {
    "distilbert": {"vocab_size": 100, "dim": 32, "n_layers": 1, "n_heads": 4, "hidden_dim": 64},
    "deberta-v2": {
        **SMALL,
        "num_hidden_layers": 1,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 16,
        "type_vocab_size": 0,
    },
    "modernbert": {
        **SMALL,
        "num_hidden_layers": 2,
        "layer_types": ["full_attention", "sliding_attention"],
        "local_attention": 8,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    },
}


@pytest.mark.parametrize("name", ENCODERS)
def test_other_encoders(name, tmp_path):
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_config(AutoConfig.for_model(name, **ENCODERS[name]))
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    own = model.config._attn_implementation
    export.to_onnx(model, tmp_path / "model.onnx")
    assert model.config._attn_implementation == own
    onnx = OnnxModel(tmp_path / "model.onnx")
    for shape in ((1, 1), (3, 40)):
        assert largest_difference(model, onnx, *shape) < 1e-4


def test_an_export_that_computes_something_else_is_refused(run, german, tmp_path):
    """An encoder that takes another way while it is exported, as any with a branch of its own for that may."""

    def shift(module, inputs, output):
        if not torch.compiler.is_exporting():
            output.logits = output.logits.roll(1, dims=-1)
        return output

    model, tags = load_tagger(str(run / "best"))
    tokenizer = load_tokenizer(str(run / "best"))
    sentences = {"de": encode(german.select(range(40)), tokenizer, tags, max_length=128)}
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "model.onnx").write_text("old", encoding="utf-8")
    with model.register_forward_hook(shift), pytest.raises(ArithmeticError, match="words have another tag"):
        export.export(folder, model, tokenizer, tags, sentences, int8=False, source="model")
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert (folder / "model.onnx").read_text(encoding="utf-8") == "old"


def test_an_encoder_that_can_not_be_exported(model, tmp_path):
    def branch(module, inputs, output):
        if output.logits.sum() > 0:
            output.logits = output.logits * 2
        return output

    with model.register_forward_hook(branch), pytest.raises(torch.onnx.OnnxExporterError) as caught:
        export.to_onnx(model, tmp_path / "model.onnx")
    assert str(caught.value).startswith("torch cannot export xlm-roberta: ")
    assert "\n" not in str(caught.value)


def outcome(probabilities, tags):
    losses = -np.log(np.array(probabilities, np.float32))
    gold = np.zeros(len(tags), np.int64)
    counts = count(gold, np.array(tags), gold == 0, losses, TAGS)
    predictions = Predictions(gold == 0, np.array(tags), losses, np.array(probabilities, np.float32), losses)
    return export.Outcome("model.onnx", 0, {"de": predictions}, {"de": counts}, 1.0)


def test_how_much_may_differ():
    """A word in a thousand may fall to the other side of a tie; a probability may not differ, and none may be nan."""
    same = outcome([0.5] * 999 + [np.nan], [0] * 1000)  # the last word has no sub-token
    export.check(same, same)
    export.check(same, outcome([0.5005] * 999 + [np.nan], [1] + [0] * 999))
    for other in (
        outcome([0.5] * 999 + [np.nan], [1, 1] + [0] * 998),
        outcome([0.5] * 998 + [0.502, np.nan], [0] * 1000),
        outcome([np.nan] + [0.5] * 998 + [np.nan], [0] * 1000),
    ):
        with pytest.raises(ArithmeticError):
            export.check(same, other)


def test_what_stands_there_stays(run, exported, tmp_path, capsys):
    assert status(run) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    before = verify(exported[0])
    for other in (run, run / "best"):
        assert status(run, "--output", other, "--overwrite") == 2
        assert "something else is there" in capsys.readouterr().err
    assert verify(exported[0]) == before
    assert (run / "best/model.safetensors").is_file()


def test_an_export_is_replaced(run, exported, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(exported[0], folder)
    export_command.main(
        [str(run), "--output", str(folder), "--overwrite", "--max-sentences", "20", "--languages", "it"]
    )
    assert not (folder / "model_quantized.onnx").exists()
    assert len(verify(folder)["files"]) == 4
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_bad_input(run, corpus_folder, tmp_path, capsys, monkeypatch):
    def message(*arguments):
        assert status(*arguments) == 2
        return capsys.readouterr().err

    out = tmp_path / "out"
    assert "no such folder" in message(tmp_path / "none")
    assert "--output FOLDER" in message("someone/tagger")
    assert "--data NAME --languages" in message(run / "best", "--output", out)
    assert "--data NAME --languages" in message(run / "best", "--output", out, "--data", corpus_folder)
    assert "no split dev" in message(run, "--output", out, "--split", "dev")
    assert "--max-sentences 0 must be above 0" in message(run, "--max-sentences", "0")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "onnxruntime: not installed; pip install onnxruntime" in message(run, "--output", out)
    assert not out.exists()


def test_a_folder_that_can_not_be_written(run, tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert status(run, "--output", tmp_path / "file/out", "--max-sentences", "5") == 1
    assert "file" in capsys.readouterr().err


LOADS = """
import sys
import onnx
from pathlib import Path
from onnx import TensorProto, helper
ends = [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in ("input_ids", "logits")]
graph = helper.make_graph([helper.make_node("Identity", ["input_ids"], ["logits"])], "same", ends[:1], ends[1:])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), sys.argv[1])
from ner.sharing.onnx import OnnxModel
OnnxModel(Path(sys.argv[1]))
"""


def test_nothing_is_told_of_who_runs_it(tmp_path):
    """onnxruntime makes an identifier of the machine, and sends it, unless it is told not to before it is imported."""
    folders = {name: tmp_path / name.lower() for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for folder in folders.values():
        folder.mkdir()
    fork(LOADS, tmp_path / "model.onnx", env={name: str(folder) for name, folder in folders.items()})
    assert (tmp_path / "model.onnx").is_file()
    assert [file for folder in folders.values() for file in folder.rglob("*")] == []
