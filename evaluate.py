"""Tests runs on languages and writes the cross-lingual F1 matrix: `accelerate launch evaluate.py --help`.

A run is a folder of train.py; model folders and Hub names of token classifiers work too.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import DatasetDict
from tqdm import tqdm
from transformers import AutoConfig

from ner import runtime
from ner.collating import choose_collator
from ner.config import EvaluateConfig, TrainConfig
from ner.corpus import load_corpus, used_tags
from ner.encoding import Encoded, encode
from ner.inference import evaluate
from ner.matrix import Result, f1_matrix, to_csv, to_markdown, type_report
from ner.metrics import SCORINGS
from ner.model import load_tagger, load_tokenizer, max_positions, one_line
from ner.options import parse, read_config
from ner.tags import TagSet


@dataclass(frozen=True)
class Source:
    """Where test data comes from; runs with the same source share it."""

    data: str
    config: str
    sample: tuple[str, ...]
    names: tuple[str, ...] | None


@dataclass(frozen=True)
class Run:
    """A model to test. model: its folder or Hub name; trained_on is empty where nothing is known of its training.

    max_length: of windows in training, None for the encoder's limit.
    """

    name: str
    model: str
    trained_on: tuple[str, ...]
    max_train_sentences: int | None
    max_length: int | None
    source: Source


Corpora = dict[Source, dict[str, DatasetDict]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script. arguments: of the command line, None for sys.argv."""
    with runtime.bad_input_ends_here():
        config = parse(EvaluateConfig, arguments, __doc__)
        accelerator = runtime.start_accelerator(config.mixed_precision)
        runs = [find_run(name, config) for name in dict.fromkeys(config.runs)]
        languages = config.languages or tuple(dict.fromkeys(lang for run in runs for lang in run.trained_on))
        if not languages:
            raise ValueError("none of the runs says what it was trained on; name the languages: --languages de fr")
        with accelerator.local_main_process_first():
            corpora = {run.source: load(run.source, languages, config.splits) for run in runs}
        for run in runs:
            check_tags(run, corpora[run.source])
    results, failures = test(config, accelerator, runs, languages, corpora)
    if results and accelerator.is_main_process:
        write(config, results, languages)
    for failure in failures:
        runtime.say(accelerator, f"evaluate.py: {failure}")
    if failures:
        sys.exit(runtime.BAD_INPUT)


def find_run(name: str, config: EvaluateConfig) -> Run:
    """The run of that name: folder of train.py, model folder, or Hub name. Raises ValueError for anything else."""
    folder = Path(name)
    trained = None
    if (folder / "config.yaml").is_file():
        trained = read_config(TrainConfig, folder / "config.yaml")
        model = folder / config.checkpoint
        if not (model / "config.json").is_file():
            raise ValueError(f"{name}: no model in {model}; the training has not written it yet")
    elif folder.exists() and not (folder / "config.json").is_file():
        raise ValueError(f"{name}: neither a run of train.py (config.yaml) nor a model folder (config.json)")
    elif not folder.exists() and (name.count("/") > 1 or name.startswith((".", "/"))):
        raise ValueError(f"{name}: no such folder")
    else:
        model = folder
    own = trained or TrainConfig()
    source = Source(
        config.data or own.data,
        config.data_config or own.data_config,
        config.sample or own.sample,
        config.tags or own.tags,
    )
    if trained is None:
        return Run(name, name, (), None, None, source)
    return Run(name, str(model), trained.train_on, trained.max_train_sentences, trained.max_length, source)


def load(source: Source, languages: Sequence[str], splits: Sequence[str]) -> dict[str, DatasetDict]:
    """Language -> splits. Raises ValueError as `load_corpus` does."""
    return load_corpus(
        source.data, languages, splits, config=source.config, sample=source.sample, names=source.names
    )  # fmt: skip


def check_tags(run: Run, corpus: dict[str, DatasetDict]) -> None:
    """Raises ValueError that says which tags of the data the run's model lacks."""
    try:
        known = TagSet.of_model(AutoConfig.from_pretrained(run.model), run.name)
    except OSError as error:
        raise ValueError(f"{run.name}: no such folder, and not on the Hub: {one_line(error)}") from error
    used = {tag for parts in corpus.values() for rows in parts.values() for tag in used_tags(rows)}
    if lacking := sorted(used - set(known.names)):
        raise ValueError(
            f"{run.name} lacks the tags {' '.join(lacking)} of {run.source.data}; it has {' '.join(known.names)}"
        )


def test(
    config: EvaluateConfig, accelerator: Accelerator, runs: Sequence[Run], languages: Sequence[str], corpora: Corpora
) -> tuple[list[Result], list[str]]:
    """Results of every run on every split and language, and messages about runs whose model could not be loaded."""
    results: list[Result] = []
    failures: list[str] = []
    cache: dict[tuple[object, ...], Encoded] = {}  # runs of one encoder share its sub-tokens
    parts = [(split, language) for split in config.splits for language in languages]
    total = sum(len(corpora[run.source][language][split]) for run in runs for split, language in parts)
    with tqdm(total=total, desc="test", unit=" sentences", disable=not accelerator.is_main_process) as bar:
        for run in runs:
            bar.set_postfix(run=run.name)
            try:
                model, tags = load_tagger(run.model)
                tokenizer = load_tokenizer(run.model)
            except ValueError as error:
                failures.append(str(error))
                continue
            vocabulary = tokenizer.backend_tokenizer.to_str()
            longest = run.max_length or max_positions(model, tokenizer)
            model.to(accelerator.device)
            collator, prepared = None, accelerator.prepare_model(model, evaluation_mode=True)
            for split, language in parts:
                rows = corpora[run.source][language][split]
                key = (vocabulary, longest, tags, run.source, language, split)
                if key not in cache:
                    cache[key] = encode(rows, tokenizer, tags, max_length=longest)
                windows = cache[key]
                if collator is None:
                    probe = [windows[i] for i in range(min(16, len(windows)))]
                    collator, reason = choose_collator(model, probe, config.packing, config.row_length)
                    if not results:
                        runtime.say(accelerator, f"{reason}; precision: {accelerator.mixed_precision}")
                counts = evaluate(
                    prepared, windows, collator, accelerator, tags,
                    max_tokens=config.max_tokens_per_micro_batch, progress=bar.update,
                )  # fmt: skip
                scores: dict[str, dict[str, Any]] = {scoring: counts.scores(scoring) for scoring in SCORINGS}
                results.append(
                    Result(run.name, run.trained_on, run.max_train_sentences, language, split, len(rows), scores)
                )
            accelerator.free_memory()
    return results, failures


def write(config: EvaluateConfig, results: Sequence[Result], languages: Sequence[str]) -> None:
    """Prints the matrices, and writes matrix.md, matrix.csv and matrix.json where asked."""
    of_split = {split: [result for result in results if result.split == split] for split in config.splits}
    matrices = {split: f1_matrix(part, languages, config.scoring) for split, part in of_split.items()}
    text = ""
    for split, matrix in matrices.items():
        text += f"F1 on {split} (entities, micro average, {config.scoring} scoring)\n\n{to_markdown(matrix)}\n\n"
    print(text.strip())
    if config.output is None:
        return
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    for split, part in of_split.items():
        text += f"By entity type, {split}\n\n{type_report(part, languages, config.scoring)}\n\n"
    (folder / "matrix.md").write_text(text.strip() + "\n", encoding="utf-8")
    (folder / "matrix.csv").write_text(to_csv(matrices), encoding="utf-8")
    content = {"scoring": config.scoring, "f1": matrices, "results": [asdict(result) for result in results]}
    runtime.write_json(folder / "matrix.json", content)
    print(f"\nwritten: {folder}/matrix.md, matrix.csv, matrix.json")


if __name__ == "__main__":
    main()
