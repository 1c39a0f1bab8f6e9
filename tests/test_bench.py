"""The benchmark's measurements, in small."""

import itertools
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from accelerate.state import AcceleratorState
from torch import nn
from transformers.modeling_outputs import TokenClassifierOutput

from ner.arguments import parse
from ner.config import TrainConfig
from ner.inputs.collators import PaddedCollator
from ner.tagging.tagger import Tagger
from ner.training.metrics_log import JsonLinesLog
from tests.bench import (
    contenders,
    gpu,
    machine,
    precision,
    probes,
    programs,
    quality,
    results,
    stages,
    tagging,
    watched,
)
from tests.processes import ROOT, fork, wait_until
from tests.runs import train_run

MATERIAL = contenders.Material("encoder", "corpus", Path("trainer.py"), "small", "nothing")
# transformers' Trainer on the first sentences of the corpus, as the script that is compared with trains it.
TRAINER = """
import json, sys
from transformers import AutoModelForTokenClassification, AutoTokenizer, Trainer, TrainingArguments
from ner.data.corpus import Source, load_corpus
from ner.inputs.collators import PaddedCollator
from ner.inputs.encoding import encode
encoder, data, output = sys.argv[1:]
corpus, tokenizer = load_corpus(Source(data), ["de"], ["train"]), AutoTokenizer.from_pretrained(encoder)
names = dict(enumerate(corpus.tags.names))
model = AutoModelForTokenClassification.from_pretrained(
    encoder, num_labels=len(names), id2label=names, label2id={name: tag for tag, name in names.items()}
)
windows = encode(corpus["de"]["train"], tokenizer, corpus.tags, max_length=512)
rows = [{"input_ids": windows[i]["input_ids"], "labels": windows[i]["labels"]} for i in range(len(windows))]
arguments = TrainingArguments(output, max_steps=15, per_device_train_batch_size=32, use_cpu=True, report_to="none",
                              learning_rate=1e-2, save_strategy="no", disable_tqdm=True)
trainer = Trainer(model, arguments, train_dataset=rows, processing_class=tokenizer,
                  data_collator=PaddedCollator(tokenizer.pad_token_id))
trainer.train()
trainer.save_model(output)
print(json.dumps({"f": 1}))
"""


@pytest.fixture(scope="module")
def small_run(narrow_encoder, corpus_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "run"
    train_run(narrow_encoder, corpus_folder, folder, "--train-on de --max-steps 60 --batch-size 16 --log-every 20")
    return folder


def test_stages_of_an_step(corpus_folder, encoder_folder, tmp_path, monkeypatch, capsys):
    AcceleratorState._reset_state(reset_partial_state=True)
    flags = ["--model", encoder_folder, "--data", corpus_folder, "--train-on", "de", "--output", tmp_path / "run"]
    monkeypatch.setattr(sys, "argv", ["stages", "2", "de,fr", *map(str, flags), "--max-train-sentences", "500"])
    stages.main()
    measured = json.loads(capsys.readouterr().out)
    assert {"wait for data", "forward", "backward", "clip", "optimizer"} <= set(measured["milliseconds"])
    assert min(measured["milliseconds"].values()) > 0
    assert 0.8 < measured["position_efficiency"] <= 1
    assert set(measured["evaluation"]) == {"de", "fr"}
    assert set(measured["encoding"]) == {"encode", "from the cache"}
    # 3 layers of 4 d^2 + 2 d i products, three times two operations each, and attention
    body = 3 * (4 * 128**2 + 2 * 128 * 256) * 6
    assert body < measured["flops_per_position"] < 1.5 * body
    found = [contenders.Contender("train.py", [], tmp_path), contenders.Contender("Trainer as published", [], None)]
    for contender, rate in zip(found, (200.0, 20.0), strict=True):
        contender.rates, contender.megabytes = [rate], [1000.0]
    table = contenders.comparison(found, measured)
    assert "| 10.00 x " in table


def test_padding_of_the_trainers_batches(encoded):
    random, grouped = (stages.padded_efficiency(encoded, 16, by_length) for by_length in (False, True))
    assert random < grouped <= 1
    lengths = np.diff(encoded.offsets)[np.random.default_rng(0).permutation(len(encoded))]
    batches = [lengths[i : i + 16] for i in range(0, len(lengths), 16)]
    assert random == pytest.approx(lengths.sum() / sum(len(b) * b.max() for b in batches))


def test_matmul_rate_counts_each_layer():
    model = nn.Sequential(nn.Linear(32, 64), nn.Linear(32, 64), nn.Linear(64, 7))
    assert stages.matmul_rate(model, 100, torch.float32) > 1e6


def test_repeated_sentences(corpus_folder, tmp_path):
    contenders.write_repeated(tmp_path, str(corpus_folder), 1500)
    lines = (tmp_path / "de" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1500
    assert lines[0] == lines[1000]  # there are 1,000
    assert json.loads(lines[0]).keys() == {"tokens", "ner_tags"}


def script(folder, text):
    file = folder / "program.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


# Programs


def test_a_program_that_fails_ends_the_benchmark(tmp_path):
    with pytest.raises(SystemExit, match="no such"):
        programs.run([script(tmp_path, "import sys; sys.exit('no such thing')")])


def test_a_program_is_stopped_at_its_deadline_with_what_it_started(tmp_path, monkeypatch):
    """By a clock that stands still until the program has started another, however long that takes."""
    text = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
open(sys.argv[1], "w", encoding="utf-8").write(str(child.pid))
time.sleep(100)
"""
    pid = tmp_path / "pid"
    pid.touch()
    clock = SimpleNamespace(monotonic=lambda: 3.0 * bool(pid.read_text(encoding="utf-8")), sleep=time.sleep)
    monkeypatch.setattr(programs, "time", clock)
    with pytest.raises(programs.DeadlineError, match="not done after 2 seconds"):
        programs.run([script(tmp_path, text), str(pid)], seconds=2)
    status = Path(f"/proc/{pid.read_text(encoding='utf-8')}/stat")

    def has_ended() -> bool:
        return not status.exists() or status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX"

    wait_until(has_ended)


def test_a_program_reports_its_memory_itself_and_nobody_asks_the_gpu(tmp_path, monkeypatch):
    """Asking from here makes a CUDA context, which would count. This build of torch raises for whoever asks."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    text = "import json, os, sys; print('x'); print(json.dumps([sys.argv[1:], os.environ['FLAG'], len(' ' * 10**8)]))"
    finished = programs.run([script(tmp_path, text), "--steps", "2"], env={"FLAG": "on"})
    assert finished.last_line == [["--steps", "2"], "on", 10**8]
    assert finished.watched == {"points": []}
    assert finished.peak == finished.megabytes > 95
    assert programs.Finished("", 1.0, {"reserved_megabytes": 5.0, "points": []}).peak == 5


def test_memory_of_a_gpu_is_what_torch_had_of_it(monkeypatch):
    assert watched.gpu_memory() == {}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**20)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 4 * 2**20)
    assert watched.gpu_memory() == {"allocated_megabytes": 3, "reserved_megabytes": 4}


def test_points_of_a_trainer(narrow_encoder, corpus_folder, tmp_path, monkeypatch):
    """Every sixth step and the last; the time of an evaluation is not in the seconds; F1 is that of the model."""
    monkeypatch.setattr(transformers.trainer, "DEFAULT_CALLBACKS", [*transformers.trainer.DEFAULT_CALLBACKS])
    clock = itertools.count()  # one tick a look: at the start, before an evaluation, and behind it
    monkeypatch.setattr(watched, "time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    monkeypatch.setattr(sys, "path", [*sys.path])
    program = [script(tmp_path, TRAINER), narrow_encoder, corpus_folder, tmp_path / "model"]
    own = ["watched", tmp_path / "watched.json", "--every", "6", "--validate", corpus_folder, "--", *program]
    monkeypatch.setattr(sys, "argv", [str(part) for part in own])
    AcceleratorState._reset_state(reset_partial_state=True)
    watched.main()
    AcceleratorState._reset_state(reset_partial_state=True)
    points = json.loads((tmp_path / "watched.json").read_text(encoding="utf-8"))["points"]
    assert [(point["step"], point["seconds"]) for point in points] == [(6, 1), (12, 2), (15, 3)]
    texts, gold = tagging.gold_sentences(str(corpus_folder), ["de"], "validation", 1000)
    tagger = Tagger.from_pretrained(tmp_path / "model", words="spaces", precision="no")
    assert points[-1]["f1"] == pytest.approx(tagging.f1_of(tagging.found_by(tagger, texts), gold), abs=1e-9)
    assert points[-1]["f1"] > 0


def test_labels_in_another_order_are_not_scored(corpus_folder, tokenizer):
    with pytest.raises(ValueError, match=r"the model .'B-PER'"):
        watched.Validation(str(corpus_folder), tokenizer, ["B-PER", "O"])


# The machine


def test_what_the_processor_has_and_torch_uses(tmp_path, monkeypatch):
    info = "processor : 0\nmodel name\t: A Processor\nflags : fpu avx2 avx512f amx_bf16\n"
    (tmp_path / "cpuinfo").write_text(info * 2, encoding="utf-8")
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    found = machine.machine()
    assert found["cpu"] == "A Processor"
    assert found["has"] == ["avx2", "avx512f", "amx_bf16"]
    assert found["threads"] == torch.get_num_threads()
    assert machine.used("AVX512", {"avx512_bf16": True, "amx_bf16": False}) == ["avx512", "avx512_bf16"]
    assert machine.used("AVX2", {"avx2": True}) == ["avx2"]
    line = machine.described(found)
    assert f"{found['cores']} cores of A Processor, {found['threads']} threads; it has avx2, avx512f, amx_bf16" in line
    assert f"uses {torch.backends.cpu.get_cpu_capability().lower()}" in line


# What is known


def test_results_are_kept_as_they_come(tmp_path):
    file = tmp_path / "bench.json"
    done = []

    def measure(name):
        def of(seconds):
            assert 0 < seconds <= 1000
            done.append(name)
            if name == "b" and done.count("b") == 1:
                raise programs.ProgramError("b\nit broke")
            return {"rate": len(done)}

        return of

    tasks = [results.Task(name, measure(name)) for name in "abc"]
    assert results.work_off(tasks, results.Results(file, {"cpu": "x"}), 1000) == []
    known = json.loads(file.read_text(encoding="utf-8"))
    assert known["a"] == {"rate": 1}
    assert "it broke" in known["b"]["failed"]
    assert known["c"] == {"rate": 3}
    assert results.work_off(tasks, results.Results(file, {"cpu": "x"}), 1000) == []
    assert done == ["a", "b", "c", "b"]  # what failed is tried again, and nothing else
    assert json.loads(file.read_text(encoding="utf-8"))["b"] == {"rate": 4}


def test_what_does_not_fit_into_a_call_is_left(tmp_path):
    def slow(seconds):
        raise programs.DeadlineError("too slow")

    tasks = [results.Task("a", lambda _: 1), results.Task("b", slow), results.Task("c", lambda _: 2)]
    known = results.Results(tmp_path / "bench.json", {})
    assert results.work_off(tasks, known, 1000) == ["b"]
    assert results.work_off(tasks, known, 1000) == []  # it had the whole call
    assert known.known["b"]["failed"] == "too slow"
    assert results.work_off([results.Task("d", lambda _: 1), results.Task("e", slow)], known, 59) == ["e"]


def test_results_of_another_machine_are_not_mixed(tmp_path):
    file = tmp_path / "bench.json"
    results.Results(file, {"cpu": "x"}).put("a", 1)
    assert results.Results(file, {"cpu": "x"}).known["a"] == 1
    with pytest.raises(SystemExit, match="another machine"):
        results.Results(file, {"cpu": "y"})


# Precision


def test_the_fastest_precision_is_chosen_and_named():
    rates: precision.Rates = {
        "train.py": {"no": 40.0, "bf16": 161.5},
        "Trainer at its best": {"no": 20.0, "bf16": "not done in time"},
    }
    assert precision.fastest(rates["train.py"]) == "bf16"
    assert precision.fastest(rates["Trainer at its best"]) == "no"
    table = precision.precision_table(rates, "bf16")
    assert "| train.py | 40.0 | 161.5 | bf16 |" in " ".join(table.split())
    assert "auto` takes bf16, the fastest" in table
    assert "not the fastest" in precision.precision_table(rates, "no")
    with pytest.raises(SystemExit, match="no precision"):
        precision.fastest({"no": "it broke"})


def test_each_side_is_measured_in_each_precision(tmp_path):
    """A precision that gives no rate is named with its reason: here nothing runs."""
    material = contenders.Material("no-encoder", "no-corpus", tmp_path / "no-script.py", "", "")
    rates = precision.measured_precisions(tmp_path, material, 2, ["no", "bf16"], seconds=0.5)
    assert {side: list(own) for side, own in rates.items()} == {
        "train.py": ["no", "bf16"],
        "Trainer at its best": ["no", "bf16"],
    }
    assert "not done after" in rates["train.py"]["bf16"]
    assert "no-script.py" in rates["Trainer at its best"]["no"]


# Commands


def test_commands_are_those_that_both_programs_take(tmp_path):
    """The Trainer's script counts updates, ours steps; both have the same rate, and the batch size that is compared."""
    found = contenders.contenders(tmp_path, MATERIAL, "encoder", 30, "no", "bf16")
    by_name = {contender.name: contender.command for contender in found}
    best, published = by_name["Trainer at its best"], by_name["Trainer as published"]
    assert best[0] == published[0] == "trainer.py"
    assert " ".join(best[-6:]) == "--group-by-length --fused --dataloader-workers 1 --max-updates 30"
    assert "--bf16" in best
    assert published[-2:] == ["--max-updates", "10"]
    for name in ("train.py", "train.py --compile"):
        config = parse(TrainConfig, by_name[name][1:], "")
        assert (config.max_steps, config.lr, config.batch_size) == (30, float(contenders.RATE), contenders.BATCH_SIZE)
        assert config.compile == ("--compile" in name)
        assert f"--lr {config.lr:g}".replace("0.0002", "2e-4") in " ".join(best)


def test_commands_of_the_quality_part():
    job = quality.Job(MATERIAL, 1000, "no", "bf16")
    commands = job.commands(Path("folder"), 43)
    config = parse(TrainConfig, commands["ours"][1:], "")
    assert (config.seed, config.epochs, config.max_train_sentences) == (43, 3, ("1000",))
    assert config.evaluate_every == "4"  # an epoch has 16 steps
    assert config.log_every == 4
    assert "--seed 43 --max-train-sentences 1000" in " ".join(commands["Trainer"])
    assert {"--bf16", *contenders.AT_ITS_BEST} <= set(commands["Trainer"])


def test_commands_on_a_gpu(tmp_path):
    bench = gpu.Bench(MATERIAL, tmp_path, 100, 1)
    for name in gpu.TRAIN:
        contender = bench.contender("me5-small", name, ["--max-steps", "100"])
        config = parse(TrainConfig, contender.command[1:], "")
        assert config.mixed_precision == name.rpartition(" ")[2]
        assert ("--cuda-graphs" in contender.command) == ("graphs" in name)
        assert config.compile == ("compile" in name)
        assert "--row-length auto" in " ".join(contender.command)
    recipe, best, _, compiled = (bench.contender("me5-small", name, ["--max-steps", "100"]) for name in gpu.TRAINERS)
    assert recipe.command[-2:] == ["--max-updates", "100"]
    assert "--fp16" in recipe.command
    assert not set(contenders.AT_ITS_BEST) & set(recipe.command)
    assert {"--bf16", *contenders.AT_ITS_BEST} <= set(best.command)
    assert compiled.command == best.command
    assert compiled.env == {"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}
    assert bench.contender("me5-small", "recipe, fp16", ["--epochs", "3"]).command[-2:] == ["--epochs", "3"]


def test_tasks_on_a_gpu_are_named_so_that_a_later_call_knows_them(tmp_path):
    bench = gpu.Bench(MATERIAL, tmp_path, 100, 2)
    names = [task.name for task in bench.tasks(gpu.PARTS, ["base", "large"])]
    assert len(names) == len(set(names))
    assert names[0] == "steps/base/recipe, fp16/1"
    assert names.index("steps/large/train.py, bf16/1") < names.index("steps/base/recipe, fp16/2")
    assert {"bits/base/train.py --cuda-graphs, bf16", "tagging/int8", "trainer-evaluation"} <= set(names)
    assert {name.split("/")[0] for name in names} == set(gpu.PARTS)


# Time to quality


def test_seconds_at_each_evaluation_of_a_run(tmp_path):
    """100 sentences are two steps, the second of 36; sums of rounded rates are put right by the run's total."""
    lines = [
        {"step": 1, "loss": 1.0, "sentences_per_second": 64.0},
        {"step": 1, "validation": {"f1": 0.1}},
        {"step": 2, "loss": 1.0, "sentences_per_second": 18.0},
        {"step": 2, "validation": {"f1": 0.3}},
        {"step": 3, "loss": 1.0, "sentences_per_second": 32.0},
        {"step": 3, "validation": {"f1": 0.2}},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (tmp_path / "metrics.json").write_text('{"training_seconds": 10.0}', encoding="utf-8")
    points = quality.curve_of_run(tmp_path, 100)
    assert [(point["step"], point["seconds"], point["f1"]) for point in points] == [
        (1, 2, 0.1),
        (2, 6, 0.3),
        (3, 10, 0.2),
    ]
    assert quality.first_time(points, 0.2) == 6
    assert quality.first_time(points, 0.3) == 6
    assert quality.first_time(points, 0.31) is None


def test_a_run_of_ours_has_its_seconds(small_run):
    """1,000 sentences in batches of 64 were 16 steps; it is the total that is exact."""
    points = quality.curve_of_run(small_run, 1000)
    assert points[-1]["step"] == 60
    metrics = json.loads((small_run / "metrics.json").read_text(encoding="utf-8"))
    assert points[-1]["seconds"] == pytest.approx(metrics["training_seconds"])
    assert points[-1]["f1"] > 0


def point(step, seconds, f1):
    return {"step": step, "seconds": seconds, "f1": f1}


def test_time_to_quality_is_a_median_of_ratios():
    job = quality.Job(MATERIAL, 1000, "no", "no")
    known = {
        job.key("Trainer", 42): [point(1, 10.0, 0.5), point(2, 20.0, 0.8)],
        job.key("ours", 42): [point(1, 5.0, 0.8), point(2, 10.0, 0.9)],
        job.key("Trainer", 43): [point(1, 9.0, 0.8), point(2, 18.0, 0.8)],  # had it half way
        job.key("ours", 43): [point(1, 4.0, 0.7), point(2, 8.0, 0.7)],  # never has it
        job.key("Trainer", 44): [point(1, 10.0, 0.5), point(2, 30.0, 0.6)],
        job.key("ours", 44): [point(1, 10.0, 0.5), point(2, 15.0, 0.7)],
        job.key("Trainer", 45): {"failed": "too slow"},
        job.key("Trainer", 46): [point(1, 10.0, 0.0)],  # has learnt nothing: no goal
        job.key("ours", 46): [point(1, 1.0, 0.5)],
    }
    table = quality.quality_table(job, [42, 43, 44, 45, 46], known)
    assert "| 42 | 0.8000 | 20.0 | 5.0 | 4.00 x | 0.9000 |" in " ".join(table.split())
    assert "| 43 | 0.8000 | 9.0 | not reached | | 0.7000 |" in " ".join(table.split())
    assert "15.0 (5.0-not reached) | 2.00 (0.00-4.00) x |" in " ".join(table.split())
    assert "seeds 45, 46" in table


def test_seeds_that_are_known_are_not_run_again(tmp_path):
    """The programs of this job cannot run: a seed that is known starts none, another one fails, and that is kept."""
    material = contenders.Material("no-encoder", "no-corpus", tmp_path / "no-script.py", "", "")
    job = quality.Job(material, 1000, "no", "no")
    known = results.Results(tmp_path / "bench.json", {})
    for side in ("Trainer", "ours"):
        known.put(job.key(side, 42), [point(1, 1.0, 0.5)])
    quality.measure(job, [42], tmp_path, known, 1)
    assert known.known[job.key("Trainer", 42)] == [point(1, 1.0, 0.5)]
    quality.measure(job, [42, 43], tmp_path, known, 1)
    assert "failed" in known.known[job.key("Trainer", 43)]
    assert [row.seed for row in quality.rows_of(job, [42, 43], known.known)] == [42]


# Probes and tables of a GPU


def test_waiting_for_the_device_is_an_error_between_log_points(thin_encoder, corpus_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(JsonLinesLog, "write_metrics", JsonLinesLog.write_metrics)
    modes: list[str] = []
    probes.between_log_points(6, modes.append)
    train_run(thin_encoder, corpus_folder, tmp_path / "run", "--train-on de --max-steps 6 --log-every 2")
    assert modes == ["default", "error", "default", "error", "default"]


def test_attention_operations_of_a_step(thin_encoder, corpus_folder, tmp_path):
    flags = ["--model", thin_encoder, "--data", corpus_folder, "--train-on", "de", "--output", tmp_path / "run"]
    AcceleratorState._reset_state(reset_partial_state=True)
    found = probes.operations([*map(str, flags), "--mixed-precision", "no"], "embedding")
    AcceleratorState._reset_state(reset_partial_state=True)
    assert found["embedding"] == 3  # words, positions, types
    assert found["embedding_dense_backward"] == 3
    with probes.Counter("attention") as counter:  # a CPU's run takes kernels of our own, without that name
        query = torch.ones(1, 2, 4, 8, requires_grad=True)
        nn.functional.scaled_dot_product_attention(query, query, query).sum().backward()
    assert set(counter.counts) == {
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    }


def test_operations_of_steps(thin_encoder, corpus_folder):
    flags = f"--model {thin_encoder} --data {corpus_folder} --train-on de --max-steps 20 --mixed-precision no"
    _, output = fork(ROOT / "tests/bench/operations.py", *flags.split())
    rows = [line.split("|") for line in output.splitlines() if line.startswith("|") and "%" in line]
    shares = {row[1].strip(): float(row[2].strip().rstrip("%")) for row in rows}
    assert sum(shares.values()) == pytest.approx(100, abs=1)
    assert shares["matrix products"] > 5
    assert re.search(r"matrix products: \d+ GFLOP/s within steps, \d+ alone", output)


def test_difference_of_two_runs(small_run, tmp_path):
    assert probes.difference(small_run, small_run) == {"weights": pytest.approx(40, abs=30), "differ": 0, "by": 0.0}
    from safetensors.torch import load_file, save_file

    weights = load_file(small_run / "last" / "model.safetensors")
    name = next(iter(weights))
    weights[name].view(-1)[3] += 0.5
    (tmp_path / "last").mkdir()
    save_file(weights, tmp_path / "last" / "model.safetensors")
    found = probes.difference(small_run, tmp_path)
    assert (found["differ"], found["by"]) == (1, pytest.approx(0.5))


def test_f1_of_a_tagger_is_that_of_the_run(small_run, corpus_folder):
    texts, gold = tagging.gold_sentences(str(corpus_folder), ["de"], "validation", 1000)
    tagger = Tagger.from_pretrained(small_run, words="spaces", precision="no")
    best = json.loads((small_run / "metrics.json").read_text(encoding="utf-8"))["best"]
    assert tagging.f1_of(tagging.found_by(tagger, texts), gold) == pytest.approx(best["f1"])
    found = probes.tagging(str(small_run), str(corpus_folder), "no", 50)
    assert found["sentences_per_second"] > 0
    assert found["device"] == "cpu"


class Lookup(nn.Module):
    """A token classifier that knows nothing but the sub-token: a row of the table for each."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, input_ids, attention_mask):
        return TokenClassifierOutput(logits=self.table[input_ids])


def test_a_tagger_computes_with_a_model_in_a_file(small_run, corpus_folder, tmp_path):
    onnx = pytest.importorskip("onnx", reason="no onnx: pip install -e .[onnx]")
    pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install -e .[onnx]")
    tagger = Tagger.from_pretrained(small_run, words="spaces", precision="no")
    table = torch.randn(len(tagger.tokenizer), len(tagger.labels), generator=torch.Generator().manual_seed(0))
    ints, floats = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    inputs = [onnx.helper.make_tensor_value_info(name, ints, [None, None]) for name in ("input_ids", "attention_mask")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["table", "input_ids"], ["logits"])],
        "lookup",
        inputs,
        [onnx.helper.make_tensor_value_info("logits", floats, [None, None, table.shape[1]])],
        [onnx.numpy_helper.from_array(table.numpy(), "table")],
    )
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "model.onnx")
    texts, _ = tagging.gold_sentences(str(corpus_folder), ["de"], "test", 40)
    padded = PaddedCollator(tagger.tokenizer.pad_token_id)
    expected = tagging.found_by(replace(tagger, model=Lookup(table), collator=padded), texts)
    assert any(expected)
    assert tagging.found_by(tagging.on_onnx(tagger, tmp_path / "model.onnx"), texts) == expected


def test_tables_of_a_gpu():
    of = {"allocated_megabytes": 900.0, "reserved_megabytes": 1000.0}
    known = {
        "machine": {
            "gpu": "A GPU",
            "gpu_megabytes": 80_000,
            "cuda": "13",
            "cpu": "A CPU",
            "cores": 2,
            "threads": 2,
            "has": [],
            "torch": "2",
            "torch_uses": ["avx2"],
        },
        "steps/base/recipe, fp16/1": {"whole": 90.0, "second_half": 100.0, **of},
        "steps/base/recipe, fp16/2": {"whole": 90.0, "second_half": 200.0, **of},
        "steps/base/Trainer at its best, bf16/1": {"whole": 90.0, "second_half": 300.0, **of},
        "steps/base/train.py, bf16/1": {"whole": 500.0, "second_half": 600.0, **of},
        "steps/base/train.py --cuda-graphs, bf16/1": {"failed": "ProgramError: long\nit broke"},
        "whole/base/recipe, fp16": {"seconds": 60.0, "test_f1": None},
        "whole/base/train.py, bf16": {"seconds": 6.0, "test_f1": {"de": 0.85}},
        "bits/base/train.py --cuda-graphs, bf16": {"against_it": {"differ": 0, "by": 0.0}},
        "trainer-evaluation": {"seconds": {"de": 1.5}},
    }
    table = " ".join(gpu.to_markdown(known).split())
    assert "A GPU (80,000 MB, CUDA 13)" in table
    assert "| train.py, bf16 | 600 | 500 | 4.00 x | 2.00 x | 900 | 1,000 |" in table
    assert "failed: it broke" in table
    assert "| base | train.py, bf16 | 6.0 | 10.00 x | de 0.8500 |" in table
    assert "| base, train.py --cuda-graphs, bf16 | against_it differ 0, by 0 |" in table
    assert "| trainer-evaluation | seconds de 1.5 |" in table


def test_rates_behind_the_first_half():
    assert gpu.second_half([{"loss": 1, "sentences_per_second": rate} for rate in (1.0, 50.0, 100.0)]) == pytest.approx(
        2 / (1 / 50 + 1 / 100)
    )
    assert gpu.second_half([]) is None
    points = [{"step": 10, "seconds": 9.0}, {"step": 20, "seconds": 10.0}, {"step": 30, "seconds": 12.0}]
    assert gpu.second_half_of(points) == pytest.approx(64 * 20 / 3)


def test_the_benchmark_on_a_gpu_needs_one(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu"])
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu.main()
