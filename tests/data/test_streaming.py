"""Sentences that stream: in which order, from where a stream stands, and what is wrong with a shard."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.data import streaming
from ner.data.cache import CacheError
from ner.data.cache_pruning import UNFINISHED
from ner.data.corpus import Source
from ner.data.discovery import Place
from ner.data.remote import FetchError
from ner.data.streaming import Position, SentenceStream, ShardReader, check_splits
from ner.errors import InputError
from tests.conftest import TAGS
from tests.processes import wait_until

SIZES = {"a": 5, "b": 0, "c": 3, "d": 7}  # sentences of each shard


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder))
    return folder


def write_rows(file: Path, rows: list[dict]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)
    return file


def row(word: str, tag: object = "B-LOC") -> dict:
    return {"tokens": [word, "in"], "ner_tags": [tag, "O" if isinstance(tag, str) else 0]}


@pytest.fixture
def files(tmp_path) -> tuple[Path, ...]:
    """Shards of which each sentence says where it stands; one holds nothing but what nobody has accepted."""
    undecided = [{"text": "Bern", "spans": [], "answer": "ignore"}]
    return tuple(
        write_rows(tmp_path / f"{name}.jsonl.gz", [row(f"{name}{i}") for i in range(size)] or undecided)
        for name, size in SIZES.items()
    )


def stream_of(files, seed=0, said=None, **source) -> SentenceStream:
    tell = (said if said is not None else []).append
    return SentenceStream(ShardReader(Place(tuple(files)), Source("x", **source), TAGS, tell), seed, 0)


def words(dataset) -> list[str]:
    return [tokens[0] for tokens in dataset["tokens"]]


def test_a_pass_takes_each_sentence_once_and_shards_in_another_order(files):
    stream = stream_of(files)
    passes = [words(stream.take(sum(SIZES.values()))) for _ in range(4)]
    for taken in passes:
        assert sorted(taken) == sorted(f"{name}{i}" for name, size in SIZES.items() for i in range(size))
        order = "".join(dict.fromkeys(word[0] for word in taken))
        assert taken == [f"{name}{i}" for name in order for i in range(SIZES[name])]
    assert len(set(map(tuple, passes))) > 1
    together = [word for taken in passes for word in taken]
    assert words(stream_of(files).take(60)) == together
    assert words(stream_of(files, seed=1).take(60)) != together


@pytest.mark.parametrize("sizes", [(1,) * 12, (4, 5, 6, 25), (40,)])
def test_it_goes_on_from_any_place(files, sizes):
    whole = words(stream_of(files).take(sum(sizes)))
    stream, taken = stream_of(files), []
    for size in sizes:
        position = stream.position
        taken += words(stream.take(size))
        other = stream_of(files)
        other.position = Position(**vars(position))
        assert words(other.take(size)) == taken[-size:]
    assert taken == whole


def test_nothing_is_left_on_the_disk(files, cache):
    stream = stream_of(files)
    taken = stream.take(20)
    assert stream.ahead is not None
    stream.ahead[1].result(timeout=60)
    assert [file for file in cache.iterdir() if not file.name.startswith(UNFINISHED)] == []
    for file in files:
        file.unlink()
    assert len(words(taken)) == 20


def test_a_shard_that_is_another_file_now(files):
    stream = stream_of(files)
    stream.take(2)
    name = Path(stream.name_of(0, 0))
    write_rows(name, [row("new")] * 9)
    other = stream_of(files)
    other.position = stream.position
    with pytest.raises(InputError, match=rf"{name.name}: is another file than when this run took 2 sentences of it"):
        other.take(1)
    other.position = replace(stream.position, digest="")
    assert words(other.take(1)) == ["new"]


def test_what_could_not_be_fetched_ahead_is_fetched_when_it_is_needed(files):
    """The network may have been away for a minute, hours before."""
    stream = stream_of([file for file in files if SIZES[file.name[0]]])
    second = Path(stream.name_of(0, 1))
    content = second.read_bytes()
    second.unlink()
    first = stream.take(1)
    assert stream.ahead is not None
    assert isinstance(stream.ahead[1].exception(timeout=60), FetchError)
    second.write_bytes(content)
    assert len({*words(first), *words(stream.take(14))}) == 15


def test_a_disk_that_fails_is_no_bad_row(tmp_path, monkeypatch):
    """With several processes it may be one that fails, and the others would not come where bad rows are told."""
    file = tmp_path / "a.jsonl"
    file.symlink_to("/proc/self/mem")
    monkeypatch.setattr(streaming, "sha256", lambda file: "")
    with pytest.raises(FetchError, match=rf"^{file}: Input/output error"):
        stream_of([file]).take(1)


def test_a_gzipped_file_without_room_to_unpack_it(files, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    file = tmp_path / "x.parquet.gz"
    file.write_bytes(gzip.compress(bytes(10_000)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(FetchError, match=r"File too large; it is unpacked there, and the variable TMPDIR names"):
            stream_of([file]).take(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_cache_without_room(files, cache):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(CacheError, match=rf"^{cache}: .*File too large; .* HF_DATASETS_CACHE names another"):
            stream_of(files[:1]).take(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(cache.iterdir()) == []


def test_one_file_is_not_taken_for_both_splits(files, tmp_path):
    for data in (str(files[0]), "https://h/train-{000..999}.jsonl", "train=https://h/a.jsonl"):
        with pytest.raises(InputError, match="no split validation, and a stream takes none from train; name both"):
            check_splits(Source(data), ["de"])
    for data in (str(tmp_path), "https://h/{split}.jsonl", f"train=https://h/a.jsonl,validation={files[0]}"):
        check_splits(Source(data), ["de"])


def test_bad_rows(tmp_path):
    bad = write_rows(tmp_path / "bad.jsonl", [row("a"), row("b", "X-LOC"), row("c"), row("d", "B-MISC"), {"tokens": 1}])
    with pytest.raises(InputError) as caught:
        stream_of([bad]).take(1)
    for part in (
        "3 faults in the data",
        f"{bad}:2: token 1, 'b', has",
        f"{bad}:4: ",
        f"{bad}:5: tokens is 1, not a list",
    ):
        assert part in str(caught.value)
    said: list[str] = []
    stream = stream_of([bad], said=said, on_bad_row="skip")
    assert words(stream.take(4)) == ["a", "c", "a", "c"]
    assert said[0].startswith("3 rows are left out; the first: ")


def test_rows_that_nobody_has_accepted_are_counted(files):
    said: list[str] = []
    stream_of(files[1:2], said=said).check()
    assert said == [f"{files[1]}: 1 rows that nobody has accepted are left out: 1 ignored"]


def test_ids_take_their_names_from_the_file_or_the_options(tmp_path):
    ids = write_rows(tmp_path / "ids.jsonl", [row("a", 1)])
    with pytest.raises(InputError, match=r"ids.jsonl: tags are ids without names; name them in order, as in `tags`"):
        stream_of([ids]).take(1)
    assert stream_of([ids], tags=("O", "B-PER")).take(1)["ner_tags"][0] == [TAGS.ids["B-PER"], TAGS.ids["O"]]
    plain = write_rows(tmp_path / "plain.jsonl", [row("a", "PER")])
    assert stream_of([plain]).take(1)["ner_tags"][0] == [TAGS.ids["B-PER"], TAGS.ids["O"]]
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-ORG"])),
        }
    )
    datasets.Dataset.from_list([row("a", 1)], features=features).to_parquet(tmp_path / "named.parquet")
    assert stream_of([tmp_path / "named.parquet"]).take(1)["ner_tags"][0] == [TAGS.ids["B-ORG"], TAGS.ids["O"]]


def test_shards_without_a_sentence_and_files_that_are_none(tmp_path, cache):
    empty = tmp_path / "empty.parquet"
    pq.write_table(
        pa.table({"tokens": pa.array([], pa.list_(pa.string())), "ner_tags": pa.array([], pa.list_(pa.string()))}),
        empty,
    )
    with pytest.raises(InputError, match=r"empty.parquet: no sentence in any of these"):
        stream_of([empty]).take(1)
    with pytest.raises(InputError, match=r"none.jsonl: No such file"):
        stream_of([tmp_path / "none.jsonl"]).take(1)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"broken.parquet: not a sound .parquet file"):
        stream_of([tmp_path / "broken.parquet"]).check()
    wait_until(lambda: not list(cache.iterdir()))  # for the threads that are ahead
