"""What `ner corpus` and `ner tokens` show."""

import json
import sys
from pathlib import Path

import pytest

from ner.cli import corpus as corpus_command
from ner.cli import tokens as tokens_command
from ner.report import plots
from tests.conftest import write_json_lines
from tests.data.test_contents import CARD
from tests.data.test_summary import cells

TITLE = "\x1b]0;owned\x07"
SENTENCES = {
    "de/train": [(["Anna", "Meier", "lacht"], ["B-PER", "I-PER", "O"]), (["Bern"], ["B-LOC"])],
    "de/test": [(["Bern"], ["B-LOC"])],
    "fr/train": [(["Anna"], ["B-PER"]), ([f"a{TITLE}", "ici"], ["O", "O"])],
}


@pytest.fixture
def data(tmp_path) -> Path:
    for name, sentences in SENTENCES.items():
        rows = [{"tokens": words, "ner_tags": tags} for words, tags in sentences]
        write_json_lines(tmp_path / f"data/{name}.jsonl", rows)
    return tmp_path / "data"


def tables(text: str) -> list[list[list[str]]]:
    """The cells of all tables of an output."""
    return [cells(part) for part in text.split("\n\n") if part.startswith("|")]


def refused(main, arguments: list[str], capsys) -> str:
    """The one message of a command that ends with status 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_languages_by_splits_come_first(data, capsys):
    corpus_command.main([str(data)])
    printed = capsys.readouterr().out
    sizes, tags, *_ = tables(printed)
    assert sizes == [
        ["sentences", "test", "train", "all splits"],
        ["de", "1 (100.0%)", "2 (50.0%)", "3 (60.0%)"],
        ["fr", "–", "2 (50.0%)", "2 (40.0%)"],  # noqa: RUF001
        ["all", "1", "4", "5"],
    ]
    assert tags == [["id", *"01234"], ["tag", "O", "B-LOC", "I-LOC", "B-PER", "I-PER"]]
    assert "| train |         2 |     4 |   1 |   1 |" in printed
    assert "note: de: 1 of 1 test sentences also stand in train" in printed


def test_a_sentence(data, capsys):
    corpus_command.main([str(data), "--languages", "de", "--splits", "train", "--sentence", "0"])
    title, table = capsys.readouterr().out.strip().split("\n\n")
    assert title == "de, train, sentence 0"
    assert cells(table)[1:] == [["0", "Anna", "B-PER", "3"], ["1", "Meier", "I-PER", "4"], ["2", "lacht", "O", "0"]]
    corpus_command.main([str(data), "--languages", "fr", "--splits", "train", "--sentence", "1"])
    assert r"| a\x1b]0;owned\x07 |" in capsys.readouterr().out
    message = refused(
        corpus_command.main, [str(data), "--languages", "fr", "--splits", "train", "--sentence", "2"], capsys
    )
    assert message.endswith("--sentence 2: the sentences have the numbers 0 to 1\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sentence", "0", "--languages", "de"], "--sentence needs one language and one split"),
        (["--sentence", "0", "--languages", "de", "fr", "--splits", "train"], "--sentence needs one language"),
        (["--list", "--sentence", "0", "--languages", "de", "--splits", "train"], "leave out --sentence"),
        (["--list", "--to-parquet", "x"], "--list loads no sentence; leave out --to-parquet"),
        (["--languages", "de", "--splits", "train", "--sentence", "0", "--plots", "x"], "leave out --plots"),
        (["--model", "a", "a"], "--model names one twice"),
        (["--model", "./nothing"], "./nothing: no tokenizer to load"),
    ],
)
def test_what_makes_no_sense_is_refused(data, arguments, message, capsys):
    assert message in refused(corpus_command.main, [str(data), *arguments], capsys)


def test_list_loads_no_sentence(data, tmp_path, capsys):
    for file in data.rglob("*.jsonl"):
        file.write_text("no JSON", encoding="utf-8")
    corpus_command.main([str(data), "--list"])
    title, table = capsys.readouterr().out.strip().split("\n\n")
    assert title == f"{data}: 2 languages"
    assert cells(table) == [["language", "splits"], ["de", "test, train"], ["fr", "train"]]
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/README.md").write_text(CARD, encoding="utf-8")
    for name in ("PAN-X.de/train-0", "PAN-X.de/dev-0", "PAN-X.fr/test-0", "MLQA.de/test-0"):
        file = tmp_path / f"hub/{name}.parquet"
        file.parent.mkdir(exist_ok=True)
        file.write_text("no Parquet", encoding="utf-8")
    corpus_command.main([str(tmp_path / "hub"), "--list"])
    title, table, others = capsys.readouterr().out.strip().split("\n\n")
    assert title.endswith("/hub: 2 languages, 3 configs (those of languages: PAN-X.{lang})")
    assert cells(table)[1:] == [["de", "PAN-X.de", "train, validation"], ["fr", "PAN-X.fr", "test"]]
    assert others == "other configs: MLQA.de"
    assert "HF_HUB_OFFLINE is set" in refused(corpus_command.main, ["nobody/nothing", "--list"], capsys)


def test_sub_tokens_against_the_limit(data, thin_encoder, tokenizer, capsys):
    write_json_lines(data / "fr/train.jsonl", [{"tokens": ["Bern"] * 200, "ner_tags": ["O"] * 200}])
    corpus_command.main([str(data), "--model", str(thin_encoder), "--splits", "train"])
    printed = capsys.readouterr().out
    assert f"# Sub-tokens of {thin_encoder}\n" in printed
    assert "the encoder takes 128\n" in printed
    lengths, pieces = tables(printed.partition("# Sub-tokens")[2])
    of_bern = len(tokenizer.tokenize("Bern"))
    longest = len(tokenizer(["Anna", "Meier", "lacht"], is_split_into_words=True)["input_ids"])
    (german, french) = (dict(zip(lengths[0], line, strict=True)) for line in lengths[1:])
    assert (german["sentences"], german["max"], german["several windows"]) == ("2", str(longest), "0")
    assert (french["max"], french["several windows"], french["share"]) == (str(200 * of_bern + 2), "1", "100.00%")
    (_, french) = (dict(zip(pieces[0], line, strict=True)) for line in pieces[1:])
    assert (french["words"], french["sub-tokens"], french["unknown"]) == ("200", str(200 * of_bern), "0")
    assert french["per word"] == f"{of_bern:.2f}"


def test_plots(data, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    corpus_command.main([str(data), "--plots", str(tmp_path / "new/plots")])
    names = ["entity_types.png", "entity_types.svg", "sentence_lengths.png", "sentence_lengths.svg"]
    assert f"written: {tmp_path}/new/plots/{', '.join(names)}\n" in capsys.readouterr().out
    assert sorted(file.name for file in (tmp_path / "new/plots").iterdir()) == names
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "file: File exists" in refused(corpus_command.main, [str(data), "--plots", str(tmp_path / "file")], capsys)


def test_plots_without_matplotlib(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    message = refused(corpus_command.main, [str(data), "--plots", str(tmp_path / "plots")], capsys)
    assert message.endswith(f": no plots: {plots.MISSING}\n")
    assert not (tmp_path / "plots").exists()


def test_all_of_a_tokenizer(thin_encoder, tokenizer, capsys):
    text = f"Bern  lacht {TITLE}"
    tokens_command.main(["--model", str(thin_encoder), "--text", text, "--show", "all"])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    words, whole, stages, facts, special = tables(printed)
    assert [row[0] for row in words] == ["sub-token", "word", "label"]
    ids = tokenizer(text)["input_ids"]
    assert [row[0] for row in whole[1:]] == tokenizer.convert_ids_to_tokens(ids)
    assert [int(row[1]) for row in whole[1:]] == ids
    assert [row[3] for row in whole[1:] if row[2].startswith("l")] == ["1 lacht"]
    assert [row[0] for row in stages[1:]] == ["normaliser", "pre-tokenizer", "model", "post-processor"]
    assert [row[1] for row in stages[1:]] == [
        "Sequence(NFKC, Replace)",
        "Sequence(WhitespaceSplit, Metaspace)",
        "BPE",
        "TemplateProcessing",
    ]
    assert "template: <s> $A </s>\n" in printed
    assert ["vocabulary", f"{len(tokenizer):,} pieces, added tokens included"] in facts
    assert ["longest input of the encoder", "128 sub-tokens, 2 of them special"] in facts
    assert ["cls_token", "<s>", "0"] in special
    assert "\nequal:   no\n" in printed  # two blanks become one
    tokens_command.main(["--model", str(thin_encoder), "--text", "Bern lacht", "--show", "text"])
    assert "text:    'Bern lacht'\ndecoded: 'Bern lacht'\nequal:   yes\n" in capsys.readouterr().out
    tokens_command.main(["--model", str(thin_encoder), "--text", "Bern <mask>", "--show", "stages"])
    assert "note: the text holds <mask>, " in capsys.readouterr().out


def test_a_sentence_with_labels(data, thin_encoder, tokenizer, capsys):
    common = ["--model", str(thin_encoder), "--data", str(data), "--language", "de"]
    names = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    expected = tokenizer(["Anna", "Meier", "lacht"], is_split_into_words=True)
    pieces = tokenizer.convert_ids_to_tokens(expected["input_ids"])
    word_ids = expected.word_ids()
    is_first = [word is not None and word != before for word, before in zip(word_ids, [None, *word_ids], strict=False)]
    for label_tokens in ("first", "all"):
        tokens_command.main([*common, "--label-tokens", label_tokens])
        title, _, table = capsys.readouterr().out.strip().split("\n\n")
        assert title == "de, train, sentence 0"
        head, *rows = cells(table)
        assert head == ["word", "tag", "sub-token", "id", "label id", "label"]
        assert [row[2] for row in rows] == pieces
        assert [row[3] for row in rows] == list(map(str, expected["input_ids"]))
        has_label = is_first if label_tokens == "first" else [word is not None for word in word_ids]
        assert [row[4] != "-100" for row in rows] == has_label
        assert all(row[5] == ("" if row[4] == "-100" else names[int(row[4])]) for row in rows)
        begins = [row[1] for row in rows if row[5] == "B-PER"]
        assert begins == ["B-PER"]
    tokens_command.main([*common, "--split", "test", "--sentence", "0", "--show", "text"])
    assert "text:    'Bern'" in capsys.readouterr().out
    assert "--sentence 9: the sentences have" in refused(tokens_command.main, [*common, "--sentence", "9"], capsys)


def test_a_long_sentence_is_shown_in_its_windows(data, thin_encoder, capsys):
    write_json_lines(data / "fr/train.jsonl", [{"tokens": ["Bern"] * 150, "ner_tags": ["O"] * 150}])
    tokens_command.main(["--model", str(thin_encoder), "--data", str(data), "--language", "fr"])
    printed = capsys.readouterr().out
    number = printed.count("Window ")
    assert number > 1
    assert f"Window {number} of {number}\n" in printed
    labelled = [row[0] for table in tables(printed) for row in table[1:] if row[4] != "-100"]
    assert labelled == [f"{i} Bern" for i in range(150)]


def test_words_of_others_do_not_reach_the_terminal(data, thin_encoder, capsys):
    arguments = ["--data", str(data), "--language", "fr", "--sentence", "1", "--show", "all"]
    tokens_command.main(["--model", str(thin_encoder), *arguments])
    printed = capsys.readouterr().out
    assert r"a\x1b]0;owned\x07" in printed
    assert "\x1b" not in printed
    assert "\x07" not in printed


def test_a_slow_tokenizer(tmp_path, capsys):
    settings = {
        "config.json": {"model_type": "canine"},
        "tokenizer_config.json": {"tokenizer_class": "CanineTokenizer"},
    }
    for name, content in settings.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    arguments = ["--model", str(tmp_path), "--text", "Bé", "--show"]
    tokens_command.main([*arguments, "all"])
    printed = capsys.readouterr().out
    whole, facts, _ = tables(printed)
    assert [row[:2] for row in whole[2:4]] == [["B", "66"], ["é", "233"]]
    assert ["fast", "no"] in facts
    assert f"note: {tokens_command.SLOW}\n" in printed
    message = refused(tokens_command.main, [*arguments, "words", "stages"], capsys)
    assert f"{tmp_path}: {tokens_command.SLOW}; --show text tokenizer shows the rest" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--text is needed, or --data with --language"),
        (["--text", "a", "--data", "b", "--language", "de"], "--text and --data: give one of them"),
        (["--data", "b"], "--language is needed"),
        (["--text", "a", "--split", "train"], "--split needs --data"),
        (["--text", "a", "--sentence", "0"], "--sentence needs --data"),
        (["--text", "a\udcff", "--show", "text"], r"--text 'a\udcff' is not Unicode: give it in UTF-8"),
    ],
)
def test_what_tokens_can_not_show(thin_encoder, arguments, message, capsys):
    assert message in refused(tokens_command.main, ["--model", str(thin_encoder), *arguments], capsys)


def test_an_untrained_head_is_near_chance(encoder_folder, capsys, monkeypatch):
    """The first step of a training begins with a loss of about log(7) = 1.946."""
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["--model", str(encoder_folder), "--text", "Anna lacht in Bern", "--tag"]
    tokens_command.main(arguments)
    said = capsys.readouterr().out
    assert "Untrained head: a probability for each of 4 words and 7 tags" in said
    entropy = float(said.split("mean entropy ")[1].split()[0])
    assert 1.5 < entropy <= 1.946
    rows = dict(line.split(maxsplit=1) for line in said[said.index("\nword ") :].strip().splitlines())
    assert rows["word"].split() == ["Anna", "lacht", "in", "Bern"]
    names = [name for name in rows if name.startswith("p(")]
    assert names == ["p(O)", "p(B-LOC)", "p(I-LOC)", "p(B-ORG)", "p(I-ORG)", "p(B-PER)", "p(I-PER)"]
    columns = zip(*(rows[name].split() for name in names), strict=True)
    sums = [sum(float(p) for p in column if p != "-") for column in columns]
    assert all(total == 0 or total == pytest.approx(1, abs=0.04) for total in sums)
    assert sum(total > 0 for total in sums) == 4
    tokens_command.main([*arguments, "--tags", "O", "B-X", "I-X"])
    assert "4 words and 3 tags" in capsys.readouterr().out


def test_an_untrained_head_has_the_tags_of_the_data(encoder_folder, data, capsys):
    place = ["--data", str(data), "--language", "de", "--sentence", "1"]
    tokens_command.main(["--model", str(encoder_folder), *place, "--tag"])
    assert "1 words and 5 tags" in capsys.readouterr().out
