"""What holds for whatever comes: tag schemes, annotated text, formats, and bytes that are none of these."""

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from ner.arguments import read_config
from ner.config import TrainConfig
from ner.data import json_rows, readers
from ner.data.annotated_text import tagged_words
from ner.data.arrow_store import Row
from ner.data.faults import Fault
from ner.data.parts import parse_columns
from ner.data.words import split_words
from ner.errors import InputError
from tests.data.test_formats import TEXTS, parquet, spans
from tests.data.test_tag_schemes import convert, write

TYPES = st.sampled_from(["PER", "LOC", "a-b", "É"])
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda word: word.strip())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 40) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def found_entities(draw: Any) -> list[tuple[str, int, int]]:
    """(type, first, last) of entities in 14 words, some side by side."""
    found, word = [], draw(st.integers(0, 2))
    while word < 10:
        length = draw(st.integers(1, 4))
        found.append((draw(TYPES), word, word + length - 1))
        word += length + draw(st.integers(0, 2))
    return found


def is_legal(tags: list[str]) -> bool:
    """Whether each I- goes on with an entity of its type."""
    return all(
        tag[0] != "I" or (before[:1] in ("B", "I") and before[2:] == tag[2:])
        for before, tag in zip(["", *tags], tags, strict=False)
    )


@given(
    st.sampled_from(["OBI", "OBIES", "OBILU", "OIB"]).flatmap(
        lambda letters: st.lists(
            st.lists(st.one_of(st.just("O"), st.tuples(st.sampled_from(letters[1:]), TYPES).map("-".join)), min_size=1),
            min_size=1,
            max_size=4,
        )
    )
)
def test_any_tags_become_legal_iob2_and_stay_so(sentences):
    """No word gains or loses its type, however broken the sequence is, and a second conversion changes nothing."""
    converted, _ = convert(sentences)
    for tags, raw in zip(converted, sentences, strict=True):
        assert is_legal(tags)
        assert [tag[2:] for tag in tags] == [tag[2:] for tag in raw]
    assert convert(converted)[0] == converted


@pytest.mark.parametrize(("scheme", "theirs"), [("IOB1", IOB1), ("IOB2", IOB2), ("IOBES", IOBES), ("BILOU", BILOU)])
@given(found=st.lists(found_entities(), min_size=1, max_size=3))
def test_entities_are_those_that_seqeval_reads(scheme, theirs, found):
    sentences = [write(own, scheme) for own in found]
    converted, tally = convert(sentences)
    one, two = (Entities(tags, scheme=kind).entities for tags, kind in ((sentences, theirs), (converted, IOB2)))
    for gold, ours in zip(one, two, strict=True):
        assert [(e.tag, e.start, e.end) for e in gold] == [(e.tag, e.start, e.end) for e in ours]
    assert not tally.repaired or tally.scheme != scheme


# Without control characters: Python takes U+001C to U+001F for white space, and the tokenizer for words.
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40), st.data())
def test_spans_of_whole_words_become_their_tags(text, data):
    words = split_words(text)
    ends, end = [], 0
    for word in words:
        end = text.index(word, end) + len(word)
        ends.append(end)
    first = 0
    spans, expected = [], ["O"] * len(words)
    while first < len(words):
        last = data.draw(st.integers(first, min(first + 3, len(words) - 1)))
        if data.draw(st.booleans()):
            label = data.draw(TYPES)
            spans.append([ends[first] - len(words[first]), ends[last], label])
            expected[first : last + 1] = [f"B-{label}"] + [f"I-{label}"] * (last - first)
        first = last + 1
    assert tagged_words({"text": text, "spans": spans}) == (words, expected)
    assert "".join("".join(words).split()) == "".join("".join(words))


@given(st.dictionaries(st.sampled_from(["text", "spans", "label", "tokens", "answer", "data", "annotations"]), JSON))
def test_any_object_is_tagged_words_or_bad_input(row):
    with contextlib.suppress(InputError):  # and nothing else is raised
        words, tags = json_rows.json_row(row, "tokens", "ner_tags")
        assert len(words) == len(tags) or "ner_tags" in row


@given(st.lists(st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-PER", "I-PER"])), min_size=1), min_size=1))
def test_rows_of_json_lines_come_back(rows):
    lines = [json.dumps({"tokens": [w for w, _ in row], "ner_tags": [t for _, t in row]}) + "\n" for row in rows]
    found = list(json_rows.read_json_lines(Path("x.jsonl"), lines, {}))
    assert found == [Row(i, [w for w, _ in row], [t for _, t in row]) for i, row in enumerate(rows, start=1)]


NAMES = ["x.jsonl", "x.json", "x.conll", "x.tsv", "x.jsonl.gz", "x.bio.gz", "x.parquet", "x.parquet.gz"]


@given(
    st.sampled_from(NAMES),
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        st.lists(JSON, max_size=4).map(lambda rows: "\n".join(json.dumps(row) for row in rows).encode()),
    ),
    st.booleans(),
)
def test_any_bytes_are_rows_or_bad_input(tmp_path_factory, name, content, is_zipped):
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(gzip.compress(content, mtime=0) if is_zipped else content)
    with contextlib.suppress(InputError):
        for item in readers.read(file):
            assert isinstance(item, Row | Fault | pa.Table)


@given(st.one_of(st.text(max_size=60), st.dictionaries(st.sampled_from(["lr", "train_on", "x"]), JSON).map(json.dumps)))
def test_any_text_is_options_or_bad_input(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "run.yaml"
    file.write_text(text, encoding="utf-8")
    with contextlib.suppress(InputError):
        assert isinstance(read_config(TrainConfig, file), TrainConfig)


# What separates the columns and lines of such files cannot be in a word of them.
SOLID = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=6)
SENTENCES = st.lists(
    st.lists(st.tuples(SOLID, st.sampled_from(["O", "B-PER", "B-LOC"])), min_size=1, max_size=5), min_size=1, max_size=4
)
AS_WRITTEN = [form for form in TEXTS if form not in ("spans", "jsonl ids", "IOB1", "IOBES", "BILOU")]


def read_rows(folder: Path, form: str, packed: bool, content: bytes) -> list[Any]:
    """Whatever is read of a file in a form of `test_formats`."""
    suffix, _, options = TEXTS[form]
    file = folder / f"x{suffix}{'.gz' * packed}"
    file.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return list(readers.read(file, parse_columns(options.get("columns", "auto"))))


@pytest.mark.parametrize("form", AS_WRITTEN)
@given(sentences=SENTENCES, packed=st.booleans())
def test_rows_of_every_format_come_back(tmp_path_factory, form, sentences, packed):
    rows = [([word for word, _ in sentence], [tag for _, tag in sentence]) for sentence in sentences]
    content = TEXTS[form][1](rows).encode()
    found = read_rows(tmp_path_factory.getbasetemp(), form, packed, content)
    assert [(row.words, row.tags) for row in found] == rows


EDITS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 30), st.one_of(st.binary(max_size=4), SOLID.map(str.encode))),
    min_size=1,
    max_size=4,
)


def edited(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Content in which pieces are replaced: (a place, how many bytes go, what comes instead)."""
    for place, length, new in edits:
        at = place % (len(content) + 1)
        content = content[:at] + new + content[at + length :]
    return content


@pytest.mark.parametrize("form", TEXTS)
@given(sentences=SENTENCES, edits=EDITS, packed=st.booleans())
def test_good_files_that_were_damaged_are_rows_or_bad_input(tmp_path_factory, form, sentences, edits, packed):
    tags = {"jsonl ids": ["O", "B-PER"]}.get(form, ["O", "B-PER", "B-LOC"])
    rows = [
        ([word for word, _ in sentence], [tag if tag in tags else "O" for _, tag in sentence]) for sentence in sentences
    ]
    content = edited(TEXTS[form][1](rows).encode(), edits)
    with contextlib.suppress(InputError):  # and nothing else is raised
        for item in read_rows(tmp_path_factory.getbasetemp(), form, packed, content):
            assert isinstance(item, Row | Fault)


@given(kind=st.sampled_from(["names", "ids", "labels"]), edits=EDITS)
def test_damaged_parquet_is_rows_or_bad_input(tmp_path_factory, kind, edits):
    file = tmp_path_factory.getbasetemp() / f"{kind}.parquet"
    if not file.exists():
        parquet(file, [(["Bern", "ist", "schön"], ["B-LOC", "O", "O"])] * 5, kind)
    broken = file.with_name("broken.parquet")
    broken.write_bytes(edited(file.read_bytes(), edits))
    with contextlib.suppress(InputError):
        for item in readers.read(broken):
            assert isinstance(item, Row | Fault | pa.Table)
        readers.tag_names(broken, {})  # in the order of `parts.read_file`


ORDERLY = st.lists(st.tuples(SOLID, st.sampled_from(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])), min_size=1, max_size=8)


@given(ORDERLY)
def test_words_and_tags_become_spans_and_come_back(pairs):
    """Spans of characters, beside the words' own: what an annotation tool writes, and what is read of it."""
    words, tags = [word for word, _ in pairs], [tag for _, tag in pairs]
    (tags,), _ = convert([tags])
    row = json.loads(spans([(words, tags)], with_tokens=True))
    assert tagged_words(row) == (words, tags)
