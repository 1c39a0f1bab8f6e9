"""Files of tagged sentences as runs: found by their words, scored as any run, refused where a sentence is missing."""

import json

import numpy as np
import pytest

from ner.data.corpus import Source, load_corpus
from ner.errors import InputError
from ner.evaluation.tagged_files import is_tagged_file, load_tagged_file

GOLD = [
    (["Bern", "ist", "alt"], ["B-LOC", "O", "O"]),
    (["Anna", "mag", "Bern"], ["B-PER", "O", "B-LOC"]),
    (["Bern", "ist", "alt"], ["B-ORG", "O", "O"]),
]
PREDICTED = [
    (["Anna", "mag", "Bern"], ["B-PER", "O", "B-GPE"]),
    (["Bern", "ist", "alt"], ["B-LOC", "O", "O"]),
    (["Chur", "ist", "alt"], ["O", "O", "O"]),
    (["Bern", "ist", "alt"], ["O", "O", "O"]),
]


def write(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"tokens": words, "ner_tags": tags}) for words, tags in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


@pytest.fixture
def corpus(tmp_path):
    return load_corpus(
        Source(write(tmp_path / "gold/de/test.jsonl", GOLD).replace("de/test", "{lang}/{split}")), ("de",), ("test",)
    )


def test_which_names_are_files(tmp_path):
    file = write(tmp_path / "other.jsonl", PREDICTED)
    assert is_tagged_file(file)
    assert is_tagged_file("out/{lang}/{split}.conll.gz")
    assert not is_tagged_file(str(tmp_path))
    assert not is_tagged_file(str(tmp_path / "missing.jsonl"))  # a run that is not there
    assert not is_tagged_file("Davlan/xlm-roberta-base-ner-hrl")
    (tmp_path / "run.jsonl").mkdir()
    assert not is_tagged_file(str(tmp_path / "run.jsonl"))


def test_sentences_are_found_by_their_words_and_those_that_repeat_in_turn(corpus, tmp_path):
    tagged = load_tagged_file(write(tmp_path / "other.jsonl", PREDICTED), corpus.source)
    tagged.check(corpus)
    done: list[int] = []
    tested = tagged.test(corpus["de"]["test"], done.append)
    names = tagged.tags.names
    assert [names[i] for i in tested.gold] == [tag for _, tags in GOLD for tag in tags]
    assert [names[i] for i in tested.predictions.tags] == ["B-LOC", "O", "O", "B-PER", "O", "B-GPE", "O", "O", "O"]
    assert tested.word_offsets.tolist() == [0, 3, 6, 9]
    assert np.isnan(tested.predictions.losses).all()
    assert sum(done) == 3
    scores = tested.counts(tagged.tags).scores("default")
    assert (scores["precision"], scores["recall"], scores["support"]) == (2 / 3, 0.5, 4)  # LOC, PER; GPE and ORG not


def test_types_may_be_read_as_others(corpus, tmp_path):
    file = write(tmp_path / "other.jsonl", PREDICTED)
    tagged = load_tagged_file(file, Source(corpus.source.data, map_tags="GPE=LOC"))
    scores = tagged.test(corpus["de"]["test"], lambda _: None).counts(tagged.tags).scores("default")
    assert (scores["precision"], scores["recall"]) == (1.0, 0.75)


def test_illegal_tags_count_as_those_of_a_model(corpus, tmp_path):
    rows = [(["Anna", "mag", "Bern"], ["B-PER", "O", "I-LOC"]), (["Bern", "ist", "alt"], ["B-LOC", "O", "O"])]
    file = write(tmp_path / "other.jsonl", rows)
    tagged = load_tagged_file(file, corpus.source)
    counts = tagged.test(corpus["de"]["test"], lambda _: None).counts(tagged.tags)
    scores = [counts.scores(scoring) for scoring in ("default", "strict")]
    assert [(each["precision"], each["recall"]) for each in scores] == [(3 / 4, 3 / 4), (2 / 3, 2 / 4)]
    reason = "1 words with an I- that continues nothing, left as it is: no entity in strict scoring"
    assert tagged.notes == (f"{file}: {reason}",)


def test_other_schemes_are_converted_and_noted(corpus, tmp_path):
    rows = [(["Anna", "mag", "Bern"], ["S-PER", "O", "S-LOC"]), (["Bern", "ist", "alt"], ["B-LOC", "E-LOC", "O"])]
    file = write(tmp_path / "other.jsonl", rows)
    tagged = load_tagged_file(file, corpus.source)
    tested = tagged.test(corpus["de"]["test"], lambda _: None)
    assert [tagged.tags.names[i] for i in tested.predictions.tags[:6]] == "B-LOC I-LOC O B-PER O B-LOC".split()
    assert tagged.notes == (f"{file}: IOBES, converted to IOB2",)


def test_a_path_of_files_is_a_file_for_each_language_and_split(tmp_path):
    """The same words stand in all of them, tagged otherwise."""
    words = ["Bern", "ist", "alt"]
    for language in ("de", "fr"):
        write(tmp_path / f"gold/{language}/test.jsonl", [(words, ["B-LOC", "O", "O"])])
    write(tmp_path / "out/de/test.jsonl", [(words, ["B-LOC", "O", "O"])])
    write(tmp_path / "out/de/dev.jsonl", [(words, ["B-PER", "O", "O"])])
    write(tmp_path / "out/fr/test.jsonl", [(words, ["B-ORG", "O", "O"])])
    corpus = load_corpus(Source(str(tmp_path / "gold/{lang}/{split}.jsonl")), ("de", "fr"), ("test",))
    tagged = load_tagged_file(str(tmp_path / "out/{lang}/{split}.jsonl"), corpus.source)
    tagged.check(corpus)

    def found(language, split="test"):
        tested = tagged.test(corpus[language]["test"], lambda _: None, (language, split))
        return tagged.tags.names[tested.predictions.tags[0]]

    assert [found("de"), found("fr"), found("de", "validation")] == ["B-LOC", "B-ORG", "B-PER"]
    with pytest.raises(InputError, match=r"jsonl: no file of fr validation; there is de validation, de test, fr test"):
        found("fr", "validation")
    write(tmp_path / "out/fr/test.jsonl", [(["Genf"], ["O"])])  # what German has is not French
    with pytest.raises(InputError, match=r"no sentence with the words 'Bern ist alt' \(fr test sentence 1 of 1\)"):
        load_tagged_file(tagged.name, corpus.source).check(corpus)


def test_a_path_without_a_language_holds_the_splits_of_all(corpus, tmp_path):
    write(tmp_path / "out/test.jsonl", PREDICTED)
    write(tmp_path / "out/dev.jsonl", PREDICTED[:1])
    tagged = load_tagged_file(str(tmp_path / "out/{split}.jsonl"), corpus.source)
    tagged.check(corpus)
    tested = tagged.test(corpus["de"]["test"], lambda _: None, ("de", "test"))
    assert [tagged.tags.names[i] for i in tested.predictions.tags[[0, 3, 6]]] == ["B-LOC", "B-PER", "O"]


def test_a_sentence_that_is_missing_is_named(corpus, tmp_path):
    tagged = load_tagged_file(write(tmp_path / "other.jsonl", PREDICTED[1:]), corpus.source)
    message = (
        r"other\.jsonl: no sentence with the words 'Anna mag Bern' \(de test sentence 2 of 3\); each tested sentence"
    )
    with pytest.raises(InputError, match=message):
        tagged.check(corpus)
