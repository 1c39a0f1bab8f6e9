"""Changes test sentences in ways that should not matter, or that show what a tagger relies on, and tests runs on them.

    ner probe runs/de runs/all --languages de fr it en --output reports/probing
    ner probe runs/de --probes lower upper typos-inside --max-drop 0.05
    ner probe runs/all --probes unseen --names ORG=universities.csv:1 PER=people.txt
    ner probe runs/de runs/all --parallel de-fr.tsv

For each run, language and probe: F1 before and after, the paired difference with its interval, and what became of the
entities that were found before. Of parallel texts, which need no gold tags: how far the same entities are found on both
sides. Several processes: accelerate launch -m ner probe ...
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from accelerate import Accelerator
from datasets import Dataset, disable_progress_bars

from ner import runtime
from ner.analysis.probing.changed_sets import samples
from ner.analysis.probing.files import FLIPPED, PROBES, parts, write_flips
from ner.analysis.probing.name_lists import NamedSentences, NameList, check_names, name_sets, read_names
from ner.analysis.probing.names import Known, known_mentions, materials
from ner.analysis.probing.parallel import ParallelOutcome, probe_parallel
from ner.analysis.probing.parallel_tables import parallel_examples, parallel_to_csv, parallel_to_markdown
from ner.analysis.probing.parallel_text import ParallelText, read_parallel
from ner.analysis.probing.probes import EVERY, NAMES, Probe, chosen
from ner.analysis.probing.probing import NameOutcome, Outcome, Sets, dropped, make_sets, probe_language, probe_names
from ner.analysis.probing.tables import Samples, examples, failures_to_csv, limits, to_csv, to_markdown, to_plain
from ner.arguments import FAILED, command, echo, exit_on_input_error, flag, named_twice, not_above_zero, option, parse
from ner.config import BatchOptions, EvaluationDataOptions, PrecisionOptions
from ner.config.options import bad_row_length
from ner.data.corpus import Corpus, Source, load_corpus, write_skipped
from ner.errors import InputError, single_line
from ner.evaluation.predictors import EncodedCache, load_predictor
from ner.evaluation.runs import Run, check_map, check_tags, find_run, training_sentences
from ner.files import LOCK, file_errors, locked, write_atomic, write_json
from ner.report import plots
from ner.sharing.model_card import write_card
from ner.sharing.run_record import add_probing
from ner.tagging.unlabelled import split_sentences
from ner.utils import progress_bar, signed


@dataclass(frozen=True)
class ProbeOptions:
    """probing"""

    runs: tuple[str, ...] = option(
        (),
        "run folders of train.py and ner baseline, model folders, or Hub names of token classifiers",
        metavar="RUN",
        positional=True,
    )
    languages: tuple[str, ...] | None = option(
        None, "languages to test on (every language that a run was trained on)", metavar="LANG"
    )
    split: str = option("test", "split to test on", metavar="SPLIT")
    checkpoint: Literal["best", "last", "average"] = option("best", "which model of a run folder")
    probes: tuple[str, ...] = option(
        (), f"which (all; none with --parallel): {' '.join(NAMES)}, or {EVERY}", metavar="NAME"
    )
    names: tuple[str, ...] = option(
        (),
        "lists of names to find alone and in sentences: a CSV file, and its column by its number from 0 or by its "
        "header (0, as of a name a line)",
        metavar="TYPE=FILE:COLUMN",
    )
    parallel: tuple[str, ...] = option(
        (),
        "texts in two languages, a pair a line, .tsv or .csv, .gz too: are the same entities found on both sides? The "
        "languages are in the name (de-fr.tsv) or the first line; without --probes and --names, nothing else is done, "
        "and no data is read",
        metavar="FILE",
    )
    max_drop: float | None = option(
        None,
        "end with status 1 if a probe that changes sentences loses more F1 than X in a run and language",
        metavar="X",
    )
    seed: int = option(42, "of typing errors, exchanged names and words", metavar="N")
    output: str | None = option(
        None, "folder for tables, examples and the heat map: Markdown, CSV, JSON, PNG, SVG", metavar="FOLDER"
    )


@dataclass(frozen=True)
class ProbeConfig(ProbeOptions, EvaluationDataOptions, BatchOptions, PrecisionOptions):
    """Everything that decides what `ner probe` finds."""

    def __post_init__(self) -> None:
        problems = bad_row_length(self) + not_above_zero(self, "max_tokens_per_micro_batch")
        problems += named_twice(self, "languages", "probes", "names", paths=("runs", "parallel"))
        if self.max_drop is not None and not 0 <= self.max_drop <= 1:
            problems.append(f"--max-drop {self.max_drop} must be from 0 to 1, like 0.05")
        if self.parallel and not self.probes:
            if self.max_drop is not None:
                problems.append("--max-drop is about probes that change sentences, not about --parallel: add --probes")
            if not self.names:
                problems += [
                    f"{flag(name)} is of no use with --parallel alone: add --probes, all or some of them"
                    for name in ("languages", "data")
                    if getattr(self, name)
                ]
        if problems:
            raise InputError("\n".join(problems))


@dataclass(frozen=True)
class Plan:
    """What is tested: runs with what they were trained on (None: not known), and the sets of each source."""

    runs: Sequence[Run]
    probes: Sequence[Probe]
    names: Sequence[NameList]
    known: Mapping[str, Known | None]
    corpora: Mapping[Source, Corpus]
    tested: Mapping[Source, Mapping[str, Dataset]]
    sets: Mapping[Source, Mapping[str, Sets]]
    carried: Mapping[Source, Sequence[tuple[NameList, str, NamedSentences]]]
    parallel: Sequence[ParallelText]

    def num_sentences(self) -> int:
        """That all runs tag together."""
        return sum(
            sum(len(rows) for rows in self.tested[run.source].values())
            + sum(len(changed.rows) for of_lang in self.sets[run.source].values() for changed in of_lang.values())
            + sum(len(made.rows) for _, _, made in self.carried[run.source])
            + sum(len(text.rows) for text in self.parallel)
            for run in self.runs
        )

    def samples(self) -> Samples:
        """Changed sentences of the first source."""
        source = self.runs[0].source
        return {
            language: {name: samples(self.tested[source][language], changed) for name, changed in of_language.items()}
            for language, of_language in self.sets[source].items()
        }


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner probe`."""
    disable_progress_bars()
    with exit_on_input_error():
        config = parse(ProbeConfig, arguments, __doc__)
        accelerator = runtime.start_accelerator(config.mixed_precision)
        with runtime.main_process_first(accelerator):
            plan = prepare(config, accelerator)
        if config.output:
            with file_errors(config.output):
                Path(config.output).mkdir(parents=True, exist_ok=True)
        found = test(config, accelerator, plan)
    runtime.wait_for_everyone()
    accelerator.end_training()
    if not accelerator.is_main_process:
        return
    echo(found.tables(config.split))
    record(config, accelerator, plan, found.outcomes)
    try:
        if config.output:
            echo(f"\nwritten: {config.output}/{', '.join(write(config, plan, found))}")
    except OSError as error:
        echo(f"ner probe: {config.output}: not all is written: {single_line(error)}", sys.stderr)
        sys.exit(FAILED)
    if config.max_drop is not None and (losses := dropped(found.outcomes, config.max_drop)):
        for outcome in losses:
            scores = f"F1 {outcome.before:.3f} -> {outcome.after:.3f}, {signed(outcome.difference)}"
            echo(
                f"ner probe: {outcome.run}, {outcome.language}, {outcome.probe}: {scores} {limits(outcome.interval)}: "
                f"a loss above --max-drop {config.max_drop:g}",
                sys.stderr,
            )
        sys.exit(FAILED)


def prepare(config: ProbeConfig, accelerator: Accelerator) -> Plan:
    """Reads everything, and changes the sentences. Raises InputError."""
    probes = () if config.parallel and not config.probes else chosen(config.probes)
    names = [read_names(text) for text in config.names]
    parallel = [read_parallel(file, split_sentences) for file in config.parallel]
    runs = [find_run(name, config.checkpoint, config) for name in config.runs]
    sources = dict.fromkeys(run.source for run in runs)
    languages: Sequence[str] = ()
    corpora: dict[Source, Corpus] = {}
    if probes or names:
        languages = config.languages or tuple(dict.fromkeys(lang for run in runs for lang in run.trained_on))
        if not languages:
            raise InputError("none of the runs says what it was trained on; name the languages: --languages de fr")
        corpora = {source: load_corpus(source, languages, [config.split], check_map=False) for source in sources}
        check_map(config.map_tags, runs, corpora.values())
        for run in runs:
            check_tags(run, corpora[run.source])
            check_names(names, corpora[run.source])
    for corpus in corpora.values():
        for note in corpus.notes:
            runtime.say(accelerator, f"note: {note}")
    trained, known = training(accelerator, runs) if probes else ({}, {})
    tested = {source: {lang: corpora[source][lang][config.split] for lang in languages} for source in sources}
    sets = {
        source: make_sets(of_source, materials(of_source, trained), probes, config.seed)
        for source, of_source in tested.items()
    }
    carried = {source: list(name_sets(names, of_source, config.seed)) for source, of_source in tested.items()}
    return Plan(runs, probes, names, known, corpora, tested, sets, carried, parallel)


def training(accelerator: Accelerator, runs: Sequence[Run]) -> tuple[dict[str, list[Dataset]], dict[str, Known | None]]:
    """Training sentences by language, and the mentions that each run was trained on; notes where they are not known."""
    trained: dict[str, list[Dataset]] = {}
    known: dict[str, Known | None] = {}
    for run in runs:
        try:
            sentences, languages = training_sentences(run)
        except InputError as error:
            reason = str(error).splitlines()[0]
            runtime.say(accelerator, f"note: {run.name}: no slices of seen and unseen mentions: {reason}")
            known[run.name] = None
            continue
        known[run.name] = known_mentions([sentences])
        for number, language in enumerate(run.trained_on):
            trained.setdefault(language, []).append(sentences.select((languages == number).nonzero()[0]))
    return trained, known


@dataclass(frozen=True)
class Found:
    """What probes, lists of names, and parallel texts showed of the runs."""

    outcomes: Sequence[Outcome]
    names: Sequence[NameOutcome]
    parallel: Sequence[ParallelOutcome]

    def tables(self, split: str) -> str:
        """All of it as Markdown, without examples."""
        parts = [to_markdown(self.outcomes, self.names, split), parallel_to_markdown(self.parallel)]
        return "\n\n".join(filter(None, parts))


def test(config: ProbeConfig, accelerator: Accelerator, plan: Plan) -> Found:
    """Tests every run on everything. Raises InputError for a model that cannot be loaded."""
    outcomes: list[Outcome] = []
    names: list[NameOutcome] = []
    parallel: list[ParallelOutcome] = []
    cache: EncodedCache = {}
    with progress_bar(accelerator, "probe", " sentences", total=plan.num_sentences()) as bar:
        for run in plan.runs:
            bar.set_postfix(run=run.name)
            predictor = load_predictor(run, config, accelerator, cache)
            for language, rows in plan.tested[run.source].items():
                sets, known = plan.sets[run.source][language], plan.known.get(run.name)
                outcomes += probe_language(run.name, language, predictor, rows, sets, plan.probes, known, bar.update)
            for of_list, place, made in plan.carried[run.source]:
                names.append(probe_names(run.name, place, predictor, of_list, made, bar.update))
            parallel += [probe_parallel(run.name, predictor, text, bar.update) for text in plan.parallel]
            accelerator.free_memory()
    return Found(outcomes, names, parallel)


def record(config: ProbeConfig, accelerator: Accelerator, plan: Plan, outcomes: Sequence[Outcome]) -> None:
    """Adds what was found of best models to probing.json and the card in their run folders, where that can be."""
    for run in plan.runs:
        if not outcomes or not run.has_card or config.checkpoint != "best":
            continue
        folder = Path(run.name)
        try:
            with locked(folder / LOCK, run.name):
                of_run = [outcome for outcome in outcomes if outcome.run == run.name]
                add_probing(folder, plan.corpora[run.source].source, config.split, of_run)
                write_card(folder)
        except (OSError, InputError) as error:
            runtime.say(accelerator, f"note: {run.name}: its model card stays as it was: {single_line(error)}")


def write(config: ProbeConfig, plan: Plan, found: Found) -> list[str]:
    """Writes the files of --output; returns their names. Raises OSError."""
    folder = Path(str(config.output))
    samples = plan.samples()
    shown = [examples(found.outcomes, samples), parallel_examples(found.parallel)]
    text = "\n\n".join(filter(None, [found.tables(config.split), "## Examples", *shown]))
    write_atomic(folder / "probes.md", f"{text}\n")
    tested = parts(plan.runs, plan.corpora, [config.split]) if plan.corpora else []  # parallel text alone reads none
    plain = to_plain(found.outcomes, found.names, samples, config.split, config.seed, tested)
    write_json(folder / PROBES, plain | {"parallel": [asdict(outcome) for outcome in found.parallel]})
    write_skipped(plan.corpora.values(), folder / "skipped.jsonl")
    written = ["probes.md", PROBES]
    if plan.probes:
        write_flips(folder / FLIPPED, found.outcomes, config.split)
        written.append(FLIPPED)
    tables = {
        "probes.csv": to_csv(found.outcomes) if plan.probes else "",
        "names.csv": failures_to_csv(found.names) if found.names else "",
        "parallel.csv": parallel_to_csv(found.parallel) if found.parallel else "",
    }
    for name, content in tables.items():
        if content:
            write_atomic(folder / name, content)
            written.append(name)
    if found.outcomes and plots.can_draw():
        from ner.report.probe_plot import probe_map

        written += plots.save(probe_map(found.outcomes), folder, "probes")
    elif found.outcomes:
        echo(f"no pictures: {plots.MISSING}", sys.stderr)
    return written
