"""Training on sentences that stream: stopped, with bad sentences, by two processes."""

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

import train
from ner.data.corpus import Source
from ner.data.discovery import Place
from ner.data.streaming import SentenceStream, ShardReader
from ner.inputs.batching import EpochPlan
from ner.inputs.buffers import Stream
from ner.training.metrics_log import JsonLinesLog
from tests.conftest import TAGS, write_small_encoder
from tests.processes import ROOT, fork_ranks

pytestmark = [pytest.mark.timeout(method="thread"), pytest.mark.usefixtures("fresh_accelerator")]
SHARDS = 4


@pytest.fixture(scope="module")
def encoder(tokenizer, tmp_path_factory) -> Path:
    return write_small_encoder(tmp_path_factory.mktemp("stream") / "encoder", tokenizer, hidden_size=32, num_layers=1)


@pytest.fixture
def folder(corpus_folder, tmp_path) -> Path:
    return write_shards(corpus_folder, tmp_path)


def write_shards(corpus_folder: Path, folder: Path) -> Path:
    """Shards of 40 German and of 25 French sentences, and 20 of each to validate on."""
    for language, size in (("de", 40), ("fr", 25)):
        (folder / "data" / language).mkdir(parents=True)
        rows = (corpus_folder / language / "train.jsonl").read_text(encoding="utf-8").splitlines(True)
        for i in range(SHARDS):
            file = folder / f"data/{language}/train-{i:05}-of-{SHARDS:05}.jsonl"
            file.write_text("".join(rows[i * size : (i + 1) * size]), encoding="utf-8")
        rows = (corpus_folder / language / "validation.jsonl").read_text(encoding="utf-8").splitlines(True)
        (folder / f"data/{language}/validation.jsonl").write_text("".join(rows[:20]), encoding="utf-8")
    return folder


@pytest.fixture
def flags(folder, encoder) -> list[str]:
    return flags_of(folder, encoder)


@pytest.fixture(scope="module")
def whole(corpus_folder, encoder, tmp_path_factory) -> Path:
    """A run on such shards, which nothing stopped."""
    folder = write_shards(corpus_folder, tmp_path_factory.mktemp("whole"))
    return run(flags_of(folder, encoder), folder / "run")


def flags_of(folder: Path, encoder: Path) -> list[str]:
    given = f"--model {encoder} --data {folder / 'data'} --train-on de fr --stream-buffer 48 --stream-shares de=3 fr=1"
    more = "--batch-size 8 --max-steps 20 --evaluate-every 10 --log-every 1 --lr 1e-3 --mixed-precision no"
    return [*given.split(), *more.split(), "--checkpoint-every", "5", "--resume", "auto", "--average", "on"]


def run(flags: list[str], output: Path) -> Path:
    AcceleratorState._reset_state(reset_partial_state=True)
    train.main([*flags, "--output", str(output)])
    return output


def status_of(flags: list[str], output: Path) -> int:
    with pytest.raises(SystemExit) as caught:
        run(flags, output)
    return int(caught.value.code or 0)


def entries(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def results(run: Path) -> list[tuple]:
    return [(e["step"], e.get("loss"), e.get("grad_norm"), e.get("f1")) for e in entries(run) if "checkpoint" not in e]


def same_weights(one: Path, other: Path) -> bool:
    pairs = [load_file(run / "last/model.safetensors") for run in (one, other)]
    return all(torch.equal(pairs[0][name], pairs[1][name]) for name in pairs[1])


def metrics(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_a_buffer_is_what_an_epoch_is(flags, tmp_path, capsys):
    found = run(flags, tmp_path / "run")
    assert "training on a stream: de 36 at a time (files: 4), fr 12 at a time (files: 4)" in capsys.readouterr().err
    assert metrics(found)["train_sentences"] == 160
    assert metrics(found)["train_sentences_by_language"] == {"de": 120, "fr": 40}
    assert [entry["epoch"] for entry in entries(found) if "loss" in entry][::6] == [0.1667, 1.1667, 2.1667, 3.1667]


@pytest.mark.parametrize("step", [3, 6, 11, 19])
def test_stopped_it_goes_on_as_if_nothing_had_happened(flags, whole, tmp_path, monkeypatch, step):
    """Within a buffer, behind one, and within the last."""
    write = JsonLinesLog.write

    def signalled(log: JsonLinesLog, entry: dict) -> None:
        write(log, entry)
        if entry["step"] == step and "loss" in entry:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(JsonLinesLog, "write", signalled)
        assert status_of(flags, tmp_path / "run") == 75
    stopped = run(flags, tmp_path / "run")
    assert results(stopped) == results(whole)
    assert same_weights(stopped, whole)
    assert metrics(stopped)["train_sentences_by_language"] == metrics(whole)["train_sentences_by_language"]


def test_bad_sentences_lose_nothing_that_was_done(flags, whole, folder, tmp_path, capsys):
    """A shard that comes later: what was done is checkpointed, and goes on when the shard is mended."""
    steps = {}
    for file in sorted((folder / "data/de").glob("train-*")):
        good = file.read_text(encoding="utf-8")
        file.write_text(f"{good}not JSON\n", encoding="utf-8")
        assert status_of(flags, tmp_path / file.stem) == 2
        assert f": {file}:41: not JSON" in capsys.readouterr().err
        written = tmp_path / file.stem / "checkpoints"
        steps[file] = max((int(path.name[5:]) for path in written.glob("step-*")), default=None)
        file.write_text(good, encoding="utf-8")
        found = run(flags, tmp_path / file.stem)
        assert results(found) == results(whole)
        assert same_weights(found, whole)
    assert None in steps.values()  # the first to be read is seen before the run has a folder
    assert {6, 12} & set(steps.values())  # behind whole buffers, not at the checkpoint of every five steps


def test_bad_sentences_before_the_first_step_of_a_long_buffer(flags, folder, tmp_path):
    flags = [*flags, "--stream-buffer", "64", "--max-steps", "9", "--seed", "1"]
    whole = run(flags, tmp_path / "whole")
    file = second_shard(folder, seed=1)
    good = file.read_text(encoding="utf-8")
    file.write_text(f"{good}not JSON\n", encoding="utf-8")
    for _ in range(2):  # not mended yet
        assert status_of(flags, tmp_path / "run") == 2
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-00000000"]
    file.write_text(good, encoding="utf-8")
    found = run(flags, tmp_path / "run")
    assert results(found) == results(whole)
    assert same_weights(found, whole)


def second_shard(folder: Path, seed: int) -> Path:
    """Of German, in the first pass."""
    place = Place(tuple(sorted((folder / "data/de").glob("train-*"))))
    return Path(SentenceStream(ShardReader(place, Source("x"), TAGS, print), seed, 0).name_of(0, 1))


def test_a_checkpoint_that_fails_because_of_bad_sentences_is_told(flags, folder, tmp_path, monkeypatch, capsys):
    """And so is the one before it, which it waits for."""
    with second_shard(folder, seed=1).open("a", encoding="utf-8") as rows:
        rows.write("not JSON\n")
    write = JsonLinesLog.write

    def in_the_way(log: JsonLinesLog, entry: dict) -> None:
        write(log, entry)
        (tmp_path / "run/checkpoints").touch()

    monkeypatch.setattr(JsonLinesLog, "write", in_the_way)
    assert status_of([*flags, "--seed", "1"], tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert said.count("checkpoint failed, those before it are intact: ") == 2
    assert "not JSON" in said


ONE_MISSES = """
import os, runpy, sys
program, data, other, *flags = sys.argv[1:]
rank = os.environ["RANK"]
sys.argv = [program, *(other if flag == data and rank == "1" else flag for flag in flags)]
try:
    runpy.run_path(program, run_name="__main__")
except BaseException as error:
    print(f"process {rank} ended by {type(error).__name__} {error}", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that can be opened and not be read")
def test_a_file_that_one_process_misses_ends_all(flags, folder, tmp_path):
    """It alone can tell, and the others wait for it where gradients are exchanged: it must not wait elsewhere."""
    data, other = folder / "data", tmp_path / "other"
    shutil.copytree(data, other)
    file = other / "de" / second_shard(folder, seed=1).name
    file.unlink()
    file.symlink_to("/proc/self/mem")
    more = ["--seed", "1", "--output", str(tmp_path / "run")]
    with pytest.raises(AssertionError, match=r"statuses \[0, 2\]") as caught:  # it waits for nobody
        fork_ranks(2, ONE_MISSES, ROOT / "train.py", data, other, *flags, *more)
    assert f"process 1: {file}: Input/output error" in str(caught.value)
    assert "process 0 ended by " in str(caught.value)
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-00000005"]


def test_two_processes_train_what_one_trains(flags, tmp_path, encoder):
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    still = tmp_path / "still"
    still.mkdir()
    for file in encoder.iterdir():
        (still / file.name).write_bytes(file.read_bytes())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(config), encoding="utf-8")
    flags = [*flags, "--model", str(still), "--max-steps", "8"]
    one = run(flags, tmp_path / "one")
    fork_ranks(2, ROOT / "train.py", *flags, "--output", tmp_path / "two")
    losses = [[entry["loss"] for entry in entries(found) if "loss" in entry] for found in (one, tmp_path / "two")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_commit_to_a_repository_is_no_other_data():
    def fingerprint(revision: str, name: str = "a.parquet", **shares: float) -> str:
        place = Place(addresses=(f"hf://datasets/owner/name@{revision}/{name}",))
        reader = ShardReader(place, Source("owner/name"), TAGS, print)
        languages = {language: SentenceStream(reader, 0, 0) for language in shares}
        return Stream(languages, shares, 100, pytest.fail).fingerprint()

    assert fingerprint("123", de=1, fr=1) == fingerprint("456", de=1, fr=1)
    assert len({fingerprint("1", de=1, fr=1), fingerprint("1", "b", de=1, fr=1), fingerprint("1", de=2, fr=1)}) == 3


def test_other_files_are_another_run(flags, folder, tmp_path, capsys):
    run([*flags, "--max-steps", "6"], tmp_path / "run")
    file = next((folder / "data/fr").glob("train-*"))
    file.rename(file.with_name(file.name.replace("-of-", "a-of-")))
    (tmp_path / "run/metrics.json").unlink()
    assert status_of([*flags, "--max-steps", "6"], tmp_path / "run") == 2
    assert "the training or validation sentences are not the same" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--max-steps", "0"), "--max-steps 0 must be above 0"),
        (("--stream-buffer", "4"), "--stream-buffer 4 is below --batch-size 8"),
        (("--stream-shares", "de=1"), "give one for each language to train on, de fr"),
        (("--stream-shares", "de=1", "fr=x"), "--stream-shares 'fr=x': give a language and a number above 0"),
        (("--stream-shares", "de=1", "de=2"), "names one twice"),
        (("--max-train-sentences", "10"), "--max-train-sentences needs all sentences at once"),
        (("--augment", "case=0.5"), "--augment needs all sentences at once"),
        (("--class-weights", "balanced"), "--class-weights needs all sentences at once"),
        (("--sample", "de=0.5"), "--sample needs all sentences at once"),
        (("--validation-fraction", "0.1"), "--validation-fraction needs all sentences at once"),
    ],
)
def test_what_does_not_go_with_a_stream(flags, tmp_path, capsys, more, message):
    assert status_of([*flags, *more], tmp_path / "run") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_file_is_not_what_is_validated_on_too(flags, folder, tmp_path, capsys):
    file = str(folder / "data/de/train-00000-of-00004.jsonl")
    more = ["--data", file, "--train-on", "de", "--stream-shares", "de=1"]
    assert status_of([*flags, *more], tmp_path / "run") == 2
    assert "no split validation, and a stream takes none from train; name both" in capsys.readouterr().err


def test_a_stream_has_an_end_that_is_named(flags, tmp_path, capsys):
    at = flags.index("--max-steps")
    assert status_of(flags[:at] + flags[at + 2 :], tmp_path / "run") == 2
    assert "--stream-buffer needs --max-steps: a stream has no end" in capsys.readouterr().err
    at = flags.index("--stream-buffer")
    assert status_of(flags[:at] + flags[at + 2 :], tmp_path / "run") == 2
    assert "--stream-shares needs --stream-buffer" in capsys.readouterr().err


def test_the_plan_of_sentences_that_do_not_stream_needs_nothing_but_the_step(encoded):
    plan = EpochPlan(encoded, 8, None, 4096, seed=1)
    assert plan.state(5) == {}
    assert plan.of_epoch(2).order.tolist() == EpochPlan(encoded, 8, None, 4096, seed=1, epoch=2).order.tolist()
