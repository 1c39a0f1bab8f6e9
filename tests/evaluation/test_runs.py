"""What evaluate.py knows of a run."""

from typing import Any

import pytest

from ner.arguments import to_yaml
from ner.config import BaselineConfig, TrainConfig
from ner.errors import InputError
from ner.evaluation.line_names import option_in_words
from ner.evaluation.runs import recipe_of_run
from ner.files import write_json
from ner.training.run_folder import also_trained_on, begin_run, languages_of_taggers


@pytest.fixture
def goes_on(tmp_path):
    """A function: the recipe of a run that goes on from best/ of a run with these options, in the folder `name`."""

    def recipe(name: str, checkpoint: str = "best", **options):
        folder = tmp_path / name
        begin_run(folder, to_yaml(TrainConfig(**options)), is_new=False)
        return recipe_of_run(TrainConfig(model=str(folder / checkpoint), train_on=("fr",)))

    return recipe


def test_runs_that_go_on_from_runs_of_one_recipe_are_of_one_recipe(goes_on, tmp_path):
    first = goes_on("a", seed=1, lr=0.1)
    assert first == goes_on("b", seed=2, lr=0.1)
    assert hash(first) == hash(goes_on("c", seed=3, slice_seed=3, lr=0.1))
    others: dict[str, dict[str, Any]] = {
        "d": {"seed": 2, "lr": 0.2},
        "e": {"seed": 2, "lr": 0.1, "train_on": ("it",)},
        "f": {"seed": 2, "lr": 0.1, "max_train_sentences": ("100",)},
        "g": {"seed": 2, "lr": 0.1, "checkpoint": "last"},
    }
    assert all(goes_on(name, **options) != first for name, options in others.items())
    assert option_in_words("model", first.model, "fr") == "from a/best"


def test_a_start_of_which_nothing_is_known_is_its_name(tmp_path):
    for name in ("xlm-roberta-base", str(tmp_path / "gone/best"), str(tmp_path / "model")):
        assert recipe_of_run(TrainConfig(model=name)) == TrainConfig(model=name).recipe()


def test_languages_of_the_taggers_that_a_run_goes_on_or_learns_from(tmp_path):
    """Of all stages, and of teachers; of those whose folder is gone nothing is known."""

    def begin(name: str, **options) -> TrainConfig:
        config = TrainConfig(**options)
        begin_run(tmp_path / name, to_yaml(config), is_new=False)
        return config

    begin("de", train_on=("de",))
    begin("it", train_on=("it",), model=f"{tmp_path}/de/best")
    student = begin("fr", train_on=("fr",), model=f"{tmp_path}/it/last", teacher=(f"{tmp_path}/en",), unlabelled=("x",))
    assert set(languages_of_taggers(student)) == {"it", "de"}
    begin("en", train_on=("en",))
    assert set(languages_of_taggers(student)) == {"it", "de", "en"}
    assert languages_of_taggers(TrainConfig(model="xlm-roberta-base")) == ()
    assert languages_of_taggers(BaselineConfig()) == ()
    again = begin("de", train_on=("de",), model=f"{tmp_path}/de/best")  # as it could be made once
    assert languages_of_taggers(again) == ("de",)


def test_what_a_run_knew_at_its_end_stays_known(tmp_path):
    config = TrainConfig(model=f"{tmp_path}/gone/best")
    assert also_trained_on(tmp_path, config) == ()
    write_json(tmp_path / "metrics.json", {"also_trained_on": ["de"]})
    assert also_trained_on(tmp_path, config) == ("de",)
    write_json(tmp_path / "metrics.json", {"also_trained_on": "de"})
    with pytest.raises(InputError, match=r"also_trained_on is 'de', not languages; restore or delete it"):
        also_trained_on(tmp_path, config)


def test_recipes_of_second_and_third_stages(goes_on, tmp_path):
    """A run that goes on from a run that goes on."""
    recipes = []
    for seed in (1, 2):
        second = goes_on(f"first-{seed}", seed=seed)
        folder = tmp_path / f"second-{seed}"
        options = TrainConfig(train_on=("fr",), seed=seed, model=str(second.model))
        begin_run(folder, to_yaml(options), is_new=False)
        recipes.append(recipe_of_run(TrainConfig(model=str(folder / "best"), train_on=("it",))))
    assert recipes[0] == recipes[1]
