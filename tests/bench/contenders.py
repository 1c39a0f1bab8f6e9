"""Programs that train the same model on the same data, run in turn, and the table of what they reached."""

import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, XLMRobertaConfig

from ner.data import synthetic
from ner.data.corpus import Source, load_corpus
from ner.utils import table
from tests.bench.programs import HOUR, run

RATE, BATCH_SIZE = "2e-4", 64  # of both sides; the batch size is both programs' default
AT_ITS_BEST = ("--group-by-length", "--fused", "--dataloader-workers", "1")
OURS, BEST, PUBLISHED = "train.py", "Trainer at its best", "Trainer as published"
SHAPES = {"base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096)}


@dataclass(frozen=True)
class Material:
    """What is measured with: an encoder, a corpus, the Trainer's script, and the embedded encoder."""

    encoder: str
    corpus: str
    trainer: Path | None
    small_encoder: str
    description: str

    @classmethod
    def found(cls, folder: Path | None, temporary: Path) -> "Material":
        """In a folder; without one, made: the embedded corpus, and XLM-RoBERTa-base's shape with random weights."""
        # datasets tells local folders apart by their last name alone: it would take the sentences of another one.
        os.environ["HF_DATASETS_CACHE"] = str(temporary / "datasets")
        small = str(temporary / "small")
        synthetic.write_encoder(small)
        if folder:
            encoder, corpus = (str((folder / part).resolve(strict=True)) for part in ("models/me5-small", "data/panx"))
            trainer = (folder / "bench/trainer_recipe.py").resolve(strict=True)
            return cls(encoder, corpus, trainer, small, "me5-small, PAN-X German")
        synthetic.write_corpus(temporary / "corpus")
        write_shape(temporary / "base", "base", small)
        base, corpus = str(temporary / "base"), str(temporary / "corpus")
        return cls(base, corpus, None, small, "random weights of XLM-RoBERTa-base's shape, embedded corpus, no Trainer")


@dataclass
class Contender:
    """A program that trains, and what its runs measured: sentences a second, and megabytes at the peak."""

    name: str
    command: list[str]
    folder: Path | None  # of our run, None for the Trainer
    precision: str = "no"
    is_compiled: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    def measure(self, seconds: float = HOUR, watch: Sequence[str] = ()) -> None:
        """One run; arguments as of `run`."""
        finished = run(self.command, seconds=seconds, watch=watch, env=self.env)
        if self.folder:
            self.last = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
            if self.is_compiled:  # without the steps that compile
                rates = [point["sentences_per_second"] for point in logged(self.folder) if "loss" in point]
                self.last["sentences_per_second"] = statistics.median(rates[len(rates) // 2 :])
        else:
            self.last = finished.last_line
        self.last["watched"] = finished.watched
        self.rates.append(self.last["sentences_per_second"])
        self.megabytes.append(finished.peak)

    def numbers(self) -> dict[str, Any]:
        """For the JSON file."""
        return {"name": self.name, "sentences_per_second": self.rates, "megabytes": self.megabytes, "last": self.last}


def logged(folder: Path) -> list[dict[str, Any]]:
    """What is in a run's log.jsonl."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def write_shape(folder: Path, shape: str, tokenizer_folder: str) -> None:
    """An encoder of XLM-RoBERTa's shape (base, large) with random weights, its 250,002 embeddings too."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    width, layers, heads, inner = SHAPES[shape]
    config = XLMRobertaConfig(
        vocab_size=250_002,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_repeated(folder: Path, data: str, num_sentences: int) -> None:
    """German sentences of a corpus repeated to a number, as JSON Lines with a small validation split."""
    corpus = load_corpus(Source(data, sample=("all",)), ["de"], ["train"])
    rows = corpus["de"]["train"]
    (folder / "de").mkdir(parents=True)
    for split, count in (("train", num_sentences), ("validation", 64)):
        with (folder / "de" / f"{split}.jsonl").open("w", encoding="utf-8") as lines:
            for row in islice(chain.from_iterable(repeat(rows)), count):
                sentence = {"tokens": row["tokens"], "ner_tags": [corpus.tags.names[tag] for tag in row["ner_tags"]]}
                lines.write(json.dumps(sentence, ensure_ascii=False) + "\n")


def stages(
    folder: Path,
    encoder: str,
    corpus: str,
    steps: int,
    test_languages: Sequence[str],
    flags: Sequence[str] = (),
    seconds: float = HOUR,
) -> dict[str, Any]:
    """What `tests.bench.stages` measures, in a process of its own. flags: more of train.py."""
    languages = ",".join(test_languages) or "-"
    program = [
        "-m",
        "tests.bench.stages",
        str(steps),
        languages,
        "--model",
        encoder,
        "--data",
        corpus,
        "--train-on",
        "de",
        "--output",
        str(folder / "stages"),
        "--overwrite",
        *flags,
    ]
    measured: dict[str, Any] = run(program, seconds=seconds).last_line
    return measured


def ours(material: Material, encoder: str, folder: Path, precision: str, *flags: str) -> list[str]:
    """The command of train.py, without an interpreter."""
    data = ["--model", encoder, "--data", material.corpus, "--train-on", "de", "--lr", RATE]
    return ["train.py", *data, "--mixed-precision", precision, "--output", str(folder), "--overwrite", *flags]


def theirs(material: Material, encoder: str, folder: Path, precision: str, *flags: str) -> list[str]:
    """The command of the Trainer's script, without an interpreter."""
    assert material.trainer
    data = ["--model", encoder, "--data", material.corpus, "--train-on", "de", "--lr", RATE]
    half = [] if precision == "no" else [f"--{precision}"]
    return [str(material.trainer), *data, *half, "--output", str(folder), *flags]


def contenders(
    folder: Path, material: Material, encoder: str, steps: int, precision: str, trainer_precision: str
) -> list[Contender]:
    """Ours and, where its script is there, the Trainer's. precision: of ours; trainer_precision: of it at its best."""
    flags = ["--max-steps", str(steps), "--log-every", str(max(steps // 5, 1))]
    found = [
        Contender(OURS, ours(material, encoder, folder / "ours", precision, *flags), folder / "ours", precision),
        Contender(
            f"{OURS} --compile",
            ours(material, encoder, folder / "compiled", precision, *flags, "--compile"),
            folder / "compiled",
            precision,
            is_compiled=True,
        ),
    ]
    if material.trainer:
        output = folder / "trainer"
        best = theirs(material, encoder, output, trainer_precision, *AT_ITS_BEST, "--max-updates", str(steps))
        published = "fp16" if torch.cuda.is_available() else "no"
        slow = theirs(material, encoder, output, published, "--max-updates", str(max(steps // 3, 2)))
        found += [Contender(BEST, best, None, trainer_precision), Contender(PUBLISHED, slow, None, published)]
    return found


def compare(found: Sequence[Contender], repetitions: int) -> None:
    """All of them in turn, several times: what slows the machine for a while slows all."""
    for repetition in range(repetitions):
        for contender in found:
            contender.measure()
            print(
                f"{repetition + 1}/{repetitions} {contender.name}: {contender.rates[-1]} sentences/s", file=sys.stderr
            )


def trainer_evaluation(found: Sequence[Contender]) -> dict[str, float]:
    """Seconds of predict and seqeval on each language's test sentences, by the Trainer at its best."""
    command = next(contender.command for contender in found if contender.name == BEST)
    at = command.index("--max-updates")
    seconds: dict[str, float] = run([*command[:at], "--max-updates", "1", "--test"]).last_line["test_seconds"]
    return seconds


def comparison(found: Sequence[Contender], measured: dict[str, Any]) -> str:
    """The table of the comparison. measured: of `stages`."""
    padded = measured["padded_efficiency"]
    rows = []
    first = statistics.median(found[0].rates)
    for contender in found:
        rate = statistics.median(contender.rates)
        is_published = contender.name == PUBLISHED
        efficiency = (
            measured["position_efficiency"] if contender.folder else padded["random" if is_published else "grouped"]
        )
        peak = measured["matmul_rate_fp32" if contender.precision == "no" else "matmul_rate"]
        flops = rate * measured["tokens_per_sentence"] / efficiency * measured["flops_per_position"]
        rows.append(
            [
                contender.name,
                f"{rate:.1f}",
                f"{min(contender.rates):.1f}-{max(contender.rates):.1f}",
                f"{first / rate:.2f} x",
                f"{rate * measured['tokens_per_sentence']:,.0f}",
                f"{max(contender.megabytes):,.0f}",
                f"{efficiency:.3f}",
                f"{flops / peak:.0%}",
            ]
        )
    titles = [
        "training",
        "sentences/s",
        "from-to",
        "train.py is",
        "tokens/s",
        "peak MB",
        "position efficiency",
        "of matmul rate",
    ]
    return table(titles, rows)
