"""Names and texts of others in what is printed: no terminal obeys them, no table breaks, no page runs them."""

import csv
import io
import json
import logging
import re
import warnings
from pathlib import Path

import pytest

from ner.arguments import command, to_yaml
from ner.config import TrainConfig
from ner.errors import InputError
from ner.evaluation.matrix import Result
from ner.files import MANIFEST
from ner.report.tables import escape, to_csv, to_markdown, type_report
from ner.sharing.model_card import make_card
from ner.utils import aligned, cell, table, tqdm
from tests.processes import fork

TITLE = "\x1b]0;owned\x07"  # sets the title of the window
HOSTILE = f"de|a\nb\tc\r{TITLE}\u202e"
ESCAPED = r"de\|a\nb\tc\r\x1b]0;owned\x07\u202e"
IMAGE = "<img src=x onerror=alert(1)> ![](http://a/b) `<b>`"


def obeyed(text: str) -> list[str]:
    return [c for c in text if c != "\n" and (c < " " or c in "\x7f\u202e")]


def test_progress_bars():
    out = io.StringIO()
    with tqdm(total=2, desc=f"read {HOSTILE}", file=out) as bar:
        bar.set_postfix(run=HOSTILE)
        bar.update()
    shown = out.getvalue()
    assert "owned" in shown
    assert obeyed(shown.replace("\r", "")) == []


def test_cells_of_tables_are_cells():
    for made in (table([HOSTILE, "b"], [[HOSTILE, 1], ["x", 2]]), aligned([HOSTILE], [[HOSTILE, "1"], ["x", "2"]])):
        assert made.count(ESCAPED) == 2
        assert len(made.splitlines()) == 4
        assert len({len(line) for line in made.splitlines() if "---" not in line}) == 1
        assert obeyed(made) == []


def test_a_cell_has_its_backslashes():
    """A parser of Markdown takes a backslash for the escape of what follows, so a lone one would free the |."""
    for text in ("a|b", "a\\|b", "a\\\\|b", "\\\\\\|"):
        escaped = cell(text)
        assert len(escaped.partition("|")[0].removeprefix("a")) % 2 == 1
        assert re.sub(r"\\([\\|])", r"\1", escaped) == text


def test_a_cell_of_many_backslashes():
    """In a process that can be killed: what looks at their run from each of them takes its length squared."""
    fork(
        "from ner.utils import cell; run = chr(92) * 1_000_000; assert cell(f'{run}a|') == f'{run}a{chr(92)}|'",
        seconds=60,
    )


def test_matrices_of_hostile_names():
    row = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    scores = {
        "default": {**row, "support": 2, "per_type": {HOSTILE: {**row, "support": 2}}, "macro": row, "weighted": row}
    }
    result = Result(HOSTILE, (HOSTILE,), None, HOSTILE, "test", 10, scores)
    report = type_report([result], [HOSTILE], "default")
    assert len(report.splitlines()) == 6
    assert obeyed(report) == []
    matrix: dict[str, dict[str, float | None]] = {HOSTILE: {HOSTILE: 0.5}}
    assert len(to_markdown(matrix).splitlines()) == 3
    header, line = csv.reader(io.StringIO(to_csv({"test": matrix}), newline=""))
    assert (header, line) == (["split", "trained_on", HOSTILE], ["test", HOSTILE, "0.500000"])
    assert obeyed(escape(HOSTILE)) == []
    assert "\n" not in escape(HOSTILE)


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder whose every name is hostile."""
    (tmp_path / "best").mkdir()
    scores = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2, "per_type": {}}
    scores["per_type"] = {IMAGE: scores | {"per_type": {}}, f"x\n{IMAGE}": scores | {"per_type": {}}}
    language = f"{IMAGE}|\n```\n{IMAGE}"
    config = TrainConfig(
        train_on=(language, "de"), map_tags=f"{IMAGE}=O", license=IMAGE, sample=("all",), model=f"m/{IMAGE}"
    )
    files = {
        "best/config.json": {"id2label": {"0": "O", "1": f"B-{IMAGE}"}},
        f"best/{MANIFEST}": {},
        "metrics.json": {
            "steps": 1,
            "train_sentences": 5,
            "sentences": {language: 5},
            "hub": {"model": IMAGE, "data": IMAGE},
            "best": {"step": 1, "epoch": 1.0, "f1": 0.5, "languages": {language: scores, "de": scores}},
        },
    }
    (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_a_card_holds_no_html_of_others(run):
    card = make_card(run)
    fences = re.findall(r"(?m)^ {0,3}(`{3,})", card)
    assert len(fences) == 6 or len(set(fences)) > 1
    body = card.partition("\n---\n")[2]
    options = body.rindex("````yaml")
    assert "````" in body[options + 8 :]
    shown = re.sub(r"`[^`\n]*`", "", body[:options])
    assert "onerror" in shown  # as text
    assert "<img" not in shown
    assert "<b>" not in shown
    assert "![" not in shown
    rows = [line for line in body[:options].splitlines() if line.startswith("|")]
    assert len(rows) > 5
    assert all(line.endswith("|") for line in rows)


@pytest.mark.parametrize("best", [{"step": "x", "epoch": 1.0, "f1": 0.5}, [], {"languages": {"de": 5}}])
def test_a_card_of_another_shape_is_refused(run, best):
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    (run / "metrics.json").write_text(json.dumps(metrics | {"best": best}), encoding="utf-8")
    with pytest.raises(InputError, match="lacks what a card needs"):
        make_card(run)


def test_what_libraries_log_is_harmless():
    out = io.StringIO()
    logger = logging.getLogger("tests.stress.hostile")
    logger.addHandler(logging.StreamHandler(out))
    logger.propagate = False

    @command
    def main(_: object = None) -> None:
        logger.warning("no file %s", f"\x1b[1mbold\x1b[0m {TITLE}")
        with warnings.catch_warnings(record=False):
            warnings.simplefilter("always")
            out.write(warnings.formatwarning(TITLE, UserWarning, "a.py", 1, ""))

    main([])
    assert "no file bold \\x1b]0;owned\\x07\n" in out.getvalue()
    assert obeyed(out.getvalue()) == []
