"""Tests runs on languages, and writes the cross-lingual F1 matrix.

    accelerate launch evaluate.py runs/* --languages de fr it en --output reports/swiss

A run is a folder of train.py or `ner baseline`; model folders and Hub names of token classifiers work too, and files
of sentences that another system has tagged.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from accelerate import Accelerator

from ner import runtime
from ner.analysis import token_losses
from ner.analysis.probing.files import Probing, parts, read_probing
from ner.arguments import BAD_INPUT, FAILED, command, echo, exit_on_input_error, parse
from ner.config import EvaluateConfig
from ner.data.corpus import Corpus, Source, load_corpus, write_skipped
from ner.errors import InputError, single_line
from ner.evaluation.comparison import LabelPair, to_markdown
from ner.evaluation.matrix import Result
from ner.evaluation.predictors import EncodedCache, load_predictor
from ner.evaluation.runs import Run, Seen, check_map, check_same_sentences, check_tags, find_run, notes
from ner.files import LOCK, distinct, file_errors, locked
from ner.report import plots
from ner.report.write import compare_runs, summarize, write_comparison, write_summary
from ner.sharing.hub import publish, repositories
from ner.sharing.model_card import write_card
from ner.sharing.run_record import add_results
from ner.utils import progress_bar

Corpora = dict[Source, Corpus]
Tags = dict[tuple[str, str, str], LabelPair]  # of a run, split and language


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the script. arguments: of the command line, None for sys.argv."""
    with exit_on_input_error():
        config = parse(EvaluateConfig, arguments, __doc__)
        accelerator = runtime.start_accelerator(config.mixed_precision)
        runs = [find_run(name, config.checkpoint, config, tagged_files=True) for name in distinct(config.runs)]
        languages = config.languages or tuple(dict.fromkeys(lang for run in runs for lang in run.trained_on))
        if not languages:
            raise InputError("none of the runs says what it was trained on; name the languages: --languages de fr")
        sources = dict.fromkeys(run.source for run in runs)
        with runtime.main_process_first(accelerator):
            corpora = {source: load_corpus(source, languages, config.splits, check_map=False) for source in sources}
        check_map(config.map_tags, runs, corpora.values())
        for run in runs:
            check_tags(run, corpora[run.source])
        if config.compare:
            check_same_sentences(runs, corpora)
        if config.push_to_hub and (others := [run.name for run in runs if not run.has_card]):
            raise InputError(f"{others[0]}: --push-to-hub uploads run folders of train.py, and this is none")
        probing = read_probing(config.probing, parts(runs, corpora, config.splits)) if config.probing else None
        repositories(config, [Path(run.name) for run in runs])  # raises for what could not be uploaded
        messages, seen = notes(runs, corpora) if accelerator.is_main_process else ([], {})
        for message in messages:
            runtime.say(accelerator, f"note: {message}")
        losses_file = None
        if config.output and accelerator.is_main_process:
            with file_errors(config.output):
                Path(config.output).mkdir(parents=True, exist_ok=True)
            if config.token_losses or config.report:
                losses_file = Path(config.output) / token_losses.FILE_NAME
    with token_losses.open_file(losses_file) if losses_file else contextlib.nullcontext() as losses:
        results, tagged, failures = test(config, accelerator, runs, languages, corpora, losses)
    runtime.wait_for_everyone()
    accelerator.end_training()  # the connection between processes; what is left is for the main process alone
    status = BAD_INPUT if failures else 0
    if accelerator.is_main_process:
        try:
            if results:
                write(config, results, languages, corpora, losses_file, probing)
            if config.compare and not failures:
                compare(config, runs, languages, corpora, tagged)
        except BrokenPipeError:
            raise
        except OSError as error:  # a full disk: what was found is printed, and goes on to the cards
            failures.append(f"{config.output}: not all is written: {single_line(error)}")
            status = FAILED
        tested = [run for run in runs if any(result.run == run.name for result in results)]
        write_cards(config, accelerator, tested, results, corpora, seen)
        for worked, message in publish(config, [Path(run.name) for run in tested]):
            if worked:
                echo(f"\n{message}")
            else:
                failures.append(message)
                status = status or FAILED
    for failure in failures:
        runtime.say(accelerator, f"evaluate.py: {failure}")
    if status:
        sys.exit(status)


def test(
    config: EvaluateConfig,
    accelerator: Accelerator,
    runs: Sequence[Run],
    languages: Sequence[str],
    corpora: Corpora,
    losses: pq.ParquetWriter | None,
) -> tuple[list[Result], Tags, list[str]]:
    """Tests every run on every split and language.

    losses: what token losses are written to, on the main process where they are asked for.
    Returns the results, the tags if runs are compared, and messages about runs whose model could not be loaded.
    """
    results: list[Result] = []
    tagged: Tags = {}
    failures: list[str] = []
    cache: EncodedCache = {}
    is_explained = False
    parts = [(split, language) for split in config.splits for language in languages]
    total = sum(len(corpora[run.source][language][split]) for run in runs for split, language in parts)
    with progress_bar(accelerator, "test", " sentences", total=total) as bar:
        for run in runs:
            bar.set_postfix(run=run.name)
            try:
                predictor = load_predictor(run, config, accelerator, cache)
            except InputError as error:
                failures.append(str(error))
                continue
            for split, language in parts:
                rows = corpora[run.source][language][split]
                tested = predictor.test(rows, bar.update, (language, split))
                if predictor.how and not is_explained:
                    is_explained = True
                    runtime.say(accelerator, predictor.how)
                pair = LabelPair(tested.gold, tested.predictions.tags, tested.word_offsets, predictor.tags)
                results.append(run.result(language, split, rows, tested.counts(predictor.tags), pair))
                if losses:
                    place = token_losses.Place(run.name, language, split)
                    for table in token_losses.tables(place, rows, tested, predictor.tags):
                        losses.write_table(table)
                if config.compare:
                    tagged[run.name, split, language] = pair
            accelerator.free_memory()
    return results, tagged, failures


def write(
    config: EvaluateConfig,
    results: Sequence[Result],
    languages: Sequence[str],
    corpora: Corpora,
    losses: Path | None,
    probing: Probing | None,
) -> None:
    """Prints matrices and learning curves, and writes what --output and --report ask for. Raises OSError."""
    summary = summarize(results, config.splits, languages, config.scoring, by_type=config.by_type)
    echo(summary.text)  # before anything is written: a disk may be full
    if config.output:
        folder = Path(config.output)
        names = write_summary(folder, summary, losses, report=config.report, probing=probing)
        write_skipped(corpora.values(), folder / "skipped.jsonl")
        if not plots.can_draw():
            echo(f"no pictures: {plots.MISSING}", sys.stderr)
        echo(f"\nwritten: {folder}/{', '.join(names)}")


def compare(
    config: EvaluateConfig, runs: Sequence[Run], languages: Sequence[str], corpora: Corpora, tagged: Tags
) -> None:
    """Prints the comparison of two runs on each split, and writes it where asked. Raises OSError."""
    names, corpus = (runs[0].name, runs[1].name), corpora[runs[0].source]
    compared = compare_runs(names, config.splits, languages, config.scoring, corpus, tagged)
    text = "\n\n".join(to_markdown(of_split) for of_split in compared)
    echo(f"\n{text}")
    if config.output:
        folder = Path(config.output)
        echo(f"\nwritten: {folder}/{', '.join(write_comparison(folder, compared, text))}")


def write_cards(
    config: EvaluateConfig,
    accelerator: Accelerator,
    runs: Sequence[Run],
    results: Sequence[Result],
    corpora: Corpora,
    seen: Seen,
) -> None:
    """Adds the results of best models to evaluation.json and the card in their run folders, where that can be."""
    for run in runs:
        if not run.has_card or config.checkpoint != "best":
            continue
        of_run = [result for result in results if result.run == run.name]
        try:
            with locked(Path(run.name) / LOCK, run.name):
                add_results(Path(run.name), corpora[run.source].source, of_run, seen.get(run.name))
                write_card(Path(run.name))
        except (OSError, InputError) as error:
            runtime.say(accelerator, f"note: {run.name}: its model card stays as it was: {single_line(error)}")


if __name__ == "__main__":
    main()
