"""Which sentences become unlabelled text."""

import json
import re

import pytest

from ner.data.corpus import Source, load_corpus
from ner.data.sampling import join_languages, leave_share, take_share
from ner.data.words import characters_key
from ner.errors import InputError
from ner.tagging.unlabelled import read_unlabelled
from tests.conftest import TAGS


@pytest.fixture(scope="module")
def source(corpus_folder):
    return Source(str(corpus_folder))


@pytest.fixture(scope="module")
def corpus(source):
    return load_corpus(source, ["de"], ("train", "validation"))


@pytest.fixture(scope="module")
def trained_on(corpus):
    return join_languages({"de": corpus["de"]["train"]}, 50)[0]


def sentences(pool) -> list[list[str]]:
    return list(pool.sentences["tokens"])


def test_texts_are_taken_apart_and_what_is_known_is_left_out(corpus, source, trained_on, tmp_path):
    whole = load_corpus(source, ["de", "fr"], None)
    test = whole["fr"]["test"]["tokens"][3]
    lines = [
        "Anna Keller wohnt in (Bern) am Markt. Sie lacht.",
        " ".join(test),
        "".join(test),  # words that are taken apart in another way
        "Anna Keller wohnt in Bern.",
        "Sie  lacht.",
        " ".join(trained_on["tokens"][0]),
        " ".join(corpus["de"]["validation"]["tokens"][0]),
        "",
    ]
    file = tmp_path / "fr.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    pool = read_unlabelled([str(file)], corpus, trained_on)
    assert sentences(pool) == [
        ["Anna", "Keller", "wohnt", "in", "(", "Bern", ")", "am", "Markt", "."],
        ["Sie", "lacht", "."],
        ["Anna", "Keller", "wohnt", "in", "Bern", "."],
    ]
    assert pool.languages == ["fr"]
    assert dict(pool.left_out) == {"in test of fr": 2, "repeated": 1, "trained on": 1, "in validation of de": 1}
    assert str(pool).startswith("3 sentences: fr 3; left out: 2 in test of fr; left out: 1 in validation of de")
    assert set(pool.sentences["ner_tags"][0]) == {TAGS.outside}
    again = read_unlabelled([str(file)], corpus, trained_on)  # from the cache
    assert (sentences(again), again.left_out) == (sentences(pool), pool.left_out)


def test_files_of_words_have_no_language_or_a_given_one(corpus, trained_on, tmp_path):
    file = tmp_path / "news.jsonl"
    file.write_text(json.dumps({"tokens": ["Zürich", "ist"]}) + "\n", encoding="utf-8")
    pool = read_unlabelled([str(file), f"it={file}"], corpus, trained_on)
    assert (sentences(pool), pool.languages) == ([["Zürich", "ist"]] * 2, ["", "it"])


def test_what_sample_leaves_of_a_language(corpus_folder, trained_on):
    sampled = load_corpus(Source(str(corpus_folder), sample=("fr=0.25",)), ["de"], ("train", "validation"))
    whole = load_corpus(Source(str(corpus_folder)), ["fr"], None)["fr"]
    rest = leave_share(whole["train"], 0.25)
    assert len(rest) + len(take_share(whole["train"], 0.25)) == len(whole["train"])
    held_out = {characters_key(words) for split in ("validation", "test") for words in whole[split]["tokens"]}
    pool = read_unlabelled(["fr"], sampled, trained_on)
    found = [characters_key(words) for words in sentences(pool)]
    assert len(set(found)) == len(found)
    assert set(found) == {characters_key(words) for words in rest["tokens"]} - held_out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xx", "`unlabelled` 'xx': neither a file nor a language of"),
        ("xx=a.txt", "has no language xx"),
        ("fr", "has no sentence that is not trained or tested on; `sample` leaves 0 training sentences of fr"),
        ("nowhere.txt", "nowhere.txt: no such file"),
        ("book.pdf", "its name should end in .txt"),
    ],
)
def test_what_is_refused(corpus, trained_on, name, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_unlabelled([name], corpus, trained_on)


def test_a_file_without_a_new_sentence_is_refused(corpus, trained_on, tmp_path):
    file = tmp_path / "old.txt"
    file.write_text(" ".join(trained_on["tokens"][0]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no sentence that is not trained or tested on"):
        read_unlabelled([str(file)], corpus, trained_on)
