"""What was found inside encoders as text: Markdown, CSV and JSON."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ner.analysis.encoder.entity_map import EntityVectors, alignment, joined, principal_components
from ner.analysis.encoder.layer_scores import TASKS, LayerScore, Task
from ner.analysis.encoder.survey import Findings
from ner.utils import DASH, escape_line, table

TITLES: dict[Task, str] = {"tag": "tag of a word", "type": "type of a word in an entity"}
COLUMNS = ("accuracy", "macro F1", "selectivity")


def labels(findings: Sequence[Findings]) -> dict[str, str]:
    """Name of each encoder -> how it is shown: the end of its path where that tells all of them apart."""
    ends = {found.name: found.name.rstrip("/").rpartition("/")[2] for found in findings}
    short = ends if len(set(ends.values())) == len(ends) else {name: name for name in ends}
    return {found.name: f"{short[found.name]} ({'after' if found.is_fine_tuned else 'before'})" for found in findings}


def map_of(found: Findings) -> EntityVectors:
    """The entities of all languages."""
    return joined(list(found.entities.values()))


def to_markdown(findings: Sequence[Findings], split: str, probe_split: str) -> str:
    """A table of layers for each task and language, and one of the alignment of languages."""
    scores = [score for found in findings for score in found.scores]
    places = dict.fromkeys((score.task, score.language) for score in scores)
    names = labels(findings)
    parts = []
    for task in TASKS:
        for language in (language for of_task, language in places if of_task == task):
            chosen = [score for score in scores if (score.task, score.language) == (task, language)]
            parts += [heading(chosen[0], split, probe_split), layer_table(chosen, names)]
    return "\n\n".join([*parts, *alignment_part(findings, names)])


def heading(first: LayerScore, split: str, probe_split: str) -> str:
    """What the numbers below are, and what a probe that knows nothing scores."""
    score = first.score
    return (
        f"Linear probe, {TITLES[first.task]}, {escape_line(first.language)}: fitted on {first.num_train_words:,} words "
        f"({escape_line(' '.join(first.trained_on))}, {escape_line(probe_split)}), scored on {score.num_words:,} "
        f"({escape_line(split)}); the commonest class everywhere scores {score.majority:.3f}; "
        f"{score.seen:.0%} of the words are among those that it was fitted on"
    )


def layer_table(scores: Sequence[LayerScore], names: dict[str, str]) -> str:
    """Layers by encoders. scores: of one task and language."""
    encoders = [name for name in names if any(score.encoder == name for score in scores)]
    at = {(score.encoder, score.layer): score.score for score in scores}
    lines = []
    for layer in range(max(score.layer for score in scores) + 1):
        line: list[Any] = [layer]
        for name in encoders:
            score = at.get((name, layer))
            values = (score.accuracy, score.macro_f1, score.selectivity) if score else ()
            line += [f"{value:.3f}" for value in values] or [DASH] * len(COLUMNS)
        lines.append(line)
    header = ["layer", *(f"{names[name]} {column}" for name in encoders for column in COLUMNS)]
    return table(header, lines, right=[True] * len(header), layout="compact")


def alignment_part(findings: Sequence[Findings], names: dict[str, str]) -> list[str]:
    """Title and table of the alignment, nothing for a single language."""
    lines = []
    for found in findings:
        if aligned := alignment(map_of(found)):
            numbers = (aligned.same_type, aligned.same_type_chance, aligned.same_language, aligned.same_language_chance)
            lines.append([names[found.name], found.layer, aligned.num_entities, *(f"{x:.3f}" for x in numbers)])
    header = ["encoder", "layer", "entities", "same type", "by chance", "same language", "by chance"]
    title = (
        "Alignment of languages: share of entities whose nearest neighbour in another language has the same type, and "
        "whose nearest neighbour of all is of the same language (cosine)"
    )
    return [title, table(header, lines, right=[False, *[True] * 6], layout="compact")] if lines else []


def to_csv(findings: Sequence[Findings]) -> str:
    """The scores of all probes, six decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = [row for found in findings for row in plain_scores(found)]
    writer.writerow(list(rows[0]) if rows else [])
    for row in rows:
        writer.writerow([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row.values()])
    return text.getvalue()


def plain_scores(found: Findings) -> list[dict[str, Any]]:
    """The scores of an encoder as rows."""
    return [
        {
            "encoder": score.encoder,
            "fine_tuned": found.is_fine_tuned,
            "task": score.task,
            "trained_on": " ".join(score.trained_on),
            "train_words": score.num_train_words,
            "language": score.language,
            "layer": score.layer,
            "accuracy": score.score.accuracy,
            "macro_f1": score.score.macro_f1,
            "control_accuracy": score.score.control_accuracy,
            "selectivity": score.score.selectivity,
            "majority": score.score.majority,
            "seen": score.score.seen,
            "words": score.score.num_words,
        }
        for score in found.scores
    ]


def to_plain(findings: Sequence[Findings]) -> list[dict[str, Any]]:
    """Everything as JSON takes it, but the vectors."""
    plain = []
    for found in findings:
        aligned = alignment(map_of(found))
        plain.append(
            {
                "encoder": found.name,
                "fine_tuned": found.is_fine_tuned,
                "probes": plain_scores(found),
                "entity_layer": found.layer,
                "alignment": asdict(aligned) if aligned else None,
            }
        )
    return plain


def map_to_csv(findings: Sequence[Findings]) -> str:
    """The places of all entities on the map of their encoder."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["encoder", "layer", "language", "type", "text", "x", "y"])
    for found in findings:
        entities = map_of(found)
        points, _ = principal_components(entities.vectors)
        for i, (x, y) in enumerate(np.round(points, 4).tolist()):
            language = entities.language_names[entities.languages[i]]
            type_ = entities.type_names[entities.types[i]]
            writer.writerow([found.name, found.layer, language, type_, entities.texts[i], x, y])
    return text.getvalue()
