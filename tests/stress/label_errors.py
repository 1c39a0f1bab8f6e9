"""How well rankings of sentences find wrong gold labels: not part of the suite.

    python -m tests.stress.label_errors --model runs/de --data data/panx --language de

Corrupts the gold tags of 5% of the validation sentences, a fifth of them in each of the five `WAYS`, and prints which
share of the first k sentences of each ranking is corrupted, and the average precision, as means over the seeds. The
model is not trained again. What is wrong in the data itself counts as not corrupted: precision has a ceiling below 1.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from datasets import Dataset, concatenate_datasets

from ner import runtime
from ner.analysis import token_losses
from ner.analysis.label_errors import label_error_score, of_sentences
from ner.analysis.token_losses import losses, read, sentence_offsets
from ner.analysis.views import tag_ids
from ner.config import EvaluateConfig
from ner.data.arrow_store import TAGS, tag_set
from ner.data.corpus import load_corpus
from ner.evaluation.predictors import load_predictor
from ner.evaluation.runs import Run, find_run
from ner.tags import OUTSIDE, TagSet, entities
from ner.utils import table as markdown

Random = np.random.Generator
Span = tuple[int, int, str]  # first word, the one behind the last, type


def spans_of(names: Sequence[str]) -> list[Span]:
    """The entities of a sentence."""
    tags = TagSet.collect({OUTSIDE, *names})
    ids = np.array([tags.ids[name] for name in names])
    found = zip(*(part.tolist() for part in entities(ids, np.arange(len(ids)) == 0, tags)), strict=True)
    return [(start, end, tags.types[kind]) for start, end, kind in found]


def tags_of(spans: Sequence[Span], length: int) -> list[str]:
    """IOB2 tags of a sentence of so many words."""
    names = [OUTSIDE] * length
    for start, end, kind in spans:
        names[start:end] = ["B-" + kind] + ["I-" + kind] * (end - start - 1)
    return names


def other_type(names: list[str], types: Sequence[str], others: list[list[str]], random: Random) -> list[str] | None:
    """An entity gets another type."""
    spans = spans_of(names)
    if not spans or len(types) < 2:
        return None
    chosen = random.integers(len(spans))
    start, end, kind = spans[chosen]
    spans[chosen] = (start, end, str(random.choice([name for name in types if name != kind])))
    return tags_of(spans, len(names))


def drop(names: list[str], types: Sequence[str], others: list[list[str]], random: Random) -> list[str] | None:
    """An entity is not tagged."""
    spans = spans_of(names)
    if not spans:
        return None
    spans.pop(random.integers(len(spans)))
    return tags_of(spans, len(names))


def boundary(names: list[str], types: Sequence[str], others: list[list[str]], random: Random) -> list[str] | None:
    """An entity begins or ends one word earlier or later."""
    spans = spans_of(names)
    moved = []
    for i, (start, end, kind) in enumerate(spans):
        for first, last in ((start - 1, end), (start + 1, end), (start, end - 1), (start, end + 1)):
            inside = 0 <= first < last <= len(names)
            if inside and all(names[word] == OUTSIDE for word in range(first, last) if not start <= word < end):
                moved.append((i, (first, last, kind)))
    if not moved:
        return None
    chosen, span = moved[random.integers(len(moved))]
    spans[chosen] = span
    return tags_of(spans, len(names))


def invent(names: list[str], types: Sequence[str], others: list[list[str]], random: Random) -> list[str] | None:
    """One to three words that are no entity become one."""
    length = int(random.integers(1, 4))
    starts = [i for i in range(len(names) - length + 1) if set(names[i : i + length]) == {OUTSIDE}]
    if not starts:
        return None
    start = int(random.choice(starts))
    return tags_of([*spans_of(names), (start, start + length, str(random.choice(types)))], len(names))


def exchange(names: list[str], types: Sequence[str], others: list[list[str]], random: Random) -> list[str] | None:
    """The sentence gets the tags of another one of the same length."""
    different = [own for own in others if own != names]
    return different[random.integers(len(different))] if different else None


WAYS: dict[str, Callable[[list[str], Sequence[str], list[list[str]], Random], list[str] | None]] = {
    "other type": other_type,
    "drop": drop,
    "boundary": boundary,
    "invent": invent,
    "exchange": exchange,
}


def corrupt(tags: Sequence[list[str]], share: float, seed: int) -> dict[int, tuple[str, list[str]]]:
    """Sentence -> (way, new tags) of that share of the sentences, as many in each way. The same for the same seed."""
    random = np.random.default_rng(seed)
    types = TagSet.collect({name for own in tags for name in own}).types
    by_length = defaultdict(list)
    for own in tags:
        by_length[len(own)].append(own)
    order = iter(random.permutation(len(tags)).tolist())
    changed: dict[int, tuple[str, list[str]]] = {}
    for i in range(round(share * len(tags))):
        way = list(WAYS)[i % len(WAYS)]
        for sentence in order:  # the next that can be corrupted this way
            new = WAYS[way](tags[sentence], types, by_length[len(tags[sentence])], random)
            if new is not None:
                changed[sentence] = (way, new)
                break
    return changed


def sums(values: np.ndarray, table: pa.Table) -> np.ndarray:
    """The sum over the words of each sentence."""
    return of_sentences(np.add, values.astype(np.float64), table)


def surprise(table: pa.Table) -> np.ndarray:
    """float [words]: loss less what the model expects it to be; 0 for a word without a sub-token."""
    return np.nan_to_num(losses(table) - table["entropy"].to_numpy())


def margin(table: pa.Table) -> np.ndarray:
    """float [words]: probability of the predicted tag less that of the gold tag; 0 for a word without a sub-token."""
    return np.nan_to_num(table["p_predicted"].to_numpy() - table["p_gold"].to_numpy())


def total_loss(table: pa.Table) -> np.ndarray:
    """Sum of the losses: minus the logarithm of the gold tags' probability."""
    return sums(np.nan_to_num(losses(table)), table)


def mean_loss(table: pa.Table) -> np.ndarray:
    """Mean of the losses."""
    return total_loss(table) / np.maximum(sums(~np.isnan(losses(table)), table), 1)


def confident(table: pa.Table) -> np.ndarray:
    """float [words]: the margin where the model gives another tag at least the mean that words of that tag get, else 0.

    These are the label errors of confident learning (Northcutt et al. 2021), by normalised margin.
    """
    tags, gold, predicted = tag_ids(table)
    p_gold, p_predicted = (np.nan_to_num(table[name].to_numpy()) for name in ("p_gold", "p_predicted"))
    count = np.bincount(gold, minlength=len(tags))
    threshold = np.bincount(gold, weights=p_gold, minlength=len(tags)) / np.maximum(count, 1)
    return np.where((gold != predicted) & (p_predicted >= threshold[predicted]), p_predicted - p_gold, 0)


RANKINGS: dict[str, Callable[[pa.Table], np.ndarray]] = {
    "total loss": total_loss,
    "mean loss": mean_loss,
    "highest loss": lambda table: of_sentences(np.maximum, np.nan_to_num(losses(table)), table),
    "highest margin": lambda table: of_sentences(np.maximum, margin(table), table),
    "highest margin, confident": lambda table: of_sentences(np.maximum, confident(table), table),
    "sum of loss - entropy": lambda table: sums(surprise(table), table),
    "highest loss - entropy": lambda table: of_sentences(np.maximum, surprise(table), table),
    "highest loss - mean of the gold tag": label_error_score,  # the choice of ner.analysis.label_errors
}


def average_precision(hits: np.ndarray) -> float:
    """Mean, over the hits, of the precision down to each. hits: bool [sentences], in the order of the ranking."""
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def with_losses(
    name: str, data: str | None, language: str, split: str, share: float, seeds: int
) -> tuple[list[dict[int, tuple[str, list[str]]]], list[pa.Table]]:
    """For each seed, what was corrupted and the token losses of all sentences.

    The model sees each sentence once, and each corrupted one once more: only gold differs.
    """
    config = EvaluateConfig(runs=(name,), data=data)
    run = find_run(name, "best", config)
    rows = load_corpus(run.source, [language], [split])[language][split]
    names = tag_set(rows).names
    tags = [[names[i] for i in row] for row in rows[TAGS][:]]
    changed = [corrupt(tags, share, seed) for seed in range(seeds)]
    ids = tag_set(rows).ids
    parts = [rows]
    for own in changed:
        part = rows.select(list(own)).remove_columns(TAGS)
        new = [[ids[tag] for tag in new] for _, new in own.values()]
        parts.append(part.add_column(TAGS, new, feature=rows.features[TAGS]).select_columns(rows.column_names))
    table = token_table(run, config, concatenate_datasets(parts))
    offsets = sentence_offsets(table)
    tables, start = [], len(rows)
    for own in changed:
        sentences = np.arange(len(rows))
        sentences[list(own)] = start + np.arange(len(own))
        start += len(own)
        tables.append(table.take(np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in sentences])))
    return changed, tables


def token_table(run: Run, config: EvaluateConfig, rows: Dataset) -> pa.Table:
    """The token losses of sentences."""
    predictor = load_predictor(run, config, runtime.start_accelerator("auto"), {})
    tested = predictor.test(rows, lambda _: None)
    place = token_losses.Place(run.name, "", "")
    return read(pa.concat_tables(token_losses.tables(place, rows, tested, predictor.tags)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="a run of train.py, a model folder or a Hub name")
    parser.add_argument("--data", help="as in train.py (the run's own)")
    parser.add_argument("--language", required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--share", type=float, default=0.05, help="of the sentences to corrupt")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args(arguments)
    changed, tables = with_losses(
        options.model, options.data, options.language, options.split, options.share, options.seeds
    )
    size = len(changed[0])
    depths = (50, 100, size)
    lines, found = [], defaultdict(list)
    for name, ranking in RANKINGS.items():
        measured = []
        for own, table in zip(changed, tables, strict=True):
            scores = ranking(table)
            order = np.argsort(-scores, kind="stable")
            hits = np.isin(order, list(own))
            measured.append([*(hits[:depth].mean() for depth in depths), average_precision(hits)])
            first = set(order[:size].tolist())
            found[name].append([np.mean([s in first for s in own if own[s][0] == way]) for way in WAYS])
        lines.append([name, *(f"{value:.3f}" for value in np.mean(measured, axis=0))])
    depth_names = [f"precision at {depth}" for depth in depths]
    print(f"{size} of {len(sentence_offsets(tables[0])) - 1:,} sentences corrupted, mean of {options.seeds} seeds\n")
    print(markdown(["ranking", *depth_names, "average precision"], lines))
    print(f"\nShare found among the first {size}, by way\n")
    print(markdown(["ranking", *WAYS], [[k, *(f"{x:.3f}" for x in np.mean(v, axis=0))] for k, v in found.items()]))


if __name__ == "__main__":
    main()
