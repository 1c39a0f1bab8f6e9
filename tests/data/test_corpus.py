import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, List, Value, load_dataset

from ner.cli import corpus as corpus_command
from ner.data import faults
from ner.data.arrow_store import tag_set, used_tags
from ner.data.corpus import Source, load_corpus, to_parquet, write_skipped
from ner.data.parts import parse_columns, read_hub
from ner.data.sampling import SWISS, join_languages
from tests.conftest import write_json_lines

PANX = os.environ.get("PANX")  # a folder with PAN-X in Hub layout
NAMES = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]


def load(data, languages=("de",), splits=("train",), **options):
    return load_corpus(Source(str(data), **options), languages, splits)


def fails(data, message, languages=("de",), splits=("train",), **options) -> str:
    with pytest.raises(ValueError, match=message) as caught:
        load(data, languages, splits, **options)
    return str(caught.value)


@pytest.fixture
def hub_folder(tmp_path: Path) -> Path:
    """Two languages in Hub layout: Parquet, named in the card."""
    card = ["---", "configs:"]
    for language in ("de", "fr"):
        card += [f"- config_name: PAN-X.{language}", "  data_files:"]
        for split in ("train", "validation"):
            rows = {"tokens": [[language, split], ["Bern"]], "ner_tags": [[0, 0], [5]]}
            features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=NAMES))})
            file = f"PAN-X.{language}/{split}-00000-of-00001.parquet"
            (tmp_path / file).parent.mkdir(exist_ok=True)
            Dataset.from_dict(rows, features).to_parquet(tmp_path / file)
            card += [f"  - split: {split}", f"    path: {file}"]
    (tmp_path / "README.md").write_text("\n".join([*card, "---", ""]), encoding="utf-8")
    return tmp_path


def test_hub_layout(hub_folder):
    corpus = load(hub_folder, ["de", "fr"], ["train", "validation"], sample=("all",))
    assert corpus["fr"]["train"][:] == {"tokens": [["fr", "train"], ["Bern"]], "ner_tags": [[0, 0], [5]]}
    assert tag_set(corpus["de"]["validation"]) == corpus.tags
    assert corpus.tags.names == tuple(NAMES)
    assert used_tags(corpus["de"]["train"]) == ["O", "B-LOC"]
    assert corpus.source.data_config == "PAN-X.{lang}"
    assert load(hub_folder).source.sample == ("swiss",)


def test_a_hub_dataset_is_read_as_its_files_are(hub_folder):
    """Without network a local folder stands in: `load_dataset` takes both."""
    part = read_hub(str(hub_folder), "PAN-X.fr", "train", {})
    (table,) = part.rows.tables()
    assert table.to_pydict() == {"tokens": [["fr", "train"], ["Bern"]], "ner_tags": [[0, 0], [5]], "row": [0, 1]}
    assert (part.rows.has_ids, part.names) == (True, tuple(NAMES))
    with pytest.raises(ValueError, match="no column tags; it has tokens, ner_tags"):
        read_hub(str(hub_folder), "PAN-X.fr", "train", {"tag": "tags"})
    with pytest.raises(ValueError, match="test"):
        read_hub(str(hub_folder), "PAN-X.fr", "test", {})


def test_a_changed_file_is_read_again(hub_folder, tmp_path_factory):
    def words(folder):
        return load(folder, sample=("all",))["de"]["train"]["tokens"][:]

    assert words(hub_folder) == [["de", "train"], ["Bern"]]
    copy = tmp_path_factory.mktemp("elsewhere") / hub_folder.name  # the same name and card
    shutil.copytree(hub_folder, copy)
    file = "PAN-X.de/train-00000-of-00001.parquet"
    shutil.copy(hub_folder / "PAN-X.fr" / Path(file).name, copy / file)
    assert words(copy) == [["fr", "train"], ["Bern"]]
    shutil.copy(copy / file, hub_folder / file)
    assert words(hub_folder) == [["fr", "train"], ["Bern"]]


def test_names_and_ids_are_the_same_corpus(tmp_path):
    rows = [(["Anna", "in", "Wil"], ["B-PER", "O", "B-LOC"]), (["Bern"], ["B-LOC"])]
    order = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    for split in ("train", "validation"):
        named = [{"tokens": words, "ner_tags": tags, "id": 3} for words, tags in rows]
        write_json_lines(tmp_path / "named/de" / f"{split}.jsonl", named)
        ids = [{"tokens": words, "ner_tags": [order.index(tag) for tag in tags]} for words, tags in rows]
        write_json_lines(tmp_path / f"ids.de.{split}.jsonl", ids)
    named = load(tmp_path / "named")
    ids = load(tmp_path / "ids.{lang}.{split}.jsonl", tags=tuple(order))
    assert named["de"]["train"][:] == ids["de"]["train"][:]
    assert named["de"]["train"][:] == {"tokens": [row[0] for row in rows], "ner_tags": [[3, 0, 1], [1]]}
    assert named.tags == ids.tags


def test_languages_share_one_tag_set(tmp_path):
    write_json_lines(tmp_path / "de/train.jsonl", [{"tokens": ["Anna"], "ner_tags": ["B-PER"]}])
    write_json_lines(tmp_path / "fr/train.jsonl", [{"tokens": ["Berne"], "ner_tags": ["B-LOC"]}])
    corpus = load(tmp_path, ["de", "fr"])
    assert tag_set(corpus["de"]["train"]) == tag_set(corpus["fr"]["train"]) == corpus.tags
    joined, _ = join_languages({language: corpus[language]["train"] for language in ("de", "fr")})
    assert {row["tokens"][0]: used_tags(joined.select([i])) for i, row in enumerate(joined)} == {
        "Anna": ["B-PER"],
        "Berne": ["B-LOC"],
    }


def columns(folder: Path, **files: str) -> Path:
    """Column files of German: a word and its tag with a blank between, / between words, | between sentences."""
    (folder / "de").mkdir(exist_ok=True)
    for split, text in files.items():
        lines = text.replace("|", "\n\n").replace("/", "\n")
        (folder / "de" / f"{split}.conll").write_text(lines + "\n", encoding="utf-8")
    return folder


def test_schemes_become_iob2_and_are_noted(tmp_path):
    folder = columns(tmp_path, train="Anna B-PER/Frei E-PER/in O/Wil S-LOC", test="Frei E-PER/Wil S-LOC|Li O")
    corpus = load(folder, splits=["train", "test"])
    names = corpus.tags.names
    assert [names[i] for i in corpus["de"]["train"]["ner_tags"][0]] == ["B-PER", "I-PER", "O", "B-LOC"]
    assert [names[i] for i in corpus["de"]["test"]["ner_tags"][0]] == ["B-PER", "B-LOC"]
    assert corpus.notes[:2] == ("de train: IOBES, converted to IOB2", "de test: IOBES, converted to IOB2")
    assert "de test: 1 words with a tag that IOBES forbids; entities begin where the type changes" in corpus.notes[2]
    assert corpus.stats["de", "test"].repaired == 1


def test_what_nobody_has_accepted_is_left_out_and_counted(tmp_path):
    """However bad rows are dealt with: these are none."""
    answers = ["reject", "accept", "ignore", "ignore"]
    rows = [{"text": "Bern", "spans": [[0, 4, "LOC"]], "answer": answer} for answer in answers]
    file = write_json_lines(tmp_path / "train.jsonl", rows)
    corpus = load(file)
    assert corpus["de"]["train"]["tokens"][:] == [["Bern"]]
    note = f"{file}: 3 rows that nobody has accepted are left out: 2 ignored, 1 rejected"
    assert corpus.notes == (note,)
    assert corpus.skipped == ()
    write_json_lines(file, [rows[0], rows[2]])
    message = fails(file, "the split train is empty")
    assert f"; {file}: 2 rows that nobody has accepted are left out: 1 ignored, 1 rejected" in message


def test_illegal_iob2_of_a_class_label_is_repaired(hub_folder):
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=NAMES))})
    rows = Dataset.from_dict({"tokens": [["a", "b", "c", "d"]], "ner_tags": [[0, 2, 2, 5]]}, features)
    rows.to_parquet(hub_folder / "PAN-X.de/train-00000-of-00001.parquet")
    corpus = load(hub_folder, sample=("all",))
    assert corpus["de"]["train"]["ner_tags"][:] == [[0, 1, 2, 5]]
    (note,) = corpus.notes
    assert note == ("de train: 1 words with a tag that IOB2 forbids; an I- that continues nothing begins an entity")


def test_mapped_types(tmp_path):
    folder = columns(tmp_path, train="Bern B-GPE/Wil B-LOC/Pisa B-MISC/Li B-PER")
    corpus = load(folder, map_tags="MISC=O,GPE=LOC")
    assert corpus.tags.names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert corpus["de"]["train"]["ner_tags"][:] == [[1, 1, 0, 3]]
    assert corpus.types == {"GPE", "LOC", "MISC", "PER"}
    fails(folder, "`map_tags` MSIC: the data has no such type; it has GPE, LOC, MISC, PER", map_tags="MSIC=O")


def test_plain_types_need_an_o(tmp_path):
    folder = columns(tmp_path, train="Bern LOC/ist OTHER")
    fails(folder, r"no tag O among LOC, OTHER; is that the column of tags \(`columns`\)")
    assert load(folder, map_tags="OTHER=O").tags.names == ("O", "B-LOC", "I-LOC")


def test_shards_are_one_split(tmp_path):
    for i, language in enumerate("ab"):
        write_json_lines(tmp_path / f"de/train-0000{i}-of-00002.jsonl", [{"tokens": [language], "ner_tags": ["B-X"]}])
    assert load(tmp_path)["de"]["train"]["tokens"][:] == [["a"], ["b"]]


def test_validation_by_a_seeded_fraction(tmp_path):
    rows = [{"tokens": [str(i)], "ner_tags": ["B-X"]} for i in range(50)]
    write_json_lines(tmp_path / "de/train.jsonl", rows)
    write_json_lines(tmp_path / "fr/train.jsonl", rows)
    write_json_lines(tmp_path / "fr/validation.jsonl", rows[:7])
    splits = ["train", "validation"]
    fails(tmp_path, r"de: no split validation; it has train; `validation_fraction` 0.1 takes one", splits=splits)
    corpus = load(tmp_path, ["de", "fr"], splits, validation_fraction=0.1)
    sizes = {lang: {split: len(part) for split, part in own.items()} for lang, own in corpus.languages.items()}
    assert sizes == {"de": {"train": 45, "validation": 5}, "fr": {"train": 50, "validation": 7}}
    both = [word for split in splits for (word,) in corpus["de"][split]["tokens"][:]]
    assert sorted(both) == sorted(str(i) for i in range(50))
    again = load(tmp_path, ["de"], ["validation"], validation_fraction=0.1)
    assert again["de"]["validation"][:] == corpus["de"]["validation"][:]
    assert list(again["de"]) == ["validation"]
    assert len(load(tmp_path, ["de"], ["train"], validation_fraction=0.1)["de"]["train"]) == 45
    alone = load(tmp_path / "de/train.jsonl", ["de"], ["validation"], validation_fraction=0.1)
    assert alone["de"]["validation"][:] == corpus["de"]["validation"][:]  # not the whole file
    assert "fr: 7 of 7 validation sentences also stand in train" in corpus.notes


def test_of_a_corpus_with_a_held_out_part_test_sentences_can_be_read_alone(tmp_path):
    """As evaluate.py does: nothing of its training sentences is needed."""
    for split in ("train", "test"):
        write_json_lines(tmp_path / f"de/{split}.jsonl", [{"tokens": [split], "ner_tags": ["B-X"]}] * 20)
    for data in (tmp_path, f"{tmp_path}/{{lang}}/{{split}}.jsonl"):
        corpus = load(data, ["de"], ["test"], validation_fraction=0.1)
        assert {split: part["tokens"][0] for split, part in corpus["de"].items()} == {"test": ["test"]}
    fails(tmp_path / "de/train.jsonl", "de: no split test; it has train", ["de"], ["test"], validation_fraction=0.1)


def test_all_that_is_wrong_in_one_report(tmp_path):
    """In every file at once, each with its place, row and value."""
    write_json_lines(
        tmp_path / "de/train.jsonl",
        [
            {"tokens": ["a"], "ner_tags": ["B-LOC"]},
            {"tokens": ["a", "b", "c"], "ner_tags": ["O", "O"]},
            {"tokens": [], "ner_tags": []},
            {"tokens": ["a", " "], "ner_tags": ["O", "O"]},
            {"tokens": ["a"], "ner_tags": ["LOC"]},
            {"tokens": ["a", 7], "ner_tags": ["O", "O"]},
            {"tokens": ["a"]},
        ],
    )
    write_json_lines(tmp_path / "de/validation.jsonl", [{"tokens": ["x", "Wil"], "ner_tags": ["O", "B-LCO"]}])
    (tmp_path / "fr").mkdir()
    (tmp_path / "fr/train.jsonl").write_bytes(b"\x00\x01")
    message = fails(tmp_path, "10 faults", ["de", "fr", "rm"], ["train", "validation"])
    places = {"": tmp_path, "train": tmp_path / "de/train.jsonl", "validation": tmp_path / "de/validation.jsonl"}
    assert message.splitlines() == [
        "10 faults in the data",
        f"  {places['']}: no language rm; it has de, fr",
        f"  {tmp_path / 'fr/train.jsonl'}: binary data, not text: a zero byte at 0",
        f"  {places['']}, fr: no split validation; it has train; `validation_fraction` 0.1 takes one from train",
        f"  {places['train']}:6: token 2 is 7, not a word",
        f"  {places['train']}:7: no column ner_tags; the row has tokens",
        f"  {places['train']}:2: 3 tokens but 2 tags",
        f"  {places['train']}:3: an empty sentence",
        f"  {places['train']}:4: token 2 is ' ', not a word",
        f"  {places['train']}:5: token 1, 'a', has the malformed tag 'LOC'; tags are O, B-TYPE and I-TYPE, or those of "
        "another scheme",
        f"  {places['validation']}:1: token 2, 'Wil', has the unknown tag 'B-LCO'; the tags are O B-LOC I-LOC",
        "fix the rows, or pass `on_bad_row` skip",
    ]


def test_bad_rows_are_skipped_when_asked_and_kept_in_a_file(tmp_path):
    folder = columns(tmp_path, train="Anna B-PER|kaputt|Wil LOC/a O|Bern O", test="Anna B-PER|Wil B-LOC")
    message = fails(folder, "3 faults in the data", splits=["train", "test"])
    assert "de/train.conll:3: 1 column, not 2: 'kaputt'" in message
    corpus = load(folder, splits=["train", "test"], on_bad_row="skip")
    assert corpus["de"]["train"]["tokens"][:] == [["Anna"], ["Bern"]]
    assert corpus["de"]["test"]["tokens"][:] == [["Anna"]]
    assert corpus.notes[:2] == (
        f"{folder}/de/train.conll: 2 of 4 rows skipped",
        f"{folder}/de/test.conll: 1 of 2 rows skipped",
    )
    write_skipped([corpus], tmp_path / "skipped.jsonl")
    kept = list(faults.read(tmp_path / "skipped.jsonl"))
    assert [fault.row for fault in kept] == [3, 5, 3]
    assert [fault.value for fault in kept] == [
        "kaputt",
        {"tokens": ["Wil", "a"], "ner_tags": ["LOC", "O"]},
        {"tokens": ["Wil"], "ner_tags": ["B-LOC"]},
    ]
    write_skipped([load(columns(tmp_path, train="Anna B-PER"))], tmp_path / "skipped.jsonl")
    assert not (tmp_path / "skipped.jsonl").exists()


def test_a_file_that_can_not_be_read_is_not_skipped(tmp_path):
    write_json_lines(tmp_path / "de/train.jsonl", [{"tokens": ["a"], "ner_tags": ["B-X"]}])
    (tmp_path / "de/validation.jsonl.gz").write_bytes(b"\x1f\x8b\x08")
    splits = ["train", "validation"]
    fails(tmp_path, "validation.jsonl.gz: the gzip data is cut off", splits=splits, on_bad_row="skip")
    (tmp_path / "de/validation.jsonl.gz").unlink()
    (tmp_path / "de/validation.jsonl").write_text('{"tokens": []}\n', encoding="utf-8")
    fails(tmp_path, "de: the split validation is empty", splits=splits, on_bad_row="skip")


@pytest.mark.parametrize("bad", [7, -1])
def test_ids_out_of_range(tmp_path, bad):
    write_json_lines(
        tmp_path / "de/train.jsonl", [{"tokens": ["a"], "ner_tags": [0]}, {"tokens": ["b"], "ner_tags": [bad]}]
    )
    fails(tmp_path, rf"train.jsonl:2: .*{bad}.*(range|from 0 to 6)", tags=tuple(NAMES))
    if bad > 0:
        fails(tmp_path, "ids without names; name them in order, as in `tags` O B-PER")
    table = Dataset.from_dict({"tokens": [["a"], ["b"]], "ner_tags": [[0], [bad]]})
    table.to_parquet(tmp_path / "x.parquet")
    fails(
        tmp_path / "x.parquet", rf"x.parquet:1: token 1, 'b', has the id {bad}; ids go from 0 to 6", tags=tuple(NAMES)
    )


def test_missing_split_language_and_column(tmp_path, hub_folder):
    fails(hub_folder, r"no language rm \(config PAN-X.rm\); it has the languages de, fr", ["rm"])
    fails(hub_folder, r"de: no split test; it has train, validation", splits=["test"])
    file = hub_folder / "PAN-X.de/train-00000-of-00001.parquet"
    Dataset.from_parquet(str(file)).rename_column("ner_tags", "tags").to_parquet(file)
    fails(hub_folder, r"train-00000-of-00001.parquet: no column ner_tags; it has tokens, tags")
    assert load(hub_folder, columns="tag=tags", sample=("all",)).tags.names == tuple(NAMES)
    fails(tmp_path / "no-such-folder", "no-such-folder: no such file or folder")


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="only root may become somebody else")
def test_no_permission(tmp_path, monkeypatch):
    write_json_lines(tmp_path / "de/train.jsonl", [{"tokens": ["a"], "ner_tags": ["B-X"]}])
    (tmp_path / "de/train.jsonl").chmod(0)
    parents = [folder for folder in tmp_path.parents if "pytest-of" in str(folder)]
    modes = {folder: folder.stat().st_mode for folder in (tmp_path, *parents)}
    for folder in modes:
        folder.chmod(0o755)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    os.seteuid(65534)
    try:
        fails(tmp_path, r"de/train.jsonl: Permission denied")
    finally:
        os.seteuid(0)
        for folder, mode in modes.items():
            folder.chmod(mode & 0o7777)


def test_columns_option():
    assert parse_columns("auto") == {}
    assert parse_columns("word=1, tag=2") == {"word": "1", "tag": "2"}
    for bad in ("1,2", "words=1", "word=", ""):
        with pytest.raises(ValueError, match="`columns`"):
            parse_columns(bad)


def test_any_corpus_becomes_a_folder_in_hub_layout(tmp_path):
    folder = columns(tmp_path, train="Anna U-PER|Bern B-LOC/Süd L-LOC", dev="Li U-PER")
    before = load_corpus(Source(str(folder)), None, None)
    to_parquet(before, tmp_path / "out")
    after = load_corpus(Source(str(tmp_path / "out")), None, None)
    assert after.tags == before.tags
    assert {split: part[:] for split, part in after["de"].items()} == {
        split: part[:] for split, part in before["de"].items()
    }
    assert set(after["de"]) == {"train", "validation"}
    hub = load_dataset(str(tmp_path / "out"), "de", split="train")
    assert hub.features["ner_tags"].feature.names == list(before.tags.names)
    card = yaml.safe_load((tmp_path / "out/README.md").read_text(encoding="utf-8").split("---")[1])
    assert [config["config_name"] for config in card["configs"]] == ["de"]
    with pytest.raises(ValueError, match="something is there"):
        to_parquet(before, tmp_path / "out")


def test_command_line(tmp_path, capsys, monkeypatch):
    folder = columns(tmp_path, train="Anna B-PER/Bern B-LOC/Bern I-LOC|Bern B-LOC", test="Bern B-LOC|Ort x")
    monkeypatch.setattr("sys.argv", ["corpus.py"])
    with pytest.raises(SystemExit) as caught:
        corpus_command.main([str(folder), "--languages", "de"])
    assert caught.value.code == 2
    assert re.fullmatch(
        r"corpus.py: .*test.conll:3: token 1, 'Ort', has the malformed tag 'x'.*\n", capsys.readouterr().err
    )
    corpus_command.main(
        [str(folder), "--on-bad-row", "skip", "--to-parquet", str(tmp_path / "out"), "--map-tags", "PER=O"]
    )
    printed = capsys.readouterr().out
    assert "| train |         2 |     4 |   2 |" in printed
    assert f"note: {folder}/de/test.conll: 1 of 2 rows skipped" in printed
    assert "note: de: 1 of 1 test sentences also stand in train" in printed
    assert (tmp_path / "out/skipped.jsonl").exists()
    assert load(tmp_path / "out").tags.names == ("O", "B-LOC", "I-LOC")


@pytest.mark.skipif(PANX is None, reason="PANX names no folder with PAN-X in Hub layout")
def test_the_published_corpus_is_reproduced_exactly():
    assert PANX
    corpus = load(PANX, list(SWISS), ["train", "validation", "test"])
    assert [len(corpus[lang]["train"]) for lang in SWISS] == [12_580, 4_580, 1_680, 1_180]
    first = corpus["de"]["train"][0]
    words = "2.000 Einwohnern an der Danziger Bucht in der polnischen Woiwodschaft Pommern ."
    assert " ".join(first["tokens"]) == words
    names = corpus.tags.names
    assert [names[i] for i in first["ner_tags"]] == "O O O O B-LOC I-LOC O O B-LOC B-LOC I-LOC O".split()
    entities = {
        split: [
            sum(row.count(names.index(f"B-{kind}")) for row in corpus["de"][split]["ner_tags"][:])
            for kind in ("PER", "ORG", "LOC")
        ]
        for split in ("train", "validation", "test")
    }
    assert entities == {"train": [5810, 5366, 6186], "validation": [2893, 2683, 3172], "test": [3071, 2573, 3180]}
