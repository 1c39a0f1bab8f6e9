from pathlib import Path

import pytest
from datasets import Dataset

from ner.data.configs import resolve_config
from ner.data.discovery import by_usual_names, find


@pytest.fixture
def files(tmp_path):
    """Writes empty files of these names; returns their folder."""

    def write(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("", encoding="utf-8")
        return tmp_path

    return write


def found(data, languages=None, splits=("train",)) -> dict[str, dict[str, list[str]]]:
    """Language -> split -> names of files."""
    places = find(str(data), languages, splits).places
    return {
        language: {split: [file.name for file in place.files] for split, place in own.items()}
        for language, own in places.items()
    }


def test_a_folder_of_languages(files):
    folder = files("de/train.jsonl", "de/dev.conll.gz", "fr/train.tsv", "fr/notes.md", "LICENSE.txt", "run/log.jsonl")
    expected = {"de": {"train": ["train.jsonl"], "validation": ["dev.conll.gz"]}, "fr": {"train": ["train.tsv"]}}
    assert found(folder) == expected
    assert found(folder, ["fr"]) == {"fr": expected["fr"]}


@pytest.mark.parametrize("between", [".", "-", "_"])
def test_a_folder_of_files(files, between):
    folder = files(f"de{between}train.conllu.gz", f"zh-classical{between}test.parquet", "README.md", "note-old.txt")
    assert found(folder) == {
        "de": {"train": [f"de{between}train.conllu.gz"]},
        "zh-classical": {"test": [f"zh-classical{between}test.parquet"]},
    }


def test_one_language(files):
    folder = files("train.bio", "valid.bio")
    assert found(folder, ["rm"]) == {"rm": {"train": ["train.bio"], "validation": ["valid.bio"]}}
    for languages in (None, ["de", "fr"]):
        with pytest.raises(ValueError, match="holds one language, and"):
            find(str(folder), languages, ["train"])
    assert found(folder / "train.bio", ["rm"], ["test"]) == {"rm": {"test": ["train.bio"]}}
    assert found(folder / "{split}.bio", ["rm"])["rm"]["train"] == ["train.bio"]
    with pytest.raises(ValueError, match=r"2 are wanted; name one, or put \{lang\} into the path"):
        find(str(folder / "{split}.bio"), ["de", "fr"], ["train"])


def test_paths_with_placeholders(files, monkeypatch):
    folder = files("de/a-train.conll", "fr/a-train.conll", "fr/a-test.conll", "fr/b-test.txt")
    expected = {"de": {"train": ["a-train.conll"]}, "fr": {"train": ["a-train.conll"], "test": ["a-test.conll"]}}
    assert found(folder / "{lang}" / "a-{split}.conll") == expected
    monkeypatch.chdir(folder / "de")
    assert found("../{lang}/a-{split}.conll") == expected
    assert found("../{lang}/*-{split}.*", ["fr"])["fr"]["test"] == ["a-test.conll", "b-test.txt"]
    with pytest.raises(ValueError, match="no such files"):
        find("{lang}/{split}.jsonl", None, ["train"])
    with pytest.raises(ValueError, match=r"\*\*x/\{split\}\.jsonl: "):
        find("**x/{split}.jsonl", ["de"], ["train"])
    for wrong in ("{lang}.conll", "{split}/{split}/{lang}.conll"):
        with pytest.raises(ValueError, match=r"needs \{split\} once"):
            find(wrong, None, ["train"])


@pytest.mark.parametrize("name", ["[de]", "[!x]", "what?", "a[0-9]b"])
def test_brackets_in_a_path_are_no_pattern(files, name):
    folder = files(f"{name}/de/train.conll", "d/de/train.conll")
    assert found(folder / name / "{lang}" / "{split}.conll") == {"de": {"train": ["train.conll"]}}
    assert found(folder / name) == {"de": {"train": ["train.conll"]}}
    assert found(folder / name / "de" / "train.conll", ["de"]) == {"de": {"train": ["train.conll"]}}


@pytest.mark.parametrize("form", ["{name}", "{name}.jsonl", "{name}/{{split}}.jsonl", "/{name}/{name}/x"])
def test_a_name_that_is_too_long_is_named(form):
    with pytest.raises(ValueError, match=r"aaa") as refused:
        find(form.format(name="a" * 300), ["de"], ["train"])
    assert "\n" not in str(refused.value)


def test_shards(files):
    folder = files("de/train-00000-of-00002.parquet", "de/train-00001-of-00002.parquet")
    assert found(folder)["de"]["train"] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    files("fr/train.jsonl", "fr/train.tsv")
    with pytest.raises(ValueError, match=r"fr train is .*train.jsonl, .*train.tsv; name one"):
        find(str(folder), None, ["train"])


def test_what_is_not_there(files):
    folder = files("de/train.jsonl", "empty/README.md")
    assert find(str(folder), ["de", "rm"], ["train"]).missing == {"rm": "no language rm; it has de"}
    for data, message in [
        (folder / "empty", r"no data in this folder; expected \{lang\}/\{split\}.jsonl"),
        (folder / "nothing", "no such file or folder"),
        ("missing.conll", "no such file or folder"),
        (folder / "empty" / "README.md", r"no reader for this name; files end in \.jsonl, \.json, \.conll"),
        (folder / "empty" / "{lang}EAD{split}.md", "no reader for this name"),
    ]:
        with pytest.raises(ValueError, match=message):
            find(str(data), ["RE"], ["train"])


@pytest.fixture
def hub_layout(tmp_path):
    card = ["---", "configs:"]
    for config in ("de", "fr"):
        (tmp_path / config).mkdir()
        Dataset.from_dict({"tokens": [["a"]], "ner_tags": [[0]]}).to_parquet(tmp_path / config / "x.parquet")
        card += [f"- config_name: {config}", "  data_files:", "  - split: dev", f"    path: {config}/*.parquet"]
    (tmp_path / "README.md").write_text("\n".join([*card, "---"]), encoding="utf-8")
    return tmp_path


def test_hub_layout_on_disk(hub_layout):
    listing = find(str(hub_layout), None, ["train"])
    assert (listing.pattern, listing.configs) == ("{lang}", {"de": "de", "fr": "fr"})
    assert listing.places["fr"]["validation"].files == (hub_layout / "fr/x.parquet",)
    assert find(str(hub_layout), ["rm"], ["train"]).missing == {
        "rm": "no language rm (config rm); it has the languages de, fr"
    }
    missing = find(str(hub_layout), ["de"], ["train"], "PAN-X.{lang}").missing
    assert missing == {"de": "no language de (config PAN-X.de); it has the configs de, fr"}
    with pytest.raises(ValueError, match="one config for several languages"):
        find(str(hub_layout), ["de", "fr"], ["train"], "de")


def test_configs():
    assert resolve_config("auto", ["PAN-X.de", "tydiqa"], ["de"]) == "PAN-X.{lang}"
    assert resolve_config("auto", ["de", "fr"], ["de"]) == "{lang}"
    assert resolve_config("auto", ["default"], ["de"]) == "default"
    assert resolve_config("x-{lang}", ["PAN-X.de"], ["de"]) == "x-{lang}"


def test_usual_names_of_splits():
    assert list(by_usual_names(dict.fromkeys(["training", "val", "other"]))) == ["train", "validation", "other"]  # type: ignore[arg-type]
    assert list(by_usual_names(dict.fromkeys(["dev", "validation"]))) == ["dev", "validation"]  # type: ignore[arg-type]
