from ner.data import faults
from ner.data.faults import Fault, report
from ner.errors import listed, shorten


def test_one_fault_is_one_line():
    fault = Fault("de.tsv", "5 tokens but 4 tags", 1042)
    assert report([], [fault], 1) == "de.tsv:1042: 5 tokens but 4 tags; fix the row, or pass `on_bad_row` skip"
    assert report([Fault("de.tsv", "empty")], [], 0) == "de.tsv: empty"


def test_the_first_twenty_and_a_count():
    rows = (Fault("de.tsv", "bad", row) for row in range(10**9))  # read no further than they are shown
    lines = report([Fault("fr.tsv", "empty")], rows, 1234).splitlines()
    assert lines[0] == "1,235 faults in the data"
    assert lines[1:4] == ["  fr.tsv: empty", "  de.tsv:0: bad", "  de.tsv:1: bad"]
    assert lines[20:] == ["  de.tsv:18: bad", "  and 1,215 more", "fix the rows, or pass `on_bad_row` skip"]
    only_files = report([Fault(f"{i}.tsv", "empty") for i in range(25)], [], 0).splitlines()
    assert only_files[-2:] == ["  19.tsv: empty", "  and 5 more"]


def test_written_and_read_back(tmp_path):
    found = [Fault("x", "é", 3, {"tokens": ["ü", None]}), Fault("y", "not UTF-8", None, "half a pair \ud800")]
    faults.write(tmp_path / "f.jsonl", found)
    again = list(faults.read(tmp_path / "f.jsonl"))
    assert len(again) == 2
    assert again[0] == found[0]
    assert again[1].value.startswith("half a pair ")


def test_values_are_cut():
    assert shorten("a" * 100, 20) == "'aaaaaaaaaaaaaaa ..."
    assert listed("abc", 2) == "a, b and 1 more"
