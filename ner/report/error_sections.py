"""The sections of the report page that change with the run, split and language that are chosen: errors and losses."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from ner.analysis import views
from ner.analysis.entity_scores import scores_by_entity_length, scores_by_sentence_length, type_scores
from ner.evaluation.matrix import Result
from ner.evaluation.metrics import RATIOS
from ner.report.elements import Cell, Content, Histogram, Place, Section, Table
from ner.report.sentence_data import Sentences
from ner.report.tables import TYPE_COLUMNS, type_rows

TOP = 20  # sub-tokens that are shown
OFTEN = 10  # of the surest sub-tokens, those that occur so many times
SHARES = (0.0, 1.0)
NO_LOSSES = "Of this run no losses are known."

View = Callable[[pa.Table], Content]


def error_sections(sentences: Sentences, results: Sequence[Result] = (), scoring: str = "default") -> list[Section]:
    """Confusion, scores by type, kinds of errors, losses, lengths and sub-tokens of each run, split and language.

    results: scores of the same runs, where they are known; otherwise scores by type are those of the table.
    """
    parts = dict(places(sentences))

    def section(heading: str, view: View, *, wide: bool = False) -> Section:
        return Section(heading, views={place: view(words) for place, words in parts.items()}, wide=wide)

    types = {place: types_of(place, results, scoring) or [scores(words)] for place, words in parts.items()}
    return [
        section("Confusion", confusion),
        Section("By entity type", views=types),
        section("Kinds of errors", kinds),
        section("F1 by length", lengths, wide=True),
        section("Loss by gold tag", of_losses(loss_by_tag), wide=True),
        section("Loss by sub-token", of_losses(sub_tokens), wide=True),
    ]


def places(sentences: Sentences) -> Iterator[tuple[Place, pa.Table]]:
    """Each run and split, all its languages first, if there are several, and then each; with its words."""
    runs, languages, splits = (sentences.names[name] for name in ("run", "language", "split"))
    run, language, split = sentences.codes
    for i, k in np.unique(np.stack([run, split]), axis=1).T.tolist():
        there = {
            code: words_of(sentences, (run == i) & (split == k) & (language == code))
            for code in np.unique(language[(run == i) & (split == k)]).tolist()
        }
        if len(there) > 1:
            yield Place(runs[i], splits[k]), pa.concat_tables(there.values())
        for code, words in there.items():
            yield Place(runs[i], splits[k], languages[code]), words


def words_of(sentences: Sentences, chosen: np.ndarray) -> pa.Table:
    """The words of sentences that stand beside each other. chosen: bool [sentences]."""
    first, last = np.flatnonzero(chosen)[[0, -1]]
    start, end = sentences.start[[first, last + 1]].tolist()
    return sentences.words.slice(start, end - start)


def confusion(words: pa.Table) -> Content:
    """Types of entities and tags of words, as shares of a row."""
    return [
        shares(views.type_confusion(words), "entities: share of each gold type; last column missed, last row spurious"),
        shares(views.tag_confusion(words), "words: share of each gold tag (rows) that is predicted as (columns)"),
    ]


def shares(confusion: views.Confusion, caption: str) -> Table:
    """Shares of each row, shaded."""
    rows = [(name, *row.tolist()) for name, row in zip(confusion.rows, confusion.shares, strict=True)]
    return Table(["gold", *confusion.columns], rows, caption, shades=SHARES)


def types_of(place: Place, results: Sequence[Result], scoring: str) -> Content:
    """Scores of each type: precision, recall and F1 in a language, F1 by language in all. Nothing without results."""
    there = [result for result in results if (result.run, result.split) == (place.run, place.split)]
    if place.language is not None:
        rows = [
            [type_ or f"all ({average})", *(row[key] for key in RATIOS), row["support"]]
            for result in there
            if result.language == place.language
            for type_, average, row in type_rows(result, scoring)
        ]
        return [Table(TYPE_COLUMNS[2:], rows, bars=["F1"])] if rows else []
    columns: dict[str, dict[str, Cell]] = {}
    for result in there:
        found = type_rows(result, scoring)
        columns[result.language] = {type_ or f"all ({average})": row["f1"] for type_, average, row in found}
    names = dict.fromkeys(name for column in columns.values() for name in column)
    ordered = sorted(names, key=lambda name: name.startswith("all ("))  # a type that one language lacks comes last
    rows = [[name, *(column.get(name) for column in columns.values())] for name in ordered]
    return [Table(["F1", *columns], rows, shades=SHARES)] if rows else []


def scores(words: pa.Table) -> Table:
    """Scores of each type, of a table of token losses."""
    return plain(type_scores(words), "", bars=["f1"])


def kinds(words: pa.Table) -> Content:
    """What is wrong with the entities."""
    return [plain(views.entity_kinds(words), "by gold type, spurious ones by predicted type", bars=["count"])]


def of_losses(view: View) -> View:
    """The view of words with losses, and a word on it for a run without any, such as a file of tagged sentences."""
    return lambda words: view(words) if words["loss"].null_count < len(words) else [NO_LOSSES]


def loss_by_tag(words: pa.Table) -> Content:
    """Losses of the words of each gold tag, language and length of sentence, and a histogram."""
    found = views.loss_histogram(words)
    sums = {"gold tag": views.by_tag(words), "words in the sentence": views.by_length(words)}
    if len(of_language := views.by_language(words)) > 1:
        sums["language"] = of_language
    tables = [
        plain(table, f"by {name}; losses in nats" if name == "gold tag" else f"by {name}", bars=["mean", "sum"])
        for name, table in sums.items()
    ]
    about = "words by loss, log scale; a loss of 0.7 is a probability of 50%, one of 3 of 5%"
    return [tables[0], Histogram(found.tags, found.edges, found.counts.tolist(), about), *tables[1:]]


def lengths(words: pa.Table) -> Content:
    """F1 by number of words of the sentence and of the entity."""
    tables = {"sentence": scores_by_sentence_length(words), "entity": scores_by_entity_length(words)}
    return [plain(table, f"by words of the {name}", bars=["f1"]) for name, table in tables.items()]


def sub_tokens(words: pa.Table) -> Content:
    """First sub-tokens: of the highest sum, of the highest mean, and those that the tagger is surest of."""
    found = views.by_token(words)
    surest = views.ordered(found, "mean", ascending=True, min_count=OFTEN).slice(0, TOP)
    dearest = views.ordered(found, "mean", min_count=OFTEN).slice(0, TOP)
    of_sum = views.ordered(found, "sum").slice(0, TOP)
    return [
        plain(of_sum, "first sub-tokens of the highest sum", bars=["sum", "mean"]),
        plain(dearest, f"of the highest mean, of those that occur {OFTEN} times", bars=["mean"]),
        plain(surest, "of the lowest mean, of those: what it is surest of, right or wrong", bars=["mean"]),
    ]


def plain(table: pa.Table, caption: str, *, bars: Sequence[str] = ()) -> Table:
    """A view as a table of the page."""
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return Table(table.column_names, rows, caption, bars=bars)
