"""Reviewed sentences laid over a corpus."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.data.arrow_store import tag_set
from ner.data.corpus import Corpus, Source, load_corpus
from ner.data.corrections import Correction, Place, check, place_of, sentence_key
from ner.errors import InputError

TRAIN = [
    ("Anna wohnt in Bern", "B-PER O O B-LOC"),
    ("Musik ist schön", "B-LOC O O"),
    ("Uni Bern", "B-ORG I-ORG"),
    ("Musik ist schön", "B-LOC O O"),
    ("Es regnet", "O O"),
]
NAMES = """
    language split key tokens ner_tags drop text spans label data annotations result value start end labels answer
    fields responses entities meta metadata was_cancelled type
""".split()
TEST = [("Basel", "B-LOC"), ("Novartis in Basel", "B-LOC O B-LOC")]


@pytest.fixture
def folder(tmp_path) -> Path:
    for language, split, sentences in (("de", "train", TRAIN), ("de", "test", TEST), ("fr", "train", TEST)):
        file = tmp_path / f"corpus/{language}/{split}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"tokens": words.split(), "ner_tags": tags.split()} for words, tags in sentences]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "corpus"


def row(sentence: tuple[str, str], split: str = "train", language: str = "de", **changes: Any) -> dict[str, Any]:
    """A row of a review, with what a person made of it."""
    words, tags = (part.split() for part in sentence)
    key = {"language": language, "split": split, "key": sentence_key(words, tags)}
    return {**key, "tokens": words, "ner_tags": tags, "losses": [1.0], "drop": False} | changes


def load(folder: Path, *rows: Any, splits: tuple[str, ...] = ("train", "test"), **options: Any) -> Corpus:
    file = folder.parent / "review.jsonl"
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_corpus(Source(str(folder), corrections=str(file), **options), ["de"], splits)


def sentences(corpus: Corpus, split: str) -> list[tuple[str, str]]:
    part = corpus["de"][split]
    names = tag_set(part).names
    return [(" ".join(r["tokens"]), " ".join(names[i] for i in r["ner_tags"])) for r in part]


def test_tags_are_replaced_and_sentences_left_out_in_place(folder):
    """A sentence that stands there twice is corrected twice; what is not named stays."""
    corpus = load(
        folder,
        row(TRAIN[1], ner_tags=["O", "O", "O"]),
        row(TRAIN[2], drop=True),
        row(TRAIN[4]),
        row(TEST[1], "test", ner_tags=["B-ORG", "O", "B-LOC"]),
    )
    assert sentences(corpus, "train") == [
        TRAIN[0],
        ("Musik ist schön", "O O O"),
        ("Musik ist schön", "O O O"),
        TRAIN[4],
    ]
    assert sentences(corpus, "test") == [TEST[0], ("Novartis in Basel", "B-ORG O B-LOC")]
    assert corpus.notes[:2] == (
        "corrections of de train: 2 sentences changed, 1 dropped, 1 as they were",
        "corrections of de test: 1 sentences changed, 0 dropped, 0 as they were",
    )


def test_words_can_be_corrected_too(folder):
    corpus = load(folder, row(TRAIN[2], tokens=["Universität", "Bern", "."], ner_tags=["B-ORG", "I-ORG", "O"]))
    assert sentences(corpus, "train")[2] == ("Universität Bern .", "B-ORG I-ORG O")


def test_annotated_text_is_read_by_the_words_of_the_sentence(folder):
    changed = row(TRAIN[0]) | {"text": TRAIN[0][0], "label": [[14, 18, "ORG"]]}
    del changed["ner_tags"]
    assert sentences(load(folder, changed), "train")[0] == ("Anna wohnt in Bern", "O O O B-ORG")


def test_a_json_list_is_read(folder):
    rows = [row(TRAIN[1], drop=True), row(TRAIN[0])]
    assert len(sentences(load(folder, json.dumps(rows, indent=1)), "train")) == 3


def test_what_nobody_decided_stays(folder):
    for undecided in (
        {"answer": "ignore", "text": "x", "spans": []},
        {"data": {"text": "x"}, "annotations": [{"was_cancelled": True, "result": []}]},
        {"fields": {"text": "x"}, "responses": {}},
    ):
        changed = row(TRAIN[0]) | undecided
        del changed["ner_tags"]
        assert sentences(load(folder, changed), "train") == TRAIN


def test_rows_of_what_is_not_read_are_counted(folder):
    corpus = load(folder, row(TEST[0], "test"), row(TEST[0], language="fr"), splits=("train",))
    assert corpus.notes[:2] == (
        "corrections of de test: 1 rows are not used; the split was not asked for",
        "corrections of fr train: 1 rows are not used; the split was not asked for",
    )


def test_the_sample_is_the_same_with_corrections(folder):
    """Which sentences are drawn does not change, and one that is not drawn may be corrected, too."""
    plain = sentences(load_corpus(Source(str(folder), sample=("de=0.6",)), ["de"], ("train",)), "train")
    rows = [row(TRAIN[i], drop=True) for i in (0, 1, 2)]
    kept = sentences(load(folder, *rows, sample=("de=0.6",), splits=("train",)), "train")
    assert kept == [sentence for sentence in plain if sentence == TRAIN[4]]
    assert len(plain) == 3


def test_held_out_sentences_are_of_the_split_validation(folder):
    source = Source(str(folder), validation_fraction=0.3)
    held_out = sentences(load_corpus(source, ["de"], ("train", "validation")), "validation")
    (sentence,) = held_out
    splits = ("train", "validation")
    right = "O " * len(sentence[1].split())
    corrected = load(
        folder, row(sentence, "validation", ner_tags=right.split()), splits=splits, validation_fraction=0.3
    )
    assert sentences(corrected, "validation") == [(sentence[0], right.strip())]
    with pytest.raises(InputError, match="the split validation is empty"):
        load(folder, row(sentence, "validation", drop=True), splits=splits, validation_fraction=0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"key": "0" * 32},
            "de train has no sentence with its key: the data was changed, or is read with other options",
        ),
        ({"key": 7}, "key is 7, not a text"),
        ({"language": None}, "no language"),
        ({"ner_tags": ["O", "O", "O", "B-MISC"]}, "token 4, 'Bern', has the unknown tag 'B-MISC'; the tags are O"),
        ({"ner_tags": ["O", "O", "O", 3]}, "tag 4 is 3, not a name"),
        ({"ner_tags": [0, 0, 0, 0]}, "token 1, 'Anna', has the unknown tag 0"),
        ({"ner_tags": ["O", "O", "I-LOC", "O"]}, "token 3, 'in', has I-LOC behind O; an entity begins with B-LOC"),
        ({"ner_tags": ["O"]}, "4 words and 1 tags; give one tag for each word, or drop: true"),
        ({"tokens": [], "ner_tags": []}, "0 words and 0 tags"),
        ({"ner_tags": "O O O O"}, "ner_tags is 'O O O O', not a list"),
        (
            {"ner_tags": None, "text": TRAIN[0][0], "spans": [], "answer": "reject"},
            "its answer is 'reject', not 'accept'",
        ),
        (
            {"ner_tags": None, "text": "Anna", "spans": []},
            "its text is 'Anna', and not the words of the sentence, 'Anna",
        ),
        ({"ner_tags": None, "label": []}, "neither ner_tags, nor a text with spans, nor drop; the row has language"),
        ({"drop": "yes"}, "drop is 'yes', not true or false"),
    ],
)
def test_rows_that_do_not_fit(folder, changes, message):
    changed = {name: value for name, value in (row(TRAIN[0]) | changes).items() if value is not None}
    with pytest.raises(InputError) as caught:
        load(folder, row(TRAIN[1]), changed)
    assert f"review.jsonl:2: {message}" in str(caught.value)
    assert "mend the row, or write the file again with `ner label-errors`" in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(folder):
    with pytest.raises(InputError) as caught:
        load(
            folder,
            row(TRAIN[0], ner_tags=["O"]),
            row(TRAIN[1]),
            row(("Anna", "O")),
            row(TEST[0], "test", ner_tags=["X"]),
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 faults in the data"
    assert [line.split(": ")[0].rpartition(":")[2] for line in lines[1:4]] == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "review.jsonl:1: not JSON: the line breaks off at character 2"),
        ("[1, 2", "review.jsonl: not JSON"),
        ("7", "review.jsonl:1: 7, not a JSON object"),
        ("", "review.jsonl: nothing but white space"),
        ("[" * 100_000, "review.jsonl: nested too deeply"),
    ],
)
def test_files_that_are_no_corrections(folder, text, message):
    with pytest.raises(InputError) as caught:
        load(folder, text)
    assert message in str(caught.value)


def test_two_rows_of_a_sentence(folder):
    with pytest.raises(InputError, match=r"review\.jsonl:2: the same sentence as row 1; keep one of them"):
        load(folder, row(TRAIN[0]), row(TRAIN[0], drop=True))


def test_a_file_that_is_not_there(folder):
    with pytest.raises(
        InputError, match=r"`corrections` gone\.jsonl: no such file; `ner label-errors --output` writes"
    ):
        load_corpus(Source(str(folder), corrections="gone.jsonl"), ["de"], ("train",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 30) | st.text(max_size=5) | st.sampled_from(["O", "B-LOC", "Anna"]),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inside, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
def test_any_row_is_used_or_refused(changes):
    words, tags = TRAIN[0][0].split(), TRAIN[0][1].split()
    correction = Correction(1, Place("de", "train", ""), changes)
    with contextlib.suppress(InputError):
        right = correction.of(words, tags)
        check(right, ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
        assert right is None or len(right[0]) == len(right[1]) > 0
    with contextlib.suppress(InputError):
        assert all(isinstance(value, str) for value in place_of(changes))
