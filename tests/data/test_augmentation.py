"""Copies of training sentences: what is drawn from where, and what it depends on."""

import os
import sys
from collections import Counter

import datasets
import pytest
from datasets import Dataset

from ner.config.augmentation import Augmentation
from ner.data import augmentation
from ner.data.arrow_store import tag_set
from ner.data.augmentation import Augmented, augment
from ner.data.corpus import Source, load_corpus
from ner.data.perturbation import spans
from ner.data.sampling import join_languages
from ner.errors import InputError
from tests.processes import ROOT, fork, run


@pytest.fixture(scope="module")
def parts(corpus_folder) -> list[Dataset]:
    """150 German and 50 French sentences."""
    corpus = load_corpus(Source(str(corpus_folder)), ["de", "fr"], ["train"])
    return [corpus["de"]["train"].select(range(150)), corpus["fr"]["train"].select(range(50))]


def made(parts: list[Dataset], *items: str, seed: int = 42, cut: int | None = None) -> Augmented:
    sentences, languages = join_languages(dict(zip("ab", parts, strict=False)), cut)
    return augment(sentences, languages, items, seed)


def rows(dataset: Dataset) -> list[tuple[list[str], list[str]]]:
    names = tag_set(dataset).names
    return [(row["tokens"], [names[i] for i in row["ner_tags"]]) for row in dataset]


def mentions_of(sentence: tuple[list[str], list[str]]) -> list[tuple[str, str]]:
    words, tags = sentence
    return [(type_, " ".join(words[start:end])) for start, end, type_ in spans(tags) if type_]


def test_copies_stand_behind_the_sentences(parts):
    one = made(parts, "mentions=2", "case=0.2")
    before, after = rows(join_languages({"a": parts[0], "b": parts[1]})[0]), rows(one.sentences)
    assert after[: len(before)] == before
    assert one.num_annotated == len(before) == 200
    with_entity = [sentence for sentence in before if mentions_of(sentence)]
    counts = one.counts
    assert counts["mentions"] + counts["lower"] + counts["upper"] == len(after) - 200
    assert sum(counts.values()) == 2 * len(with_entity) + 40
    assert min(counts["lower"], counts["upper"]) > 5
    assert f"augmentation: 200 sentences, +{counts['mentions']:,} with other mentions" in one.note
    cased = counts["lower"] + counts["upper"]
    assert (
        f"+{cased} with changed case ({counts['lower']} lower, {counts['upper']} upper), +0 with an aside" in one.note
    )


def test_mentions_come_from_sentences_of_the_same_language_in_the_slice(parts):
    """Type by type; never from a sentence that is not trained on."""
    one = made(parts, "mentions=3", cut=60)
    languages = one.languages
    assert len(languages) == len(one.sentences)
    pairs = [{(n, m) for m in mentions_of(s)} for n, s in zip(languages, rows(one.sentences), strict=True)]
    known, found = set().union(*pairs[:60]), set().union(*pairs[60:])
    assert {0, 1} == set(languages[60:])
    assert found <= known
    german, french = ({m for language, m in known if language == number} for number in (0, 1))
    assert german - french
    assert french - german


def test_what_the_copies_depend_on(parts):
    """The seed, the sentences and the option's own value; not what else is asked for, the order, or the batches."""
    items = ("mentions=1", "case=0.3", "asides=0.5")
    together = rows(made(parts, *items).sentences)[200:]
    assert rows(made(parts, *items[::-1]).sentences)[200:] == together
    assert rows(made(parts, *items, seed=1).sentences)[200:] != together
    alone = [copy for item in items for copy in rows(made(parts, item).sentences)[200:]]
    assert Counter(map(str, alone)) == Counter(map(str, together))


def test_asides_are_of_the_language_and_outside(parts):
    """Of half of the sentences; what stands in brackets is a number, or was outside of entities in that language."""
    one = made(parts, "asides=0.5")
    assert one.counts["asides"] == len(one.sentences) - 200 == 100
    assert "+100 with an aside" in one.note
    pool = {
        number: {
            word
            for (words, tags), language in zip(rows(one.sentences)[:200], one.languages[:200], strict=True)
            for word, tag in zip(words, tags, strict=True)
            if tag == "O" and language == number
        }
        for number in (0, 1)
    }
    originals = Counter(str(mentions_of(sentence)) for sentence in rows(one.sentences)[:200])
    for (words, tags), language in zip(rows(one.sentences)[200:], one.languages[200:], strict=True):
        assert originals[str(mentions_of((words, tags)))]
        inside = [word for i, word in enumerate(words) if tags[i] == "O" and "(" in words[:i] and ")" in words[i + 1 :]]
        assert any(word.isdecimal() or word in pool[language] for word in inside)


def test_the_copies_do_not_depend_on_batches_or_the_cache(parts, monkeypatch, tmp_path):
    before = rows(made(parts, "mentions=2", "case=0.3", "asides=0.4").sentences)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(augmentation, "ROWS_PER_BATCH", 7)
    assert rows(made(parts, "mentions=2", "case=0.3", "asides=0.4").sentences) == before
    assert len(list(tmp_path.glob("ner-*"))) == 1
    monkeypatch.setattr(augmentation, "write_copies", None)  # from now on they come from the cache
    assert rows(made(parts, "mentions=2", "case=0.3", "asides=0.4").sentences) == before


PRINTS = """
import sys
from pathlib import Path
import datasets
from ner.data.augmentation import augment
from ner.data.corpus import Source, load_corpus
from ner.data.sampling import join_languages
datasets.config.HF_DATASETS_CACHE = Path(sys.argv[2])
parts = {"fr": load_corpus(Source(sys.argv[1]), ["fr"], ["train"])["fr"]["train"].select(range(50))}
one = augment(*join_languages(parts), ["mentions=1", "case=0.5"], 42)
print(ascii(one.sentences[50:]))
"""


def test_another_process_with_other_hashes_and_locale_makes_the_same(corpus_folder, tmp_path):
    """Than a fork has, whose hashes are by chance."""
    hashes = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": hashes, "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = run([sys.executable, "-c", PRINTS, corpus_folder, tmp_path / "other"], env=environment, cwd=ROOT)
    _, output = fork(PRINTS, corpus_folder, tmp_path / "own")
    assert done.stdout.splitlines() == output.splitlines()[-1:]


def test_sentences_that_do_not_change_are_not_copied(german):
    names = tag_set(german).names
    features = german.features
    alone = {"tokens": [["1998", "."], ["4711"]], "ner_tags": [[0, 0], [names.index("B-LOC")]]}
    one = made([Dataset.from_dict(alone, features=features)], "mentions=2", "case=1")
    assert len(one.sentences) == 2
    assert one.counts == {"mentions": 0, "lower": 0, "upper": 0, "asides": 0, "unchanged": 4}
    assert one.note == (
        "augmentation: 2 sentences, +0 with other mentions, +0 with changed case (0 lower, 0 upper), +0 with an aside; "
        "4 copies would have been the same and are left out"
    )


def test_what_is_asked_for():
    assert Augmentation.parse(["case=0.2", "mentions=2"]) == Augmentation(mentions=2, case=0.2)
    assert Augmentation.parse([]) == Augmentation()
    assert Augmentation.parse(["case=0.20", "mentions=02"]).items == ("mentions=2", "case=0.2")
    assert Augmentation.parse(["case=1"]).items == ("case=1.0",)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (
            ["mention=2"],
            "--augment 'mention=2': no such augmentation; give mentions=2, case=0.2, asides=0.5, or several",
        ),
        (["2"], "--augment '2': no such augmentation"),
        (["mentions"], "--augment 'mentions': give a number of copies from 1 to 100, as in mentions=2"),
        (["mentions=two"], "--augment 'mentions=two': give a number of copies from 1 to 100"),
        (["mentions=0"], "--augment 'mentions=0': give"),
        (["mentions=-1"], "--augment 'mentions=-1': give"),
        (["mentions=1.5"], "--augment 'mentions=1.5': give"),
        (["mentions=101"], "--augment 'mentions=101': give"),
        (["mentions=" + "9" * 5000], "--augment 'mentions=999"),
        (["case=0"], "--augment 'case=0': give a share of the sentences above 0 and up to 1, as in case=0.2"),
        (["case=-0.1"], "--augment 'case=-0.1': give"),
        (["case=1.01"], "--augment 'case=1.01': give"),
        (["case=nan"], "--augment 'case=nan': give"),
        (["case=some"], "--augment 'case=some': give"),
        (["case=0.1", "case=0.2"], "--augment names case twice: 'case=0.1 case=0.2'"),
    ],
)
def test_what_makes_no_sense(items, message):
    with pytest.raises(InputError) as caught:
        Augmentation.parse(items)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200
