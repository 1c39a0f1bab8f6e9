"""`ner cache`: what it shows, what it deletes, and what it refuses."""

import errno
from pathlib import Path

import pytest

from ner.cli.cache import ago, main
from ner.data.cache_locks import LOCKS
from tests.cli.test_look import refused, tables
from tests.data.test_cache_pruning import cache, made  # noqa: F401  # a fixture


def shown(capsys, *arguments: str) -> str:
    main(list(arguments))
    return capsys.readouterr().out


def test_where_it_is_and_what_is_in_it(cache, capsys, monkeypatch):  # noqa: F811
    assert shown(capsys) == f"{cache}: 0 folders, 0.0 MB; NER_CACHE_LIMIT: none\n"
    for number in range(12):
        made(f"/data/{'x' * 40}/{number}", days=number + 0.1)
    monkeypatch.setenv("NER_CACHE_LIMIT", "1GB")
    text = shown(capsys)
    assert text.startswith(f"{cache}: 12 folders, 0.0 MB; NER_CACHE_LIMIT: 1,000.0 MB\n")
    kinds, folders = tables(text)
    assert kinds[1:] == [["a kind", "12", "0.0", "2 hours ago"]]
    assert "Folders, the least recently used first, and 2 more" in text
    assert len(folders) == 1 + 10
    assert folders[1][:5] == ["a kind", f"...{'x' * 34}/11", "0.0", "11 days ago", ""]
    assert (cache / folders[1][5] / "manifest.json").exists()


def test_names_in_it_can_not_write_to_a_terminal(cache, capsys):  # noqa: F811
    folder = made("\x1b]0;owned\x07|")
    (folder / "manifest.json").write_text('{"kind": "\\u001b[2J|"}', encoding="utf-8")
    text = shown(capsys)
    assert "\x1b" not in text
    assert "\\x1b[2J\\|" in text


def test_what_an_older_version_made(cache, capsys):  # noqa: F811
    (made("a") / "manifest.json").write_text('{"files": {}}', encoding="utf-8")
    assert tables(shown(capsys))[0][1][0] == "of an older version"


def test_pruning(cache, capsys):  # noqa: F811
    for name, days in (("old", 40), ("older", 50), ("new", 1)):
        made(name, days)
    text = shown(capsys, "--prune", "--older-than", "30", "--dry-run")
    assert text.startswith(f"{cache}: would delete 2 folders, 0.0 MB\n")
    assert text.endswith("\nwould be left: 1 folder, 0.0 MB\n")
    assert len(list(cache.glob("ner-*"))) == 3
    text = shown(capsys, "--prune", "--older-than", "30")
    assert text.startswith(f"{cache}: deleted 2 folders, 0.0 MB\n")
    assert tables(text)[0][1][:2] == ["a kind", "2"]
    assert text.endswith("\nleft: 1 folder, 0.0 MB\n")
    assert shown(capsys, "--prune", "--limit", "20GB").startswith(f"{cache}: deleted 0 folders, 0.0 MB\n")
    assert shown(capsys, "--prune").startswith(f"{cache}: deleted 1 folder, 0.0 MB\n")
    assert [path.name for path in cache.iterdir()] == [LOCKS]


def test_what_can_not_be_deleted_is_named_and_the_others_go(cache, capsys, monkeypatch):  # noqa: F811
    held, *others = (made(name, days=3) for name in "abc")
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self == held:
            raise OSError(errno.EPERM, "Operation not permitted", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(SystemExit) as caught:
        main(["--prune"])
    said = capsys.readouterr()
    assert caught.value.code == 1
    assert said.err == f"ner cache: {held}: Operation not permitted\n"
    assert "deleted 2 folders" in said.out
    assert held.exists()
    assert not any(folder.exists() for folder in others)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dry-run"], "--dry-run says what to prune: add --prune"),
        (["--older-than", "3"], "--older-than says what to prune: add --prune"),
        (["--limit", "3GB"], "--limit says what to prune: add --prune"),
        (["--prune", "--older-than", "0"], "--older-than 0.0 must be above 0"),
        (["--prune", "--limit", "3"], "--limit '3': give a size with its unit, such as 500MB, 20GB or 20GiB"),
    ],
)
def test_what_makes_no_sense(cache, arguments, message, capsys):  # noqa: F811
    made("a")
    assert message in refused(main, arguments, capsys)
    assert len(list(cache.glob("ner-*"))) == 1


@pytest.mark.parametrize("arguments", [[], ["--prune"]])
def test_a_cache_that_is_no_folder(cache, arguments, capsys):  # noqa: F811
    cache.write_text("no folder", encoding="utf-8")
    assert f"{cache}: Not a directory" in refused(main, arguments, capsys)


def test_a_limit_that_is_none(cache, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setenv("NER_CACHE_LIMIT", "much")
    assert "NER_CACHE_LIMIT 'much': give a size" in refused(main, [], capsys)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (150, "2 minutes ago"), (3 * 3600, "3 hours ago"), (1e10, "115,740 days ago")],
)
def test_times(seconds, text):
    assert ago(seconds) == text
