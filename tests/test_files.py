import json

import pytest

from ner import files
from ner.errors import InputError
from ner.files import distinct, file_errors, write_atomic, write_json


def test_json_is_written_whole(tmp_path):
    write_json(tmp_path / "a.json", {"é": 1})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"é": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "a").write_text("before", encoding="utf-8")

    def fail() -> None:
        with files.written_aside(tmp_path / "a") as aside:
            aside.write_text("half", encoding="utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"a": "before"}


def test_file_and_folder_are_synced_around_the_renaming(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(files, "sync", lambda path: order.append((path.name, (tmp_path / "a").exists())))
    write_atomic(tmp_path / "a", "x")
    assert order == [(".a.new", False), (tmp_path.name, True)]


def test_an_error_of_the_system_names_its_file(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}/none/a: No such file or directory"), file_errors("else"):
        (tmp_path / "none/a").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="the file: it is broken"), file_errors("the file"):
        raise OSError("it is broken")
    with pytest.raises(ZeroDivisionError), file_errors("the file"):
        _ = 1 / 0


def test_a_folder_is_one_however_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/de", "runs/fr"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("runs/de")
    (tmp_path / "circle").symlink_to("circle")
    others = ["runs/de", "./runs/de", "runs/fr/../de", "link", f"{tmp_path}/runs/de"]
    assert distinct(["runs/fr", "runs/de/", *others, "runs/fr"]) == ("runs/fr", "runs/de/")
    elsewhere = ("owner/name", "owner/name/", "out/{lang}/{split}.jsonl", "circle", "x" * 5000, "a\0b", "")
    assert distinct([*elsewhere, *elsewhere]) == elsewhere
