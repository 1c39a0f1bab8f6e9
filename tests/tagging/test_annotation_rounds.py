"""The pure parts of tests/stress/annotation.py: what is drawn, how sentences are compared, and the report."""

import math

import pytest

from tests.stress import annotation
from tests.stress.annotation import Scores, draw, report, sentences_to

GOLD = [{"tokens": [word], "ner_tags": ["O"]} for word in ("Bern", "Thun", "Bern", "Chur", "Wil")]


def test_different_sentences_are_drawn_and_more_go_on_with_them():
    four = draw(GOLD, 4, seed=1)
    assert len({GOLD[i]["tokens"][0] for i in four}) == 4
    assert draw(GOLD, 2, seed=1) == four[:2]
    assert any(draw(GOLD, 4, seed) != four for seed in range(2, 6))
    with pytest.raises(SystemExit, match="only 4 different training sentences, not 5"):
        draw(GOLD, 5, seed=1)
    assert annotation.annotated(GOLD, [3]) == [{"row": 4, "tokens": ["Chur"], "ner_tags": ["O"]}]


@pytest.mark.parametrize(
    ("level", "sentences"), [(0.4, 0), (0.5, 0), (0.55, 25), (0.6, 50), (0.65, 75), (0.7, 100), (0.71, math.inf)]
)
def test_where_a_curve_first_reaches_a_level(level, sentences):
    """It falls from 0.7 to 0.6 in the end, which does not count."""
    assert sentences_to([0, 50, 100, 150], [0.5, 0.6, 0.7, 0.6], level) == pytest.approx(sentences)


def scores(seed: int, chosen: list[float], at_random: list[float]) -> Scores:
    words = {"uncertain": [0, 900, 1800], "random": [0, 500, 1000]}
    return Scores(seed=seed, sizes=[0, 50, 100], f1={"uncertain": chosen, "random": at_random}, words=words)


def test_the_report_by_hand():
    """Random ones of 100 sentences: 0.7 and 0.73; the others are there at 75, and at 85: 25 and 15 fewer.

    Differences at 50: 0.05 and 0.06; their deviation is 0.00707, half of the interval 12.706 * 0.00707 / 1.41421.
    """
    seeds = [scores(0, [0.5, 0.65, 0.75], [0.5, 0.6, 0.7]), scores(1, [0.5, 0.66, 0.76], [0.5, 0.6, 0.73])]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in report(seeds).splitlines() if "|" in line]
    assert rows[0] == [
        "sentences",
        *("F1 uncertain", "F1 random", "words uncertain", "words random"),
        "uncertain - random",
    ]
    assert rows[2] == ["0", "0.5000", "0.5000", "0", "0", "0.0000 ± 0.0000"]
    assert rows[3] == ["50", "0.6550", "0.6000", "900", "500", "0.0550 ± 0.0635"]
    assert rows[5] == ["random", "uncertain"]
    assert rows[8] == ["100", "20 ± 64"]  # (25 + 15) / 2; 12.706 * 7.071 / 1.41421
    single = report([scores(0, [0.5, 0.52, 0.53], [0.5, 0.6, 0.7])])
    assert "not reached in 1 of 1 seeds" in single
    assert "±" not in single


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "--seed", "1"], "--seed: the experiment sets this flag of train.py itself"),
        (["--strategies", "best"], "invalid choice: 'best'"),
    ],
)
def test_what_the_command_refuses(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        annotation.main([str(tmp_path), "--data", "corpus", "--source-run", "runs/de", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
