from pathlib import Path

import pytest

from ner.data.configs import configs_by_language
from ner.data.contents import Contents, list_contents, on_hub
from ner.errors import InputError

CARD = """---
configs:
- config_name: PAN-X.de
  data_files:
  - {split: train, path: PAN-X.de/train-*}
  - {split: dev, path: PAN-X.de/dev-*}
- config_name: PAN-X.fr
  data_files:
  - {split: test, path: PAN-X.fr/test-*}
- config_name: MLQA.de
  data_files:
  - {split: test, path: MLQA.de/test-*}
---
"""


@pytest.fixture
def hub_layout(tmp_path) -> Path:
    """Files that are Parquet by name alone: who reads them fails."""
    for file in ("PAN-X.de/train-0", "PAN-X.de/dev-0", "PAN-X.fr/test-0", "MLQA.de/test-0"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / f"{file}.parquet").write_text("no Parquet", encoding="utf-8")
    (tmp_path / "README.md").write_text(CARD, encoding="utf-8")
    return tmp_path


def test_configs_of_languages():
    assert configs_by_language("PAN-X.{lang}", ["PAN-X.de", "PAN-X.", "MLQA.de", "PAN-X.fr"]) == {
        "de": "PAN-X.de",
        "fr": "PAN-X.fr",
    }
    assert configs_by_language("{lang}_ner", ["de_ner", "de"]) == {"de": "de_ner"}
    assert configs_by_language("default", ["default"]) == {}


def test_a_folder_in_hub_layout_is_not_read(hub_layout):
    assert list_contents(str(hub_layout)) == Contents(
        languages={"de": "PAN-X.de", "fr": "PAN-X.fr"},
        splits={"de": ("train", "validation"), "fr": ("test",)},
        configs=("PAN-X.de", "PAN-X.fr", "MLQA.de"),
        pattern="PAN-X.{lang}",
    )
    assert list_contents(str(hub_layout), None, "MLQA.{lang}").languages == {"de": "MLQA.de"}
    with pytest.raises(InputError, match=r"no language rm .*it has the languages de, fr"):
        list_contents(str(hub_layout), ["de", "rm"])


def test_a_folder_of_files_is_not_read(tmp_path):
    for name in ("de/train.jsonl", "de/dev.jsonl", "fr/train.conll"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{", encoding="utf-8")
    expected = Contents({"de": "", "fr": ""}, {"de": ("validation", "train"), "fr": ("train",)})
    assert list_contents(str(tmp_path)) == expected
    assert list_contents(str(tmp_path / "{lang}/{split}.*")).splits["fr"] == ("train",)
    assert list_contents(str(tmp_path / "fr/train.conll"), ["fr"]).splits == {"fr": ("train",)}
    with pytest.raises(InputError, match="holds one language, and none is named"):
        list_contents(str(tmp_path / "fr/train.conll"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("./nothing", "no such file or folder"),
        ("a" * 300, "File name too long"),
        ("nobody/nothing", r"nobody/nothing.*HF_HUB_OFFLINE is set, and the cache has nothing of it: unset that"),
    ],
)
def test_what_is_not_there(data, message):
    with pytest.raises(InputError, match=message):
        list_contents(data)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no data in this folder"):
        list_contents(str(tmp_path))


def test_configs_of_a_hub_name():
    configs = ("PAN-X.de", "PAN-X.fr", "other")
    found = on_hub("a/panx", None, "auto", configs, is_whole=False)
    assert found == Contents({"de": "PAN-X.de", "fr": "PAN-X.fr"}, {}, configs, "PAN-X.{lang}", is_whole=False)
    assert on_hub("a/panx", ["fr"], "auto", configs, is_whole=True).languages == {"fr": "PAN-X.fr"}
    assert on_hub("a/single", ["de"], "auto", ("default",), is_whole=True).languages == {"de": "default"}
    with pytest.raises(InputError, match=r"no language it; the Hub was not reached, and the cache has"):
        on_hub("a/panx", ["it"], "auto", configs, is_whole=False)
    with pytest.raises(InputError, match=r"no language de; it has the configs PAN-X.de, PAN-X.fr, other"):
        on_hub("a/panx", ["de"], "x-{lang}", configs, is_whole=True)
