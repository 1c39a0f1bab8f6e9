"""Runs and data that strangers made: nothing outside their folders is read, let alone uploaded."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml

from ner.arguments import read_config, to_yaml
from ner.config import TrainConfig
from ner.data.discovery import find
from ner.errors import InputError
from ner.files import MANIFEST, verify
from ner.sharing.hub import card_for, model_files
from tests.conftest import write_json_lines

SECRET = "a private key"


def entry(content: str) -> dict:
    return {"size": len(content), "sha256": hashlib.sha256(content.encode()).hexdigest()}


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder with one file in best/, and a secret outside of it."""
    best = tmp_path / "run/best"
    best.mkdir(parents=True)
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    (best / "config.json").write_text("{}", encoding="utf-8")
    (best / MANIFEST).write_text(json.dumps({"files": {"config.json": entry("{}")}}), encoding="utf-8")
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["../../secret", "{secret}", "..", "", "a\0b", "..\\..\\secret", "config.json/."])
def test_a_manifest_names_files_of_its_folder(run, tmp_path, name):
    assert model_files(run) == [run / "best/config.json"]
    name = name.format(secret=tmp_path / "secret")
    (run / "best" / MANIFEST).write_text(json.dumps({"files": {name: entry(SECRET)}}), encoding="utf-8")
    with pytest.raises(InputError, match="which is no file of that folder"):
        verify(run / "best")
    with pytest.raises(InputError, match="which is no file of that folder"):
        model_files(run)


def test_links_and_pipes_are_not_uploaded(run, tmp_path):
    (run / "best" / MANIFEST).write_text(json.dumps({"files": {"config.json": entry(SECRET)}}), encoding="utf-8")
    (run / "best/config.json").unlink()
    (run / "best/config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"config\.json: is a link to .*secret, which is not uploaded"):
        model_files(run)
    (run / "best/config.json").unlink()
    os.mkfifo(run / "best/config.json")
    with pytest.raises(InputError, match=r"config\.json: is no plain file, which is not uploaded"):
        model_files(run)
    (run / "best").rename(tmp_path / "elsewhere")
    (run / "best").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"best: is a link to .*elsewhere"):
        model_files(run)


@pytest.mark.parametrize("name", ["README.md", "config.yaml", "metrics.json", "evaluation.json", "probing.json"])
def test_a_card_is_made_of_the_run_alone(run, tmp_path, name):
    (run / "README.md").write_text("mine", encoding="utf-8")
    assert card_for(run, "me/run") == "mine"
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=f"{name}: is a link to"):
        card_for(run, "me/run")


def card(folder: Path, head: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(f"---\n{head}\n---\n", encoding="utf-8")
    return folder


def config(data_files: object, **more: object) -> str:
    return yaml.safe_dump({"configs": [{"config_name": "de", "data_files": data_files, **more}]})


@pytest.mark.parametrize(
    "data_files",
    [
        "../private/train.jsonl",
        "{private}",
        [{"split": "train", "path": ["data/train.jsonl", "data/../../private/train.jsonl"]}],
        [{"split": "train", "path": "https://127.0.0.1:9/train.jsonl"}],
        "hf://datasets/somebody/something/train.jsonl",
        "zip://train.jsonl::data/train.zip",
    ],
)
def test_a_data_card_names_files_of_its_folder(tmp_path, data_files):
    private = write_json_lines(tmp_path / "private/train.jsonl", [{"tokens": ["Bern"], "ner_tags": ["O"]}])
    write_json_lines(tmp_path / "data/data/train.jsonl", [{"tokens": ["Bern"], "ner_tags": ["O"]}])
    folder = card(tmp_path / "data", config("data/train.jsonl"))
    assert find(str(folder), ["de"], ["train"]).places["de"]["train"].files
    card(folder, config(json.loads(json.dumps(data_files).replace("{private}", str(private)))))
    with pytest.raises(InputError, match="is outside of the folder; name what is elsewhere yourself"):
        find(str(folder), ["de"], ["train"])


def test_a_data_card_has_its_files_in_its_folder(tmp_path):
    write_json_lines(tmp_path / "private/train.jsonl", [{"tokens": ["Bern"], "ner_tags": ["O"]}])
    folder = card(tmp_path / "data", config("train.jsonl", data_dir=".."))
    with pytest.raises(InputError, match=r"data_dir '\.\.' is outside of the folder"):
        find(str(folder), ["de"], ["train"])
    card(folder, config("train.jsonl"))
    (folder / "train.jsonl").symlink_to(tmp_path / "private/train.jsonl")
    assert "a link that leads there" in find(str(folder), ["de"], ["train"]).missing["de"]
    (folder / ".huggingface.yaml").write_text(config("../private/train.jsonl"), encoding="utf-8")
    with pytest.raises(InputError, match="is outside of the folder"):
        find(str(folder), ["de"], ["train"])


@pytest.mark.parametrize(
    "head",
    [
        {"configs": [7]},
        {"configs": 7},
        {"configs": [{"config_name": ["de"], "data_files": "train.jsonl"}]},
        {"configs": [{"config_name": "de", "data_files": 7}]},
        {"configs": [{"config_name": "de", "data_files": "train.jsonl"}], "dataset_info": {"features": 7}},
        {"configs": [{"config_name": "de"}], "dataset_info": {"config_name": "de", "features": 7, "splits": 7}},
        {"configs": [{"config_name": "de"}], "dataset_info": [7]},
    ],
)
def test_a_broken_data_card_is_a_message(tmp_path, head):
    write_json_lines(tmp_path / "data/train.jsonl", [{"tokens": ["Bern"], "ner_tags": ["O"]}])
    folder = card(tmp_path / "data", yaml.safe_dump(head))
    with contextlib.suppress(InputError):
        listing = find(str(folder), ["de"], ["train"])
        assert listing.missing or listing.places["de"]["train"].files == (folder / "train.jsonl",)


def test_a_snapshot_of_the_hubs_cache_is_all_links(tmp_path):
    snapshot = tmp_path / "datasets--a--b/snapshots/123"
    snapshot.mkdir(parents=True)
    write_json_lines(tmp_path / "datasets--a--b/blobs/456", [{"tokens": ["Bern"], "ner_tags": ["O"]}])
    (snapshot / "train.jsonl").symlink_to("../../blobs/456")
    card(snapshot, config("train.jsonl"))
    assert find(str(snapshot), ["de"], ["train"]).places["de"]["train"].files == (snapshot / "train.jsonl",)


BOMB = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12))])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "YAML of more than 200,000 values"),
        ("a: &a [*a]", "YAML of more than 200,000 values"),
        ("train_on: [" + "a," * 300_000 + "]", "YAML of more than 200,000 values"),
        ("#" * 5_000_000, r"5,000,00. characters of YAML"),
        ("train_on: " + "[" * 50_000, "nested too deeply"),
        ("epochs: " + "9" * 5000, "not YAML"),
        ("epochs: 0x" + "f" * 5000, "a number of 5,002 digits is too large"),
        ("packing: 0x" + "f" * 5000, "a number of 5,002 digits is too large"),
        ("? 0x" + "f" * 5000 + "\n: 1", "a number of 5,002 digits is too large"),
        ("lr: 1" + "0" * 400, "a number of 1,329 bits is too large"),
        ("epochs: !!timestamp x", "not YAML"),
        ("epochs: !!int ''", "not YAML"),
        ("epochs: !!python/object/apply:os.system ['true']", "not YAML"),
        ("lr: " + "x" * 100_000, "is not float"),
    ],
)
def test_yaml_is_bounded(tmp_path, text, reason):
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=reason) as refused:
        read_config(TrainConfig, tmp_path / "run.yaml")
    assert len(str(refused.value)) < 1000
    if "not float" not in reason and "bits" not in reason:
        card(tmp_path / "data", f"configs:\n{text}")
        with pytest.raises(InputError, match=reason):
            find(str(tmp_path / "data"), ["de"], ["train"])


def test_aliases_are_read(tmp_path):
    (tmp_path / "run.yaml").write_text("train_on: &all [de, fr]\ntrackers: *all\n", encoding="utf-8")
    read = read_config(TrainConfig, tmp_path / "run.yaml")
    assert (read.train_on, read.trackers) == (("de", "fr"), ("de", "fr"))
    (tmp_path / "again.yaml").write_text(to_yaml(read), encoding="utf-8")
    assert read_config(TrainConfig, tmp_path / "again.yaml") == read
