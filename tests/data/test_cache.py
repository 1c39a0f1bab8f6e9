"""The cache of data: shared by users and processes, damaged, full, and left half-written."""

import hashlib
import os
import resource
import shutil
import stat
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ner.data import arrow_store
from ner.data.arrow_store import Row
from ner.data.cache import cached
from ner.data.cache_locks import LOCKS
from ner.data.corpus import Source, load_corpus
from ner.data.sampling import join_languages
from ner.errors import InputError
from ner.inputs.encoding import Encoded, encode
from ner.inputs.encoding_cache import encode_once
from tests.conftest import TAGS, write_json_lines
from tests.processes import forked, run, wait_until

ROWS = [Row(1, ["a", "b"], ["O", "B-X"]), Row(4, ["ü"], ["O"])]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder)
    return folder


def stored(items=ROWS) -> list[dict]:
    """The sentences of the cache, which are read if it has them not."""
    return [
        row for table in arrow_store.store("key", "place", lambda: iter(items)).tables() for row in table.to_pylist()
    ]


def forbidden():
    pytest.fail("read again")


def folders(cache: Path) -> list[Path]:
    """All that is ours there, but for the file of locks."""
    return [path for path in cache.iterdir() if path.name != LOCKS]


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(("umask", "of_folder", "of_file"), [(0o022, 0o755, 0o644), (0o002, 0o775, 0o664)])
def test_permissions_are_those_of_the_umask(cache, german, tokenizer, umask, of_folder, of_file):
    """A cache that users share is read by all that the umask lets in; who may write there may lock."""
    before = os.umask(umask)
    try:
        stored()
        encode_once(german.select(range(5)), tokenizer, TAGS, max_length=16)
    finally:
        os.umask(before)
    found = folders(cache)
    assert len(found) == 2
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in found} == {of_folder}
    assert {stat.S_IMODE(file.stat().st_mode) for folder in found for file in folder.iterdir()} == {of_file}
    assert stat.S_IMODE((cache / LOCKS).stat().st_mode) == of_file


def test_what_is_used_of_it_writes_nothing_into_it(corpus_folder, cache):
    """Shuffled sentences too: its folders may be another user's."""
    part = load_corpus(Source(str(corpus_folder), sample=("de=0.5",)), ["de"], ["train"])["de"]["train"]
    names = [file.name for file in cache.glob("*/*")]
    join_languages({"de": part}, 10)
    join_languages({"de": part, "again": part}, {"de": 10})
    load_corpus(Source(str(corpus_folder), sample=("de=0.5",)), ["de"], ["train"])
    assert [file.name for file in cache.glob("*/*")] == names
    assert not [name for name in names if name.startswith("cache-")]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])  # the last one of JSON is a line end


def flip(file: Path) -> None:
    """Another byte at the same size and time: what a disk does."""
    state, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


@pytest.mark.parametrize("damage", [cut, flip, zeros, Path.unlink])
@pytest.mark.parametrize("name", ["rows.arrow", "summary.json", "faults.jsonl", "manifest.json"])
def test_damage_is_noticed_and_made_again(cache, name, damage):
    items = [*ROWS, Row(5, [], [])]
    found = stored(items)
    (folder,) = folders(cache)
    before = content_of(folder)
    damage(folder / name)
    assert stored(items) == found
    assert content_of(folder) == before
    arrow_store.store("key", "place", forbidden)


def test_a_folder_without_its_files_is_made_again(cache):
    stored()
    (folder,) = folders(cache)
    for remains in (Path.mkdir, Path.touch):
        shutil.rmtree(folder, ignore_errors=True)
        folder.unlink(missing_ok=True)
        remains(folder)
        assert len(stored()) == 2
        assert folders(cache) == [folder]
        shutil.rmtree(folder)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_damage_of_sub_tokens_is_noticed(cache, german, tokenizer, damage):
    sentences = german.select(range(50))
    encode_once(sentences, tokenizer, TAGS, max_length=16)
    (file,) = cache.glob("ner-*/labels")
    damage(file)
    again, expected = (
        encode_once(sentences, tokenizer, TAGS, max_length=16),
        encode(sentences, tokenizer, TAGS, max_length=16),
    )
    assert all(np.array_equal(getattr(again, f.name), getattr(expected, f.name)) for f in fields(Encoded))


def test_damage_of_converted_rows_is_noticed(corpus_folder, cache):
    source = Source(str(corpus_folder))
    before = load_corpus(source, ["de"], ["train"])["de"]["train"][:]
    for file in list(cache.glob("ner-*/rows.arrow")):
        flip(file)
        assert load_corpus(source, ["de"], ["train"])["de"]["train"][:] == before


@pytest.mark.parametrize("was_damaged", [False, True])
def test_the_slower_of_two_takes_what_the_faster_made(cache, was_damaged):
    """The other one renames its folder while this one still writes, as late as can be."""
    if was_damaged:
        stored()
        cut(next(cache.glob("*/rows.arrow")))
    inode = []

    def read():
        yield ROWS[0]
        arrow_store.store("key", "place", lambda: iter(ROWS))
        inode.append(next(cache.glob("ner-*/rows.arrow")).stat().st_ino)
        yield ROWS[1]

    assert [row["row"] for table in arrow_store.store("key", "place", read).tables() for row in table.to_pylist()] == [
        1,
        4,
    ]
    assert len(folders(cache)) == 1
    assert next(cache.glob("ner-*/rows.arrow")).stat().st_ino == inode[0]


@pytest.mark.parametrize("was_damaged", [False, True])
def test_another_process_is_faster_by_a_moment(cache, monkeypatch, was_damaged):
    """It puts its folder there between the last look and the renaming."""
    if was_damaged:
        stored()
        cut(next(cache.glob("*/rows.arrow")))
    rename = Path.rename
    others: list[Path] = []

    def late(self: Path, target: Path) -> Path:
        if self.name == "made" and not others:
            others.append(target)
            stored()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    assert len(stored()) == 2
    assert folders(cache) == others


HOLD = """
import sys, time
from pathlib import Path
import datasets
from ner.data.cache import cached
datasets.config.HF_DATASETS_CACHE = Path(sys.argv[1])
def write(folder):
    (folder / "half").write_bytes(b"x")
    print("writing", flush=True)
    time.sleep(600)
cached("other", write, kind="a kind")
"""


def test_leftovers_of_killed_programs_are_swept_and_those_of_living_ones_are_not(cache):
    with forked(HOLD, cache) as process:
        wait_until(lambda: "writing" in process.output, process)
        (unfinished,) = cache.glob("ner-unfinished-*")
        os.utime(unfinished, (0, 0))  # however old
        stored()
        assert (unfinished / "made/half").exists()
    cached("one", lambda folder: None, kind="a kind")
    assert not unfinished.exists()
    unfinished.mkdir()  # of one that just began, and has no lock yet
    cached("two", lambda folder: None, kind="a kind")
    assert unfinished.exists()


LEFT = """
import sys, threading
from pathlib import Path
import datasets
from ner.data.cache import for_a_while
datasets.config.HF_DATASETS_CACHE = Path(sys.argv[1])
is_at_work = threading.Event()
def work():
    with for_a_while() as folder:
        (folder / "half").write_bytes(b"x")
        is_at_work.set()
        threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
is_at_work.wait()
"""


def test_what_a_thread_is_at_work_on_goes_when_the_program_ends(cache):
    run([sys.executable, "-c", LEFT, cache])
    assert list(cache.iterdir()) == []


def test_a_cache_that_can_not_be_written(corpus_folder, cache):
    """One message that names it, not one for each file."""
    cache.write_text("no folder", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_corpus(Source(str(corpus_folder)), None, None)
    message = str(caught.value)
    assert message.count(str(cache)) == 1
    assert message.startswith(f"{cache}: ")
    assert "HF_DATASETS_CACHE" in message
    assert "faults in the data" not in message


@pytest.mark.parametrize("what", ["rows", "sub-tokens"])
def test_a_full_disk(cache, german, tokenizer, what):
    big = [Row(i, ["word"] * 100, ["O"] * 100) for i in range(200)]
    work = {
        "rows": lambda: stored(big),
        "sub-tokens": lambda: encode_once(german.select(range(200)), tokenizer, TAGS, max_length=16),
    }[what]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(InputError, match=rf"^{cache}.*HF_DATASETS_CACHE"):
            work()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not folders(cache)


def test_a_folder_of_somebody_else_that_is_damaged(cache, monkeypatch):
    """It cannot be replaced: its name, and the way out."""
    stored()
    (folder,) = folders(cache)
    cut(folder / "rows.arrow")
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self == folder:
            raise PermissionError(1, "Operation not permitted", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(InputError, match=rf"^{folder}: Operation not permitted; .*HF_DATASETS_CACHE"):
        stored()
    assert folders(cache) == [folder]


def test_a_file_that_another_replaces_is_read_again(tmp_path):
    """Of equal size and time: as `cp --preserve` and `rsync --times` make it."""
    file = write_json_lines(tmp_path / "de/train.jsonl", [{"tokens": ["a"], "ner_tags": ["B-X"]}])
    source = Source(str(tmp_path))

    def word() -> str:
        return load_corpus(source, ["de"], ["train"])["de"]["train"][0]["tokens"][0]

    state = file.stat()
    assert word() == "a"
    other = write_json_lines(tmp_path / "other", [{"tokens": ["b"], "ner_tags": ["B-X"]}])
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(file)  # another inode
    assert word() == "b"
    file.write_bytes(file.read_bytes().replace(b'"b"', b'"c"'))
    changed = file.stat().st_ctime_ns  # the same inode, changed at another time: some disks count in long ticks

    def is_later() -> bool:
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
        return file.stat().st_ctime_ns > changed

    wait_until(is_later)
    assert word() == "c"


def test_check_sums_are_those_of_the_files(cache):
    """What stands in the manifest is what `sha256sum` says."""
    stored()
    (folder,) = folders(cache)
    manifest = (folder / "manifest.json").read_text(encoding="utf-8")
    for name in ("rows.arrow", "summary.json", "faults.jsonl"):
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() in manifest
