import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from ner.data import readers
from ner.data.arrow_store import Row
from ner.data.faults import Fault, Undecided
from ner.data.readers import guess_columns, read, suffix_of, tag_names
from ner.errors import InputError


def rows(file: Path, content: str | bytes, **columns: str) -> list:
    """What is read from a file of this content: (number, words, tags) of rows, faults as they are."""
    data = content if isinstance(content, bytes) else content.encode()
    file.write_bytes(gzip.compress(data) if file.name.endswith(".gz") else data)
    return [tuple(item) if isinstance(item, Row) else item for item in read(file, columns)]


TWO = [(1, ["Anna", "ging"], ["B-PER", "O"]), (4, ["Bern"], ["B-LOC"])]


@pytest.mark.parametrize("name", ["x.conll", "x.conllu", "x.tsv", "x.txt", "x.bio", "X.TSV", "x.conll.gz"])
@pytest.mark.parametrize("separator", ["\t", " ", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns(tmp_path, name, separator, end):
    text = f"Anna{separator}B-PER{end}ging{separator}O{end}{end}Bern{separator}B-LOC"
    assert rows(tmp_path / name, text) == TWO
    assert rows(tmp_path / name, "\ufeff" + text + 3 * end) == TWO
    assert rows(tmp_path / name, text.replace(end, f" \t{end}")) == TWO


def test_columns_are_found_or_named(tmp_path):
    indexed = "0\tAnna\tNN\tB-PER\n1\tging\tVV\tO\n\n0\tBern\tNN\tB-LOC\n"
    assert rows(tmp_path / "x.conllu", indexed) == TWO
    assert rows(tmp_path / "x.conllu", indexed.replace("0\t", "1\t").replace("1\tging", "2\tging")) == TWO
    assert rows(tmp_path / "x.tsv", "Anna NN B-PER\nging VV O\n\nBern NN B-LOC\n") == TWO
    swapped = "B-PER\tAnna\tx y\nO\tging\t_\n\nB-LOC\tBern\t_\n"
    assert rows(tmp_path / "x.tsv", swapped, word="1", tag="0") == TWO
    assert rows(tmp_path / "x.tsv", "1 O\n2 O\n\n1 O\n") == [(1, ["1", "2"], ["O", "O"]), (4, ["1"], ["O"])]
    assert guess_columns(["2001 was O\n", "a b O\n"], {}) == (" ", 3, 0, 2)
    for bad in ("2", "tag", "-1"):
        with pytest.raises(ValueError, match=rf"no column tag={bad}; columns are numbered from 0 to 1"):
            rows(tmp_path / "x.tsv", "a O\n", tag=bad)


def test_comments_and_documents(tmp_path):
    text = "-DOCSTART- -X- O O\n\n# id 1\n# text = Anna ging\nAnna\tB-PER\nging\tO\n\n#\tO\n#Bern\tB-LOC\n# Bern\tx\n"
    assert rows(tmp_path / "x.conll", text) == [
        (5, ["Anna", "ging"], ["B-PER", "O"]),
        (8, ["#", "#Bern"], ["O", "B-LOC"]),
    ]
    plain = "Bern LOC\n\n# id 3\n#Bern LOC\n"
    assert rows(tmp_path / "y.conll", plain) == [(1, ["Bern"], ["LOC"]), (4, ["#Bern"], ["LOC"])]


def test_unusual_white_space_is_part_of_a_word(tmp_path):
    assert rows(tmp_path / "x.tsv", "a\u00a0b O\nc\u2028d O\n") == [(1, ["a\u00a0b", "c\u2028d"], ["O", "O"])]


def test_a_short_line_is_a_fault_with_its_number(tmp_path):
    file = tmp_path / "x.tsv"
    found = rows(file, "Anna\tB-PER\n\na\tO\nb\nc\tO\n\nBern\tB-LOC\n")
    assert [item for item in found if not isinstance(item, Fault)] == [
        (1, ["Anna"], ["B-PER"]),
        (7, ["Bern"], ["B-LOC"]),
    ]
    (fault,) = (item for item in found if isinstance(item, Fault))
    assert str(fault) == f"{file}:4: 1 column, not 2: 'b'"
    assert fault.value == "a\tO\nb\nc\tO"


@pytest.mark.parametrize(("name", "separator"), [("x.csv", ","), ("X.CSV", ","), ("x.csv.gz", ","), ("x.tsv", "\t")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_sentence_a_row(tmp_path, name, separator, end):
    lines = [["id", "tokens", "ner_tags"], ["7", "Anna  ging", "B-PER O"], ["8", " Bern\u00a0 ", "B-LOC"]]
    text = end.join(separator.join(fields) for fields in lines)
    expected = [(2, ["Anna", "ging"], ["B-PER", "O"]), (3, ["Bern\u00a0"], ["B-LOC"])]
    assert rows(tmp_path / name, text) == expected
    assert rows(tmp_path / name, "\ufeff" + text + 3 * end) == expected
    renamed = text.replace("tokens", "words").replace("ner_tags", "tags")
    assert rows(tmp_path / name, renamed, word="words", tag="tags") == expected
    assert rows(tmp_path / name, text.replace(f"id{separator}", f" id{separator} ")) == expected


def test_quotes_in_csv(tmp_path):
    text = (
        'tokens, ner_tags\n"Anna , ""Bern"" .","B-PER O B-LOC O"\n\n"Basel\nund\nBern", "B-LOC\tO B-LOC"\nZug,B-LOC\n'
    )
    assert rows(tmp_path / "x.csv", text) == [
        (2, ["Anna", ",", '"Bern"', "."], ["B-PER", "O", "B-LOC", "O"]),
        (4, ["Basel", "und", "Bern"], ["B-LOC", "O", "B-LOC"]),
        (7, ["Zug"], ["B-LOC"]),
    ]


def test_bad_rows_of_csv_are_faults_with_their_line(tmp_path):
    file = tmp_path / "x.csv"
    text = "tokens,ner_tags\nBern,B-LOC\nAnna , Bern,B-PER O B-LOC\nZug\n\"['a', 'b']\",\"['O', 'O']\"\nThun,B-LOC\n"
    found = rows(file, text)
    assert [item for item in found if not isinstance(item, Fault)] == [
        (2, ["Bern"], ["B-LOC"]),
        (6, ["Thun"], ["B-LOC"]),
    ]
    assert [str(item) for item in found if isinstance(item, Fault)] == [
        f"{file}:3: 3 columns, not 2: 'Anna ,Bern,B-PER O B-LOC'; a field that holds a comma needs quotes",
        f"{file}:4: 1 column, not 2: 'Zug'",
        f"{file}:5: \"['O', 'O']\" is a list as Python writes it; join it with blanks",
    ]


def test_a_tsv_of_words_may_hold_a_name_of_a_column(tmp_path):
    text = "tokens\tO\nner_tags\tO\n\nBern\tB-LOC\n"
    assert rows(tmp_path / "x.tsv", text) == [(1, ["tokens", "ner_tags"], ["O", "O"]), (4, ["Bern"], ["B-LOC"])]
    assert rows(tmp_path / "x.tsv", '"\tO\nBern\tB-LOC\n') == [(1, ['"', "Bern"], ["O", "B-LOC"])]


def test_json_lines(tmp_path):
    lines = [{"tokens": ["Anna", "ging"], "ner_tags": ["B-PER", "O"], "id": 1}, {"tokens": ["Bern"], "ner_tags": [3]}]
    text = "\ufeff" + json.dumps(lines[0]) + "\r\n\n  \n" + json.dumps(lines[1])
    assert rows(tmp_path / "x.jsonl.gz", text) == [TWO[0], (4, ["Bern"], [3])]
    renamed = json.dumps({"words": ["Bern"], "labels": ["B-LOC"]})
    assert rows(tmp_path / "x.jsonl", renamed, word="words", tag="labels") == [(1, ["Bern"], ["B-LOC"])]
    spans = json.dumps({"text": "in Bern.", "spans": [{"start": 3, "end": 7, "label": "LOC"}]})
    assert rows(tmp_path / "x.jsonl", spans) == [(1, ["in", "Bern", "."], ["O", "B-LOC", "O"])]


GOOD = '{"tokens": ["a"], "ner_tags": ["O"]}\n'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"tokens": ["a", "b"', "not JSON: the line breaks off at character 21"),
        ("tokens", "not JSON: Expecting value at character 1, 'tokens'"),
        ('["a"]', r"\['a'\], not a JSON object"),
        ("3", "3, not a JSON object"),
        ('{"tokens": ["a"]}', "no column ner_tags; the row has tokens"),
        ('{"words": ["a"]}', "no column tokens; the row has words"),
        ('{"tokens": "a", "ner_tags": ["O"]}', "tokens is 'a', not a list"),
        ('{"tokens": ["a"], "ner_tags": null}', "ner_tags is None, not a list"),
        ('{"tokens": ["a", null], "ner_tags": ["O", "O"]}', "token 2 is None, not a word"),
        ('{"tokens": [["a"]], "ner_tags": [["O"]]}', r"token 1 is \['a'\], not a word"),
        ('{"tokens": [1], "ner_tags": ["O"]}', "token 1 is 1, not a word"),
        ('{"tokens": ["a"], "ner_tags": [["O"]]}', r"tag 1 is \['O'\], not an id"),
        ('{"tokens": ["a", "b"], "ner_tags": ["O", 1]}', "tag 2 is 1, not a name"),
        ('{"tokens": ["a"], "ner_tags": [1.0]}', "tag 1 is 1.0, not an id"),
        ('{"tokens": ["a"], "ner_tags": [true]}', "tag 1 is True, not an id"),
        ('{"tokens": ["a"], "ner_tags": [-1]}', "tag 1 is -1, out of the range"),
        ('{"tokens": ["a"], "ner_tags": [99999999999999999999]}', "out of the range"),
        ("[" * 100_000, "nested too deeply"),
        ('{"tokens": [' + "9" * 5000, "not JSON|integer string conversion|Exceeds"),
        ('{"text": "Bern", "spans": [[0, 3, "LOC"]]}', "cuts the word 'Bern'"),
    ],
)
def test_a_bad_line_of_json_is_a_fault(tmp_path, line, reason):
    good, fault, _ = rows(tmp_path / "x.jsonl", GOOD + line + "\n" + GOOD)
    assert good == (1, ["a"], ["O"])
    assert fault.row == 2
    assert re.search(reason, fault.reason)
    assert fault.value == line


def parquet(file: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), file)
    return file


def tables(file: Path, **columns: str) -> list[dict]:
    return [table.to_pydict() for table in read(file, columns) if isinstance(table, pa.Table)]


def test_parquet(tmp_path):
    file = parquet(
        tmp_path / "x.parquet", words=pa.array([["Bern"], None]), ner_tags=pa.array([[1], [0]], pa.list_(pa.int8()))
    )
    (table,) = tables(file, word="words")
    assert table == {"tokens": [["Bern"], None], "ner_tags": [[1], [0]], "row": [0, 1]}
    assert tag_names(file, {}) is None
    features = Features({"tokens": List(Value("large_string")), "ner_tags": List(ClassLabel(names=["O", "B-LOC"]))})
    Dataset.from_dict({"tokens": [["Bern"]], "ner_tags": [[1]]}, features).to_parquet(file)
    packed = tmp_path / "y.parquet.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    for same in (file, packed):
        assert tag_names(same, {}) == ("O", "B-LOC")
        assert [table["tokens"] for table in tables(same)] == [[["Bern"]]]


@pytest.mark.parametrize("group", [1, 3, 7, 20, 1000])
@pytest.mark.parametrize("length", [1, 300])  # long words do not fit into the dictionary of a row group
def test_parquet_of_many_row_groups(tmp_path, monkeypatch, group, length):
    """As `to_parquet` of datasets and the Hub write it; a batch may end within a group, and not span two."""
    monkeypatch.setattr("ner.data.parquet.ROWS_PER_BATCH", 8)
    rows = [[f"a{i}" * length, "b" * (i % 3 + 1)] for i in range(20)]
    table = pa.table({"tokens": rows, "ner_tags": [[0, i] for i in range(20)]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=group, dictionary_pagesize_limit=1000)
    assert pq.ParquetFile(tmp_path / "x.parquet").num_row_groups == -(-20 // group)
    found = pa.concat_tables(read(tmp_path / "x.parquet"))
    assert found["tokens"].to_pylist() == rows
    assert found["ner_tags"].to_pylist() == table["ner_tags"].to_pylist()
    assert found["row"].to_pylist() == list(range(20))


def test_broken_features_in_parquet(tmp_path):
    broken = {"huggingface": '{"info": {"features": "x"}}'}
    table = pa.table({"tokens": [["a"]], "ner_tags": [[0]]}).replace_schema_metadata(broken)
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="its features, as datasets wrote them, are broken"):
        tag_names(tmp_path / "x.parquet", {})


PLAIN = pa.array([["a"]])


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"tokens": PLAIN}, "no column ner_tags; it has tokens"),
        ({"tokens": pa.array(["a"]), "ner_tags": PLAIN}, "tokens is string, not a list of words"),
        ({"tokens": pa.array([[1]]), "ner_tags": PLAIN}, "tokens is list<.*int64>, not a list of words"),
        ({"tokens": PLAIN, "ner_tags": pa.array([[["a"]]])}, "ner_tags is list<.*list.*>, not a list of tags"),
        ({"tokens": PLAIN, "ner_tags": pa.array([[1.5]])}, "ner_tags is list<.*double>, not a list of tags"),
    ],
)
def test_parquet_of_another_shape(tmp_path, columns, reason):
    with pytest.raises(ValueError, match=reason):
        list(read(parquet(tmp_path / "x.parquet", **columns)))


CUT = gzip.compress(GOOD.encode() * 5000, mtime=0)


@pytest.mark.parametrize("name", [b"tokens", b"ner_tags"])
def test_a_parquet_name_that_is_no_text(name, tmp_path):
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"tokens": [["a"]], "ner_tags": [["O"]]}), file)
    content = file.read_bytes()
    place = content.index(name)
    file.write_bytes(content[:place] + b"\xb4" + content[place + 1 :])
    with pytest.raises(InputError, match=r"not a sound \.parquet file"):
        list(read(file))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.jsonl", b"", "empty"),
        ("x.conll", b"\n \n\t\n", "nothing but white space"),
        ("x.conll.gz", gzip.compress(b"", mtime=0), "empty"),
        ("x.conll", b"\xef\xbb\xbf\n\n", "no word in its first 2 lines"),
        ("x.jsonl", b"[\n" + GOOD.encode() + b"]\n", r"a JSON array, not JSON Lines; its name should end in \.json"),
        ("x.jsonl", b"[" + GOOD.strip().encode() + b"]", "a JSON array, not JSON Lines"),
        ("x.jsonl", b"Bern\tB-LOC\n" * 20, "none of its first 10 lines is a row: not JSON"),
        ("x.conll", GOOD.encode(), "JSON, not columns; its name should end in .jsonl"),
        ("x.conll", b"Bern\n\nThun\n", "one column, 'Bern', where words and tags are expected"),
        ("x.conll", CUT, "gzip, not text; its name should end in .gz"),
        ("x.jsonl.gz", CUT[: len(CUT) // 2], "the gzip data is cut off"),
        ("x.jsonl.gz", CUT[:50] + b"noise" + CUT[55:], "not a sound gzip file"),
        ("x.jsonl.gz", GOOD.encode(), "not a sound gzip file: Not a gzipped file"),
        ("x.jsonl", bytes(range(256)) * 20, "binary data, not text: a zero byte at 0"),
        ("x.conll", "Bern O\n".encode("utf-16"), "UTF-16, not text; save it as UTF-8"),
        ("x.tsv", b"PAR1....", "Parquet, not text; its name should end in .parquet"),
        ("x.parquet", b"", "not a sound .parquet file"),
        ("x.parquet", GOOD.encode(), "not a sound .parquet file"),
        ("x.parquet", b"PAR1" + bytes(100) + b"PAR1", "not a sound .parquet file"),
        ("x.csv", b"", "empty"),
        ("x.csv", b"tokens,tags\nBern,B-LOC\n", "no column ner_tags in its header .* which has 'tokens', 'tags'; name"),
        ("x.csv", b"tokens;ner_tags\n", "no column tokens in its header .*; separate its columns by commas"),
        ("x.csv", b"tokens,tokens,ner_tags\na,b,O\n", "its header has the column tokens 2 times"),
        ("x.csv", b'tokens,ner_tags\n\na,O\n"b,O\nc,O\n', "line 4: unexpected end of data; a field with quotes"),
        ("x.csv", b'tokens,ner_tags\n"a"b,O\n', "line 2: ',' expected after '\"'"),
        ("x.csv", b"tokens,ner_tags\n" + b"a\n" * 20, "none of its first 10 rows can be read; line 11: 1 column"),
        ("x.tsv", b"tokens\tner_tags\nAnna\tB-PER\n\nging\tO\n", "line 3: a blank line between rows; its header"),
        ("x.conll", b'[{"tokens": []}]\n', r"JSON, not columns; its name should end in \.json$"),
        ("x.json", b"[" + GOOD.strip().encode(), "the JSON list breaks off in element 1"),
        ("x.json", b"[" + GOOD.strip().encode() + b",]", "an empty element behind element 1 of the JSON list"),
        ("x.json", b"[" + GOOD.strip().encode() + b"}", "a } behind element 1 that closes nothing"),
        ("x.json", b"[" + GOOD.strip().encode() + b"]\n{}", "something stands behind the JSON list"),
        ("x.json", b"[" + b"{" * (1 << 24), "element 1 of the JSON list is longer than 16,777,216 characters"),
        ("x.jsonl", b"x" * (1 << 24), "line 1 is longer than 16,777,216 characters"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        list(read(tmp_path / name))


JSON_ROWS = [
    {"tokens": ["Anna", "ging"], "ner_tags": ["B-PER", "O"]},
    {"tokens": ['"]},{["', "\\"], "ner_tags": ["O", "O"]},
    {"text": "Bern", "spans": [[0, 4, "LOC"]]},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["x.json", "x.JSON.gz"])
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_a_json_list(tmp_path, monkeypatch, indent, name, size):
    """However it is laid out, and wherever its pieces end. Rows are counted, as all may stand in one line."""
    monkeypatch.setattr(readers, "CHARACTERS_PER_CHUNK", size)
    expected = [(1, ["Anna", "ging"], ["B-PER", "O"]), (2, ['"]},{["', "\\"], ["O", "O"]), (3, ["Bern"], ["B-LOC"])]
    assert rows(tmp_path / name, "\ufeff \n" + json.dumps(JSON_ROWS, indent=indent) + "\n") == expected
    assert rows(tmp_path / name, "".join(json.dumps(row) + "\n" for row in JSON_ROWS)) == expected  # lines, too


def test_a_broken_element_of_a_json_list(tmp_path):
    good, _, _ = map(json.dumps, JSON_ROWS)
    file = tmp_path / "x.json"
    first, broken, number = rows(file, f'[{good}, {{"tokens": ["a"] "ner_tags": ["O"]}}, 7]')
    assert first[0] == 1
    assert str(broken) == f"""{file}:2: not JSON: Expecting ',' delimiter at character 19, '"ner_tags": ["O"]}}'"""
    assert str(number) == f"{file}:3: 7, not a JSON object"


def test_rows_that_nobody_has_accepted(tmp_path):
    answers = ("ignore", "accept", "reject")
    texts = [{"text": "Bern", "spans": [[0, 4, "LOC"]], "answer": answer} for answer in answers]
    first, second, third = rows(tmp_path / "x.jsonl", "".join(json.dumps(row) + "\n" for row in texts))
    assert second == (2, ["Bern"], ["B-LOC"])
    assert [(type(item), item.row, item.reason) for item in (first, third)] == [
        (Undecided, 1, "ignored"),
        (Undecided, 3, "rejected"),
    ]
    tagged = {"tokens": ["Bern"], "ner_tags": ["B-LOC"], "annotations": []}  # of another meaning
    assert rows(tmp_path / "y.jsonl", json.dumps(tagged)) == [(1, ["Bern"], ["B-LOC"])]


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(ValueError, match="Is a directory"):
        list(read(tmp_path / "x.jsonl"))


def test_suffixes():
    assert suffix_of(Path("a.b/x.CoNLL.gz")) == ".conll"
    assert suffix_of(Path("x.CSV")) == ".csv"
    assert suffix_of(Path("x.xlsx")) == suffix_of(Path("x.gz")) == ""


def test_names_of_ids_are_read_as_carefully_as_rows(tmp_path):
    """The rows may be known already, and the file be damaged since."""
    file = tmp_path / "x.parquet"
    file.write_bytes(b"PAR1 and nothing")
    with pytest.raises(InputError, match=r"not a sound \.parquet file"):
        tag_names(file, {})
