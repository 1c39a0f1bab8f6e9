"""Hostile and damaged inputs, made by chance from good ones, through the commands that read such a thing.

python -m tests.stress.hostile [--inputs 400] [--seed 0] [--only N]    # a summary as JSON; status 1 if something failed

Model folders, tokenizers, YAML, manifests, journals, caches, Parquet and gzip: each ends well, or with status 2 and a
message. No code of a folder is run, nothing outside the output is touched, nothing takes more than 30 seconds, and all
of it little memory. Standard input says yes to every question.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from accelerate.state import AcceleratorState
from safetensors.numpy import load_file, save_file

import evaluate
import train
from ner.cli import corpus as corpus_command
from ner.cli import errors as errors_command
from ner.cli import page as page_command
from ner.cli import tag as tag_command
from ner.cli import tokens as tokens_command
from ner.config import HubOptions
from ner.data import synthetic
from ner.modeling.model import build_model
from ner.sharing import hub
from ner.tags import TagSet
from tests.stress.fuzz import mutate
from tests.stress.memory import peak_megabytes
from tests.taggers import write_tagger

SECONDS = 30
MOST_MEGABYTES = 4_000
FLAGS = ["--mixed-precision", "no"]
CODE = "from pathlib import Path\nPath({marker!r}).touch()\n"
# What stands where something else should.
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    10**30,
    1e308,
    float("nan"),
    "",
    "x" * 100_000,
    [],
    {},
    [[]],
    "../../guard/secret",
    "/etc/hostname",
    "\x1b]0;owned\x07",
    "a\nb",
    "\ud800",
    "stranger",
    "AutoModelForImageClassification",
    "O",
    ["O"],
    {"AutoConfig": "code.C", "AutoTokenizer": ["code.C", None], "AutoModelForTokenClassification": "code.C"},
]


EXTRA = (
    "model.safetensors.index.json",
    "adapter_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)


SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size", "max_position_embeddings")


class HangError(BaseException):
    """More seconds than an input may take. No exception that a reader of files turns into a message."""


@dataclass(frozen=True)
class Good:
    """What is damaged: an encoder, a tagger, data, a run of train.py with its checkpoints, a table of token losses."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "corpus"


def prepare(folder: Path) -> Good:
    """Makes all that is good."""
    good = Good(folder)
    synthetic.write_corpus(good.data)
    synthetic.write_encoder(folder / "encoder")
    write_tagger(folder / "tagger", folder / "encoder")
    for split in ("train", "validation", "test"):
        few = (good.data / f"de/{split}.jsonl").read_text(encoding="utf-8").splitlines()[:60]
        (good.data / f"de/{split}.jsonl").write_text("\n".join(few) + "\n", encoding="utf-8")
    main(train.main, *training(good, folder / "run"), "--max-steps", "2", "--checkpoint-every", "1")
    main(
        evaluate.main,
        str(folder / "run"),
        "--languages",
        "de",
        "--output",
        str(folder / "losses"),
        "--token-losses",
        *FLAGS,
    )
    rows = [json.loads(row) for row in (good.data / "de/test.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = ["".join(f"{w}\t{t}\n" for w, t in zip(row["tokens"], row["ner_tags"], strict=True)) for row in rows]
    pq.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    for name, data in (
        ("test.conll.gz", "\n".join(lines).encode()),
        ("test.jsonl.gz", (good.data / "de/test.jsonl").read_bytes()),
        ("test.parquet.gz", (folder / "test.parquet").read_bytes()),
    ):
        (folder / name).write_bytes(gzip.compress(data))
    (folder / "test.txt").write_text("\n".join(" ".join(row["tokens"]) for row in rows) + "\n", encoding="utf-8")
    configs = [{"config_name": "de", "data_files": [{"split": "train", "path": "de/train.jsonl"}]}]
    write_card(folder / "card", json.dumps({"configs": configs}, indent=1))
    files = ["--input", str(folder / "test.txt"), "--output", str(folder / "t.jsonl")]
    main(tag_command.main, str(folder / "tagger"), *files, *FLAGS)
    return good


def write_card(file: Path, head: str) -> None:
    """Writes a card of a data set, with `configs` as such cards have it."""
    text = head.replace('"configs"', "configs", 1)
    file.write_text(f"---\n{text}\n---\n", encoding="utf-8", errors="surrogatepass")


def training(good: Good, output: Path, model: Path | None = None) -> list[str]:
    """Arguments of train.py for the smallest run."""
    return [
        "--model",
        str(model or good.folder / "encoder"),
        "--data",
        str(good.data),
        "--output",
        str(output),
        "--max-length",
        "32",
        *FLAGS,
    ]


def main(command: Callable, *arguments: str) -> int:
    """The exit status of a command."""
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        command(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    return 0


def break_json(rng: np.random.Generator, text: str) -> tuple[str, str]:
    """(what was done, the text) with a value of a JSON file replaced, removed, added or nested deeply."""
    content = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list) and len(places) < 10_000:
                walk(node[key])

    walk(content)
    if not places:
        return "emptied", rng.choice(["", "[]", "null", "5"])
    # Half of them near the top, where what decides stands.
    node, key = places[int(rng.integers(min(len(places), 40) if rng.random() < 0.5 else len(places)))]
    kind = str(rng.choice(["replace", "replace", "replace", "remove", "add", "deep"]))
    value = VALUES[int(rng.integers(len(VALUES)))]
    if kind == "remove":
        del node[key]
    elif kind == "deep":
        node[key] = "DEEP"
    elif kind == "add" and isinstance(node, dict):
        key = str(rng.choice(["auto_map", "attn_implementation", "quantization_config", "transformers_weights", "x"]))
        node[key] = value
    else:
        node[key] = value
    broken = json.dumps(content).replace('"DEEP"', "[" * 50_000 + "]" * 50_000)
    return f"{kind} {key!r} {str(value)[:60]!r}", broken


def damage(rng: np.random.Generator, file: Path) -> str:
    """Damages a file in place; returns what was done."""
    data = file.read_bytes()
    if rng.random() < 0.08:
        return swap(rng, file)
    if file.suffix == ".json" and rng.random() < 0.75:
        what, text = break_json(rng, data.decode())
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        return what
    lines = data.split(b"\n")
    if file.suffix == ".yaml" and rng.random() < 0.75:
        i = int(rng.integers(len(lines)))
        value = VALUES[int(rng.integers(len(VALUES)))]
        bombs = ["&a [*a, *a]", "!!python/object/apply:os.system ['true']", "[" * 10_000, "0x" + "f" * 9_000]
        lines[i] = lines[i].partition(b":")[0] + b": " + str(rng.choice([json.dumps(value), *bombs])).encode()
        file.write_bytes(b"\n".join(lines))
        return f"{lines[i][:60]!r}"
    kind, broken = mutate(rng, data or b"x", [b'{"a": 1}\n[1]\nO O O\n'])
    file.write_bytes(broken)
    return f"{kind}, {len(data)} to {len(broken)} bytes"


def swap(rng: np.random.Generator, file: Path) -> str:
    """Puts another kind of thing where the file is."""
    kind = str(rng.choice(["nothing", "empty", "folder", "link", "loop", "zeros"]))
    file.unlink()
    if kind == "empty":
        file.touch()
    elif kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to(file.parent / "../../guard/secret")
    elif kind == "loop":
        file.symlink_to(file.name)
    elif kind == "zeros":
        file.write_bytes(bytes(10_000))
    return kind


def pick(rng: np.random.Generator, files: list[Path]) -> Path:
    return sorted(files)[int(rng.integers(len(files)))]


def model_folder(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A tagger or encoder with one file damaged, which brings code too."""
    kind = str(rng.choice(["tagger", "encoder"]))
    folder = shutil.copytree(good.folder / kind, work / "model")
    (folder / "code.py").write_text(CODE.format(marker=str(work / "guard/marker")), encoding="utf-8")
    file = pick(rng, list(folder.glob("*.json")) * 3 + list(folder.glob("*.safetensors")))
    if rng.random() < 0.1:
        file = folder / str(rng.choice(EXTRA))
        file.write_text(json.dumps({"weight_map": {"a": "pytorch_model.bin"}, "b": 1}), encoding="utf-8")
    what = damage(rng, file)
    data = ["--data", str(good.data), "--languages", "de", *FLAGS]
    commands = {
        "tagger": lambda: main(tag_command.main, str(folder), "--text", "Anna Keller in Bern", *FLAGS),
        "encoding": lambda: main(tokens_command.main, "--model", str(folder), "--text", "Anna Keller in Bern"),
        "evaluate": lambda: main(evaluate.main, str(folder), *data),
        "train": lambda: main(train.main, *training(good, work / "out", folder), "--max-steps", "1"),
    }
    name = str(rng.choice(list(commands) if kind == "tagger" else ["encoding", "train"]))
    return f"{name}: {kind}/{file.name}: {what}", commands[name]


def weights(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A tagger whose config says other sizes than its weights have, or one of whose weights is not as it should be."""
    folder = shutil.copytree(good.folder / "tagger", work / "model")
    if rng.random() < 0.5:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        key = str(rng.choice(SIZES))
        config[key] = max(1, int(config[key] * rng.choice([0.5, 1.5, 2, 30])))
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        what = f"{key} {config[key]}"
    else:
        tensors = load_file(folder / "model.safetensors")
        name = str(rng.choice(sorted(tensors)))
        change = str(rng.choice(["remove", "rename", "cut", "flat", "more"]))
        tensor = tensors.pop(name)
        if change != "remove":
            changed = {"cut": tensor[:-1], "flat": tensor.reshape(-1), "more": np.concatenate([tensor, tensor])}
            tensors[f"x.{name}" if change == "rename" else name] = changed.get(change, tensor).copy()
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        what = f"{change} {name}"

    def read() -> int:
        status = main(tag_command.main, str(folder), "--text", "Anna Keller in Bern", *FLAGS)
        if train_status := main(train.main, *training(good, work / "out", folder), "--max-steps", "1"):
            return status and train_status
        known = load_file(folder / "model.safetensors")
        encoder: Any = build_model(str(folder), TagSet(("O", "B-X")), seed=0).base_model
        if made_up := [
            name
            for name, tensor in encoder.state_dict(prefix=f"{encoder.config.model_type.rpartition('-')[2]}.").items()
            if name not in known or not np.array_equal(tensor.numpy(), known[name])
        ]:
            raise AssertionError(f"weights are made up: {made_up[:3]}")
        return status

    return f"weights: {what}", read


def run_folder(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A run folder with one file damaged."""
    run = shutil.copytree(good.folder / "run", work / "run")
    name = str(rng.choice(["resume", "evaluate", "tagger", "share"]))
    files = [file for file in run.rglob("*") if file.is_file()]
    if name != "resume":
        files = [file for file in files if "checkpoints" not in file.parts and file.suffix != ".safetensors"]
    file = pick(rng, files)
    what = damage(rng, file)
    commands = {
        "resume": lambda: main(train.main, *training(good, run), "--max-steps", "3", "--resume", "auto"),
        "evaluate": lambda: main(evaluate.main, str(run), "--languages", "de", "--output", str(work / "out"), *FLAGS),
        "tagger": lambda: main(tag_command.main, str(run), "--text", "Bern", *FLAGS),
        "share": lambda: preview(run),
    }
    return f"{name}: run/{file.relative_to(run)}: {what}", commands[name]


def preview(run: Path) -> int:
    """What would be uploaded, as train.py and evaluate.py show it."""
    done = list(hub.publish(HubOptions(push_to_hub="me/run", push_dry_run=True), [run]))
    for worked, message in done:
        sys.stderr.write(message)
        if worked and "a private key" in message:
            raise AssertionError("a secret would be uploaded")
    return 0 if done[0][0] else 2


def options_file(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A damaged --config."""
    file = work / "options.yaml"
    text = (good.folder / "run/config.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace(str(good.folder / "run"), str(work / "out")), encoding="utf-8")
    what = damage(rng, file)
    arguments = ["--config", str(file), "--output", str(work / "out"), "--max-steps", "1", "--data", str(good.data)]
    return f"train: options.yaml: {what}", lambda: main(train.main, *arguments)


def journal(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A damaged journal of the tagger, beside the output that it was going to be."""
    output = work / "out.jsonl"
    unfinished = work / ".out.jsonl.unfinished"
    arguments = [str(good.folder / "tagger"), "--input", str(good.folder / "test.txt"), *FLAGS]
    recorded = good.folder / "journal"
    if not recorded.exists():  # of a program that was killed after its first rows
        kept: list[bytes] = []
        replace = Path.unlink

        def keep(path: Path, missing_ok: bool = False) -> None:
            if path.name.endswith(".unfinished"):
                kept.append(path.read_bytes())
            replace(path, missing_ok=missing_ok)

        setattr(Path, "unlink", keep)  # noqa: B010  # else mypy
        try:
            main(tag_command.main, *arguments, "--output", str(good.folder / "again.jsonl"))
        finally:
            setattr(Path, "unlink", replace)  # noqa: B010
        recorded.write_bytes(b"\n".join(kept[0].split(b"\n")[:30]) + b"\n")
    shutil.copy(recorded, unfinished)
    what = damage(rng, unfinished)
    return f"tagger: journal: {what}", lambda: main(tag_command.main, *arguments, "--output", str(output))


def cache(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A cache of data with one file damaged."""
    datasets.config.HF_DATASETS_CACHE = work / "cache"
    arguments = [*training(good, work / "out"), "--max-steps", "1"]
    main(train.main, *arguments)
    shutil.rmtree(work / "out")
    file = pick(rng, [file for file in (work / "cache").rglob("*") if file.is_file()])
    what = damage(rng, file)
    return f"train: cache/{file.name}: {what}", lambda: main(train.main, *arguments)


def data_file(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A damaged file of rows: Parquet, often in its footer, or gzipped."""
    name = str(rng.choice(["test.parquet", "test.parquet", "test.parquet.gz", "test.conll.gz", "test.jsonl.gz"]))
    file = work / name
    shutil.copy(good.folder / name, file)
    if name == "test.parquet" and rng.random() < 0.7:
        data = bytearray(file.read_bytes())
        size = int.from_bytes(data[-8:-4], "little")
        for _ in range(int(rng.integers(1, 8))):  # its length is in the last bytes but four
            place = -9 - int(rng.integers(size)) if rng.random() < 0.8 else -5 - int(rng.integers(4))
            data[place] = int(rng.integers(256))
        file.write_bytes(data)
        what = "footer"
    else:
        what = damage(rng, file)
    commands = {
        "corpus": lambda: main(corpus_command.main, str(file), "--languages", "de"),
        "tagger": lambda: main(
            tag_command.main,
            str(good.folder / "tagger"),
            "--input",
            str(file),
            "--output",
            str(work / "out.jsonl"),
            *FLAGS,
        ),
    }
    command = str(rng.choice(list(commands)))
    return f"{command}: {name}: {what}", commands[command]


def losses(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A damaged table of token losses."""
    file = work / "token_losses.parquet"
    shutil.copy(good.folder / "losses/token_losses.parquet", file)
    what = damage(rng, file)
    commands = {
        "errors": lambda: main(errors_command.main, str(file), "--by", "word", "--kinds", "--confusion", "--top", "3"),
        "report": lambda: main(page_command.main, str(file), "--output", str(work / "out.html")),
    }
    command = str(rng.choice(list(commands)))
    return f"{command}: token_losses.parquet: {what}", commands[command]


def data_card(rng: np.random.Generator, good: Good, work: Path) -> tuple[str, Callable[[], int]]:
    """A folder of data with a damaged card."""
    folder = shutil.copytree(good.data, work / "data")
    card = folder / "README.md"
    head = (good.folder / "card").read_text(encoding="utf-8")
    if rng.random() < 0.6:
        what, text = break_json(rng, head.replace("configs:", '"configs":', 1).strip("-\n"))
        write_card(card, text)
    else:
        card.write_text(head, encoding="utf-8")
        what = damage(rng, card)
    return f"corpus: card: {what}", lambda: main(corpus_command.main, str(folder), "--languages", "de")


KINDS = (
    model_folder,
    model_folder,
    model_folder,
    weights,
    run_folder,
    run_folder,
    options_file,
    journal,
    cache,
    data_file,
    data_file,
    losses,
    data_card,
)


def snapshot(folder: Path) -> dict[str, str]:
    """What is in a folder, by hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def attempt(number: int, seed: int, good: Good, work: Path) -> tuple[str, str, str]:
    """Makes one input and reads it: (what it is, how it ended, what is wrong with that or nothing)."""
    rng = np.random.default_rng([seed, number])
    shutil.rmtree(work, ignore_errors=True)
    (work / "guard").mkdir(parents=True)
    (work / "guard/secret").write_text("a private key", encoding="utf-8")
    datasets.config.HF_DATASETS_CACHE = good.folder / "cache"
    out, said = io.StringIO(), io.StringIO()
    before, stdin = (snapshot(work / "guard"), snapshot(good.data)), sys.stdin
    signal.signal(signal.SIGALRM, hangs)
    name = KINDS[number % len(KINDS)].__name__
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            name, read = KINDS[number % len(KINDS)](rng, good, work)
            said.truncate(0)
            sys.stdin = io.TextIOWrapper(io.BytesIO(b"y\n1\n" * 50), encoding="utf-8")
            signal.alarm(SECONDS)
            status = read()
    except HangError:
        return name, "failed", f"takes more than {SECONDS} seconds"
    except BaseException:  # whatever else comes is what this looks for
        return name, "failed", traceback.format_exc()[-2500:]
    finally:
        signal.alarm(0)
        sys.stdin = stdin
    message = said.getvalue()
    wrong = []
    if status not in (0, 2):
        wrong.append(f"status {status}")
    if status and (not message.strip() or "Traceback" in message):
        wrong.append("no message")
    if "\x1b]" in message + out.getvalue():
        wrong.append("an escape sequence is printed")
    if (snapshot(work / "guard"), snapshot(good.data)) != before:
        wrong.append("code was run, or a file outside the output was touched")
    return name, "refused" if status else "read", f"{'; '.join(wrong)}: {message[-600:]!r}" if wrong else ""


def hangs(_: int, __: FrameType | None) -> None:
    """Ends what takes too long."""
    raise HangError


def check(folder: Path, numbers: range, seed: int) -> dict[str, Any]:
    """Tries these inputs. Returns how they ended, and what is wrong."""
    datasets.disable_progress_bars()
    before = datasets.config.HF_DATASETS_CACHE
    outcomes: Counter[str] = Counter()
    failures = []
    (folder / "good").mkdir()
    datasets.config.HF_DATASETS_CACHE = folder / "good/cache"
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            good = prepare(folder / "good")
        for number in numbers:
            name, outcome, wrong = attempt(number, seed, good, folder / "work")
            outcomes["failed" if wrong else outcome] += 1
            if wrong:
                failures.append(f"{number}: {name}: {wrong}")
    finally:
        datasets.config.HF_DATASETS_CACHE = before
    return {"inputs": outcomes.total(), **outcomes, "failures": failures}


def run() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the input of this number alone")
    options = parser.parse_args()
    numbers = range(options.inputs) if options.only is None else range(options.only, options.only + 1)
    with tempfile.TemporaryDirectory() as name:
        summary = check(Path(name), numbers, options.seed)
    summary["peak_megabytes"] = round(peak_megabytes())
    if summary["peak_megabytes"] > MOST_MEGABYTES:
        summary["failures"].append(f"more than {MOST_MEGABYTES:,} MB")
    print(json.dumps(summary, ensure_ascii=True, indent=2))
    sys.exit(bool(summary["failures"]))


if __name__ == "__main__":
    run()
