import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from ner.corpus import SWISS, join_languages, load_corpus, parse_sample, tag_set, take_share, used_tags
from tests.conftest import write_json_lines

PANX = os.environ.get("PANX")  # a folder with PAN-X in Hub layout
NAMES = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]


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
    (tmp_path / "README.md").write_text("\n".join([*card, "---", ""]))
    return tmp_path


def test_hub_layout(hub_folder):
    corpus = load_corpus(str(hub_folder), ["de", "fr"], ["train", "validation"], sample=["all"])
    assert corpus["fr"]["train"][:] == {"tokens": [["fr", "train"], ["Bern"]], "ner_tags": [[0, 0], [5]]}
    assert tag_set(corpus["de"]["validation"]).names == tuple(NAMES)
    assert used_tags(corpus["de"]["train"]) == ["O", "B-LOC"]


def test_a_changed_file_is_read_again(hub_folder, tmp_path_factory):
    def words(folder):
        return load_corpus(str(folder), ["de"], ["train"], sample=["all"])["de"]["train"]["tokens"][:]

    assert words(hub_folder) == [["de", "train"], ["Bern"]]
    copy = tmp_path_factory.mktemp("elsewhere") / hub_folder.name  # the same name and card
    shutil.copytree(hub_folder, copy)
    file = "PAN-X.de/train-00000-of-00001.parquet"
    shutil.copy(hub_folder / "PAN-X.fr" / Path(file).name, copy / file)
    assert words(copy) == [["fr", "train"], ["Bern"]]
    shutil.copy(copy / file, hub_folder / file)
    assert words(hub_folder) == [["fr", "train"], ["Bern"]]


def test_json_lines_names_and_ids_are_the_same_corpus(tmp_path):
    rows = [(["Anna", "in", "Wil"], ["B-PER", "O", "B-LOC"]), (["Bern"], ["B-LOC"])]
    order = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    for split in ("train", "validation"):
        named = [{"tokens": words, "ner_tags": tags, "id": 3} for words, tags in rows]
        write_json_lines(tmp_path / "named/de" / f"{split}.jsonl", named)
        ids = [{"tokens": words, "ner_tags": [order.index(tag) for tag in tags]} for words, tags in rows]
        write_json_lines(tmp_path / f"ids.de.{split}.jsonl", ids)
    named = load_corpus(str(tmp_path / "named"), ["de"], ["train"])["de"]["train"]
    ids = load_corpus(str(tmp_path / "ids.{lang}.{split}.jsonl"), ["de"], ["train"], names=order)["de"]["train"]
    assert named[:] == ids[:] == {"tokens": [row[0] for row in rows], "ner_tags": [[3, 0, 1], [1]]}
    assert tag_set(named) == tag_set(ids)


def test_languages_share_one_tag_set(tmp_path):
    write_json_lines(tmp_path / "de/train.jsonl", [{"tokens": ["Anna"], "ner_tags": ["B-PER"]}])
    write_json_lines(tmp_path / "fr/train.jsonl", [{"tokens": ["Berne"], "ner_tags": ["B-LOC"]}])
    corpus = load_corpus(str(tmp_path), ["de", "fr"], ["train"])
    assert tag_set(corpus["de"]["train"]) == tag_set(corpus["fr"]["train"])
    joined = join_languages([corpus["de"]["train"], corpus["fr"]["train"]])
    assert {row["tokens"][0]: used_tags(joined.select([i])) for i, row in enumerate(joined)} == {
        "Anna": ["B-PER"],
        "Berne": ["B-LOC"],
    }


def good(split: str = "train") -> list[dict]:
    return [{"tokens": [split, "Bern"], "ner_tags": ["O", "B-LOC"]}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "b", "c"], "ner_tags": ["O", "O"]}, r"de/train.jsonl:2: 3 tokens but 2 tags; fix the row"),
        ({"tokens": ["a"], "ner_tags": ["PER"]}, r"not IOB2.*'PER'"),
        ({"tokens": ["a"]}, r"de/train.jsonl:2: no column ner_tags; the row has tokens"),
        ({"tokens": "a", "ner_tags": ["O"]}, r"de/train.jsonl:2: tokens is not a list of words"),
        ({"tokens": ["a"], "ner_tags": [7]}, r"de/train.jsonl: ner_tags must be all names or all ids"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, message):
    write_json_lines(tmp_path / "de/train.jsonl", [*good(), row])
    with pytest.raises(ValueError, match=message):
        load_corpus(str(tmp_path), ["de"], ["train"])


def test_a_tag_that_training_never_shows_is_unknown(tmp_path):
    write_json_lines(tmp_path / "de/train.jsonl", good())
    write_json_lines(tmp_path / "de/validation.jsonl", [*good(), {"tokens": ["a"], "ner_tags": ["B-LCO"]}])
    with pytest.raises(ValueError, match=r"validation.jsonl:2: unknown tag B-LCO; the tags are O B-LOC I-LOC"):
        load_corpus(str(tmp_path), ["de"], ["train", "validation"])


@pytest.mark.parametrize("bad", [7, -1])
def test_ids_out_of_range(tmp_path, bad):
    write_json_lines(
        tmp_path / "de/train.jsonl", [{"tokens": ["a"], "ner_tags": [0]}, {"tokens": ["b"], "ner_tags": [bad]}]
    )
    with pytest.raises(ValueError, match=rf"train.jsonl:2: unknown tag {bad}"):
        load_corpus(str(tmp_path), ["de"], ["train"], names=NAMES)
    with pytest.raises(ValueError, match="--tags O B-PER"):
        load_corpus(str(tmp_path), ["de"], ["train"])


def test_missing_split_language_and_column(tmp_path, hub_folder):
    write_json_lines(tmp_path / "lines/de/train.jsonl", good())
    with pytest.raises(ValueError, match=r"no language rm; it has de"):
        load_corpus(str(tmp_path / "lines"), ["rm"], ["train"])
    with pytest.raises(ValueError, match=r"split test; the folder has train.jsonl"):
        load_corpus(str(tmp_path / "lines"), ["de"], ["test"])
    with pytest.raises(ValueError, match=r"no language rm \(config PAN-X.rm\); it has the languages de, fr"):
        load_corpus(str(hub_folder), ["rm"], ["train"])
    with pytest.raises(ValueError, match=r"PAN-X.de: no split test; it has train, validation"):
        load_corpus(str(hub_folder), ["de"], ["test"])
    file = hub_folder / "PAN-X.de/train-00000-of-00001.parquet"
    Dataset.from_parquet(str(file)).rename_column("ner_tags", "tags").to_parquet(file)
    Dataset.from_dict({"tokens": [["a"]], "tags": [[0]]}).to_parquet(
        hub_folder / "PAN-X.de/validation-00000-of-00001.parquet"
    )
    with pytest.raises(ValueError, match=r"PAN-X.de train: no column ner_tags; it has tokens, tags"):
        load_corpus(str(hub_folder), ["de"], ["train"])
    with pytest.raises(ValueError, match="no-such-folder"):
        load_corpus(str(tmp_path / "no-such-folder"), ["de"], ["train"])


def test_sampling_arithmetic_of_the_published_corpus():
    for language, kept in {"de": 12_580, "fr": 4_580, "it": 1_680, "en": 1_180}.items():
        rows = take_share(Dataset.from_dict({"row": list(range(20_000))}), SWISS[language])["row"][:]
        assert len(rows) == kept
        assert rows == np.random.default_rng(0).permutation(20_000)[:kept].tolist()


def test_sample_options():
    assert parse_sample(["auto"], "PAN-X.{lang}", "google/xtreme") == SWISS
    assert parse_sample(["auto"], "{lang}", "google/xtreme") == {}
    assert parse_sample(["auto"], "PAN-X.{lang}", "x/{lang}.{split}.jsonl") == {}
    assert parse_sample(["de=0.5", "fr=1"], "", "") == {"de": 0.5, "fr": 1.0}
    for bad in ("de", "de=", "de=0", "de=1.5", "de=nan"):
        with pytest.raises(ValueError, match="--sample"):
            parse_sample([bad], "", "")


def test_max_train_sentences_is_a_prefix_of_the_seeded_order(german):
    few, all_of_them = join_languages([german], 10), join_languages([german])
    assert few[:] == all_of_them[:10]
    assert all_of_them[:] == german.shuffle(seed=42)[:]
    assert len(join_languages([german], 10**9)) == len(german)


@pytest.mark.skipif(PANX is None, reason="PANX names no folder with PAN-X in Hub layout")
def test_the_published_corpus_is_reproduced_exactly():
    assert PANX
    corpus = load_corpus(PANX, list(SWISS), ["train", "validation", "test"])
    assert [len(corpus[lang]["train"]) for lang in SWISS] == [12_580, 4_580, 1_680, 1_180]
    first = corpus["de"]["train"][0]
    words = "2.000 Einwohnern an der Danziger Bucht in der polnischen Woiwodschaft Pommern ."
    assert " ".join(first["tokens"]) == words
    names = tag_set(corpus["de"]["train"]).names
    assert [names[i] for i in first["ner_tags"]] == "O O O O B-LOC I-LOC O O B-LOC B-LOC I-LOC O".split()
    entities = {
        split: [
            sum(row.count(names.index(f"B-{kind}")) for row in corpus["de"][split]["ner_tags"][:])
            for kind in ("PER", "ORG", "LOC")
        ]
        for split in ("train", "validation", "test")
    }
    assert entities == {
        "train": [5810, 5366, 6186],
        "validation": [2893, 2683, 3172],
        "test": [3071, 2573, 3180],
    }
