import numpy as np

from ner.config import TrainConfig
from ner.training.selection import choice_of_whole, choose_validation, selection_note

VALIDATION = {"de": 100, "fr": 50}


def chosen(sizes: str, seed: int = 42, train: dict[str, int] | None = None) -> dict[str, np.ndarray]:
    config = TrainConfig(train_on=("de", "fr"), max_validation_sentences=tuple(sizes.split()), slice_seed=seed)
    found = choose_validation(config, train or {"de": 1000, "fr": 20}, VALIDATION)
    assert found is not None
    return found


def test_no_more_than_are_trained_on():
    assert {name: part.sum() for name, part in chosen("train").items()} == {"de": 100, "fr": 20}
    assert {name: part.sum() for name, part in chosen("de=7").items()} == {"de": 7, "fr": 50}
    assert choose_validation(TrainConfig(train_on=("de", "fr")), {}, VALIDATION) is None


def test_fewer_are_among_more_and_another_seed_has_others():
    few, more = chosen("fr=10")["fr"], chosen("fr=20")["fr"]
    assert (more[few]).all()
    assert (chosen("train")["fr"] == more).all()
    assert (chosen("fr=10", seed=7)["fr"] != few).any()


def test_what_all_would_have_chosen():
    """The first of the best, as best/ is."""
    best: dict = {}
    for step, f1 in ((1, 0.5), (2, 0.7), (3, 0.7), (4, 0.6)):
        best |= choice_of_whole(best, {"step": step, "epoch": 1.0, "f1": 0.1, "whole": {"f1": f1}})
    assert best == {"choice_of_whole": {"step": 2, "epoch": 1.0, "f1": 0.7}}
    assert choice_of_whole({}, {"step": 1, "epoch": 1.0, "f1": 0.1}) == {}
    assert selection_note({"f1": 0.5}) == ""
