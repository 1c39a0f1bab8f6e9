"""`ner calibrate`: a real small run before and after, what uses the temperature, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from ner.cli import calibrate
from ner.errors import InputError
from ner.files import verify
from ner.modeling.calibration import KEY, Calibration, fold_temperature
from ner.modeling.model import build_model, load_tagger
from ner.modeling.soup import check_alike, write_mean
from ner.tagging.tagger import Tagger
from tests.cli.conftest import TEXTS
from tests.runs import train_run


@pytest.fixture(scope="module")
def run(encoder_folder, small_corpus, tmp_path_factory):
    """A run on German."""
    folder = tmp_path_factory.mktemp("runs") / "de"
    train_run(encoder_folder, small_corpus, folder, "--train-on de --max-steps 40 --batch-size 32")
    return folder


def main(*arguments: object) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    calibrate.main([*map(str, arguments), "--mixed-precision", "no"])


def status(*arguments: object) -> object:
    with pytest.raises(SystemExit) as caught:
        main(*arguments)
    return caught.value.code


def copy_of(run: Path, folder: Path, *flags: object) -> Path:
    """A copy of the run, calibrated."""
    shutil.copytree(run, folder)
    main(folder, *flags)
    return folder


@pytest.fixture(scope="module")
def calibrated(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    return copy_of(run, folder / "de", "--languages", "de", "fr", "--output", folder / "report", "--precision", "0.6")


@pytest.fixture(scope="module")
def cooled(run, tmp_path_factory) -> Path:
    return copy_of(run, tmp_path_factory.mktemp("cooled") / "de", "--method", "temperature")


def config_of(run: Path) -> dict[str, float]:
    return json.loads((run / "best/config.json").read_text(encoding="utf-8"))[KEY]


def test_the_report(calibrated, run, capsys):
    facts = json.loads((calibrated.parent / "report/calibration.json").read_text(encoding="utf-8"))
    assert list(facts["languages"]) == ["de", "fr"]
    assert {name: facts[name] for name in ("temperature", "slope", "intercept")} == config_of(calibrated)
    german = facts["languages"]["de"]["entities"]
    before, after = (german[when]["expected_calibration_error"] for when in ("before", "after"))
    assert after < before
    text = (calibrated.parent / "report/calibration.md").read_text(encoding="utf-8")
    assert f"{before:.4f}" in text
    assert f"Entities with a score of {facts['min_score']:.4f} or more" in text
    kept = facts["languages"]["fr"]["kept"]["all"]
    low, high = kept["precision_interval"]
    assert low <= kept["precision"] <= high
    assert f"{kept['precision']:.3f} [{low:.3f}, {high:.3f}]" in text
    assert {"reliability.png", "reliability.svg"} <= {file.name for file in (calibrated.parent / "report").iterdir()}
    main(run, "--only-report", "--precision", "0.999999")
    printed = capsys.readouterr().out
    assert (
        f"slope {facts['slope']:.4f}, intercept {facts['intercept']:.4f}, fitted on 60 validation sentences" in printed
    )
    assert "written" not in printed
    assert KEY not in (run / "best/config.json").read_text(encoding="utf-8")


def test_one_split_may_be_fitted_and_tested_on_in_other_languages(run, capsys):
    """What it is fitted on are the languages of the training alone."""
    main(run, "--only-report")
    expected = capsys.readouterr().out.splitlines()[0]
    main(run, "--only-report", "--languages", "fr", "de", "--test-split", "validation")
    assert capsys.readouterr().out.splitlines()[0] == expected
    assert expected.endswith("fitted on 60 validation sentences (de)")


def test_a_map_of_scores_changes_scores_of_entities_alone(calibrated, run):
    assert verify(calibrated / "best")["step"] == verify(run / "best")["step"]
    weights = [(folder / "best/model.safetensors").read_bytes() for folder in (run, calibrated)]
    assert weights[0] == weights[1]
    before, after = (Tagger.from_pretrained(folder, precision="no") for folder in (run, calibrated))
    assert before.fingerprint() != after.fingerprint()
    expected = Calibration(**config_of(calibrated))
    for old, new in zip(before.tag(TEXTS[:40]), after.tag(TEXTS[:40]), strict=True):
        assert old.tags == new.tags
        assert old.scores.tolist() == new.scores.tolist()
        scores = expected.scores(np.array([entity.score for entity in old.entities]))
        np.testing.assert_allclose([entity.score for entity in new.entities], scores, atol=1e-6)


def test_the_map_is_of_mean_scores(calibrated, cooled):
    with pytest.raises(InputError, match=r"`score` min: the scores of .* are calibrated as means; leave `score` at"):
        Tagger.from_pretrained(calibrated, precision="no", score="min")
    assert Tagger.from_pretrained(cooled, precision="no", score="min").score == "min"  # a temperature holds for all


def test_a_temperature_changes_all_probabilities(cooled, run):
    temperature = config_of(cooled)["temperature"]
    assert temperature != 1
    before, after = (Tagger.from_pretrained(folder, precision="no", probabilities=True) for folder in (run, cooled))
    for old, new in zip(before.tag(TEXTS[:40]), after.tag(TEXTS[:40]), strict=True):
        assert old.tags == new.tags
        powers = old.probabilities.astype(np.float64) ** (1 / temperature)
        np.testing.assert_allclose(new.probabilities, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)
        np.testing.assert_allclose(new.scores, new.probabilities.max(axis=1))


@pytest.mark.parametrize("name", ["calibrated", "cooled"])
def test_it_is_fitted_anew_on_what_the_model_says_itself(name, request):
    folder = request.getfixturevalue(name)
    before = (folder / "best/config.json").read_bytes()
    main(folder, "--method", {"calibrated": "logistic", "cooled": "temperature"}[name])
    assert (folder / "best/config.json").read_bytes() == before


def test_entities_of_a_low_score_are_left_out(calibrated):
    tagger = Tagger.from_pretrained(calibrated, precision="no")
    whole = [tagged for tagged in tagger.tag(TEXTS[:40]) if tagged.entities]
    scores = sorted(entity.score for tagged in whole for entity in tagged.entities)
    limit = scores[len(scores) // 2]
    sure = Tagger.from_pretrained(calibrated, precision="no", min_score=limit)
    kept = [entity for tagged in sure.tag(TEXTS[:40]) for entity in tagged.entities]
    assert kept == [entity for tagged in whole for entity in tagged.entities if entity.score >= limit]
    for tagged in sure.tag(TEXTS[:40]):
        assert sum(tag.startswith("B-") for tag in tagged.tags) == len(tagged.entities)
    assert sure.fingerprint() != tagger.fingerprint()


def test_for_programs_that_do_not_know_it_the_head_is_divided(cooled):
    model, _ = load_tagger(str(cooled / "best"))
    temperature = config_of(cooled)["temperature"]
    inputs = {"input_ids": torch.tensor([[0, 7, 9, 2]]), "attention_mask": torch.ones(1, 4, dtype=torch.int64)}
    with torch.no_grad():
        before = model(**inputs).logits
        fold_temperature(model)
        torch.testing.assert_close(model(**inputs).logits, before / temperature)
        fold_temperature(model)  # is no more there
        torch.testing.assert_close(model(**inputs).logits, before / temperature)
    assert getattr(model.config, KEY)["temperature"] == 1


def test_models_that_are_made_of_it_are_not_calibrated(calibrated, run, tmp_path):
    _, tags = load_tagger(str(run / "best"))
    assert not hasattr(build_model(str(calibrated / "best"), tags, seed=1).config, KEY)
    check_alike([calibrated / "best", run / "best"])
    write_mean([calibrated / "best", run / "best"], tmp_path)
    assert KEY not in json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))


def test_a_model_folder_without_a_manifest(run, small_corpus, tmp_path):
    shutil.copytree(run / "best", tmp_path / "model", ignore=shutil.ignore_patterns("manifest.json"))
    main(tmp_path / "model", "--data", small_corpus, "--languages", "de")
    assert json.loads((tmp_path / "model/config.json").read_text(encoding="utf-8"))[KEY]["slope"] > 0


@pytest.mark.parametrize(
    "value", [1.5, None, {"temperature": 0}, {"slope": -1}, {"intercept": "1"}, {"slope": float("inf")}, {"other": 1}]
)
def test_a_broken_calibration_is_named(value, calibrated, tmp_path):
    shutil.copytree(calibrated / "best", tmp_path / "model", ignore=shutil.ignore_patterns("manifest.json"))
    config = json.loads((tmp_path / "model/config.json").read_text(encoding="utf-8"))
    (tmp_path / "model/config.json").write_text(json.dumps(config | {KEY: value}), encoding="utf-8")
    with pytest.raises(InputError, match=rf"its config\.json says {KEY}"):
        Tagger.from_pretrained(tmp_path / "model")


def test_bad_input(run, tmp_path, capsys):
    assert status(run, "--precision", "1.5") == 2
    assert "--precision is 1.5; give a number between 0 and 1" in capsys.readouterr().err
    assert status(tmp_path / "nowhere") == 2
    shutil.copytree(run / "best", tmp_path / "model")
    assert status(tmp_path / "model") == 2
    assert "does not say what it was trained on; name languages" in capsys.readouterr().err
