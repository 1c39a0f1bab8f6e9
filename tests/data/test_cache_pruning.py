"""Pruning the cache of data: the least recently used, never what is used, nothing else's, and by several at once."""

import errno
import os
import time
from pathlib import Path

import pytest

from ner.data import cache_locks
from ner.data.augmentation import augment
from ner.data.cache import CacheError, cached, folder_of, is_cached
from ner.data.cache_locks import LOCKS
from ner.data.cache_pruning import DAY, DELETED, UNFINISHED, contents, delete, parse_size, prune
from ner.data.corpus import Source, load_corpus
from ner.data.sampling import join_languages
from ner.errors import InputError
from ner.inputs.encoding_cache import encode_once
from tests.conftest import TAGS
from tests.processes import SECONDS, forked, wait_until

SIZE = 1000  # bytes of what a folder of the tests holds, beside its manifest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder)
    return folder


def write(folder: Path) -> None:
    (folder / "file").write_bytes(bytes(SIZE))


def forbidden(folder: Path) -> None:
    pytest.fail(f"{folder} is made again")


def made(name: str, days: float = 0) -> Path:
    """A folder of a program that ended so many days ago."""
    folder = cached(name, write, kind="a kind", content=name)
    os.utime(folder, (time.time() - days * DAY,) * 2)
    cache_locks.used.discard(folder)
    return folder


def names(entries) -> list[str]:
    return [entry.content for entry in entries]


def test_folders_say_what_they_hold_and_when_they_were_used(cache, corpus_folder, tokenizer):
    part = load_corpus(Source(str(corpus_folder)), ["de"], ["validation"])["de"]["validation"].select(range(5))
    encode_once(part, tokenizer, TAGS, max_length=16)
    joined, languages = join_languages({"de": part}, None)
    augment(joined, languages, ["mentions=1"], 1)
    found = {entry.kind: entry for entry in contents(cache)}
    assert set(found) == {"rows as read", "rows in IOB2", "encoded sentences", "augmented copies"}
    assert found["rows as read"].content == str(corpus_folder / "de/validation.jsonl")
    assert found["encoded sentences"].content == "5 sentences"
    for entry in found.values():
        assert entry.size == sum(file.stat().st_size for file in entry.folder.iterdir())
        assert abs(time.time() - entry.last_used) < DAY


def test_a_use_is_recorded_where_that_is_possible(monkeypatch):
    folder = made("a", days=3)
    cached("a", forbidden, kind="a kind")
    assert time.time() - folder.stat().st_mtime < DAY

    def refused(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    assert cached("a", forbidden, kind="a kind") == folder


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        ({}, ["old", "middle", "new"]),
        ({"unused_for": 5 * DAY}, ["old"]),
        ({"unused_for": 11 * DAY}, []),
        ({"limit": 2 * SIZE + 1000}, ["old"]),
        ({"limit": 10 * SIZE}, []),
        ({"limit": 0}, ["old", "middle", "new"]),
        ({"limit": 2 * SIZE + 1000, "unused_for": 1.5 * DAY}, ["old", "middle"]),
    ],
)
def test_what_goes(cache, wanted, gone):
    for name, days in (("new", 1), ("old", 10), ("middle", 2)):
        made(name, days)
    pruned = prune(cache, **wanted, dry_run=True)
    assert names(pruned.deleted) == gone
    assert names(contents(cache)) == ["old", "middle", "new"]
    assert names(prune(cache, **wanted).deleted) == gone
    assert names(contents(cache)) == [name for name in ("old", "middle", "new") if name not in gone]


def test_what_this_program_uses_stays(cache):
    made("unused")
    used = cached("used", write, kind="a kind", content="used")
    made("looked for")
    assert is_cached("looked for")
    pruned = prune(cache)
    assert names(pruned.deleted) == ["unused"]
    assert sorted(names(pruned.in_use)) == ["looked for", "used"]
    assert used.exists()


def test_nothing_else_is_touched(cache, tmp_path):
    """Not other folders, not links with our names or in our folders, and not what they show."""
    ours = made("ours")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "manifest.json").write_text("{}", encoding="utf-8")
    (ours / "link").symlink_to(elsewhere)
    name = folder_of("other").name
    (cache / name).symlink_to(elsewhere)
    (cache / f"{UNFINISHED}1").symlink_to(elsewhere)
    (cache / f"{DELETED}1").symlink_to(elsewhere)
    for folder in ("ner-notes", f"{name}0", f"{name[:-1]}g", "google___xtreme", folder_of("no manifest").name):
        (cache / folder).mkdir()
        if "manifest" not in folder and folder != folder_of("no manifest").name:
            (cache / folder / "manifest.json").write_text("{}", encoding="utf-8")
    (cache / folder_of("a file").name).write_text("x", encoding="utf-8")
    os.utime(elsewhere, (0, 0))
    before = sorted(path for path in cache.rglob("*") if not path.is_relative_to(ours))
    assert names(prune(cache).deleted) == ["ours"]
    cached("sweeps", write, kind="a kind")
    made_now = cache / folder_of("sweeps").name
    assert sorted(path for path in cache.rglob("*") if not path.is_relative_to(made_now)) == before
    assert [file.name for file in elsewhere.iterdir()] == ["manifest.json"]


def test_what_killed_programs_left_goes(cache):
    made("one")
    for name, hours in ((f"{UNFINISHED}old", 2), (f"{UNFINISHED}new", 0.1), (f"{DELETED}new", 0)):
        (cache / name / "made").mkdir(parents=True)
        (cache / name / "made/file").write_bytes(bytes(SIZE))
        os.utime(cache / name, (time.time() - hours * DAY / 24,) * 2)
    assert len(prune(cache, dry_run=True).deleted) == 3
    assert len(prune(cache, dry_run=True).deleted) == 3  # to look at a folder makes it no younger
    assert len(prune(cache).deleted) == 3
    assert {path.name for path in cache.iterdir()} == {LOCKS, f"{UNFINISHED}new"}


@pytest.mark.parametrize("manifest", ["", "[]", "[1]", '{"kind": 5, "content": null}', "[" * 100_000, " " * (1 << 21)])
def test_a_broken_manifest_is_ours_to_delete(cache, manifest):
    folder = made("one")
    (folder / "manifest.json").write_text(manifest, encoding="utf-8")
    assert len(contents(cache)) == 1
    prune(cache)
    assert not folder.exists()


@pytest.mark.parametrize("name", [folder_of("never made").name, f"{DELETED}1", f"{UNFINISHED}1"])
def test_what_another_process_has_deleted_is_no_failure(cache, name):
    made("one")
    assert delete(cache / name)
    assert delete(cache / name, dry_run=True)


def test_one_that_can_not_be_deleted_keeps_no_other(cache, monkeypatch):
    folder = made("a", days=2)
    made("b", days=1)
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self == folder:
            raise OSError(errno.EPERM, "Operation not permitted", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    pruned = prune(cache)
    assert names(pruned.deleted) == ["b"]
    assert [(entry.content, error.errno) for entry, error in pruned.failed] == [("a", errno.EPERM)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may delete everything")
def test_a_folder_of_another_user_keeps_its_name(cache):
    folder = made("a")
    folder.chmod(0o555)
    ((_, error),) = prune(cache).failed
    folder.chmod(0o755)
    assert error.filename == str(folder)
    assert names(contents(cache)) == ["a"]


def test_without_locks_nothing_is_deleted(cache, monkeypatch):
    """A file system that has none: whether a program uses a folder cannot be told."""

    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", no_locks)
    made("a")
    ((_, error),) = prune(cache).failed
    assert error.errno == errno.ENOLCK
    assert names(contents(cache)) == ["a"]


def test_who_may_only_read_the_locks_uses_but_does_not_delete(cache):
    made("a")
    cache_locks.descriptors[cache / LOCKS] = os.open(cache / LOCKS, os.O_RDONLY)
    cached("a", forbidden, kind="a kind")
    cache_locks.used.clear()
    ((_, error),) = prune(cache).failed
    assert isinstance(error, PermissionError)
    assert error.filename == cache / LOCKS


def test_a_system_without_such_locks(cache, monkeypatch):
    """Windows: what is open there is not renamed."""
    monkeypatch.setattr(cache_locks, "fcntl", None)
    made("a")
    assert names(prune(cache).deleted) == ["a"]


def test_locks_of_a_cache_that_was_deleted_and_made_again(cache):
    made("a")
    (cache / LOCKS).unlink()
    made("b")
    assert (cache / LOCKS).exists()
    assert names(prune(cache).deleted) == ["a", "b"]


def test_the_limit_is_kept_when_a_folder_is_made(cache, monkeypatch, caplog):
    for name, days in (("old", 3), ("older", 4), ("new", 0)):
        made(name, days)
    made("more")
    assert len(contents(cache)) == 4  # without it nothing is deleted
    monkeypatch.setenv("NER_CACHE_LIMIT", "0.004MB")
    cached("old", forbidden, kind="a kind")
    assert len(contents(cache)) == 4  # nor where nothing is made
    cache_locks.used.clear()
    os.utime(folder_of("old"), (0, 0))
    caplog.set_level("INFO", "ner")
    made("last")
    assert sorted(names(contents(cache))) == ["last", "more", "new"]
    assert "2 folders, 0.0 MB, were deleted for NER_CACHE_LIMIT" in caplog.text


def test_a_limit_below_what_is_used_breaks_nothing(cache, monkeypatch):
    monkeypatch.setenv("NER_CACHE_LIMIT", "0.001MB")
    first, second = (cached(name, write, kind="a kind") for name in "ab")
    assert first.exists()
    assert second.exists()


def test_a_limit_that_can_not_be_kept_is_said(cache, monkeypatch, caplog):
    made("a", days=1)
    monkeypatch.setenv("NER_CACHE_LIMIT", "0.001MB")
    monkeypatch.setattr(os, "access", lambda *_: False)
    made("b")
    assert f"1 folders could not be deleted for NER_CACHE_LIMIT: {cache}: Permission denied" in caplog.text
    assert len(contents(cache)) == 2


def test_a_limit_that_is_none(corpus_folder, monkeypatch):
    """One message, not one for each file, and before anything is read."""
    monkeypatch.setenv("NER_CACHE_LIMIT", "20")
    with pytest.raises(CacheError, match=r"^NER_CACHE_LIMIT '20': give a size with its unit, such as 500MB"):
        load_corpus(Source(str(corpus_folder)), None, None)


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500e6), ("20GB", 20e9), ("1.5 TB", 1.5e12), ("20G", 20e9), ("20gib", 20 * 2**30), ("3 kb", 3e3)],
)
def test_sizes(text, size):
    assert parse_size(text, "x") == size


@pytest.mark.parametrize("text", ["", "20", "GB", "-1GB", "1e3GB", "20XB", "٣GB", "nanGB", "9" * 400 + "GB"])
def test_what_is_no_size(text):
    with pytest.raises(InputError, match=r"--limit .*: give a size with its unit"):
        parse_size(text, "--limit")


READER = """
import sys
from pathlib import Path
import datasets
from ner.data.arrow_store import Row, store, tag_set
from ner.data.corpus import Source, load_corpus
from ner.inputs.encoding_cache import encode_once
from ner.modeling.pretrained import load_tokenizer
from tests.processes import SECONDS, wait_until

cache, corpus, encoder, go_on = sys.argv[1:]
datasets.config.HF_DATASETS_CACHE = Path(cache)
def read():
    return load_corpus(Source(corpus), ["de"], ["validation"])["de"]["validation"]
rows = store("rows", "place", lambda: iter([Row(1, ["a"], ["O"])]))
part = read()
encoded = encode_once(part, load_tokenizer(encoder), tag_set(part), max_length=32)
folders = {path.stat().st_ino for path in Path(cache).glob("ner-*")}
print("ready", flush=True)
wait_until(Path(go_on).exists)
(table,) = rows.tables()  # its file is opened only now
assert table.num_rows == 1
assert len(part[:]["tokens"]) == len(part) == len(read())
assert encoded.input_ids.max() > 0
assert {path.stat().st_ino for path in Path(cache).glob("ner-*")} <= folders  # nothing was made again
"""


def test_a_program_goes_on_while_others_prune(cache, corpus_folder, thin_encoder, tmp_path):
    made("unused")
    go_on = tmp_path / "go on"
    with forked(READER, cache, corpus_folder, thin_encoder, go_on) as reader:
        wait_until(lambda: "ready" in reader.output, reader)
        dry = prune(cache, dry_run=True)
        assert names(dry.deleted) == ["unused"]
        assert len(dry.in_use) == 4
        for wanted in ({}, {"unused_for": 0.0}, {"limit": 0}):
            assert len(prune(cache, **wanted).in_use) == 4
        go_on.touch()
        assert reader.wait(SECONDS) == 0, reader.output
    assert len(prune(cache).deleted) == 4  # its locks went with it
    assert [path.name for path in cache.iterdir()] == [LOCKS]


MAKER = """
import sys
from pathlib import Path
import datasets
from ner.data.cache import cached

datasets.config.HF_DATASETS_CACHE = Path(sys.argv[1])
print("ready", flush=True)
for number in range(40)[:: int(sys.argv[2])]:
    folder = cached(str(number), lambda folder: (folder / "file").write_bytes(bytes(1000)), kind="a kind")
    assert (folder / "file").read_bytes() == bytes(1000), number
    assert (folder / "manifest.json").exists(), number
"""


def test_makers_and_pruners_at_once(cache):
    """Two programs take and make the same folders, with a limit, while a third deletes all that it may."""
    for number in range(40):
        made(str(number), days=number)
    limit = {"NER_CACHE_LIMIT": "0.01MB"}
    with forked(MAKER, cache, 1, env=limit) as up, forked(MAKER, cache, -1, env=limit) as down:
        wait_until(lambda: "ready" in up.output, up)
        while up.poll() is None or down.poll() is None:
            assert not prune(cache).failed
        assert up.wait(SECONDS) == 0, up.output
        assert down.wait(SECONDS) == 0, down.output
    prune(cache)
    assert [path.name for path in cache.iterdir()] == [LOCKS]
