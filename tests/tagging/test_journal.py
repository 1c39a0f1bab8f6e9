"""Rows that a killed program goes on with."""

import json

import pytest

from ner.tagging.journal import Journal, check_sum

MADE_BY = {"model": "a", "column": None}
ROWS = [{"text": text} for text in ("Bern", "", "e\u0301\u2028\x85 🏔️", "half \ud83d")]


@pytest.fixture
def journal(tmp_path):
    found = Journal(tmp_path / ".out.jsonl.unfinished")
    assert found.open(MADE_BY, again=False) == 0
    found.append((check_sum(row), json.dumps(row, ensure_ascii=False) + "\n") for row in ROWS)
    return found


def test_rows_come_back(journal):
    assert list(journal.rows()) == ROWS
    assert list(journal.checks()) == [check_sum(row) for row in ROWS]
    assert len(set(journal.checks())) == len(ROWS)
    assert journal.open(MADE_BY, again=False) == len(ROWS)


def test_killed_at_any_byte(journal):
    """Whole rows stay, whatever was written of the next one."""
    whole = journal.file.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        journal.file.write_bytes(whole[:size])
        num_rows = journal.open(MADE_BY, again=False)
        assert num_rows == max(sum(end <= size for end in ends) - 1, 0)
        assert list(journal.rows()) == ROWS[:num_rows]


def test_what_made_the_rows(journal):
    with pytest.raises(ValueError, match=r"unfinished: begun with another model, or other options; `overwrite`"):
        journal.open(MADE_BY | {"model": "b"}, again=False)
    with pytest.raises(ValueError, match=r"another model, or other options, another column; `overwrite`"):
        journal.open({"model": "b", "column": "a"}, again=False)
    assert journal.open(MADE_BY | {"model": "b"}, again=True) == 0
    assert list(journal.rows()) == []


def test_what_is_no_journal(journal):
    journal.file.write_text("[1, 2]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="unfinished"):
        journal.open(MADE_BY, again=False)
    journal.file.write_bytes(b"\xff\n")
    with pytest.raises(ValueError, match="unfinished"):
        journal.open(MADE_BY, again=False)
