"""Which validation sentences choose the best model, and what all of them would have chosen."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ner.config import TrainConfig
from ner.data.sampling import shuffled
from ner.errors import InputError

CHOICE = "choice_of_whole"


def choose_validation(
    config: TrainConfig, train: Mapping[str, int], validation: Mapping[str, int]
) -> dict[str, np.ndarray] | None:
    """Language -> bool [sentences], whether a validation sentence chooses the best model; None where all of them do.

    They are the first of a shuffle, so that fewer are among more. train, validation: language -> sentences. Raises
    InputError where there are fewer than asked for.
    """
    sizes = config.validation_sizes
    if sizes is None:
        return None
    if sizes == "train":
        sizes = {language: min(train[language], whole) for language, whole in validation.items()}
    chosen = {}
    for language, whole in validation.items():
        size = sizes.get(language, whole)
        if size > whole:
            found = f"there are {whole:,} {language} validation sentences"
            raise InputError(f"`max_validation_sentences` {language}={size}: {found}")
        chosen[language] = np.zeros(whole, dtype=bool)
        chosen[language][shuffled(whole, config.slice_seed)[:size]] = True
    return chosen


def choice_of_whole(best: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation that all sentences would have chosen so far, for `best`; empty where they do choose.

    best: the best evaluation so far; scores: of the newest, with step and epoch.
    """
    if "whole" not in scores:
        return {}
    now = {"step": scores["step"], "epoch": scores["epoch"], "f1": scores["whole"]["f1"]}
    before = best.get(CHOICE, now)
    return {CHOICE: now if now["f1"] > before["f1"] else before}


def selection_note(best: Mapping[str, Any]) -> str:
    """What the selection by fewer sentences cost, behind the rest of a line; empty where all choose."""
    if CHOICE not in best:
        return ""
    sentences, whole, choice = best["sentences"], best["whole"], best[CHOICE]
    return (
        f"; best/ was chosen by {sentences:,} of {whole['sentences']:,} validation sentences; all of them give it F1 "
        f"{whole['f1']:.4f}, and would have chosen step {choice['step']:,} with {choice['f1']:.4f}"
    )
