"""Tests runs on languages and writes the cross-lingual F1 matrix: `accelerate launch evaluate.py --help`.

A run is a folder of train.py; model folders and Hub names of token classifiers work too.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import Dataset
from tqdm import tqdm
from transformers import AutoConfig

from ner import comparison, curve, pictures, runtime, tables
from ner.collating import choose_collator
from ner.comparison import Tagged
from ner.config import EvaluateConfig, TrainConfig
from ner.corpus import Corpus, Source, load_corpus, write_skipped
from ner.encoding import Encoded, encode_once, load_tokenizer
from ner.faults import one_line
from ner.inference import gather, predict, score
from ner.kernels import use_cpu_kernels
from ner.matrix import Result, f1_cells
from ner.metrics import SCORINGS
from ner.model import load_tagger, max_positions
from ner.options import BAD_INPUT, bad_input_ends_here, parse, read_config
from ner.rows import WORDS, content_hash, tag_set, used_tags
from ner.sampling import join_languages
from ner.statistics import in_both
from ner.tags import TagSet


@dataclass(frozen=True)
class Run:
    """A model to test. model: its folder or Hub name; trained_on is empty where nothing is known of its training.

    max_length: of windows in training, None for the encoder's limit; trained_from: where its training data came from;
    options: of its training; train_sentences: how many it was trained on, None while it is not finished.
    """

    name: str
    model: str
    trained_on: tuple[str, ...]
    max_train_sentences: int | None
    max_length: int | None
    source: Source
    trained_from: Source | None
    options: TrainConfig | None = None
    train_sentences: int | None = None


Corpora = dict[Source, Corpus]
Tags = dict[tuple[str, str, str], Tagged]  # of a run, split and language


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
        if config.compare:
            check_same_sentences(runs, corpora)
        for note in notes(runs, corpora) if accelerator.is_main_process else ():
            runtime.say(accelerator, f"note: {note}")
    results, tagged, failures = test(config, accelerator, runs, languages, corpora)
    if results and accelerator.is_main_process:
        write(config, results, languages, corpora)
    if config.compare and not failures and accelerator.is_main_process:
        write_comparison(config, runs, languages, corpora, tagged)
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
        name, str(model), trained.train_on, trained.max_train_sentences, trained.max_length, source, trained_from,
        trained, train_sentences(folder),
    )  # fmt: skip


def train_sentences(folder: Path) -> int | None:
    """How many sentences a run was trained on; None if it is not finished. Raises ValueError for a damaged file."""
    file = folder / "metrics.json"
    if not file.is_file():
        return None
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["train_sentences"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not what train.py writes ({one_line(error)}); restore or delete it") from error


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


def check_same_sentences(runs: Sequence[Run], corpora: Corpora) -> None:
    """Raises ValueError if two runs to compare are not tested on the same sentences and gold tags."""
    one, two = (corpora[run.source] for run in runs)
    for language, splits in one.languages.items():
        for split, part in splits.items():
            other = two[language][split]
            if content_key(part) != content_key(other):
                raise ValueError(
                    f"--compare: {runs[0].name} and {runs[1].name} are tested on different {language} {split} "
                    f"sentences: {len(part):,} of {one.source.data}, {len(other):,} of {two.source.data}; "
                    "name one --data for both, and the same options for it"
                )


def content_key(rows: Dataset) -> str:
    """Equal for the same sentences in the same order with the same tags."""
    return " ".join([content_hash(rows), *tag_set(rows).names])


def test(
    config: EvaluateConfig, accelerator: Accelerator, runs: Sequence[Run], languages: Sequence[str], corpora: Corpora
) -> tuple[list[Result], Tags, list[str]]:
    """Tests every run on every split and language.

    Returns the results, the tags if runs are compared, and messages about runs whose model could not be loaded.
    """
    results: list[Result] = []
    tagged: Tags = {}
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
                said = Tagged(windows.gold, gather(predictions, accelerator).tags, windows.word_offsets, tags)
                scores: dict[str, dict[str, Any]] = {scoring: counts.scores(scoring) for scoring in SCORINGS}
                seed, recipe = (run.options.seed, run.options.recipe()) if run.options else (None, None)
                results.append(
                    Result(
                        run.name, run.trained_on, run.max_train_sentences, language, split, len(rows), scores,
                        run.train_sentences, seed, recipe, said.counts(), content_key(rows),
                    )
                )  # fmt: skip
                if config.compare:
                    tagged[run.name, split, language] = said
            accelerator.free_memory()
    return results, tagged, failures


def write(config: EvaluateConfig, results: Sequence[Result], languages: Sequence[str], corpora: Corpora) -> None:
    """Prints matrices and learning curves, and writes them as tables and pictures, and skipped.jsonl, where asked."""
    of_split = {split: [result for result in results if result.split == split] for split in config.splits}
    cells = {split: f1_cells(part, languages, config.scoring) for split, part in of_split.items()}
    found = {split: curve.curves(part, config.scoring) for split, part in of_split.items()}
    curves = {split: of_one for split, (of_one, _) in found.items() if of_one}
    notes = dict.fromkeys(f"note: {note}" for _, of_one in found.values() for note in of_one)
    matrix_text, curve_text = tables.to_text(cells, config.scoring), curve.to_text(curves)
    print("\n\n".join(filter(None, [matrix_text, curve_text, *notes])))
    if config.output is None:
        return
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    types = [f"By entity type, {s}\n\n{tables.type_report(p, languages, config.scoring)}" for s, p in of_split.items()]
    content = {"scoring": config.scoring, **tables.to_plain(cells), "results": [result.plain() for result in results]}
    texts = {
        "matrix.md": "\n\n".join([matrix_text, *types]),
        "matrix.csv": tables.to_csv({split: tables.csv_rows(part) for split, part in cells.items()}),
        "matrix.json": runtime.to_json(content),
        "matrix.tex": tables.to_latex(cells, config.scoring),
    }
    if curves:
        plain = {split: [curve.to_plain(one) for one in part] for split, part in curves.items()}
        texts |= {"curve.md": curve_text, "curve.csv": curve.to_csv(curves), "curve.json": runtime.to_json(plain)}
    for name, text in texts.items():
        runtime.write_whole(folder / name, text.rstrip() + "\n")
    write_skipped(corpora.values(), folder / "skipped.jsonl")
    names = list(texts)
    if pictures.can_draw():
        names += pictures.save(pictures.heat_map(cells), folder, "matrix")
        names += pictures.save(pictures.learning_curves(curves), folder, "curve") if curves else []
    else:
        print(f"no pictures: {pictures.MISSING}", file=sys.stderr)
    print(f"\nwritten: {folder}/{', '.join(names)}")


def write_comparison(
    config: EvaluateConfig, runs: Sequence[Run], languages: Sequence[str], corpora: Corpora, tagged: Tags
) -> None:
    """Prints the comparison of two runs on each split, and writes compare.md and compare.json where asked."""
    one, two = runs
    corpus = corpora[one.source]
    compared = [
        comparison.comparison(
            (one.name, two.name), split,
            {lang: (tagged[one.name, split, lang], tagged[two.name, split, lang]) for lang in languages},
            {lang: corpus[lang][split][WORDS] for lang in languages},
            config.scoring,
        )
        for split in config.splits
    ]  # fmt: skip
    text = "\n\n".join(comparison.to_markdown(of_split) for of_split in compared)
    print(f"\n{text}")
    if config.output is None:
        return
    folder = Path(config.output)
    runtime.write_whole(folder / "compare.md", text + "\n")
    runtime.write_json(folder / "compare.json", {of_split.split: asdict(of_split) for of_split in compared})
    print(f"\nwritten: {folder}/compare.md, compare.json")


if __name__ == "__main__":
    main()
