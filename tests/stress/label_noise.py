"""What wrong labels cost, and what cleaning by folds gives back of it: not part of the suite.

    python -m tests.stress.label_noise FOLDER --data data/panx --model models/me5-small -- --lr 2e-4

For each seed: 5% of the training sentences get one wrong entity each, in one of the four `WAYS`. A tagger is trained on
the clean sentences, and one on the noisy ones. launch/folds.sh lists as many likely label errors among the noisy ones
as there are. A tagger is trained without the listed sentences (dropped), and one with the right tags of those listed
sentences that were corrupted, the others as they are (restored): what an annotator who makes no mistake would do. The
table has F1 on the clean test sentences, and precision and recall of the list. What is wrong in the data itself counts
as not corrupted.

That is 4 trainings, and one for each fold, a seed; what stands behind -- goes to all of them. Run again, it leaves
alone what is finished. Seeds can be run by several processes in one FOLDER: each writes FOLDER/report.md of those that
are finished.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from ner.data.annotation_forms import Row
from ner.data.arrow_store import TAGS, tag_set
from ner.data.corpus import Source, load_corpus
from ner.data.corrections import keyed, sentence_key
from ner.data.perturbation import Sentence
from ner.files import read_json, write_atomic, write_json
from ner.tags import TagSet
from ner.training.run_folder import is_finished
from ner.utils import table
from tests.processes import ROOT
from tests.stress import label_errors
from tests.stress.experiment import check_same, parse_options, read_rows, run, train, write_copy, write_rows
from tests.stress.label_errors import spans_of

WAYS = {name: label_errors.WAYS[name] for name in ("other type", "drop", "boundary", "invent")}
TAGGERS = ("clean", "noisy", "dropped", "restored")
SET_HERE = ("--data", "--model", "--train-on", "--sample", "--corrections", "--fold", "--seed", "--output", "--resume")


def corrupt(sentences: Sequence[Sentence], share: float, seed: int) -> dict[int, tuple[str, list[str]]]:
    """Sentence -> (way, new tags) of that share of the sentences, all of which hold an entity.

    They are drawn at random, and for each a way among those that it allows; the same for the same seed. No sentence
    becomes one that is there already, with the same words and tags: corrections are found by these.
    """
    random = np.random.default_rng(seed)
    types = TagSet.collect({name for _, tags in sentences for name in tags}).types
    known = {sentence_key(words, tags) for words, tags in sentences}
    changed: dict[int, tuple[str, list[str]]] = {}
    size = round(share * len(sentences))
    for i in random.permutation([i for i, (_, tags) in enumerate(sentences) if spans_of(tags)]).tolist():
        if len(changed) == size:
            break
        words, tags = sentences[i]
        for way in random.permutation(len(WAYS)).tolist():
            name, function = list(WAYS.items())[way]
            new = function(tags, types, [], random)
            if new is not None and (key := sentence_key(words, new)) not in known:
                known.add(key)
                changed[i] = (name, new)
                break
    if len(changed) < size:
        raise SystemExit(f"only {len(changed):,} of {len(sentences):,} sentences can be corrupted, not {size:,}")
    return changed


def answers(
    language: str, sentences: Sequence[Sentence], changed: Mapping[int, tuple[str, list[str]]]
) -> list[dict[str, Any]]:
    """The corrupted sentences as corrections with their right tags, and the way of each."""
    return [
        {
            "language": language,
            "split": "train",
            "key": sentence_key(sentences[i][0], new),
            "sentence": i,
            "way": way,
            "tokens": sentences[i][0],
            "ner_tags": sentences[i][1],
        }
        for i, (way, new) in sorted(changed.items())
    ]


def with_tags(part: Dataset, changed: Mapping[int, tuple[str, list[str]]]) -> Dataset:
    """The sentences in order, some with these tags."""
    ids = tag_set(part).ids
    tags = part[TAGS][:]
    for i, (_, new) in changed.items():
        tags[i] = [ids[name] for name in new]
    return part.remove_columns(TAGS).add_column(TAGS, tags, feature=part.features[TAGS])


def write_data(folder: Path, source: Source, language: str, share: float, seed: int) -> None:
    """Writes the sentences that are used to `clean`, the same with wrong tags to `noisy`, and what is right.

    Both hold the sample alone, in its order. So a tagger of `clean` is one of the data itself.
    """
    if (folder / "corrupted.jsonl").exists():
        return
    corpus = load_corpus(source, [language], ("train", "validation", "test"))
    train = corpus[language]["train"]
    sentences = [(words, tags) for _, words, tags in keyed(train)]
    changed = corrupt(sentences, share, seed)
    noisy = DatasetDict({**corpus[language], "train": with_tags(train, changed)})
    folder.mkdir(parents=True, exist_ok=True)
    write_copy(corpus, folder / "clean")
    write_copy(replace(corpus, languages={language: noisy}), folder / "noisy")
    write_rows(folder / "corrupted.jsonl", answers(language, sentences, changed))


def dropped(listed: Sequence[Row]) -> list[Row]:
    """Corrections that leave all listed sentences out."""
    return [{**row, "drop": True} for row in listed]


def restored(listed: Sequence[Row], right: Sequence[Row]) -> list[Row]:
    """Corrections that give the listed sentences their right tags where they were corrupted, and leave the others."""
    tags = {row["key"]: row["ner_tags"] for row in right}
    return [{**row, "ner_tags": tags.get(row["key"], row["ner_tags"])} for row in listed]


@dataclass(frozen=True)
class Scores:
    """Of a seed. corrupted: sentences, by way; found: those of them that are listed; f1: of each of `TAGGERS`."""

    seed: int
    sentences: int
    corrupted: dict[str, int]
    found: dict[str, int]
    listed: int
    f1: dict[str, float]

    @property
    def precision(self) -> float:
        """Share of the listed sentences that were corrupted."""
        return sum(self.found.values()) / self.listed

    @property
    def recall(self) -> float:
        """Share of the corrupted sentences that are listed."""
        return sum(self.found.values()) / sum(self.corrupted.values())


def count(listed: Collection[str], right: Sequence[Row]) -> tuple[dict[str, int], dict[str, int]]:
    """How many sentences were corrupted in each way, and how many of these are listed. listed: keys."""
    all_of_them = Counter(row["way"] for row in right)
    found = Counter(row["way"] for row in right if row["key"] in listed)
    return {way: all_of_them[way] for way in WAYS}, {way: found[way] for way in WAYS}


def share_back(f1: Mapping[str, float], tagger: str) -> str:
    """Share of the F1 that noise cost which this tagger has again; - where noise cost nothing."""
    lost = f1["clean"] - f1["noisy"]
    return f"{(f1[tagger] - f1['noisy']) / lost:.2f}" if lost > 0 else "-"


def report(seeds: Sequence[Scores]) -> str:
    """Tables in Markdown: of each seed and their mean, and how many sentences of each way were found in all."""
    mean = {tagger: float(np.mean([seed.f1[tagger] for seed in seeds])) for tagger in TAGGERS}
    rows = [line(str(seed.seed), seed.f1, seed.precision, seed.recall) for seed in seeds]
    if len(seeds) > 1:
        precision, recall = (
            float(np.mean([getattr(seed, name) for seed in seeds])) for name in ("precision", "recall")
        )
        rows.append(line("mean", mean, precision, recall))
    header = ["seed", *TAGGERS, "lost", "back: dropped", "back: restored", "precision", "recall"]
    ways = []
    for way in WAYS:
        corrupted, found = (sum(getattr(seed, name)[way] for seed in seeds) for name in ("corrupted", "found"))
        ways.append([way, corrupted, found, f"{found / corrupted:.3f}" if corrupted else "-"])
    sizes = [f"{seed.seed}: {sum(seed.corrupted.values()):,} of {seed.sentences:,}, {seed.listed:,}" for seed in seeds]
    return "\n\n".join(
        [
            "F1 on the test sentences; share of the lost F1 that came back; precision and recall of the list",
            table(header, rows),
            f"Corrupted sentences and listed ones, of seed {'; '.join(sizes)}. In all, by way:",
            table(["way", "corrupted", "listed", "share"], ways),
        ]
    )


def line(name: str, f1: Mapping[str, float], precision: float, recall: float) -> list[str]:
    """A row of the table of seeds."""
    numbers = [*(f1[tagger] for tagger in TAGGERS), f1["clean"] - f1["noisy"]]
    back = [share_back(f1, tagger) for tagger in ("dropped", "restored")]
    return [name, *(f"{number:.4f}" for number in numbers), *back, f"{precision:.3f}", f"{recall:.3f}"]


def measure(folder: Path, options: argparse.Namespace, seed: int, flags: Sequence[str]) -> Scores:
    """All of a seed, but what is finished. folder: of the seed."""
    language = options.language
    write_data(folder / "data", Source(options.data, sample=tuple(options.sample)), language, options.share, seed)
    right = read_rows(folder / "data/corrupted.jsonl")
    same = ["--model", options.model, "--train-on", language, "--seed", str(seed), *flags]
    noisy = ["--data", str(folder / "data/noisy"), *same]
    train(folder / "clean", ["--data", str(folder / "data/clean"), *same])
    train(folder / "noisy", noisy)
    size = {"FOLDS": str(options.folds), "TOP": str(options.top or len(right))}
    if not (folder / "folds/review.jsonl").exists():
        run(["bash", ROOT / "launch/folds.sh", folder / "folds", *noisy], **size)
    listed = read_rows(folder / "folds/review.jsonl")
    for name, rows in (("dropped", dropped(listed)), ("restored", restored(listed, right))):
        if not is_finished(folder / name):
            write_rows(folder / f"{name}.jsonl", rows)
        train(folder / name, [*noisy, "--corrections", str(folder / f"{name}.jsonl")])
    clean = ["--data", folder / "data/clean", "--languages", language]
    runs = [folder / name for name in TAGGERS]
    if not (folder / "test/matrix.json").exists():
        run([sys.executable, ROOT / "evaluate.py", *runs, *clean, "--output", folder / "test"])
    results = read_json(folder / "test/matrix.json")["results"]
    corrupted, found = count({row["key"] for row in listed}, right)
    return Scores(
        seed=seed,
        sentences=len(load_corpus(Source(str(folder / "data/clean")), [language], ("train",))[language]["train"]),
        corrupted=corrupted,
        found=found,
        listed=len(listed),
        f1={Path(result["run"]).name: result["scores"]["default"]["f1"] for result in results},
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of everything that is made")
    parser.add_argument("--data", required=True, help="as in train.py")
    parser.add_argument("--model", required=True, help="as in train.py")
    parser.add_argument("--language", default="de")
    parser.add_argument("--sample", nargs="+", default=["auto"], help="as in train.py")
    parser.add_argument("--share", type=float, default=0.05, help="of the training sentences to corrupt")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--top", type=int, help="sentences to list (as many as were corrupted)")
    options, flags = parse_options(parser, arguments, SET_HERE)
    same = {name: value for name, value in vars(options).items() if name not in ("folder", "seeds")}
    if problem := check_same(options.folder, {**same, "flags": flags}):
        parser.error(problem)
    for seed in options.seeds:
        folder = options.folder / f"seed-{seed}"
        write_json(folder / "scores.json", vars(measure(folder, options, seed, flags)))
        files = sorted(options.folder.glob("seed-*/scores.json"))
        text = report([Scores(**read_json(file)) for file in files])
        write_atomic(options.folder / "report.md", text + "\n")
        print(f"\n{text}\n", flush=True)


if __name__ == "__main__":
    main()
