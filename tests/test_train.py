"""train.py end to end, in this process and in others."""

import codecs
import json
import locale
import math
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file
from torch._dynamo.utils import counters
from transformers import AutoModelForTokenClassification, pipeline

import train
from ner.modeling import model
from ner.modeling.model import with_two_rows
from ner.modeling.pretrained import load_tokenizer
from ner.training.checkpoint import found
from ner.training.checkpointer import Checkpointer
from ner.training.metrics_log import JsonLinesLog
from tests import processes
from tests.conftest import write_json_lines
from tests.processes import fork, fork_ranks

ROOT = Path(train.__file__).parent
ENCODING = codecs.lookup(locale.getpreferredencoding(False)).name
# signals are tested here
pytestmark = [pytest.mark.timeout(method="thread"), pytest.mark.usefixtures("fresh_accelerator")]


@pytest.fixture(scope="session")
def encoder_folder(narrow_encoder) -> Path:
    return narrow_encoder


@pytest.fixture(scope="module")
def small(corpus_folder, tmp_path_factory) -> Path:
    """The first 120 training and 60 validation sentences of German and French."""
    folder = tmp_path_factory.mktemp("small")
    for language in ("de", "fr"):
        for split, size in (("train", 120), ("validation", 60), ("test", 60)):
            lines = (corpus_folder / language / f"{split}.jsonl").read_text(encoding="utf-8").splitlines(True)[:size]
            (folder / language).mkdir(exist_ok=True)
            (folder / language / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def run(small, encoder_folder, tmp_path):
    """Trains with these flags added to small ones; returns the run folder."""

    def go(*flags: str, output: str = "run") -> Path:
        return train_small(encoder_folder, small, tmp_path / output, *flags)

    return go


def train_small(encoder_folder: Path, data: Path, folder: Path, *flags: str) -> Path:
    AcceleratorState._reset_state(reset_partial_state=True)
    paths = ["--model", str(encoder_folder), "--data", str(data), "--output", str(folder)]
    others = "--lr 1e-3 --batch-size 32 --mixed-precision no --log-every 2 --epochs 2"
    train.main([*paths, *others.split(), *flags])
    return folder


@pytest.fixture(scope="module")
def still(encoder_folder, tmp_path_factory) -> Path:
    """The embedded encoder without dropout."""
    return with_dropout(encoder_folder, tmp_path_factory.mktemp("models") / "still", 0.0)


def with_dropout(encoder_folder: Path, folder: Path, p: float) -> Path:
    shutil.copytree(encoder_folder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": p, "attention_probs_dropout_prob": p}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def log_of(folder: Path) -> tuple[list[dict], list[dict]]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [e for e in entries if "loss" in e], [e for e in entries if "validation" in e]


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_file(folder / name / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_folder(run, small):
    folder = run("--train-on", "de", "fr")
    made = {"best", "last", "config.yaml", "log.jsonl", "metrics.json", "README.md"}
    assert {path.name for path in folder.iterdir()} == made
    points, evaluations = log_of(folder)
    assert [point["step"] for point in points] == [2, 4, 6, 8, 10, 12, 14, 16]  # 240 sentences: 8 steps an epoch
    for point in points:
        keys = {"step", "epoch", "loss", "lr", "grad_norm", "sentences_per_second", "tokens_per_second"}
        assert set(point) == keys
    assert points[-1]["loss"] < points[0]["loss"]
    assert [e["epoch"] for e in evaluations] == [1.0, 2.0]
    means = [sum(point["loss"] for point in points[i : i + 4]) / 4 for i in (0, 4)]  # 2 steps each
    assert [e["train_loss"] for e in evaluations] == pytest.approx(means)
    assert set(evaluations[0]["validation"]["languages"]) == {"de", "fr"}
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["steps"] == 16
    assert metrics["train_sentences"] == 240
    assert metrics["best"]["f1"] == max(e["validation"]["f1"] for e in evaluations)
    stored = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert stored["train_on"] == ["de", "fr"]
    assert stored["data"] == str(small)
    resolved = {"output": str(folder), "sample": ["all"], "packing": "on", "mixed_precision": "no", "row_length": "64"}
    assert {name: stored[name] for name in resolved} == resolved


def test_a_language_is_cut_and_the_other_whole(run, small, capsys):
    folder = run("--train-on", "de", "fr", "--max-train-sentences", "fr=40", "--max-steps", "2")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["train_sentences"] == 160
    assert metrics["train_sentences_by_language"] == {"de": 120, "fr": 40}
    assert "training on 160 sentences: de 120, fr 40 of 120" in capsys.readouterr().err
    assert "160 (de 120, fr 40 of 120)" in (folder / "README.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        run("--train-on", "de", "fr", "--max-train-sentences", "fr=121", output="many")
    assert "--max-train-sentences fr=121: there are 120 fr training sentences" in capsys.readouterr().err


def test_few_sentences_are_passed_over_until_there_are_enough_steps(run):
    """Two steps an epoch; the schedule and the evaluations are those of the steps that are made."""
    folder = run("--train-on", "de", "--max-train-sentences", "40", "--min-steps", "9")
    points, evaluations = log_of(folder)
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["steps"] == 9
    assert [e["step"] for e in evaluations] == [5, 9]  # two, as of --epochs 2
    assert points[-1]["epoch"] == 4.5
    assert [p["lr"] for p in points] == pytest.approx([1e-3 * (1 - (p["step"] - 1) / 9) for p in points])


def test_a_small_language_is_drawn_more_often(run, capsys):
    flags = ("--train-on", "de", "fr", "--max-train-sentences", "fr=12", "--sampling-temperature", "3", "--seed", "7")
    whole = run(*flags)
    assert "sentences drawn in an epoch: de 90, fr 42" in capsys.readouterr().err
    assert json.loads((whole / "metrics.json").read_text(encoding="utf-8"))["steps"] == 10  # as without
    assert same(weights(whole), weights(run(*flags, output="again")))


def test_few_validation_sentences_choose_and_all_are_scored(run, capsys, small):
    flags = ("--train-on", "de", "fr", "--max-train-sentences", "fr=20", "--epochs", "4")
    by_all, folder = run(*flags), run(*flags, "--max-validation-sentences", "train", output="few")
    assert same(weights(by_all), weights(folder))  # the choice alone is another
    (_, before), (_, evaluations) = log_of(by_all), log_of(folder)
    for old, new in zip(before, evaluations, strict=True):
        scores = new["validation"]
        assert (scores["sentences"], scores["whole"]["sentences"]) == (80, 120)
        assert scores["whole"]["f1"] == old["validation"]["f1"]
        assert scores["languages"]["de"]["f1"] == old["validation"]["languages"]["de"]["f1"]  # 60 of 120 are all
        assert scores["languages"]["fr"]["support"] < old["validation"]["languages"]["fr"]["support"]
    best = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["best"]
    assert best["f1"] == max(e["validation"]["f1"] for e in evaluations)
    choice = json.loads((by_all / "metrics.json").read_text(encoding="utf-8"))["best"]
    assert best["choice_of_whole"] == {name: choice[name] for name in ("step", "epoch", "f1")}
    assert "by F1 of 80 validation sentences: " in (folder / "README.md").read_text(encoding="utf-8")
    said = capsys.readouterr().err.splitlines()[-1]
    assert "best/ was chosen by 80 of 120 validation sentences" in said
    assert f"all of them give it F1 {best['whole']['f1']:.4f}, and would have chosen step {choice['step']} with" in said
    with pytest.raises(SystemExit):
        run(*flags, "--max-validation-sentences", "fr=61", output="many")
    assert "--max-validation-sentences fr=61: there are 60 fr validation sentences" in capsys.readouterr().err


def test_checkpoints_are_standard_models(run):
    folder = run("--train-on", "de")
    for name in ("best", "last"):
        model = AutoModelForTokenClassification.from_pretrained(folder / name)
        assert model.config.id2label[0] == "O"
        tagger = pipeline("token-classification", model=str(folder / name), aggregation_strategy="simple")
        found = tagger("Anna Keller wohnt seit 1998 in Zürich .")
        assert all({"entity_group", "score", "start", "end"} <= set(entity) for entity in found)


def test_the_same_seed_gives_the_same_weights(run):
    first, again = run("--max-steps", "5", output="a"), run("--max-steps", "5", output="b")
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(run("--max-steps", "5", "--seed", "1", output="c")))


def test_micro_batches_and_padding_train_the_same_model_without_dropout(run, still):
    flags = ["--model", str(still), "--max-steps", "4"]
    whole = weights(run(*flags, output="a"))
    for i, other in enumerate((["--max-tokens-per-micro-batch", "128"], ["--packing", "off"], ["--row-length", "32"])):
        split = weights(run(*flags, *other, output=f"b{i}"))
        for name, tensor in whole.items():
            torch.testing.assert_close(split[name], tensor, rtol=1e-3, atol=2e-5, msg=name)


def recorded(forward, rows):
    """The function, with the number of rows of each call, and whether it trains."""

    def call(input_ids, **others):
        rows.append((len(input_ids), torch.is_grad_enabled()))
        return forward(input_ids, **others)

    return call


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler here")
@pytest.mark.skipif(ENCODING != "utf-8", reason=f"torch reads its own templates as {ENCODING}, which they are not")
def test_compiled_layers_train_the_same_model(run, encoder_folder, tmp_path, monkeypatch):
    """With a dropout that draws its numbers, and drops nothing: a single row, computed twice, draws more of them."""
    drawing = with_dropout(encoder_folder, tmp_path / "drawing", 1e-6)
    # The last step of the epoch has a single sentence, and so a single row, as some micro-batches of the evaluation do.
    flags = ["--model", str(drawing), "--max-steps", "4", "--batch-size", "59", "--train-on", "de", "fr"]
    flags += ["--max-train-sentences", "178", "--max-tokens-per-micro-batch", "128"]
    eager = weights(run(*flags, output="eager"))
    rows: list[tuple[int, bool]] = []
    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(torch._dynamo.config, "optimize_ddp", True)
    monkeypatch.setattr(model, "with_two_rows", lambda forward: recorded(with_two_rows(forward), rows))
    for name, tensor in weights(run(*flags, "--compile", output="compiled")).items():
        torch.testing.assert_close(tensor, eager[name], rtol=1e-3, atol=2e-5, msg=name)
    assert {1, 2} == {count for count, _ in rows}
    assert {is_training for count, is_training in rows if count == 1} == {True, False}
    assert counters["stats"]["unique_graphs"] == 2  # to train, and to evaluate
    assert not torch._dynamo.config.optimize_ddp  # of several processes, it would cut each layer in pieces


def test_saved_models_have_the_whole_embedding_table(run, encoder_folder):
    """Rows that no sentence uses come back, with the decay that AdamW would have given them."""
    table = "roberta.embeddings.word_embeddings.weight"
    before = load_file(encoder_folder / "model.safetensors")[table.removeprefix("roberta.")]
    folder = run("--weight-decay", "0.5", "--max-steps", "10", "--log-every", "1")
    after = weights(folder)[table]
    assert after.shape == before.shape
    decay = math.prod(1 - 0.5 * point["lr"] for point in log_of(folder)[0])
    unused = ((after / before - decay).abs() < 1e-4).all(dim=1)
    assert 20 < unused.sum() < 200


def test_a_tagger_is_trained_further(run, capsys):
    first = run("--train-on", "de", "--max-steps", "1", output="first")
    capsys.readouterr()
    flags = ["--model", str(first / "best"), "--train-on", "fr", "--max-steps", "1", "--lr", "1e-12"]
    further = run(*flags, output="further")
    assert "best: a tagger already; its head goes on with O B-" in capsys.readouterr().err
    heads = [weights(folder, "best")["classifier.weight"] for folder in (first, further)]
    torch.testing.assert_close(heads[0], heads[1], atol=1e-6, rtol=0)


def test_learning_rate_schedule(run):
    points, _ = log_of(run("--max-steps", "10", "--warmup", "0.2", "--log-every", "1"))
    assert [round(point["lr"] * 1e3, 4) for point in points] == [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    points, _ = log_of(run("--max-steps", "4", "--schedule", "cosine", "--log-every", "1", output="cosine"))
    assert [round(point["lr"] * 1e3, 4) for point in points] == [1, 0.8536, 0.5, 0.1464]


def test_evaluation_cadence_and_early_stopping(run):
    _, evaluations = log_of(run("--evaluate-every", "3", "--max-steps", "7"))
    assert [e["step"] for e in evaluations] == [3, 6, 7]
    stopped = run("--evaluate-every", "1", "--max-steps", "30", "--patience", "2", "--lr", "1e-9", output="b")
    _, evaluations = log_of(stopped)
    assert len(evaluations) == 3  # the first is the best, two are not better
    assert json.loads((stopped / "metrics.json").read_text(encoding="utf-8"))["steps"] == 3


def test_best_is_the_best_and_last_the_last(run):
    folder = run("--evaluate-every", "20", "--max-steps", "100", "--lr", "3e-3", "--warmup", "0.1")
    _, evaluations = log_of(folder)
    scores = [e["validation"]["f1"] for e in evaluations]
    assert len(set(scores)) > 3
    best = scores.index(max(scores))
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["best"]["step"] == 20 * (best + 1)
    assert same(weights(folder, "best"), weights(folder)) == (best == len(scores) - 1)


def test_frozen_body_keeps_its_weights(run, encoder_folder):
    before = load_file(encoder_folder / "model.safetensors")
    after = weights(run("--freeze", "encoder", "--max-steps", "3"))
    assert all(torch.equal(after[f"roberta.{name}"], tensor) for name, tensor in before.items())


def test_bf16_trains_fp32_weights(run):
    folder = run("--mixed-precision", "bf16", "--max-steps", "3")
    assert {tensor.dtype for tensor in weights(folder).values()} == {torch.float32}


def failures(capsys, *arguments: str) -> list[str]:
    AcceleratorState._reset_state(reset_partial_state=True)
    with pytest.raises(SystemExit) as caught:
        train.main(list(arguments))
    assert caught.value.code == 2
    return capsys.readouterr().err.strip().splitlines()


def failure(capsys, *arguments: str) -> str:
    return failures(capsys, *arguments)[-1]


def test_bad_input_is_one_line_and_status_2(small, encoder_folder, tmp_path, capsys):
    base = ["--model", str(encoder_folder), "--data", str(small), "--output", str(tmp_path / "x")]
    assert "no language rm; it has de, fr" in failure(capsys, *base, "--train-on", "rm")
    assert "--max-length 500" in failure(capsys, *base, "--max-length", "500")
    assert "--freeze-layers 9" in failure(capsys, *base, "--freeze-layers", "9")
    assert "--max-tokens-per-micro-batch 20" in failure(capsys, *base, "--max-tokens-per-micro-batch", "20")
    assert "nonsense" in failure(capsys, *base, "--trackers", "nonsense")
    assert "--trackers aim: not installed; pip install aim" in failure(capsys, *base, "--trackers", "aim")
    if not torch.cuda.is_available():
        assert "--cuda-graphs needs a GPU with CUDA" in failure(capsys, *base, "--cuda-graphs")
        assert "fp16 needs a GPU" in failure(capsys, *base, "--mixed-precision", "fp16")
    assert "no-model" in failure(capsys, *base, "--model", str(tmp_path / "no-model"))
    assert "--evaluate-every 7u" in failure(capsys, *base, "--evaluate-every", "7u")
    broken = tmp_path / "broken"
    shutil.copytree(small, broken)
    write_json_lines(broken / "de/validation.jsonl", [{"tokens": ["a", "b"], "ner_tags": ["O"]}])
    (broken / "de/train.jsonl").write_text("{", encoding="utf-8")
    message = failures(capsys, *base, "--data", str(broken))
    assert message[0].endswith("2 faults in the data")
    assert message[1].endswith("train.jsonl:1: not JSON: the line breaks off at character 1")
    assert message[2].endswith("validation.jsonl:1: 2 tokens but 1 tags")
    shutil.copy(small / "de/train.jsonl", broken / "de/train.jsonl")
    (broken / "de/validation.jsonl").write_text("", encoding="utf-8")
    assert "de/validation.jsonl: empty" in failure(capsys, *base, "--data", str(broken))
    assert not (tmp_path / "x").exists()


def test_a_customers_column_files(run, small, tmp_path, capsys):
    """Columns in IOBES under names of their own, a type too many, a broken line, and no validation sentences."""
    lines = (small / "de/train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[:80]]
    pairs = [zip(row["tokens"], row["ner_tags"], strict=True) for row in rows]
    text = ["\n".join(f"{i}\t{word}\t{tag}" for i, (word, tag) in enumerate(own)) for own in pairs]
    text += ["0\tDeutsch\tB-MISC", "0\tkaputt"]
    file = tmp_path / "kunde.conll"
    file.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    flags = ["--data", str(file), "--max-steps", "1", "--map-tags", "MISC=O,LOC=GPE", "--validation-fraction", "0.25"]
    with pytest.raises(SystemExit) as caught:
        run(*flags)
    assert caught.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.fullmatch(rf"\S+: {file}:\d+: 2 columns, not 3: .*; fix the row, or pass --on-bad-row skip", error)
    folder = run(*flags, "--on-bad-row", "skip")
    assert f"note: {file}: 1 of 82 rows skipped" in capsys.readouterr().err
    (skipped,) = (json.loads(line) for line in (folder / "skipped.jsonl").read_text(encoding="utf-8").splitlines())
    assert skipped["value"] == "0\tkaputt"
    assert (
        json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["train_sentences"] == 61
    )  # 81 without a quarter
    model = AutoModelForTokenClassification.from_pretrained(folder / "best")
    assert list(model.config.id2label.values()) == ["O", "B-GPE", "I-GPE", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    notes = json.loads((folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])["notes"]
    assert f"{file}: 1 of 82 rows skipped" in notes
    stored = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert stored["map_tags"] == "MISC=O,LOC=GPE"
    run("--max-steps", "1", "--overwrite")  # other data: what was skipped before is not in the folder any more
    assert not (folder / "skipped.jsonl").exists()


def test_a_run_is_not_overwritten_unless_asked(run, small, encoder_folder, capsys):
    folder = run("--max-steps", "1")
    before = (folder / "log.jsonl").read_text(encoding="utf-8")
    message = failure(
        capsys, "--model", str(encoder_folder), "--data", str(small), "--output", str(folder), "--max-steps", "1"
    )
    assert "not empty" in message
    assert (folder / "log.jsonl").read_text(encoding="utf-8") == before
    run("--max-steps", "2", "--overwrite")
    assert len(log_of(folder)[0]) == 1


@pytest.mark.parametrize(
    "split",
    [
        [],
        # A sentence a step, in windows of 8 and a micro-batch each: the second rank only keeps step.
        ["--batch-size", "1", "--max-length", "8", "--row-length", "8", "--max-tokens-per-micro-batch", "8"],
    ],
    ids=["both work", "one keeps step"],
)
def test_two_processes_train_what_one_trains(split, run, small, still, tmp_path):
    """The same steps on one and two ranks: equal losses, gradients and weights, and every word scored once."""
    flags = ["--model", str(still), "--train-on", "de", "fr", "--max-steps", "3", "--log-every", "1", *split]
    one = run(*flags)
    two = tmp_path / "two"
    own = ["--data", str(small), "--output", str(two), "--lr", "1e-3", "--batch-size", "32", "--mixed-precision", "no"]
    fork_ranks(2, ROOT / "train.py", *own, *flags)
    for mine, theirs in zip(log_of(one)[0], log_of(two)[0], strict=True):
        assert theirs["lr"] == mine["lr"]
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=1e-4)
        assert theirs["grad_norm"] == pytest.approx(mine["grad_norm"], rel=1e-3)
    mine, theirs = (log_of(folder)[1][-1] for folder in (one, two))
    assert theirs["validation"]["words"] == mine["validation"]["words"]
    assert theirs["validation"]["loss"] == pytest.approx(mine["validation"]["loss"], rel=1e-4)
    assert theirs["train_loss"] == pytest.approx(mine["train_loss"], rel=1e-4)
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(two)[name], tensor, rtol=1e-3, atol=2e-5)


def test_the_script_runs_by_itself(small, encoder_folder, tmp_path):
    flags = ["--model", str(encoder_folder), "--data", str(small)]
    done = processes.run(
        [sys.executable, ROOT / "train.py", *flags, "--output", tmp_path / "run", "--max-steps", "1"], cwd=tmp_path
    )
    assert "packing: on, packed and padded logits agree" in done.stderr
    status, output = fork(ROOT / "train.py", *flags, "--train-on", "rm", check=False, cwd=tmp_path)
    assert status == 2
    assert "Traceback" not in output
    assert output.strip().splitlines()[-1].startswith("train.py: ")


FLAGS = ("--max-steps", "12", "--evaluate-every", "5", "--log-every", "1")


def results(folder: Path) -> tuple[list, list]:
    """What a run that was stopped must share with one that was not."""
    points, evaluations = log_of(folder)
    return (
        [(p["step"], p["loss"], p["lr"], p["grad_norm"]) for p in points],
        [(e["step"], e["train_loss"], e["validation"]["f1"], e["validation"]["loss"]) for e in evaluations],
    )


@pytest.fixture(scope="module")
def whole(small, encoder_folder, tmp_path_factory) -> Path:
    """A run that was not stopped."""
    return train_small(encoder_folder, small, tmp_path_factory.mktemp("whole") / "run", *FLAGS)


@pytest.mark.parametrize(
    ("step", "number"), [(1, signal.SIGTERM), (5, signal.SIGUSR1), (8, signal.SIGINT), (10, signal.SIGHUP)]
)
def test_a_run_that_is_stopped_goes_on_as_if_nothing_had_happened(
    run, whole, tmp_path, capsys, monkeypatch, step, number
):
    """In the first step, inside an evaluation, and between two: the signal comes while that step is logged."""
    write = JsonLinesLog.write

    def signalled(log: JsonLinesLog, entry: dict) -> None:
        write(log, entry)
        if entry["step"] == step and "loss" in entry:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(JsonLinesLog, "write", signalled)
    with pytest.raises(SystemExit) as caught:
        run(*FLAGS, "--resume", "auto", output="stopped")
    monkeypatch.setattr(JsonLinesLog, "write", write)
    assert caught.value.code == 75
    assert "stopped by a signal after step" in capsys.readouterr().err
    assert not (tmp_path / "stopped/metrics.json").exists()
    stopped = run(*FLAGS, "--resume", "auto", "--keep", "1", output="stopped")
    assert results(stopped) == results(whole)
    for name in ("best", "last"):
        assert same(weights(stopped, name), weights(whole, name))
    mine, theirs = (json.loads((folder / "metrics.json").read_text(encoding="utf-8")) for folder in (stopped, whole))
    for volatile in ("training_seconds", "sentences_per_second", "tokens_per_second"):
        del mine[volatile], theirs[volatile]
    for config in (mine["config"], theirs["config"]):
        del config["output"], config["resume"], config["keep"]
    mine["best"]["seconds"] = theirs["best"]["seconds"]
    assert mine == theirs
    written = [
        json.loads(line)
        for line in (stopped / "log.jsonl").read_text(encoding="utf-8").splitlines()
        if "checkpoint" in line
    ]
    assert set(written[0]["checkpoint"]) == {"step", "stopped_seconds", "seconds", "megabytes"}


def test_commits_resume_and_what_is_refused(run, small, tmp_path, capsys):
    flags = [*FLAGS, "--resume", "auto", "--train-on", "de", "fr"]
    folder = run(*flags, "--checkpoint-every", "5", "--keep", "3")  # nothing there: a fresh start
    assert [path.name for path in found(folder)] == ["step-00000010", "step-00000005"]
    expected, last = results(folder), weights(folder)
    before = (folder / "last/model.safetensors").stat().st_mtime_ns
    run(*flags)
    assert "this run is finished" in capsys.readouterr().err
    assert (folder / "last/model.safetensors").stat().st_mtime_ns == before

    (folder / "metrics.json").unlink()  # as if it had been killed at its end

    def refused(*options: str) -> str:
        with pytest.raises(SystemExit) as caught:
            run(*flags, *options)
        assert caught.value.code == 2
        return capsys.readouterr().err

    message = refused("--seed", "7", "--batch-size", "16", "--lr", "1e-2", "--log-every", "2")
    assert "cannot be resumed, this would change its result:\n" in message
    assert "lr is 0.01, and was 0.001" in message
    assert "batch_size is 16, and was 32" in message
    assert "seed is 7, and was 42" in message
    assert "log_every" not in message
    message = refused("--row-length", "32")
    assert "row_length is 32, and was 64" in message
    assert "auto" not in message
    first, *others = (small / "de/train.jsonl").read_text(encoding="utf-8").splitlines(True)
    changed = first.replace('"tokens": ["', '"tokens": ["x')
    stored = (folder / "checkpoints/step-00000010/config.yaml").read_text(encoding="utf-8")
    os.truncate(folder / "checkpoints/step-00000010/state.safetensors", 100)
    again = run(*flags)
    assert "corrupt checkpoint passed over" in (text := capsys.readouterr().err)
    assert "step-00000005: going on after step 5" in text
    assert results(again) == expected
    assert same(weights(again), last)
    assert f"data: {small}" in stored
    (folder / "metrics.json").unlink()
    shutil.move(small / "de/train.jsonl", tmp_path / "kept.jsonl")
    (small / "de/train.jsonl").write_text("".join([changed, *others]), encoding="utf-8")
    try:
        assert "the training or validation sentences are not the same" in refused("--resume", str(found(folder)[0]))
    finally:
        shutil.move(tmp_path / "kept.jsonl", small / "de/train.jsonl")
    assert "no manifest.json to read" in refused("--resume", str(tmp_path))
    assert "give one of them" in refused("--overwrite")


def poisoned(encoder_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A corpus of 32 sentences, and an encoder whose embedding of a piece of one of them alone is infinite."""
    rows = [{"tokens": ["Anna", str(i)], "ner_tags": ["B-PER", "O"]} for i in range(31)]
    rows.append({"tokens": ["Zürich", "Yvonne"], "ner_tags": ["O", "O"]})
    tokenizer = load_tokenizer(str(encoder_folder))
    *others, own = ({i for word in row["tokens"] for i in tokenizer.encode(word)} for row in rows)
    piece = min(own - set.union(*others))
    shutil.copytree(encoder_folder, tmp_path / "poisoned")
    tensors = load_file(encoder_folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"][piece] = torch.inf
    save_file(tensors, tmp_path / "poisoned/model.safetensors", metadata={"format": "pt"})
    write_json_lines(tmp_path / "bad/de/train.jsonl", rows)
    write_json_lines(tmp_path / "bad/de/validation.jsonl", rows[:8])
    return tmp_path / "poisoned", tmp_path / "bad"


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(run, encoder_folder, tmp_path, capsys):
    encoder, data = poisoned(encoder_folder, tmp_path)
    flags = ["--model", str(encoder), "--data", str(data), "--batch-size", "8", "--epochs", "3"]
    folder = run(*flags)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["bad_steps"] == 3  # one of the four steps of each epoch
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    bad = [entry for entry in entries if "not_finite" in entry]
    assert [(entry["step"] - 1) // 4 for entry in bad] == [0, 1, 2]
    assert len(set.intersection(*(set(entry["not_finite"]["sentences"]) for entry in bad))) >= 1
    assert all(math.isfinite(entry["loss"]) for entry in entries if "loss" in entry)
    before = load_file(encoder / "model.safetensors")
    for name, tensor in weights(folder).items():
        if name.removeprefix("roberta.") in before and "word_embeddings" in name:
            assert int((~tensor.isfinite()).any(dim=1).sum()) == 1  # the poisoned row alone
        else:
            assert tensor.isfinite().all(), name
    with pytest.raises(SystemExit) as caught:
        run(*flags, "--batch-size", "32", "--max-bad-steps", "2", output="all-bad")
    assert caught.value.code == 1
    assert "2 steps in a row had a gradient that is not finite" in capsys.readouterr().err


def test_another_number_of_processes_goes_on_with_the_same_plan(run, small, still):
    """One process, then two: without dropout it is the same training."""
    flags = [*FLAGS, "--model", str(still), "--resume", "auto", "--checkpoint-every", "6"]
    folder = run(*flags)
    expected, last = results(folder)[0], weights(folder)
    (folder / "metrics.json").unlink()
    shutil.rmtree(folder / "checkpoints/step-00000012")
    own = ["--data", str(small), "--output", str(folder), "--lr", "1e-3", "--batch-size", "32"]
    said = fork_ranks(2, ROOT / "train.py", *own, "--mixed-precision", "no", "--epochs", "2", *flags)
    assert "step-00000006: going on after step 6" in said
    for mine, theirs in zip(results(folder)[0], expected, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)
    for name, tensor in last.items():
        torch.testing.assert_close(weights(folder)[name], tensor, rtol=1e-3, atol=2e-5)


def test_an_overwrite_that_can_not_begin_loses_nothing(run, capsys, monkeypatch):
    """A seed too large, a tracker that does not start: found before the old run makes room."""
    folder = run("--max-steps", "1")
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    for flags, message in [
        (["--seed", str(2**31)], "--seed 2147483648 must be below 2147483648"),
        (["--trackers", "mlflow"], "--trackers mlflow: "),
        (["--warmup", "inf"], "--warmup inf must not be negative, nor infinite"),
    ]:
        with pytest.raises(SystemExit) as caught:
            run("--max-steps", "1", "--overwrite", *flags)
        assert caught.value.code == 2
        assert message in capsys.readouterr().err
        assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_a_signal_during_set_up_ends_with_status_75(run, monkeypatch, tmp_path, capfd):
    load = train.read_corpus  # type: ignore[attr-defined]  # as it finds it

    def signalled(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return load(*arguments)

    monkeypatch.setattr(train, "read_corpus", signalled)
    with pytest.raises(SystemExit) as caught:
        run("--max-steps", "1")
    assert caught.value.code == 75
    assert "stopped by SIGTERM before the first step; nothing is lost" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_signal_while_the_last_model_is_written_lets_it_finish(run, monkeypatch):
    save = Checkpointer.save_model

    def signalled(self, name, *arguments):
        if name == "last":
            os.kill(os.getpid(), signal.SIGTERM)
        save(self, name, *arguments)

    monkeypatch.setattr(Checkpointer, "save_model", signalled)
    folder = run("--max-steps", "1")
    assert (folder / "metrics.json").is_file()
    assert (folder / "last/model.safetensors").is_file()


def test_rows_of_another_device_are_refused_with_the_reason(run, capsys):
    """As where a checkpoint of a GPU, with its longer rows, goes on on a CPU."""
    folder = run("--max-steps", "2", "--row-length", "128", "--checkpoint-every", "1")
    (folder / "metrics.json").unlink()
    with pytest.raises(SystemExit):
        run("--max-steps", "2", "--resume", "auto")
    message = "row_length is 64, and was 128 (what auto is on cpu; --row-length 128 goes on with rows as they were)"
    assert message in capsys.readouterr().err
    run("--max-steps", "2", "--resume", "auto", "--row-length", "128")


def test_a_run_of_other_options_does_not_take_the_place_of_one_without_commits(run, capsys):
    folder = run("--max-steps", "1")
    (folder / "metrics.json").unlink()  # killed before its end, and before its first checkpoint
    with pytest.raises(SystemExit) as caught:
        run("--max-steps", "1", "--resume", "auto", "--lr", "1e-2")
    assert caught.value.code == 2
    assert "lr is 0.01, and was 0.001" in capsys.readouterr().err
    before = weights(folder, "best")
    run("--max-steps", "1", "--resume", "auto")
    assert same(weights(folder, "best"), before)
    assert not (folder / "replaced").exists()
