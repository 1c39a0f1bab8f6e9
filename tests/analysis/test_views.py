"""Views on tables of token losses that are small enough to be counted by hand."""

import random
from typing import get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import seqeval.metrics
from seqeval.metrics.sequence_labeling import get_entities

from ner.analysis import token_losses, views
from ner.analysis.entity_errors import KINDS
from ner.arguments import element_type
from ner.cli import errors as errors_command
from ner.cli.errors import ErrorsConfig
from ner.errors import InputError

# words with "|" between their sub-tokens, gold, predicted, losses; "-": a word without a sub-token
SENTENCES = [
    ("de", "An|na wohnt in Bern", "B-PER O O B-LOC", "B-PER O O B-ORG", [0.5, 0.25, 0.25, 2.0]),
    ("de", "Uni Bern in - Basel", "B-ORG I-ORG O O B-LOC", "B-ORG B-LOC O O O", [0.5, 1.5, 0.25, None, 3.0]),
    ("fr", "An|ton dort", "O O", "B-PER O", [4.0, 0.0]),
    ("fr", "-", "B-LOC", "O", [None]),
]


def words_table(sentences=SENTENCES, run="runs/de", split="test") -> pa.Table:
    """A table in the form that `ner.analysis.token_losses` writes."""
    rows = []
    numbers: dict[str, int] = {}
    for language, words, gold, predicted, losses in sentences:
        number = numbers[language] = numbers.get(language, -1) + 1
        for i, (word, own, other, loss) in enumerate(
            zip(words.split(), gold.split(), predicted.split(), losses, strict=True)
        ):
            pieces = ["▁" * (j == 0) + piece for j, piece in enumerate(word.split("|"))] if loss is not None else []
            p = None if loss is None else float(np.exp(-loss))
            q = None if p is None else p if own == other else 1 - p
            rows.append([run, language, split, number, i, word.replace("|", ""), pieces, own, other, loss, p, q, p])
    arrays = [
        pa.array(list(column), field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for column, field in zip(zip(*rows, strict=True), token_losses.SCHEMA, strict=True)
    ]
    arrays = [
        array.dictionary_encode() if pa.types.is_dictionary(field.type) else array
        for array, field in zip(arrays, token_losses.SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=token_losses.SCHEMA)


@pytest.fixture
def file(tmp_path):
    """The table as a file of two row groups."""
    with token_losses.open_file(tmp_path / "losses.parquet") as writer:
        for part in (words_table().slice(0, 5), words_table().slice(5)):
            writer.write_table(part)
    return tmp_path / "losses.parquet"


def rows_of(table: pa.Table) -> list[tuple]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_groups_by_hand(file):
    assert rows_of(views.by_token(file)) == [
        ("▁An", 2, 2.25, 4.5),
        ("▁Bern", 2, 1.75, 3.5),
        ("▁Basel", 1, 3.0, 3.0),
        ("▁in", 2, 0.25, 0.5),
        ("▁Uni", 1, 0.5, 0.5),
        ("▁wohnt", 1, 0.25, 0.25),
        ("▁dort", 1, 0.0, 0.0),
    ]
    words = {row[0]: row[1:] for row in rows_of(views.by_word(file))}
    assert words["Anton"] == (1, 4.0, 4.0)
    assert "-" not in words  # it has no loss
    assert rows_of(views.by_tag(file)) == [
        ("B-LOC", 2, 2.5, 5.0),
        ("O", 5, 0.95, 4.75),
        ("I-ORG", 1, 1.5, 1.5),
        ("B-PER", 1, 0.5, 0.5),
        ("B-ORG", 1, 0.5, 0.5),
    ]
    assert rows_of(views.by_language(file)) == [("de", 8, 8.25 / 8, 8.25), ("fr", 2, 2.0, 4.0)]
    assert rows_of(views.by_length(file)) == [("1-5", 10, 1.225, 12.25)]
    assert rows_of(views.by_length(file, (1, 4, 5))) == [
        ("1-3", 2, 2.0, 4.0),
        ("4", 4, 0.75, 3.0),
        ("5+", 4, 5.25 / 4, 5.25),
    ]


@pytest.mark.parametrize("starts", [(), (0, 2), (1, 3, 3), (1, 4, 2)])
def test_starts_of_lengths_rise_from_1(starts):
    with pytest.raises(InputError, match=r"`starts` is .*; give lengths that rise, the first one 1"):
        views.by_length(words_table(), starts)


def test_groups_in_another_order(file):
    """Tags with sums 5, 4.75, 1.5, 0.5, 0.5 and means 2.5, 0.95, 1.5, 0.5, 0.5; equal ones stay as they stand."""
    table = views.by_tag(file)

    def names(*arguments, **settings):
        return views.ordered(table, *arguments, **settings)["tag"].to_pylist()

    assert views.ordered(table, "sum").equals(table)
    assert views.ordered(table, None).equals(table)
    assert names("mean") == ["B-LOC", "I-ORG", "O", "B-PER", "B-ORG"]
    assert names("mean", ascending=True) == ["B-PER", "B-ORG", "O", "I-ORG", "B-LOC"]
    assert names("sum", ascending=True) == ["B-PER", "B-ORG", "I-ORG", "O", "B-LOC"]
    assert names("mean", ascending=True, min_count=2) == ["O", "B-LOC"]
    lengths = views.by_length(file, (1, 4, 5))
    assert views.ordered(lengths, None, min_count=3)["length"].to_pylist() == ["4", "5+"]
    assert len(views.ordered(table, "mean", min_count=6)) == 0


def test_losses_in_bins_by_hand(file):
    """O costs 0.25, 0.25, 0.25, 4 and 0, and once nothing is known."""
    found = views.loss_histogram(file, (0, 0.25, 1, 3))
    assert found.tags == ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    assert found.edges == (0, 0.25, 1, 3)
    assert found.counts.dtype == np.int64
    assert found.counts.tolist() == [
        [1, 3, 0, 1],
        [0, 0, 1, 1],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
    ]
    assert views.loss_histogram(file).counts.sum() == 10


def test_a_loss_on_an_edge_begins_a_bin():
    """Losses are float32, where 0.01 is a little less; a loss of 0 can be rounded to less than 0."""
    table = words_table([("de", "a b c", "O O O", "O O O", [-1e-8, 0.01, 0.3])])
    assert views.loss_histogram(table, (0, 0.01, 0.3)).counts.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("edges", [(), (0.1, 1), (0, 1, 1), (0, 2, 1)])
def test_edges_of_losses_rise_from_0(edges):
    with pytest.raises(InputError, match=r"`edges` is .*; give losses that rise, the first one 0"):
        views.loss_histogram(words_table(), edges)


@pytest.mark.parametrize("view", list(views.VIEWS))
def test_groups_add_up_to_the_evaluation_loss(file, view):
    found = views.VIEWS[view](file)
    assert sum(found["sum"].to_pylist()) == 12.25
    assert sum(found["count"].to_pylist()) == 10
    assert found.equals(views.VIEWS[view](words_table()))  # the file and the table in memory


def test_confusion_of_tags(file):
    found = views.tag_confusion(file)
    assert found.rows == found.columns == ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    at = {name: i for i, name in enumerate(found.rows)}
    assert found.counts.sum() == 12
    assert found.counts[at["B-LOC"]].tolist() == [2 if n == "O" else 1 if n == "B-ORG" else 0 for n in found.columns]
    assert found.shares[at["B-LOC"], at["O"]] == pytest.approx(2 / 3)
    assert found.shares[at["O"], at["B-PER"]] == pytest.approx(1 / 6)
    assert set(found.shares.sum(axis=1).round(9).tolist()) <= {0.0, 1.0}


def test_kinds_of_entity_errors(file):
    """PER is right; Bern (1) has the wrong type; Uni Bern is cut; Bern (2) is spurious; Basel and "-" are missed."""
    found = {row[0]: row[1:] for row in rows_of(views.entity_kinds(file))}
    assert views.entity_kinds(file).column_names == ["kind", "count", "LOC", "ORG", "PER"]
    assert found == {
        "correct": (1, 0, 0, 1),
        "missed": (2, 2, 0, 0),
        "spurious": (2, 1, 0, 1),
        "wrong type": (1, 1, 0, 0),
        "boundary error": (1, 0, 1, 0),
        "both wrong": (0, 0, 0, 0),
    }
    types = views.type_confusion(file)
    assert types.rows == ("LOC", "ORG", "PER", "spurious")
    assert types.columns == ("LOC", "ORG", "PER", "missed")
    assert types.counts.tolist() == [[0, 1, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0]]


def test_entity_errors_are_rows(file):
    found = views.entity_errors(file).select(
        ["language", "sentence", "kind", *views.entity_errors(file).column_names[5:]]
    )
    assert rows_of(found) == [
        ("de", 0, "correct", "PER", "PER", 0, 1, 0, 1),
        ("de", 0, "wrong type", "LOC", "ORG", 3, 4, 3, 4),
        ("de", 1, "boundary error", "ORG", "ORG", 0, 2, 0, 1),
        ("de", 1, "spurious", None, "LOC", None, None, 1, 2),
        ("de", 1, "missed", "LOC", None, 4, 5, None, None),
        ("fr", 0, "spurious", None, "PER", None, None, 0, 1),
        ("fr", 1, "missed", "LOC", None, 0, 1, None, None),
    ]


def kinds_one_by_one(gold: list[str], predicted: list[str]) -> list[tuple[str, tuple | None, tuple | None]]:
    """The same by plain loops over seqeval's entities of one sentence, the best pair of those left at a time."""
    ours, theirs = ([(start, end + 1, kind) for kind, start, end in get_entities(tags)] for tags in (gold, predicted))

    def shared(a, b):
        return min(a[1], b[1]) - max(a[0], b[0])

    found: list[tuple[str, tuple | None, tuple | None]] = []
    while candidates := [(a, b) for a in ours for b in theirs if shared(a, b) > 0]:
        a, b = min(candidates, key=lambda pair: (pair[0][2] != pair[1][2], -shared(*pair), pair))
        spans, types = a[:2] == b[:2], a[2] == b[2]
        names = {(True, True): "correct", (True, False): "wrong type", (False, True): "boundary error"}
        found.append((names.get((spans, types), "both wrong"), a, b))
        ours.remove(a)
        theirs.remove(b)
    return found + [("missed", a, None) for a in ours] + [("spurious", None, b) for b in theirs]


def test_random_tags_are_matched_as_by_plain_loops():
    generator = random.Random(0)
    tags = ["O", "O", "B-LOC", "I-LOC", "I-LOC", "B-PER", "I-PER"]
    sentences = []
    for _ in range(400):
        length = generator.randint(1, 12)
        own = generator.choices(tags, k=length)
        other = [generator.choice([tag, tag, *tags]) for tag in own]
        sentences.append(("de", "w " * length, " ".join(own), " ".join(other), [1.0] * length))
    table = words_table(sentences)
    found = rows_of(views.entity_errors(table))
    seen = set()
    all_gold, all_predicted = ([str(sentence[i]).split() for sentence in sentences] for i in (2, 3))
    for number, (gold, predicted) in enumerate(zip(all_gold, all_predicted, strict=True)):
        ours = [
            (kind, None if a is None else (a, b, own), None if c is None else (c, d, other))
            for _, _, _, sentence, kind, own, other, a, b, c, d in found
            if sentence == number
        ]
        expected = kinds_one_by_one(gold, predicted)
        assert sorted(ours, key=repr) == sorted(expected, key=repr)
        seen |= {kind for kind, _, _ in ours}
    assert seen == set(KINDS)
    count = {row[0]: row[1] for row in rows_of(views.entity_kinds(table))}
    recall = count["correct"] / (sum(count.values()) - count["spurious"])
    assert recall == pytest.approx(seqeval.metrics.recall_score(all_gold, all_predicted))


def test_sentences_by_loss(file):
    assert views.sentences(file, "total")["total"].to_pylist() == [5.25, 4.0, 3.0, 0.0]
    assert views.sentences(file, "mean")["mean"].to_pylist()[:3] == [2.0, 1.3125, 0.75]
    assert np.isnan(views.sentences(file, "mean")["mean"].to_pylist()[3])  # a sentence without a scored word: last
    (first,) = views.sentences(file, top=1).to_pylist()
    assert (first["language"], first["sentence"]) == ("de", 1)
    assert first["words"] == ["Uni", "Bern", "in", "-", "Basel"]
    assert first["gold"] == ["B-ORG", "I-ORG", "O", "O", "B-LOC"]
    assert first["losses"] == [0.5, 1.5, 0.25, None, 3.0]
    assert first["sub_tokens"] == [["▁Uni"], ["▁Bern"], ["▁in"], [], ["▁Basel"]]


def test_sentences_from_the_lowest_loss_on(file):
    """The sentence without a scored word comes last, although its total is 0."""
    assert views.sentences(file, "total", ascending=True)["total"].to_pylist() == [3.0, 4.0, 5.25, 0.0]
    assert views.sentences(file, "mean", 3, ascending=True)["mean"].to_pylist() == [0.75, 1.3125, 2.0]
    assert views.containing(file, "Bern", ascending=True)["total"].to_pylist() == [3.0, 5.25]


def test_sentences_that_hold_a_token_or_a_word(file):
    def found(text):
        return [(row["language"], row["sentence"]) for row in views.containing(file, text).to_pylist()]

    assert found("▁An") == [("fr", 0), ("de", 0)]
    assert found("Anton") == found("ton") == [("fr", 0)]
    assert found("Bern") == [("de", 1), ("de", 0)]
    assert found("-") == [("de", 1), ("fr", 1)]
    assert found("Ber") == []


def test_select_cuts_and_names_what_is_there(file):
    assert views.by_tag(token_losses.select(file, language="fr"))["sum"].to_pylist() == [4.0]
    assert len(token_losses.select(file, run="runs/de", split="test")) == 12
    with pytest.raises(ValueError, match="no language it; there is de, fr"):
        token_losses.select(file, language="it")


def test_nothing_is_no_obstacle():
    empty = words_table().slice(0, 0)
    for view in views.VIEWS.values():
        assert len(view(empty)) == 0
    assert views.entity_kinds(empty)["count"].to_pylist() == [0] * 6
    assert len(views.entity_errors(empty)) == len(views.sentences(empty)) == len(views.containing(empty, "x")) == 0
    assert views.type_confusion(empty).shares.sum() == 0
    assert views.loss_histogram(empty).counts.sum() == 0


def test_many_sentences_are_fast_enough_for_a_page():
    table = words_table()
    many = pa.concat_tables([table] * 4000)
    whole = views.entity_kinds(many)
    assert whole["count"].to_pylist() == [4000 * n for n in views.entity_kinds(table)["count"].to_pylist()]
    assert views.by_token(many)["count"].to_pylist() == [4000 * n for n in views.by_token(table)["count"].to_pylist()]


def test_the_command_line(file, capsys):
    errors_command.main(
        [str(file), "--by", "token", "tag", "--kinds", "--confusion", "--sentences", "mean", "--top", "2"]
    )
    printed = capsys.readouterr().out
    assert "| ▁Bern |     2 | 1.750 | 3.500 |" in printed
    assert "▁Basel" not in printed.partition("Loss by tag")[0]
    assert "| boundary error |     1 |   0 |   1 |   0 |" in printed
    assert "| LOC      | 0.000 | 0.333 | 0.000 | 0.667  |     3 |" in printed
    assert (
        "| de       | 1        | 5.25  | 1.31 | Uni Bern in - Basel | ORG Uni Bern, LOC Basel | ORG Uni, LOC Bern |"
        in printed
    )
    errors_command.main([str(file), "--containing", "▁An", "--language", "de"])
    printed = capsys.readouterr().out
    assert "1 sentences with '▁An'" in printed
    assert "the same" not in printed
    assert "PER Anna, ORG Bern" in printed


def test_sentences_in_columns(file, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "36")
    errors_command.main([str(file), "--sentences", "total", "--top", "1", "--aligned"])
    assert capsys.readouterr().out.splitlines() == [
        "Sentences by total loss",
        "",
        "- is not scored: a sub-token behind the first of its word",
        "",
        "de 1: total loss 5.25, mean 1.31",
        "",
        "word       Uni    Bern   in    -",
        "sub-token  ▁Uni   ▁Bern  ▁in",
        "gold       B-ORG  I-ORG  O     O",
        "predicted  B-ORG  B-LOC  O     O",
        "loss       0.50   1.50   0.25",
        "",
        "word       Basel",
        "sub-token  ▁Basel",
        "gold       B-LOC",
        "predicted  O",
        "loss       3.00",
    ]
    errors_command.main([str(file), "--containing", "Anna", "--aligned"])
    printed = capsys.readouterr().out
    assert "word       Anna" in printed
    assert "sub-token  ▁An    na" in printed
    assert "gold       B-PER  -" in printed


def test_a_terminal_obeys_no_word(tmp_path, capsys):
    with token_losses.open_file(tmp_path / "losses.parquet") as writer:
        writer.write_table(words_table([("d\x1b", "x\x1b[2J|\u202ey", "B-\x9bL", "O", [1.0])]))
    errors_command.main([str(tmp_path / "losses.parquet"), "--sentences", "total", "--aligned"])
    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable()
    assert printed.count("\\x1b") == 3


def failure(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        errors_command.main(list(map(str, arguments)))
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_bad_input_is_one_line_and_status_2(file, tmp_path, capsys):
    assert "nothing to show" in failure(capsys, file)
    assert "--aligned is a way to show sentences" in failure(capsys, file, "--kinds", "--aligned")
    assert "no language it; there is de, fr" in failure(capsys, file, "--kinds", "--language", "it")
    assert "--top 0 must be above 0" in failure(capsys, file, "--kinds", "--top", "0")
    assert "invalid choice: 'words'" in failure(capsys, file, "--by", "words")
    assert "nothing.parquet: no such file; evaluate.py" in failure(capsys, tmp_path / "nothing.parquet", "--kinds")
    (tmp_path / "text.parquet").write_text("no table", encoding="utf-8")
    assert "text.parquet: not Parquet" in failure(capsys, tmp_path / "text.parquet", "--kinds")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    assert "other.parquet: no column run, language" in failure(capsys, tmp_path / "other.parquet", "--kinds")
    with token_losses.open_file(tmp_path / "two.parquet") as writer:
        writer.write_table(words_table())
        writer.write_table(words_table(run="runs/fr"))
    assert "holds the runs runs/de, runs/fr; name one: --run runs/de" in failure(
        capsys, tmp_path / "two.parquet", "--kinds"
    )


def test_names_of_folders_are_no_columns(tmp_path):
    """Readers of Parquet take `run=1` for a column."""
    file = tmp_path / "run=1/sentence=x/losses.parquet"
    file.parent.mkdir(parents=True)
    with token_losses.open_file(file) as writer:
        writer.write_table(words_table())
    assert token_losses.read(file).equals(token_losses.read(words_table()))


def test_a_file_is_there_once_it_is_whole(tmp_path):
    with pytest.raises(ValueError, match="schema"), token_losses.open_file(tmp_path / "losses.parquet") as writer:
        writer.write_table(pa.table({"text": ["no such table"]}))
    assert list(tmp_path.iterdir()) == []


def test_the_command_offers_every_view():
    assert element_type(get_type_hints(ErrorsConfig)["by"])[0].__args__ == tuple(views.VIEWS)
