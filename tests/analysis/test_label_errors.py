"""Label errors by hand, and the corruption and the rankings of tests/stress/label_errors.py on a real small model."""

import numpy as np
import pytest
from accelerate.state import AcceleratorState

from ner.analysis import label_errors, token_losses
from ner.cli import label_errors as label_errors_command
from ner.data.arrow_store import TAGS as TAGS_COLUMN
from ner.report.sections import label_error_scores
from ner.tags import entities
from tests.analysis.test_views import words_table
from tests.conftest import TAGS
from tests.stress import label_errors as measure

SENTENCES = [
    ("de", "a b c d", "B-LOC I-LOC I-LOC I-LOC", "B-ORG I-ORG I-ORG I-ORG", [2.0, 2.0, 2.0, 2.0]),
    ("de", "a b", "O O", "B-PER O", [2.5, 0.0]),
    ("de", "a -", "B-LOC O", "B-LOC O", [1.0, None]),
    ("de", "-", "O", "O", [None]),
]


def test_one_sure_word_weighs_more_than_many_hard_ones():
    """Mean losses: O 1.25, B-LOC 1.5, I-LOC 2."""
    table = words_table(SENTENCES)
    np.testing.assert_allclose(label_errors.label_error_score(table), [0.5, 1.25, -0.5, -np.inf])
    found = label_errors.rank_label_errors(table, top=3)
    assert found["sentence"].to_pylist() == [1, 0, 2]
    assert found["label_error_score"].to_pylist() == [1.25, 0.5, -0.5]
    assert found["words"].to_pylist()[0] == ["a", "b"]
    assert len(label_errors.rank_label_errors(table)) == 4
    assert len(label_errors.rank_label_errors(table.slice(0, 0))) == 0


def test_the_command_line(tmp_path, capsys):
    with token_losses.open_file(tmp_path / "losses.parquet") as writer:
        writer.write_table(words_table(SENTENCES))
    label_errors_command.main([str(tmp_path / "losses.parquet"), "--top", "1"])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| de       | 1        | 2.50  | 1.25 | a b   |      | PER a     |"
    ]
    for arguments in (["--top", "0"], ["--language", "it"]):
        with pytest.raises(SystemExit) as caught:
            label_errors_command.main([str(tmp_path / "losses.parquet"), *arguments])
        assert caught.value.code == 2


def test_what_has_no_losses_has_no_likely_label_errors(tmp_path, capsys):
    """A dictionary, a file of another system; and sentences without a sub-token."""
    file = tmp_path / "losses.parquet"
    unknown = [(*sentence[:4], [None] * len(sentence[1].split())) for sentence in SENTENCES]
    with token_losses.open_file(file) as writer:
        writer.write_table(words_table(SENTENCES))
        writer.write_table(words_table(unknown, run="other.jsonl"))
    assert label_error_scores(file) == {("runs/de", "de", "test", 1): 1.25}
    label_errors_command.main([str(file), "--run", "runs/de"])
    assert len(capsys.readouterr().out.splitlines()) == 2 + 3
    output = tmp_path / "review.jsonl"
    for arguments in ([], ["--output", str(output)]):
        with pytest.raises(SystemExit) as caught:
            label_errors_command.main([str(file), "--run", "other.jsonl", *arguments])
        assert caught.value.code == 2
        assert f"{file}: no loss of these sentences is known" in capsys.readouterr().err
    assert not output.exists()


@pytest.fixture(scope="module")
def german_tags(german):
    return [[TAGS.names[i] for i in row] for row in german[TAGS_COLUMN][:]]


def test_what_is_corrupted(german_tags):
    changed = measure.corrupt(german_tags, 0.05, seed=0)
    assert changed == measure.corrupt(german_tags, 0.05, seed=0)
    assert set(changed) != set(measure.corrupt(german_tags, 0.05, seed=1))
    assert [sum(way == name for way, _ in changed.values()) for name in measure.WAYS] == [10] * 5
    for sentence, (way, new) in changed.items():
        old = german_tags[sentence]
        assert new != old
        assert len(new) == len(old)
        before, after = set(measure.spans_of(old)), set(measure.spans_of(new))
        gone, come = before - after, after - before
        ids = np.array([TAGS.ids[name] for name in new])
        start = np.arange(len(ids)) == 0
        assert len(entities(ids, start, TAGS)[0]) == len(entities(ids, start, TAGS, "strict")[0])  # legal IOB2
        if way == "drop":
            assert (len(gone), len(come)) == (1, 0)
        elif way == "invent":
            assert (len(gone), len(come)) == (0, 1)
        elif way != "exchange":
            ((first, end, kind),), ((other_first, other_end, other_kind),) = gone, come
            moved = abs(first - other_first) + abs(end - other_end)
            assert (moved, kind == other_kind) == ((1, True) if way == "boundary" else (0, False))


def test_average_precision_by_hand():
    assert measure.average_precision(np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)
    assert measure.average_precision(np.array([False, True])) == 0.5


def test_only_gold_differs(model, tokenizer, corpus_folder, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    AcceleratorState._reset_state(reset_partial_state=True)
    changed, tables = measure.with_losses(str(tmp_path), str(corpus_folder), "de", "validation", 0.05, seeds=2)
    assert [len(own) for own in changed] == [10, 10]
    one, two = tables
    assert one["text"].equals(two["text"])
    np.testing.assert_allclose(one["entropy"].to_numpy(), two["entropy"].to_numpy(), rtol=1e-3, atol=1e-5)
    offsets = token_losses.sentence_offsets(one)
    differ = np.array(one["gold"].to_pylist()) != np.array(two["gold"].to_pylist())
    sentences = set((np.searchsorted(offsets, np.flatnonzero(differ), side="right") - 1).tolist())
    assert sentences <= set(changed[0]) | set(changed[1])
    for own, table in zip(changed, tables, strict=True):
        gold = table["gold"].to_pylist()
        for sentence, (_, new) in own.items():
            assert gold[offsets[sentence] : offsets[sentence + 1]] == new
        for ranking in measure.RANKINGS.values():
            assert len(ranking(table)) == 200
