"""Looks inside encoders, layer by layer, before and after fine-tuning.

    ner layers runs/de --languages de fr it en --output reports/layers
    ner layers runs/de --languages fr it en --probe-on de --output reports/layers
    ner layers runs/de --languages de fr --attention "Jeff Dean ist ein Informatiker bei Google" --output reports/layers

Linear probes say what the vectors of words hold on each layer: the tag of a word, and the type of a word in an entity.
Selectivity is their accuracy minus that on a control task, where each word type has a random label. --output has
tables, a picture of them by layer, and a map of entities that shows whether languages share one space; with
--attention also a page in which layer and head are chosen.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ner import runtime
from ner.analysis.encoder.survey import Findings, Plan, Subject, draw_samples, find_subjects, survey
from ner.arguments import command, echo, exit_on_input_error, named_twice, not_above_zero, option, parse
from ner.config import EvaluationDataOptions
from ner.data.corpus import Corpus, load_corpus
from ner.errors import InputError
from ner.evaluation.inference import Alone
from ner.evaluation.runs import Run, check_map, find_run
from ner.files import distinct, file_errors, to_json, write_atomic
from ner.report import layer_tables, layers_plot, plots
from ner.report.attention_page import write_attention_page
from ner.utils import progress_bar


@dataclass(frozen=True)
class LayersOptions:
    """layers"""

    runs: tuple[str, ...] = option((), "run folders of train.py, or taggers", metavar="RUN", positional=True)
    encoder: str | None = option(
        None,
        "the encoder before fine-tuning: a Hub name or local folder (what the run was trained from)",
        metavar="NAME",
    )
    checkpoint: Literal["best", "last", "average"] = option("best", "which model of a run folder")
    languages: tuple[str, ...] | None = option(
        None, "languages to test on (every language that a run was trained on)", metavar="LANG"
    )
    split: str = option("test", "to test probes on, and of the entities of the map", metavar="SPLIT")
    output: str | None = option(None, "folder for tables, pictures and the page", metavar="FOLDER")
    seed: int = option(42, "of the sentences that are drawn, and of the control task", metavar="N")
    max_tokens_per_micro_batch: int = option(
        4096, "positions (padding included) in one forward: bounds memory", metavar="N"
    )


@dataclass(frozen=True)
class ProbeOptions:
    """linear probes"""

    probe_split: str = option("train", "to fit probes on", metavar="SPLIT")
    probe_on: tuple[str, ...] | None = option(
        None, "languages to fit probes on, together (each language's probe on its own sentences)", metavar="LANG"
    )
    max_words: int = option(
        20_000,
        "fit each probe on whole sentences of at most N words, drawn by the seed, and test it on as many",
        metavar="N",
    )


@dataclass(frozen=True)
class MapOptions:
    """map of entities"""

    layer: int | None = option(None, "of the vectors, 0 for the embeddings (the last)", metavar="N")
    max_entities: int = option(500, "of each language, drawn by the seed", metavar="N")


@dataclass(frozen=True)
class AttentionOptions:
    """attention"""

    attention: str | None = option(None, "write a page of the attention weights in this text", metavar="TEXT")


@dataclass(frozen=True)
class LayersConfig(LayersOptions, ProbeOptions, MapOptions, AttentionOptions, EvaluationDataOptions):
    """Everything that decides what `ner layers` finds."""

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "max_words", "max_entities", "max_tokens_per_micro_batch")
        problems += named_twice(self, "languages", "probe_on")
        if self.layer is not None and self.layer < 0:
            problems.append(f"--layer {self.layer} must not be below 0, the embeddings")
        if self.attention is not None and not self.output:
            problems.append("--attention needs a folder to write to: --output FOLDER")
        if problems:
            raise InputError("\n".join(problems))


def read_data(config: LayersConfig, runs: Sequence[Run], languages: Sequence[str]) -> Corpus:
    """The sentences of all runs. Raises InputError where runs have data of their own that differ."""
    sources = list(dict.fromkeys(run.source for run in runs))
    if len(sources) > 1:
        raise InputError(f"{runs[0].name} and {runs[-1].name} were trained on other data; name what to take: `data`")
    splits = tuple(dict.fromkeys((config.split, config.probe_split)))
    names = tuple(dict.fromkeys((*languages, *(config.probe_on or ()))))
    corpus = load_corpus(sources[0], names, splits, check_map=False)
    check_map(config.map_tags, runs, [corpus])
    return corpus


def make_plan(config: LayersConfig, corpus: Corpus, subjects: Sequence[Subject], languages: Sequence[str]) -> Plan:
    """What is looked at. Raises InputError as `draw_samples`."""
    groups, tested = draw_samples(
        corpus,
        subjects,
        languages,
        split=config.split,
        probe_split=config.probe_split,
        probe_on=config.probe_on,
        max_words=config.max_words,
        seed=config.seed,
    )
    return Plan(
        tags=corpus.tags,
        groups=groups,
        tested=tested,
        layer=config.layer,
        max_entities=config.max_entities,
        max_tokens=config.max_tokens_per_micro_batch,
        seed=config.seed,
        text=config.attention,
    )


def write(config: LayersConfig, findings: Sequence[Findings], text: str, folder: Path) -> list[str]:
    """Writes everything; returns the names of the files. Raises OSError, and InputError without entities for a map."""
    folder.mkdir(parents=True, exist_ok=True)
    names = layer_tables.labels(findings)
    maps = {f"{names[found.name]}, layer {found.layer}": layer_tables.map_of(found) for found in findings}
    content = {"options": asdict(config), "encoders": layer_tables.to_plain(findings)}
    texts = {"layers.md": f"{text}\n", "layers.csv": layer_tables.to_csv(findings), "layers.json": to_json(content)}
    texts["entity-map.csv"] = layer_tables.map_to_csv(findings)
    for name, content_of_file in texts.items():
        write_atomic(folder / name, content_of_file)
    written = list(texts)
    if plots.can_draw():
        scores = [score for found in findings for score in found.scores]
        fine_tuned = {found.name: found.is_fine_tuned for found in findings}
        written += plots.save(layers_plot.layer_curves(scores, fine_tuned, names), folder, "layers")
        written += plots.save(layers_plot.entity_maps(maps), folder, "entity-map")
    else:
        echo(f"no pictures: {plots.MISSING}", sys.stderr)
    if config.attention is not None:
        weights = {names[found.name]: found.attention for found in findings if found.attention}
        write_attention_page(folder / "attention.html", weights, config.attention)
        written.append("attention.html")
    return written


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner layers`."""
    with exit_on_input_error():
        config = parse(LayersConfig, arguments, __doc__)
        accelerator = runtime.start_accelerator("no")
        runs = [find_run(name, config.checkpoint, config) for name in distinct(config.runs)]
        languages = config.languages or tuple(dict.fromkeys(lang for run in runs for lang in run.trained_on))
        if not languages:
            raise InputError("none of the runs says what it was trained on; name the languages: --languages de fr")
        corpus = read_data(config, runs, languages)
        for note in corpus.notes:
            runtime.say(accelerator, f"note: {note}")
        subjects = find_subjects(runs, config.encoder, corpus.tags)
        plan = make_plan(config, corpus, subjects, languages)
        total = plan.num_sentences * len(subjects)
        with (
            progress_bar(accelerator, "encode", " sentences", total=total) as sentences,
            progress_bar(accelerator, "fit", " probes") as probes,
        ):
            findings = list(
                survey(
                    subjects,
                    plan,
                    Alone(accelerator.device),
                    sentences_done=sentences.update,
                    probes_done=probes.update,
                )
            )
        text = layer_tables.to_markdown(findings, config.split, config.probe_split)
        echo(text)
        if config.output:
            with file_errors(config.output):
                names = write(config, findings, text, Path(config.output))
            echo(f"\nwritten: {config.output}/{', '.join(names)}")
