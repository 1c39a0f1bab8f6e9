"""The pure parts of tests/stress/label_noise.py: what is corrupted, what cleaning changes, and the report."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.data.corpus import Corpus, Source, load_corpus
from ner.data.corrections import keyed, sentence_key
from ner.data.perturbation import Sentence
from tests.conftest import part_of
from tests.stress import experiment
from tests.stress import label_noise as noise
from tests.stress.label_errors import spans_of

ANNA = (["Anna", "wohnt", "in", "Bern"], ["B-PER", "O", "O", "B-LOC"])
RAIN = (["Es", "regnet"], ["O", "O"])
LISTED = [
    {"language": "de", "split": "train", "key": "a", "tokens": ["Bern"], "ner_tags": ["O"], "drop": False},
    {"language": "de", "split": "train", "key": "b", "tokens": ["Genf"], "ner_tags": ["B-LOC"], "drop": False},
]
RIGHT = [
    {"key": "a", "way": "drop", "ner_tags": ["B-LOC"]},
    {"key": "c", "way": "drop", "ner_tags": ["B-PER"]},
    {"key": "d", "way": "boundary", "ner_tags": ["B-PER"]},
]


def rows_of(corpus: Corpus, split: str) -> list[Sentence]:
    return [(words, tags) for _, words, tags in keyed(corpus["de"][split])]


@pytest.fixture(scope="module")
def german_rows(corpus_folder) -> list[Sentence]:
    return rows_of(load_corpus(Source(str(corpus_folder)), ["de"], ["train"]), "train")


def test_a_share_of_the_sentences_gets_one_wrong_entity_each(german_rows):
    changed = noise.corrupt(german_rows, 0.05, seed=42)
    assert changed == noise.corrupt(german_rows, 0.05, seed=42)
    assert set(changed) != set(noise.corrupt(german_rows, 0.05, seed=43))
    assert len(changed) == 50  # of 1,000
    assert {way for way, _ in changed.values()} == {"other type", "drop", "boundary", "invent"}
    for sentence, (way, new) in changed.items():
        before, after = set(spans_of(german_rows[sentence][1])), set(spans_of(new))
        assert before
        assert len(new) == len(german_rows[sentence][0])
        sizes = {"drop": (1, 0), "invent": (0, 1)}.get(way, (1, 1))
        assert (len(before - after), len(after - before)) == sizes


@given(st.integers(0, 1000), st.lists(st.sampled_from([ANNA, RAIN]), min_size=2, max_size=12))
def test_no_sentence_becomes_one_that_is_there(seed, sentences):
    """Else its correction would be one of the other sentence, too."""
    size = min(sentences.count(ANNA), 3)  # four ways, so that the third still finds one
    changed = noise.corrupt(sentences, size / len(sentences), seed)
    keys = [sentence_key(sentences[i][0], new) for i, (_, new) in changed.items()]
    assert len(set(keys)) == len(keys) == size
    assert not set(keys) & {sentence_key(*sentence) for sentence in sentences}
    assert all(sentences[i] == ANNA for i in changed)


def test_more_than_can_be_corrupted():
    with pytest.raises(SystemExit, match="only 1 of 2 sentences can be corrupted, not 2"):
        noise.corrupt([ANNA, RAIN], 1.0, seed=0)


def test_the_copies_differ_in_the_tags_of_the_corrupted_sentences_alone(corpus_folder, tmp_path):
    """And the right tags of all of them, as corrections, make the clean sentences of the noisy ones."""
    data = part_of(corpus_folder, tmp_path, train=100, validation=10, test=10)
    source = Source(str(data), sample=("de=0.5",))
    noise.write_data(tmp_path / "new", source, "de", 0.1, seed=1)
    splits = ("train", "validation", "test")
    whole = load_corpus(source, ["de"], splits)
    clean, noisy = (load_corpus(Source(str(tmp_path / "new" / name)), ["de"], splits) for name in ("clean", "noisy"))
    assert clean.tags == noisy.tags == whole.tags
    for split in splits:
        assert rows_of(clean, split) == rows_of(whole, split)  # the same sample, in the same order
    assert len(rows_of(clean, "train")) == 50
    right = experiment.read_rows(tmp_path / "new/corrupted.jsonl")
    differ = [i for i, (a, b) in enumerate(zip(*(rows_of(c, "train") for c in (clean, noisy)), strict=True)) if a != b]
    assert differ == [row["sentence"] for row in right]
    assert len(differ) == 5
    assert all(rows_of(noisy, split) == rows_of(clean, split) for split in ("validation", "test"))

    again = load_corpus(
        Source(str(tmp_path / "new/noisy"), corrections=str(tmp_path / "new/corrupted.jsonl")), ["de"], splits
    )
    assert rows_of(again, "train") == rows_of(clean, "train")


def test_a_copy_that_is_finished_is_left_alone(corpus_folder, tmp_path):
    data = part_of(corpus_folder, tmp_path, train=40, validation=5, test=5)
    arguments = (tmp_path / "new", Source(str(data)), "de")
    noise.write_data(*arguments, 0.1, seed=1)
    files = [file for file in (tmp_path / "new").rglob("*") if file.is_file()]
    before = [(file, file.stat().st_mtime_ns) for file in files]
    noise.write_data(*arguments, 0.1, seed=1)
    assert [(file, file.stat().st_mtime_ns) for file in files] == before


def test_cleaning_by_rule():
    assert [(row["key"], row["drop"]) for row in noise.dropped(LISTED)] == [("a", True), ("b", True)]
    assert [(row["ner_tags"], row["drop"]) for row in noise.restored(LISTED, RIGHT)] == [
        (["B-LOC"], False),
        (["B-LOC"], False),  # was not corrupted
    ]


def seed_scores(seed: int, f1: tuple[float, float, float, float], found: int) -> noise.Scores:
    corrupted = {"other type": 0, "drop": 6, "boundary": 4, "invent": 0}
    by_way = {"other type": 0, "drop": found, "boundary": 1, "invent": 0}
    of_taggers = dict(zip(noise.TAGGERS, f1, strict=True))
    return noise.Scores(seed=seed, sentences=200, corrupted=corrupted, found=by_way, listed=8, f1=of_taggers)


def test_the_report_by_hand():
    """Seed 43: noise cost nothing. Lost in the mean: 0.85 - 0.815 = 0.035; back 0.015 and 0.025."""
    assert noise.count({"a", "b", "d"}, RIGHT) == (
        {"other type": 0, "drop": 2, "boundary": 1, "invent": 0},
        {"other type": 0, "drop": 1, "boundary": 1, "invent": 0},
    )
    text = noise.report(
        [seed_scores(42, (0.9, 0.8, 0.83, 0.85), found=5), seed_scores(43, (0.8, 0.83, 0.83, 0.83), found=3)]
    )
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("|")]
    assert rows[2:5] == [
        ["42", "0.9000", "0.8000", "0.8300", "0.8500", "0.1000", "0.30", "0.50", "0.750", "0.600"],
        ["43", "0.8000", "0.8300", "0.8300", "0.8300", "-0.0300", "-", "-", "0.500", "0.400"],
        ["mean", "0.8500", "0.8150", "0.8300", "0.8400", "0.0350", "0.43", "0.71", "0.625", "0.500"],
    ]
    assert ["drop", "12", "8", "0.667"] in rows
    assert ["other type", "0", "0", "-"] in rows
    assert "42: 10 of 200, 8" in text
    assert "mean" not in noise.report([seed_scores(42, (0.9, 0.8, 0.83, 0.85), found=5)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "--seed", "1"], "--seed: the experiment sets this flag of train.py itself"),
        (["--share", "0.1"], "was begun with share 0.05, not 0.1; name another folder"),
        (["--", "--lr", "1"], "was begun with flags [], not ['--lr', '1']"),
    ],
)
def test_what_the_command_refuses(tmp_path, capsys, arguments, message):
    given_first = [str(tmp_path), "--data", "corpus", "--model", "encoder"]
    same = {"data": "corpus", "model": "encoder", "language": "de", "sample": ["auto"], "share": 0.05, "folds": 5}
    assert experiment.check_same(tmp_path, {**same, "top": None, "flags": []}) is None
    with pytest.raises(SystemExit) as caught:
        noise.main([*given_first, *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
