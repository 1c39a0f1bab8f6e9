"""The section of the HTML report on the training."""

import json

from ner.report.elements import Picture, Table
from ner.report.sections import training_sections
from tests.evaluation.test_matrix import result
from tests.training.test_log_entries import SCORES


def write_log(folder, num_evaluations: int) -> str:
    folder.mkdir()
    entries = [
        {"step": 10 * i, "epoch": i, "train_loss": 1 / i, "validation": {**SCORES, "f1": 0.1 * i}}
        for i in range(1, num_evaluations + 1)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return str(folder)


def test_each_run_with_a_log_has_its_table_and_plot(tmp_path):
    runs = [write_log(tmp_path / "de", 2), write_log(tmp_path / "fr", 1), "someone/tagger"]
    results = [result(run, (), language, 0.5) for run in runs for language in ("de", "fr")]
    (section,) = training_sections(results, ("de", "fr"))
    german, plot, french = section.content
    assert isinstance(german, Table)
    assert german.header[:4] == ("step", "epoch", "training loss", "validation loss")
    assert german.rows == [[10, 1.0, 1.0, 0.25, 0.8, 0.5, 0.1, 0.9375], [20, 2.0, 0.5, 0.25, 0.8, 0.5, 0.2, 0.9375]]
    assert runs[0] in german.caption
    assert isinstance(plot, Picture)
    assert "<svg" in plot.svg
    assert isinstance(french, Table)  # of a single evaluation there is no plot
    assert training_sections(results[-2:], ("de", "fr")) == []
