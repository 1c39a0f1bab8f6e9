"""What `ner errors` shows with --order, --ascending, --histogram, --scores, --lengths and --plots."""

import sys

import pytest

from ner.analysis import token_losses
from ner.cli.errors import main
from ner.report import plots
from tests.analysis.test_views import failure, words_table
from tests.data.test_summary import cells


@pytest.fixture
def file(tmp_path):
    with token_losses.open_file(tmp_path / "losses.parquet") as writer:
        writer.write_table(words_table())
    return tmp_path / "losses.parquet"


def shown(capsys, *arguments) -> str:
    main(list(map(str, arguments)))
    return capsys.readouterr().out


def column(text: str, number: int = 0) -> list[str]:
    """The cells of a column, without its name. text: a title, and a table."""
    return [line[number] for line in cells(text.partition("\n\n")[2])[1:]]


def test_groups_in_the_order_that_is_asked_for(file, capsys):
    found = shown(capsys, file, "--by", "tag", "--order", "mean", "--top", 3)
    assert found.startswith("Loss by tag (nats), highest mean first\n")
    assert column(found) == ["B-LOC", "I-ORG", "O"]
    found = shown(capsys, file, "--by", "tag", "--order", "mean", "--ascending", "--min-count", 2)
    assert found.startswith("Loss by tag (nats), lowest mean first, of 2 words or more\n")
    assert column(found) == ["O", "B-LOC"]
    found = shown(capsys, file, "--by", "tag", "--ascending", "--top", 3)
    assert found.startswith("Loss by tag (nats), lowest sum first\n")
    assert column(found) == ["B-PER", "B-ORG", "I-ORG"]
    found = shown(capsys, file, "--by", "tag", "--min-count", 2)
    assert found.startswith("Loss by tag (nats), of 2 words or more\n")
    assert column(found) == ["B-LOC", "O"]


def test_sentences_from_the_lowest_loss_on(file, capsys):
    found = shown(capsys, file, "--sentences", "mean", "--ascending", "--top", 2)
    assert found.startswith("Sentences by mean loss, lowest first\n")
    assert column(found, 3) == ["0.75", "1.31"]
    found = shown(capsys, file, "--containing", "Bern", "--ascending")
    assert found.startswith("2 sentences with 'Bern', by total loss, lowest first\n")
    assert column(found, 2) == ["3.00", "5.25"]


def test_losses_in_bins(file, capsys):
    """Tags without a word are left out; of O, a loss of 0, three of 0.25 and one of 4."""
    lines = cells(shown(capsys, file, "--histogram").partition("\n\n")[2])
    bins = ["0 - 0.01", "0.01 - 0.03", "0.03 - 0.1", "0.1 - 0.3", "0.3 - 1", "1 - 3", "3 - 10", "10 or more"]
    assert lines[0] == ["tag", *bins, "count"]
    assert lines[1] == ["O", "1", "0", "0", "3", "0", "0", "1", "0", "5"]
    assert lines[2] == ["B-LOC", "0", "0", "0", "0", "0", "1", "1", "0", "2"]
    assert [line[0] for line in lines[3:]] == ["B-ORG", "I-ORG", "B-PER"]


def test_scores_by_type_and_length(file, capsys):
    parts = shown(capsys, file, "--scores", "--lengths").split("\n\n")
    assert parts[::2] == ["Entities by type", "Entities by words in the sentence", "Entities by their words"]
    types, of_sentences, of_entities = map(cells, parts[1::2])
    assert types[1:] == [
        ["LOC", "3", "1", "0", "0.000", "0.000", "0.000"],
        ["ORG", "1", "2", "0", "0.000", "0.000", "0.000"],
        ["PER", "1", "2", "1", "0.500", "1.000", "0.667"],
    ]
    assert of_sentences[1:] == [["1-5", "4", "5", "5", "1", "0.200", "0.200", "0.200"]]
    assert of_entities[1:] == [
        ["1", "4", "5", "1", "0.200", "0.250", "0.222"],
        ["2", "1", "0", "0", "0.000", "0.000", "0.000"],
    ]


def test_plots(file, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    names = ["confusion-tags.png", "confusion-tags.svg", "confusion-types.png", "confusion-types.svg"]
    folder = tmp_path / "new/plots"
    assert shown(capsys, file, "--plots", folder) == f"written: {folder}/{', '.join(names)}\n"
    assert sorted(path.name for path in folder.iterdir()) == names
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "file: File exists" in failure(capsys, file, "--plots", tmp_path / "file")


def test_plots_without_matplotlib(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert failure(capsys, file, "--plots", tmp_path / "plots").endswith(f": no plots: {plots.MISSING}\n")
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kinds", "--order", "mean"], "--order is about the groups of --by; give --by"),
        (["--sentences", "mean", "--order", "sum"], "--order is about the groups of --by; give --by"),
        (["--sentences", "mean", "--min-count", "5"], "--min-count is about the groups of --by; give --by"),
        (["--by", "tag", "--min-count", "0"], "--min-count 0 must be above 0"),
        (["--scores", "--ascending"], "--ascending is an order of losses; give --by, --sentences or --containing"),
        (["--by", "tag", "--order", "total"], "invalid choice: 'total'"),
        ([], "give --by, --histogram, --scores, --lengths, --kinds, --confusion, --plots, --sentences or --containing"),
    ],
)
def test_what_has_no_meaning_is_refused(file, capsys, arguments, message):
    assert message in failure(capsys, file, *arguments)
