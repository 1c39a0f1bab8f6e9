"""Which shards there are, who tags which, and how far they are."""

from pathlib import Path

import pytest

from ner.tagging.shards import INPUT, Checked, Job, Shard, divided, find_shards
from ner.tagging.shared_work import Progress, problems_of

SETTINGS = {"model": "a", "column": None}


def never(_):
    raise AssertionError


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("Bern\n", encoding="utf-8")
    return folder


def test_names(tmp_path):
    source = write(tmp_path / "in", "b.txt", "a.JSONL.gz", "c.x.parquet", "d.csv", ".e.txt", "f.txt.new")
    shards, others = find_shards([source], tmp_path / "out", ".jsonl")
    assert [shard.output.name for shard in shards] == ["a.jsonl", "b.jsonl", "c.x.jsonl"]
    assert [shard.source.name for shard in shards] == ["a.JSONL.gz", "b.txt", "c.x.parquet"]
    assert [file.name for file in others] == ["d.csv", "f.txt.new"]
    (one,), _ = find_shards([source / "b.txt", source / "b.txt"], source, ".jsonl")
    assert one == Shard(source / "b.txt", source / "b.jsonl")


def test_two_inputs_of_one_output(tmp_path):
    source = write(tmp_path / "in", "a.txt", "a.txt.gz")
    with pytest.raises(ValueError, match=r"a\.txt and .*a\.txt\.gz would both become .*out/a\.jsonl"):
        find_shards([source], tmp_path / "out", ".jsonl")
    write(source, "b.jsonl")
    with pytest.raises(ValueError, match=r"b\.jsonl: is one of the inputs"):
        find_shards([source / "b.jsonl"], source, ".jsonl")
    with pytest.raises(ValueError, match="is the folder of the input"):
        find_shards([source], source / "../in", ".jsonl")


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_shards_are_divided(processes):
    sizes = [5, 100, 0, 7, 60, 0, 41, 3]
    dealt = divided(sizes, processes)
    assert sorted(place for places in dealt for place in places) == list(range(len(sizes)))
    assert all(places == sorted(places) for places in dealt)
    loads = [sum(sizes[place] for place in places) for places in dealt]
    assert max(loads) <= max(100, -(-sum(sizes) // processes) + 5)
    assert divided([], processes) == [[]] * processes


def test_progress_is_what_the_files_tell(tmp_path):
    shards = [Shard(tmp_path / f"{name}.txt", tmp_path / f"{name}.jsonl") for name in "abc"]
    checked = Checked(rows=4, digest="d")
    made_by = SETTINGS | {INPUT: "d"}
    progress = Progress([(shard, checked) for shard in shards], Job(never, SETTINGS), finished=10)
    assert progress.rows() == 10
    journal = shards[0].journal
    journal.open(made_by, again=True)
    journal.append([(1, "{}\n"), (2, "{}\n")])
    assert progress.rows() == 12
    journal.append([(1, "{}\n")])
    assert progress.rows() == 13
    journal.open(made_by, again=True)
    assert progress.rows() == 10
    # A record of what is to be overwritten is no progress.
    shards[1].record.write_text('{"model": "b", "column": null, "input": "d", "rows": 4, "bytes": 1}', encoding="utf-8")
    assert progress.rows() == 10
    shards[1].record.write_text('{"model": "a", "column": null, "input": "d", "rows": 4, "bytes": 1}', encoding="utf-8")
    assert progress.rows() == 14
    assert list(progress.waiting) == ["a.jsonl", "c.jsonl"]


def test_problems_in_a_message():
    assert problems_of(["a\nb"], "head") == "head:\n  a\n  b"
    assert problems_of(["a"] * 30, "head").endswith("\n  and 10 more")
