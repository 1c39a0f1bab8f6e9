import pyarrow as pa
import pytest

from ner.data import arrow_store, faults
from ner.data.arrow_store import Row
from ner.data.faults import Fault
from ner.errors import InputError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def stored(items, key="key"):
    """(rows, faults) of what a reader yields."""
    part = arrow_store.store(key, "place", lambda: iter(items))
    found = [row for table in part.tables() for row in table.to_pylist()]
    return part, found, [(fault.row, fault.reason) for fault in faults.read(part.faults)]


def test_rows_come_back_and_are_read_once(tmp_path):
    items = [Row(1, ["a", "b"], ["O", "B-X"]), Row(4, ["ü"], ["O"])]
    part, found, bad = stored(items)
    assert found == [
        {"tokens": ["a", "b"], "ner_tags": ["O", "B-X"], "row": 1},
        {"tokens": ["ü"], "ner_tags": ["O"], "row": 4},
    ]
    assert (part.has_ids, part.tag_counts, part.num_faults, bad) == (False, {"B-X": 1, "O": 2}, 0, [])
    assert arrow_store.store("key", "place", lambda: pytest.fail("read again")).tag_counts == part.tag_counts
    assert stored([Row(1, ["a"], [0])], key="other")[0].has_ids
    assert stored([], key="none")[1] == []
    assert not list((tmp_path / "cache").glob("ner-unfinished-*"))


def test_long_words_do_not_wait_for_many(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_store, "CHARACTERS_PER_BATCH", 1000)
    with arrow_store.RowWriter(tmp_path, "place") as writer:
        waiting = []
        for number in range(50):
            writer.add(Row(number, ["a" * 90], ["O"]))
            waiting.append(len(writer.rows))
    assert max(waiting) == 11
    assert sum(map(len, arrow_store.Rows(tmp_path, "place", False, {}, 0, {}).tables())) == 50


def test_a_column_of_too_many_tags_is_none(monkeypatch):
    monkeypatch.setattr(arrow_store, "MOST_TAGS", 5)
    with pytest.raises(InputError, match="more than 5 different tags: B-0, B-1, B-2 and 3 more; not a column of tags"):
        stored([Row(i, ["a"], [f"B-{i}"]) for i in range(6)])


def test_what_fails_leaves_nothing_behind(tmp_path):
    def read():
        yield Row(1, ["a"], ["O"])
        raise ValueError("cut off")

    with pytest.raises(ValueError, match="cut off"):
        arrow_store.store("key", "place", read)
    assert not list((tmp_path / "cache").glob("ner-*"))


@pytest.mark.parametrize(
    ("words", "tags", "reason"),
    [
        (["a", "b"], ["O"], "2 tokens but 1 tags"),
        ([], [], "an empty sentence"),
        (["a"], [], "1 tokens but 0 tags"),
        (["a", ""], ["O", "O"], "token 2 is '', not a word"),
        (["a", " \u00a0\t"], ["O", "O"], r"token 2 is ' \xa0\t', not a word"),
        (["a", None], ["O", "O"], "token 2 is None, not a word"),
        (["a"], [None], "tag 1 is null"),
        (None, ["O"], "tokens is null"),
        (["a"], None, "ner_tags is null"),
    ],
)
def test_rows_that_are_wrong(words, tags, reason):
    good = (["x", "y"], ["O", "O"])
    lists = [good, good, (words, tags), good]
    table = pa.table(
        {
            "tokens": pa.array([own[0] for own in lists], pa.list_(pa.string())),
            "ner_tags": pa.array([own[1] for own in lists], pa.list_(pa.string())),
            "row": [0, 1, 2, 3],
        }
    )
    _, found, bad = stored([table.slice(1)])  # a slice: offsets do not begin at 0
    assert [row["row"] for row in found] == [1, 3]
    assert bad == [(2, reason)]


def test_many_wrong_rows_are_found_at_once():
    lists = pa.array([["a", "", ""]] * 5000 + [["a"]], pa.list_(pa.string()))
    assert arrow_store.wrong_rows(lists, lists) == dict.fromkeys(range(5000), "token 2 is '', not a word")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("a\udcff", r"not UTF-8: byte 0xff in 'a\udcff'"),
        ("\ud83d", r"not UTF-8: half a surrogate pair U+D83D in '\ud83d'"),
    ],
)
def test_what_is_no_utf8(word, reason):
    _, found, bad = stored([Row(1, ["x"], ["O"]), Row(2, [word], ["O"]), Row(3, ["y"], ["B-" + word])])
    assert [row["row"] for row in found] == [1]
    assert bad[0] == (2, reason)
    assert bad[1][0] == 3


def test_names_and_ids_do_not_mix():
    items = [Row(1, [], []), Row(2, ["a"], [0]), Row(3, ["a"], ["O"]), Fault("place", "no row", 4)]
    part, found, bad = stored(items)
    assert part.has_ids
    assert [row["row"] for row in found] == [2]
    assert sorted(bad) == [
        (1, "an empty sentence"),
        (3, "its tags are names, 'O'; those of the rows before are ids"),
        (4, "no row"),
    ]
    assert part.num_faults == 3


def test_batches_hold_a_bounded_number_of_words(monkeypatch):
    monkeypatch.setattr(arrow_store, "WORDS_PER_BATCH", 10)
    part, found, _ = stored([Row(i, ["a"] * 4, ["O"] * 4) for i in range(20)])
    assert [len(table) for table in part.tables()][:2] == [3, 3]
    assert [row["row"] for row in found] == list(range(20))
