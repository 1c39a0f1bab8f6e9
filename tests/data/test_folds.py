"""Training sentences in parts, of which one is left out."""

import json
from collections import Counter
from pathlib import Path

import pytest

from ner.config import TrainConfig
from ner.data.corpus import Corpus, Source, load_corpus
from ner.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """100 German sentences, each twice, with other tags."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "de").mkdir()
    rows = [{"tokens": [f"Wort{i}", "."], "ner_tags": [tag, "O"]} for tag in ("B-LOC", "O") for i in range(100)]
    for split in ("train", "test"):
        (folder / f"de/{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def load(folder: Path, fold: str | None, splits: tuple[str, ...] | None = ("train", "fold"), **options) -> Corpus:
    return load_corpus(Source(str(folder), fold=fold, **options), ["de"], splits)


def words(corpus: Corpus, split: str) -> list[str]:
    return [tokens[0] for tokens in corpus["de"][split]["tokens"]]


def test_each_sentence_is_left_out_once(folder):
    """Repeated sentences together; the others keep their order."""
    whole = words(load(folder, None, ("train",)), "train")
    left_out: Counter[str] = Counter()
    for number in range(1, 6):
        corpus = load(folder, f"{number}/5")
        rest, fold = words(corpus, "train"), words(corpus, "fold")
        assert len(rest) + len(fold) == 200
        assert rest == [word for word in whole if word not in fold]
        assert 20 <= len(fold) <= 60
        left_out.update(fold)
    assert left_out == Counter(whole)


def test_the_fold_is_of_the_sentences_that_are_used(folder):
    """A sample is drawn first, and a sentence is in the same part whatever the sample."""
    whole = words(load(folder, "1/3"), "fold")
    sample = load(folder, "1/3", sample=("de=0.5",))
    assert set(words(sample, "fold")) < set(whole)
    assert len(words(sample, "train")) + len(words(sample, "fold")) == 100


def test_splits_that_are_asked_for(folder):
    assert list(load(folder, "2/5", ("fold",))["de"]) == ["fold"]
    assert set(load(folder, "2/5", None)["de"]) == {"train", "test", "fold"}
    assert len(words(load(folder, "2/5", ("train", "test")), "test")) == 200
    assert len(words(load(folder, None, ("train",)), "train")) == 200
    with pytest.raises(InputError, match="no split fold: nothing is left out of the training sentences; `fold` 2/5"):
        load(folder, None)


@pytest.mark.parametrize("fold", ["0/5", "6/5", "1/1", "1/101", "2", "/", "a/b", "1/5/2", "-1/5", "1/9999", "²/5"])
def test_folds_that_there_are_not(folder, fold):
    with pytest.raises(InputError, match=f"`fold` '{fold}': give I/K, like 2/5, with K from 2 to 100"):
        load(folder, fold)
    with pytest.raises(InputError, match="give I/K"):
        TrainConfig(fold=fold)
