"""What evaluate.py knows of a run."""

from typing import Any

import pytest

from ner.arguments import to_yaml
from ner.config import TrainConfig
from ner.evaluation.line_names import option_in_words
from ner.evaluation.runs import recipe_of_run
from ner.training.run_folder import begin_run


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
