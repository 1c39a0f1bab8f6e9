"""launch/: signals and statuses of spawn.sh with small programs; the rest is read by bash."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import part_of
from tests.processes import SECONDS, fork, forked, left, line_of, run, started, wait_until

LAUNCH = Path(__file__).parent.parent / "launch"
BIN = Path(sys.executable).parent  # where `python` is ours

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
folder, behaviour = Path(sys.argv[1]), sys.argv[2]
rank = os.environ.get("RANK", "0")
def stop(number, frame):
    (folder / f"got-{rank}").write_text(signal.Signals(number).name)
    time.sleep(0.2)
    sys.exit(75)
if behaviour != "deaf":
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, stop)
print(f"rank {rank} {behaviour}", flush=True)
(folder / f"up-{rank}").write_text(os.environ.get("WORLD_SIZE", "1"))
if behaviour == f"fails-{rank}":
    sys.exit(3)
while behaviour != "ends":
    time.sleep(0.05)  # briefly: a signal just before it begins is taken when it ends
"""


@pytest.fixture
def spawn(tmp_path):
    """Starts processes of a behaviour through spawn.sh, and waits until all that live are up."""
    with contextlib.ExitStack() as stack:

        def go(processes: int, behaviour: str) -> subprocess.Popen:
            command = ["bash", LAUNCH / "spawn.sh", processes, sys.executable, "-c", PROGRAM, tmp_path, behaviour]
            process = stack.enter_context(started(command))
            if behaviour == "waits":  # the others may end, or be killed, before they come up
                wait_until(lambda: len(list(tmp_path.glob("up-*"))) == processes, process)
            return process

        yield go


@pytest.mark.parametrize(
    ("processes", "number", "arrives"),
    [
        (1, signal.SIGTERM, "SIGTERM"),
        (2, signal.SIGTERM, "SIGTERM"),
        (1, signal.SIGUSR1, "SIGUSR1"),
        (2, signal.SIGUSR1, "SIGUSR1"),
        (2, signal.SIGHUP, "SIGTERM"),
    ],
)
def test_a_signal_reaches_every_process(spawn, tmp_path, processes, number, arrives):
    process = spawn(processes, "waits")
    process.send_signal(number)
    assert process.wait(timeout=SECONDS) == 75
    assert [(tmp_path / f"got-{rank}").read_text(encoding="utf-8") for rank in range(processes)] == [
        arrives
    ] * processes
    assert not left(process.pid)


def test_a_signal_reaches_a_process_that_is_not_on_the_list_yet(tmp_path):
    """It comes when the second runs already, and the script has not noted its number."""
    up, once = f"[ -e {tmp_path}/up-0 ] && [ -e {tmp_path}/up-1 ]", tmp_path / "once"
    wait_and_signal = f"until {up}; do sleep 0.05; done; touch {once}; kill -TERM $$"
    look = f"trap 'if [[ $BASH_COMMAND = pids+=* && $i = 1 && ! -e {once} ]]; then {wait_and_signal}; fi' DEBUG"
    source = (LAUNCH / "spawn.sh").read_text(encoding="utf-8")
    program = [sys.executable, "-c", PROGRAM, tmp_path, "waits"]
    with started(["bash", "-c", f"{look}\n{source}", "spawn.sh", "2", *program]) as process:
        assert process.wait(timeout=SECONDS) == 75
    assert once.exists()
    assert {(tmp_path / f"got-{rank}").read_text(encoding="utf-8") for rank in (0, 1)} == {"SIGTERM"}


def test_statuses(spawn):
    assert spawn(3, "ends").wait(timeout=SECONDS) == 0


@pytest.mark.parametrize("rank", [0, 1])
def test_one_that_fails_ends_the_others(spawn, rank):
    process = spawn(2, f"fails-{rank}")
    assert process.wait(timeout=SECONDS) == 3
    assert not left(process.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_script_of_several_programs_passes_signals_on(tmp_path, number):
    script = f'. {LAUNCH}/forward.sh; run true; run {sys.executable} -c "$0" {tmp_path} waits; touch {tmp_path}/after'
    with started(["bash", "-c", script, PROGRAM]) as process:
        wait_until((tmp_path / "up-0").exists, process)
        process.send_signal(number)
        assert process.wait(timeout=SECONDS) == 75
        assert (tmp_path / "got-0").read_text(encoding="utf-8") == "SIGTERM"
        assert not (tmp_path / "after").exists()
        assert not left(process.pid)


def beside(tmp_path: Path, first: str, second: str) -> list[str]:
    """A script that runs two programs of these behaviours beside each other, and one when the first has ended."""
    program = f'{sys.executable} -c "$0" {tmp_path}'
    lines = [
        "set -euo pipefail",
        f". {LAUNCH}/forward.sh",
        f"start {tmp_path}/first.txt env RANK=0 {program} {first}",
        f"start {tmp_path}/second.txt env RANK=1 {program} {second}",
        f"finish 1; touch {tmp_path}/after; finish; echo finished",
    ]
    return ["bash", "-c", "\n".join(lines), PROGRAM]


@pytest.mark.parametrize(
    ("number", "arrives"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGTERM"), (signal.SIGUSR1, "SIGUSR1")]
)
def test_a_signal_reaches_programs_beside_each_other(tmp_path, number, arrives):
    """Ctrl-C goes to the script and to all it started, which ignore it as all do that a script starts with `&`."""
    with started(beside(tmp_path, "waits", "waits")) as process:
        wait_until(lambda: len(list(tmp_path.glob("up-*"))) == 2, process)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(timeout=SECONDS) == 75
        assert [(tmp_path / f"got-{i}").read_text(encoding="utf-8") for i in range(2)] == [arrives] * 2
        assert not (tmp_path / "after").exists()
        assert not left(process.pid)


def test_a_program_that_does_not_listen_yet_is_stopped_too(tmp_path):
    """Python takes seconds to import torch, and a signal kills it meanwhile."""
    with started(beside(tmp_path, "waits", "deaf")) as process:
        wait_until(lambda: len(list(tmp_path.glob("up-*"))) == 2, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=SECONDS) == 75
        assert not left(process.pid)


@pytest.mark.parametrize(("first", "second", "status"), [("fails-0", "waits", 3), ("waits", "fails-1", 3)])
def test_a_program_that_fails_ends_the_one_beside_it(tmp_path, first, second, status):
    errors = tmp_path / "errors.txt"
    with errors.open("wb") as pipe, started(beside(tmp_path, first, second), stderr=pipe) as process:
        assert process.wait(timeout=SECONDS) == status
        failed = "first" if first == "fails-0" else "second"
        assert f"status 3, {tmp_path}/{failed}.txt:\n" in errors.read_text(encoding="utf-8")
        assert not (tmp_path / "after").exists()
        assert not left(process.pid)


def test_programs_beside_each_other_show_their_last_line(tmp_path):
    with started(beside(tmp_path, "waits", "ends"), stdout=subprocess.PIPE) as process:
        wait_until((tmp_path / "after").exists, process)  # the second has ended, the first runs
        assert line_of(process.stdout) == "rank 1 ends\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=SECONDS) == 75
    done = run(beside(tmp_path, "ends", "ends"))
    assert sorted(done.stdout.splitlines()) == ["finished", "rank 0 ends", "rank 1 ends"]


def test_a_signal_reaches_programs_while_it_is_looked_which_of_them_run(tmp_path):
    up = f"[ -e {tmp_path}/up-0 ] && [ -e {tmp_path}/up-1 ]"
    once = f"{tmp_path}/once"
    look = (
        f'kill() {{ if [ "$1" = -0 ] && [ ! -e {once} ]; then until {up}; do sleep 0.05; done; touch {once}; '
        'builtin kill -TERM $$; fi; builtin kill "$@"; }'
    )
    bash, flag, script, program = beside(tmp_path, "waits", "waits")
    with started([bash, flag, f"{look}\n{script}", program]) as process:
        assert process.wait(timeout=SECONDS) == 75
    assert {rank: (tmp_path / f"got-{rank}").read_text(encoding="utf-8") for rank in (0, 1)} == dict.fromkeys(
        (0, 1), "SIGTERM"
    )


@pytest.mark.parametrize(("cores", "shown"), [(1, 6), (2, 0)])
def test_the_demo_trains_two_models_at_a_time_where_there_are_two_cores(programs, tmp_path, cores, shown):
    """shown: the trainings that write to the terminal."""
    script(tmp_path / "bin/nproc", f"#!/bin/sh\necho {cores}\n")
    line = f'echo "${{OMP_WAIT_POLICY:-any}} $*" >> {tmp_path}/started'
    script(tmp_path / "bin/python", f'#!/bin/sh\necho "$*"\n{line}\n')
    done = run(["bash", LAUNCH / "demo.sh", tmp_path / "demo"], env=programs)
    calls = (tmp_path / "started").read_text(encoding="utf-8").splitlines()
    trained = [call for call in calls if " train.py " in call]
    languages = sorted(call.split(" --train-on ")[1].split(" --output ")[0] for call in trained)
    assert languages == sorted(["de", "fr", "it", "en", "de fr", "de fr it en"])
    assert {call.split()[0] for call in trained} == {"any" if cores == 1 else "passive"}
    assert [call.split()[1:3] for call in (calls[0], calls[-2], calls[-1])] == [
        ["-m", "ner"],
        ["evaluate.py", f"{tmp_path}/demo/runs/*"],
        ["-m", "ner"],
    ]
    assert sum(line.startswith("training on ") for line in done.stdout.splitlines()) == 6 - shown
    logs = sorted(file.stem for file in (tmp_path / "demo/logs").iterdir())
    assert logs == sorted(name.replace(" ", "+") for name in languages if not shown)


NODES = {"NUM_NODES": "1", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("gpus", ["0", "all"])
@pytest.mark.parametrize("script", ["gpus_ddp.sh", "gpus_fsdp2.sh", "nodes.sh"])
def test_without_a_gpu_nothing_is_a_success(script, gpus):
    done = run(["bash", LAUNCH / script, "--help"], env={**os.environ, **NODES, "NUM_GPUS": gpus}, check=False)
    assert done.returncode == 2
    assert f"spawn.sh: {gpus}: give at least 1 process" in done.stderr


def test_gpus_that_are_hidden_do_not_count():
    environment = {**os.environ, "NUM_GPUS": "", "CUDA_VISIBLE_DEVICES": "", "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = run(["bash", LAUNCH / "gpus_ddp.sh", "--help"], env=environment, check=False)
    assert done.returncode == 2
    assert "spawn.sh: 0: give at least 1 process (of GPUs: NUM_GPUS, else torch.cuda.device_count())" in done.stderr


@pytest.mark.parametrize("number", ["0", "-1", "two", "", "1.5", "08x"])
def test_a_number_of_processes_that_makes_no_sense(number):
    done = run(["bash", LAUNCH / "spawn.sh", number, "true"], check=False)
    assert done.returncode == 2
    assert f"spawn.sh: {number or 'nothing'}: " in done.stderr


def test_the_whole_experiment_with_no_processes(tmp_path):
    done = run(["bash", LAUNCH / "swiss.sh", tmp_path], env={**os.environ, "NUM_PROCESSES": "0"}, check=False)
    assert done.returncode == 2
    assert "spawn.sh: 0: give at least 1" in done.stderr


SWISS = ["de", "fr", "it", "en", "de+fr", "all", "fr-250", "fr-500", "fr-1000", "fr-2000", "fr-4000"]
KEPT = ["evaluation.md", "validation.md", "errors.md", "brackets.md", "tagged-de.txt", "tagged-all.txt"]


def test_the_whole_experiment_ends_with_errors_and_tagged_sentences(programs, tmp_path):
    calls = few(tmp_path, programs, "--lr", "1", name="swiss.sh")
    assert folders(calls) == [*(f"F/{name}" for name in SWISS), "F/report", "F/report/validation"]
    assert calls[10] == [*"train.py --lr 1 --train-on fr --max-train-sentences 4000".split(), *end_of("fr-4000")]
    ending = [" ".join(call) for call in calls[11:]]
    runs = " ".join(f"F/{name}" for name in SWISS)
    losses = "F/report/validation/token_losses.parquet"
    assert ending[:4] == [
        f"evaluate.py {runs} --languages de fr it en --output F/report",
        "evaluate.py F/de --languages de --splits validation --report --output F/report/validation",
        f"-m ner errors {losses} --by token tag --kinds --confusion --sentences total",
        f"-m ner errors {losses} --containing (",
    ]
    assert [call[:6] for call in calls[15:]] == [
        ["-m", "ner", "tag", f"F/{name}", "--table", "--text"] for name in ("de", "all")
    ]
    assert calls[15][6] == "Jeff Dean ist ein Informatiker bei Google in Kalifornien"
    assert all(len(call) == 6 + 4 for call in calls[15:])  # de, fr, it, en
    kept = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "F/report").glob("*.*")}
    assert sorted(kept) == sorted([*KEPT, "metrics.json"])
    assert kept["errors.md"] == "printed by -m ner errors\n"
    assert kept["tagged-all.txt"] == "printed by -m ner tag\n"


def end_of(name: str) -> list[str]:
    return ["--output", f"F/{name}", "--resume", "auto"]


def test_the_whole_experiment_goes_on_where_it_was(programs, tmp_path):
    """Finished parts are printed again, not made again; a model that is trained again makes all of the report again."""
    assert len(few(tmp_path, programs | {"STOPS": "("}, name="swiss.sh", status=75)) == 11 + 4
    assert not (tmp_path / "F/report/brackets.md").exists()
    rest = few(tmp_path, programs, name="swiss.sh")
    assert [call[2:4] for call in rest] == [
        ["errors", "F/report/validation/token_losses.parquet"],
        ["tag", "F/de"],
        ["tag", "F/all"],
    ]
    assert few(tmp_path, programs, name="swiss.sh") == []
    (tmp_path / "F/all/metrics.json").unlink()
    again = few(tmp_path, programs, name="swiss.sh")
    assert [call[0] for call in again] == ["train.py", "evaluate.py", "evaluate.py", "-m", "-m", "-m", "-m"]


def test_errors_and_tagged_sentences_for_real(programs, tmp_path, corpus_folder, thin_encoder):
    """The end of the script, of one German run in the place of all."""
    corpus = part_of(corpus_folder, tmp_path, train=24, validation=10, test=10)
    data = ("--data", str(corpus), "--model", str(thin_encoder), "--max-steps", "1", "--mixed-precision", "no")
    calls = few(tmp_path, programs, *data, name="swiss.sh")
    _, _, errors, brackets, tagged = run_for_real([calls[0], *calls[12:16]], tmp_path)
    titles = ("Loss by token (nats)", "Loss by tag (nats)", "Tags: share of each gold tag", "Sentences by total loss")
    assert all(title in errors for title in titles)
    assert "sentences with '(', by total loss" in brackets
    assert all(text in tagged for text in ("Kalifornien", "informaticien", "informatico", "scientist"))
    assert (tmp_path / "F/report/validation/report.html").stat().st_size > 10_000


def test_an_old_bash_is_named():
    """macOS has bash 3.2, which cannot wait for any of several processes."""
    source = (
        (LAUNCH / "spawn.sh")
        .read_text(encoding="utf-8")
        .replace("BASH_VERSINFO[0]", "3")
        .replace("BASH_VERSINFO[1]", "2")
    )
    done = run(["bash", "-c", source, "spawn.sh", "2", "true"], check=False)
    assert done.returncode == 2
    assert "bash 4.4 or later" in done.stderr


@pytest.mark.parametrize("script", sorted(LAUNCH.glob("*.sh")), ids=lambda script: script.name)
def test_scripts_are_bash_and_say_what_they_were_run_on(script):
    run(["bash", "-n", script])
    header = script.read_text(encoding="utf-8")
    assert ("Run on:" in header) != ("Not run yet:" in header)


@pytest.fixture
def programs(tmp_path) -> dict[str, str]:
    """An environment in which `python FILE` writes what it was started with; `python -c` is Python."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    python = f'[ "$1" != -c ] || exec {sys.executable} "$@"'
    line = 'echo "$RANK of $WORLD_SIZE on $NUM_NODES, $MASTER_ADDR:$MASTER_PORT: $*"'
    script(folder / "python", f"#!/bin/sh\n{python}\n{line}\n")
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "MASTER_PORT": "29500"}


def script(file: Path, text: str) -> None:
    """An executable file."""
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)


RECORDED = """#!{python}
import json, os, sys
from pathlib import Path
with open("{calls}", "a", encoding="utf-8") as file:
    print(json.dumps(sys.argv[1:]), file=file)
print("printed by", *sys.argv[1:4])
if os.environ.get("STOPS") in sys.argv:
    sys.exit(75)
if "--output" not in sys.argv:
    sys.exit()
output = Path(sys.argv[sys.argv.index("--output") + 1])
if output.name == os.environ.get("STOPS"):
    sys.exit(75)
for folder in ("best", "last", "checkpoints"):
    (output / folder).mkdir(parents=True, exist_ok=True)
(output / "metrics.json").write_text("{{}}", encoding="utf-8")
"""
FEW = {
    "SLICES": "7 8",
    "DATA": "my corpus",
    "STEPS": "9",
    "UNLABELLED": "it=a.txt it=b.jsonl",
    "AUGMENT": "case=1 asides=0.5",
}


def few(
    tmp_path: Path, environment: dict[str, str], *flags: str, status: int = 0, name: str = "few.sh"
) -> list[list[str]]:
    """The programs that few.sh, or another such script, starts, without running them: with F for its folder."""
    calls = tmp_path / "calls"
    calls.write_text("", encoding="utf-8")
    script(tmp_path / "bin/python", RECORDED.format(python=sys.executable, calls=calls))
    done = run(["bash", LAUNCH / name, tmp_path / "F", *flags], env=environment, check=False)
    assert done.returncode == status, done.stderr
    lines = calls.read_text(encoding="utf-8").replace(f"{tmp_path}/", "").splitlines()
    return [[Path(first).name, *rest] for first, *rest in map(json.loads, lines)]


def run_for_real(calls: list[list[str]], tmp_path: Path) -> list[str]:
    """Runs programs that `few` has recorded, in the place of what it pretended that they wrote: what they said."""
    for folder in folders(calls):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
    said = []
    for name, *arguments in calls:
        program = LAUNCH.parent / name if name != "-m" else LAUNCH.parent / "ner/__main__.py"
        said.append(fork(program, *(arguments[1:] if name == "-m" else arguments), cwd=tmp_path)[1])
    return said


def folders(calls: list[list[str]]) -> list[str]:
    """Where the programs write, those that do."""
    return [call[call.index("--output") + 1] for call in calls if "--output" in call]


def test_few_labels_by_every_method(programs, tmp_path):
    calls = few(tmp_path, programs | FEW | {"SIZES": "fr=50 it=100"}, "--lr", "1")
    methods = ["dictionary", "crf", "alone", "warm", "joined", "augmented", "teacher"]
    runs = [f"{name}-{slice_}" for slice_ in (7, 8) for name in ("de", "de-augmented")]
    runs += [f"{m}-{size}-{slice_}" for slice_ in (7, 8) for size in ("fr-50", "it-100") for m in methods]
    assert folders(calls) == [*(f"F/{name}" for name in runs), "F/report"]
    text = {name: " ".join(call) for name, call in zip(runs, calls, strict=False)}
    seeds = "--seed 8 --slice-seed 8"
    data = "--data my corpus"
    assert text["crf-it-100-8"] == (
        f"-m ner baseline {data} --train-on it --max-train-sentences 100 {seeds} --method crf "
        "--output F/crf-it-100-8 --overwrite"
    )
    start = f"train.py {data} --max-validation-sentences train --lr 1"
    end = "--output F/{} --resume auto"
    alone = f"{start} --train-on it --max-train-sentences 100 {seeds} --min-steps 9"
    assert text["alone-it-100-8"] == f"{alone} {end.format('alone-it-100-8')}"
    plain, changed = "--model F/de-8/best", "--model F/de-augmented-8/best --augment case=1 asides=0.5"
    assert text["warm-it-100-8"] == f"{alone} {plain} {end.format('warm-it-100-8')}"
    joined = f"{start} --train-on de it --max-train-sentences it=100 {seeds} --sampling-temperature 3 --max-steps 9"
    assert text["joined-it-100-8"] == f"{joined} {plain} {end.format('joined-it-100-8')}"
    assert text["augmented-it-100-8"] == f"{joined} {changed} {end.format('augmented-it-100-8')}"
    taught = "--unlabelled it=a.txt it=b.jsonl --teacher F/augmented-it-100-8/best"
    assert text["teacher-it-100-8"] == f"{joined} {changed} {taught} {end.format('teacher-it-100-8')}"
    assert "--unlabelled fr --teacher F/augmented-fr-50-7/best" in text["teacher-fr-50-7"]
    tested = calls[-1][1 : calls[-1].index("--languages")]
    assert list(dict.fromkeys(tested)) == [f"F/{name}" for name in runs]
    assert calls[-1][-5:] == ["--languages", "fr", "it", "--output", "F/report"]
    kept = {path.name for path in (tmp_path / "F/teacher-fr-50-7").iterdir()}
    assert kept == {"best", "metrics.json"}


def test_few_labels_go_on_where_they_were(programs, tmp_path):
    environment = programs | {"SIZES": "fr=50", "SLICES": "7", "METHODS": "teacher crf"}
    first = few(tmp_path, environment | {"STOPS": "teacher-fr-50-7"}, status=75)
    assert folders(first) == ["F/de-7", "F/de-augmented-7", "F/augmented-fr-50-7", "F/teacher-fr-50-7"]
    assert folders(few(tmp_path, environment)) == ["F/teacher-fr-50-7", "F/crf-fr-50-7", "F/report"]
    (last,) = few(tmp_path, environment)
    assert {"F/augmented-fr-50-7", "F/teacher-fr-50-7", "F/crf-fr-50-7"} < set(last)


def test_few_labels_for_real(programs, tmp_path, corpus_folder, thin_encoder):
    """The programs that few.sh starts, of a small corpus, and what they leave: curves of several methods."""
    corpus = part_of(corpus_folder, tmp_path, train=20, validation=10, test=20)
    (tmp_path / "text.txt").write_text("Anna Keller wohnt in Bern.\n", encoding="utf-8")
    flags = ("--model", str(thin_encoder), "--epochs", "1", "--mixed-precision", "no")
    variables = {"DATA": str(corpus), "SIZES": "fr=5 fr=10", "SLICES": "7", "STEPS": "1"}
    text = {"UNLABELLED": f"fr={tmp_path}/text.txt", "METHODS": "dictionary warm teacher"}
    run_for_real(few(tmp_path, programs | variables | text, *flags), tmp_path)
    curves = json.loads((tmp_path / "F/report/curve.json").read_text(encoding="utf-8"))["test"]
    assert len(curves) == 4  # the teachers are lines, too
    assert all([point["train_sentences"] for point in curve["points"]] == [5, 10] for curve in curves)


def test_folds_for_real(programs, tmp_path, corpus_folder, thin_encoder):
    """Every training sentence is tested once, by the run that left it out; a review that is there stays."""
    corpus = part_of(corpus_folder, tmp_path, train=24, validation=10, test=10)
    data = ("--data", str(corpus), "--model", str(thin_encoder), "--max-steps", "1", "--mixed-precision", "no")
    environment = programs | {"FOLDS": "2", "TOP": "5"}
    calls = few(tmp_path, environment, *data, "--train-on", "de", name="folds.sh")
    assert folders(calls) == ["F/fold-1-of-2", "F/fold-2-of-2", "F/report", "F/review.jsonl"]
    run_for_real(calls, tmp_path)
    losses = pq.read_table(tmp_path / "F/report/token_losses.parquet", columns=["run", "word"]).to_pandas()
    assert (losses["word"] == 0).sum() == 24
    assert losses["run"].nunique() == 2
    review = tmp_path / "F/review.jsonl"
    assert len(review.read_text(encoding="utf-8").splitlines()) == 5
    assert few(tmp_path, environment, *data, name="folds.sh") == []


def test_a_method_that_there_is_not(programs, tmp_path):
    done = run(["bash", LAUNCH / "few.sh", tmp_path], env=programs | {"METHODS": "crf magic"}, check=False)
    assert done.returncode == 2
    assert "few.sh: METHODS: there is no magic; give some of dictionary crf alone warm" in done.stderr


@pytest.fixture
def counts_gpus(tmp_path, programs) -> Callable[[str], dict[str, str]]:
    """An environment whose torch counts GPUs with this expression: this machine may have any number, or none."""

    def environment(expression: str) -> dict[str, str]:
        (tmp_path / "torch").mkdir()
        source = f"import time\nclass cuda:\n    device_count = staticmethod(lambda: {expression})\n"
        (tmp_path / "torch/__init__.py").write_text(source, encoding="utf-8")
        return {**programs, **NODES, "NUM_GPUS": "", "PYTHONPATH": str(tmp_path)}

    return environment


@pytest.mark.parametrize("name", ["gpus_ddp.sh", "gpus_fsdp2.sh", "nodes.sh"])
def test_a_process_for_each_gpu(counts_gpus, name):
    done = run(["bash", LAUNCH / name, "--seed", "1"], env=counts_gpus("2"))
    arguments = "train.py --resume auto --seed 1"
    assert sorted(line.split(" on ")[0] for line in done.stdout.splitlines()) == ["0 of 2", "1 of 2"]
    assert all(line.endswith(f": {arguments}") for line in done.stdout.splitlines())


def test_a_torch_that_cannot_count(counts_gpus):
    done = run(["bash", LAUNCH / "gpus_ddp.sh"], env=counts_gpus("1 // 0"), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "ZeroDivisionError" in done.stderr  # the reason stays to be seen
    assert "spawn.sh: python could not count the GPUs (torch.cuda.device_count()): set NUM_GPUS" in done.stderr


def test_a_driver_that_hangs(counts_gpus):
    source = (LAUNCH / "spawn.sh").read_text(encoding="utf-8")
    assert source.count("signal.alarm(120)") == 1
    environment = counts_gpus("time.sleep(600)")
    source = source.replace("signal.alarm(120)", "signal.alarm(1)")
    done = run(["bash", "-c", source, "spawn.sh", "gpus", "python", "train.py"], env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "spawn.sh: python could not count the GPUs" in done.stderr


TORCHRUN = "import sys\nfrom torch.distributed.run import main\nmain(sys.argv[1:])"
ACCELERATE = "from accelerate.commands.accelerate_cli import main\nmain()"


@pytest.fixture
def program(tmp_path) -> Path:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM, encoding="utf-8")
    return file


def test_torchrun_passes_signals_on_but_no_status(program, tmp_path):
    """A reason for spawn.sh: where this fails, it may go."""
    flags = ["--standalone", "--nproc-per-node=2", "--signals-to-handle=SIGTERM,SIGUSR1"]
    logs = {"TMPDIR": str(tmp_path)}
    with forked(TORCHRUN, *flags, program, tmp_path, "waits", env=logs) as launcher:
        wait_until(lambda: len(list(tmp_path.glob("up-*"))) == 2)
        os.kill(launcher.pid, signal.SIGUSR1)
        assert launcher.wait(timeout=SECONDS) == 1  # not 75
    assert [(tmp_path / f"got-{rank}").read_text(encoding="utf-8") for rank in range(2)] == ["SIGUSR1"] * 2


def test_accelerate_launch_passes_no_signal_on(program, tmp_path):
    """The other reason."""
    flags = ["launch", "--cpu", "--num_processes=1", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    with forked(ACCELERATE, *flags, program, tmp_path, "waits") as launcher:
        wait_until((tmp_path / "up-0").exists)
        os.kill(launcher.pid, signal.SIGTERM)
        assert launcher.wait(timeout=SECONDS) == -signal.SIGTERM
        assert len(left(launcher.pid)) == 1  # the program
    assert not (tmp_path / "got-0").exists()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_no_program_is_no_success(processes):
    done = run(["bash", LAUNCH / "spawn.sh", processes], check=False)
    assert done.returncode == 2
    assert "spawn.sh: no program: " in done.stderr


@pytest.mark.parametrize("machines", ["0", "two", "-1"])
def test_a_number_of_machines_that_makes_no_sense(programs, machines):
    done = run(["bash", LAUNCH / "spawn.sh", "1", "python"], env=programs | {"NUM_NODES": machines}, check=False)
    assert done.returncode == 2
    assert f"NUM_NODES={machines}: " in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(("gpus", "status", "cores"), [("2", 75, "8"), ("", 2, None), ("0", 2, None)])
def test_a_job_of_slurm(programs, tmp_path, gpus, status, cores):
    """With stand-ins for its programs: a process a GPU, and what stopped is put in the queue again.

    The task has the cores that the job asked for, where it asked for some.
    """
    script(
        tmp_path / "bin/scontrol",
        f'#!/bin/sh\n[ "$1" = show ] && echo n1 && echo n2\n[ "$1" = show ] || echo "$*" > {tmp_path}/asked\n',
    )
    script(tmp_path / "bin/srun", f'#!/bin/sh\necho "${{SRUN_CPUS_PER_TASK-none}}" > {tmp_path}/cores\nexec "$@"\n')
    script(tmp_path / "bin/python", '#!/bin/sh\necho "$RANK of $WORLD_SIZE, $MASTER_ADDR:$MASTER_PORT: $*"\nexit 75\n')
    job = {"SLURM_NNODES": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_NODEID": "0"}
    environment = programs | job | {"SLURM_GPUS_ON_NODE": gpus} | ({"SLURM_CPUS_PER_TASK": cores} if cores else {})
    done = run(["bash", LAUNCH / "slurm.sh", "--lr", "1"], env=environment, cwd=LAUNCH.parent, check=False)
    assert done.returncode == status
    ranks = [f"{rank} of 2, n1:20007: train.py --resume auto --lr 1" for rank in range(2)] if status == 75 else []
    assert sorted(done.stdout.splitlines()) == ranks
    assert (tmp_path / "cores").read_text(encoding="utf-8").strip() == (cores or "none")
    assert (tmp_path / "asked").exists() == (status == 75)
    assert status == 75 or "NUM_GPUS" in done.stderr
