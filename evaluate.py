"""Tests runs on languages and writes the cross-lingual F1 matrix: `accelerate launch evaluate.py --help`.

A run is a folder of train.py; model folders and Hub names of token classifiers work too.
"""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from accelerate import Accelerator
from tqdm import tqdm
from transformers import AutoConfig

from ner import runtime, token_losses
from ner.collating import choose_collator
from ner.config import EvaluateConfig, TrainConfig
from ner.corpus import Corpus, Source, load_corpus, write_skipped
from ner.encoding import Encoded, encode_once, load_tokenizer
from ner.faults import one_line
from ner.inference import gather, predict, score
from ner.kernels import use_cpu_kernels
from ner.matrix import Result, f1_matrix, to_csv, to_markdown, type_report
from ner.metrics import SCORINGS
from ner.model import load_tagger, max_positions
from ner.options import BAD_INPUT, bad_input_ends_here, parse, read_config
from ner.rows import used_tags
from ner.sampling import join_languages
from ner.statistics import in_both
from ner.tags import TagSet


@dataclass(frozen=True)
class Run:
    """A model to test. model: its folder or Hub name; trained_on is empty where nothing is known of its training.

    max_length: of windows in training, None for the encoder's limit; trained_from: where its training data came from.
    """

    name: str
    model: str
    trained_on: tuple[str, ...]
    max_train_sentences: int | None
    max_length: int | None
    source: Source
    trained_from: Source | None


Corpora = dict[Source, Corpus]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script. arguments: of the command line, None for sys.argv."""
    with bad_input_ends_here():
        config = parse(EvaluateConfig, arguments, __doc__)
        accelerator = runtime.start_accelerator(config.mixed_precision)
        runs = [find_run(name, config) for name in dict.fromkeys(config.runs)]
        languages = config.languages or tuple(dict.fromkeys(lang for run in runs for lang in run.trained_on))
        if not languages:
            raise ValueError("none of the runs says what it was trained on; name the languages: --languages de fr")
        sources = dict.fromkeys(run.source for run in runs)
        with accelerator.local_main_process_first():
            corpora = {source: load_corpus(source, languages, config.splits) for source in sources}
        for run in runs:
            check_tags(run, corpora[run.source])
        for note in notes(runs, corpora) if accelerator.is_main_process else ():
            runtime.say(accelerator, f"note: {note}")
        losses_file = None
        if config.token_losses and config.output and accelerator.is_main_process:
            losses_file = Path(config.output) / token_losses.FILE_NAME
            losses_file.parent.mkdir(parents=True, exist_ok=True)
    with token_losses.open_file(losses_file) if losses_file else contextlib.nullcontext() as losses:
        results, failures = test(config, accelerator, runs, languages, corpora, losses)
    if results and accelerator.is_main_process:
        write(config, results, languages, corpora)
    for failure in failures:
        runtime.say(accelerator, f"evaluate.py: {failure}")
    if failures:
        sys.exit(BAD_INPUT)


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
    given = {item.name: value for item in fields(Source) if (value := getattr(config, item.name)) is not None}
    trained_from = Source.of(trained) if trained else None
    if config.data or trained_from is None:  # what a run says about its own data does not hold for another
        source = replace(Source(TrainConfig().data), **given)
    else:
        source = replace(trained_from, **given)
    if trained is None:
        return Run(name, name, (), None, None, source, None)
    return Run(
        name, str(model), trained.train_on, trained.max_train_sentences, trained.max_length, source, trained_from
    )  # fmt: skip


def notes(runs: Sequence[Run], corpora: Corpora) -> list[str]:
    """What reading the data met, and how many of the sentences that each run is tested on it was trained on."""
    found = [note for corpus in corpora.values() for note in corpus.notes]
    for run in runs:
        if run.trained_from is None:
            continue
        try:
            own = load_corpus(run.trained_from, run.trained_on, ("train",))
        except ValueError as error:
            reason = str(error).splitlines()[0]
            found.append(f"{run.name}: which of the sentences it was trained on is unknown, its data is gone: {reason}")
            continue
        trained = join_languages([own[language]["train"] for language in run.trained_on], run.max_train_sentences)
        tested = [
            (f"{language} {split}", in_both(trained, part), len(part))
            for language, splits in corpora[run.source].languages.items()
            for split, part in splits.items()
        ]
        if seen := [f"{both:,} of {total:,} {name}" for name, both, total in tested if both]:
            found.append(f"{run.name} was trained on {', '.join(seen)} sentences")
    return found


def check_tags(run: Run, corpus: Corpus) -> None:
    """Raises ValueError that says which tags of the data the run's model lacks."""
    try:
        known = TagSet.of_model(AutoConfig.from_pretrained(run.model), run.name)
    except OSError as error:
        raise ValueError(f"{run.name}: no such folder, and not on the Hub: {one_line(error)}") from error
    used = {tag for splits in corpus.languages.values() for part in splits.values() for tag in used_tags(part)}
    if lacking := sorted(used - set(known.names)):
        raise ValueError(
            f"{run.name} lacks the tags {' '.join(lacking)} of {run.source.data}; it has {' '.join(known.names)}; "
            f"--map-tags {','.join(dict.fromkeys(f'{tag[2:]}=O' for tag in lacking))} reads them as other types"
        )


def test(
    config: EvaluateConfig, accelerator: Accelerator, runs: Sequence[Run], languages: Sequence[str], corpora: Corpora,
    losses: pq.ParquetWriter | None,
) -> tuple[list[Result], list[str]]:  # fmt: skip
    """Results of every run on every split and language, and messages about runs whose model could not be loaded.

    losses: what token losses are written to, on the main process where they are asked for.
    """
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
            if accelerator.device.type == "cpu":
                use_cpu_kernels(model)
            collator = None
            for split, language in parts:
                rows = corpora[run.source][language][split]
                key = (vocabulary, longest, tags, run.source, language, split)
                if key not in cache:
                    cache[key] = encode_once(rows, tokenizer, tags, max_length=longest)
                windows = cache[key]
                if collator is None:
                    probe = [windows[i] for i in range(min(16, len(windows)))]  # in full precision: before `prepare`
                    collator, reason = choose_collator(model, probe, config.packing, config.row_length)
                    prepared = accelerator.prepare_model(model, evaluation_mode=True)
                    if not results:
                        runtime.say(accelerator, f"{reason}; precision: {accelerator.mixed_precision}")
                predictions = predict(
                    prepared, windows, collator, accelerator, outside=tags.outside,
                    max_tokens=config.max_tokens_per_micro_batch, progress=bar.update,
                )  # fmt: skip
                counts = score(predictions, windows, accelerator, tags)
                if config.token_losses:
                    whole = gather(predictions, accelerator)
                    if losses:
                        place = token_losses.Place(run.name, language, split)
                        for table in token_losses.tables(place, rows, windows, whole, tokenizer, tags):
                            losses.write_table(table)
                scores: dict[str, dict[str, Any]] = {scoring: counts.scores(scoring) for scoring in SCORINGS}
                results.append(
                    Result(run.name, run.trained_on, run.max_train_sentences, language, split, len(rows), scores)
                )
            accelerator.free_memory()
    return results, failures


def write(config: EvaluateConfig, results: Sequence[Result], languages: Sequence[str], corpora: Corpora) -> None:
    """Prints the matrices, and writes matrix.md, matrix.csv, matrix.json and skipped.jsonl where asked."""
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
    write_skipped(corpora.values(), folder / "skipped.jsonl")
    more = f", {token_losses.FILE_NAME}" if config.token_losses else ""
    print(f"\nwritten: {folder}/matrix.md, matrix.csv, matrix.json{more}")


if __name__ == "__main__":
    main()
