"""The lines of learning curves in words: what was trained on, and how, as far as lines differ in that."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ner.evaluation.matrix import Result

TOGETHER = "cut together"
# Options that tell lines apart, in words; others by their names.
WORDS = {
    "model": "from {}",
    "epochs": "{} epochs",
    "max_steps": "{:,} steps",
    "min_steps": "min {:,} steps",
    "lr": "learning rate {:g}",
    "sampling_temperature": "temperature {:g}",
}


def line_names(lines: Sequence[Result], *, beside_language: bool = False) -> list[str]:
    """A name for each line, by its first run: its recipe in words, with the options in which lines differ.

    What most lines have is named where names would be the same without it. beside_language: for a place that shows
    which language is tested, and where lines of several languages have one name: `alone`, `with de`.
    """
    of_most, of_all = usual_values([line.recipe for line in lines if line.recipe])
    names = [recipe_name(line, of_most, beside_language=beside_language) for line in lines]
    places = [line.language if beside_language else "" for line in lines]

    def told_apart(longer: Iterable[str]) -> list[str]:
        """The longer names where one name stands for several of them."""
        rows = list(zip(places, names, longer, strict=True))
        different = Counter((place, name) for place, name, _ in dict.fromkeys(rows))
        return [more if different[place, name] > 1 else name for place, name, more in rows]

    names = told_apart(recipe_name(line, of_all, beside_language=beside_language) for line in lines)
    if not beside_language:
        names = told_apart(f"{name}, tested on {line.language}" for name, line in zip(names, lines, strict=True))
    return told_apart(f"{name} [{line.run}]" for name, line in zip(names, lines, strict=True))


def recipe_name(result: Result, usual: Mapping[str, Any] | None, *, beside_language: bool = False) -> str:
    """What was trained on, and how: `de + fr (de=1,000), min 500 steps`.

    usual: values of options that are not named, beside the defaults; None names no option.
    """
    alone = result.trained_on == (result.language,)
    if beside_language:
        name = "alone" if alone else "with " + " + ".join(lang for lang in result.trained_on if lang != result.language)
    else:
        name = f"{result.language} alone" if alone else " + ".join(result.trained_on)
    name += f" ({cut})" if (cut := others(result)) else ""
    parts = [name, f"{result.baseline} baseline"] if result.baseline else [name]
    items = fields(result.recipe) if result.recipe and usual is not None else ()
    for item in sorted(items, key=lambda item: item.name != "model"):
        value = getattr(result.recipe, item.name)
        if item.name != "method" and value not in (item.default, (usual or {}).get(item.name, item.default)):
            parts.append(option_in_words(item.name, value, result.language))
    return ", ".join(filter(None, parts))


def others(result: Result) -> str:
    """How the languages that are not tested were cut: empty where they are whole, or there are none."""
    sizes = result.max_train_sentences or {}
    if not isinstance(sizes, dict):
        return TOGETHER if len(result.trained_on) > 1 else ""
    return ", ".join(f"{language}={size:,}" for language, size in sorted(sizes.items()) if language != result.language)


def option_in_words(name: str, value: Any, language: str) -> str:
    """An option that was given: `min 500 steps`; of a path the last two parts. language: what is tested."""
    if name in ("model", "data"):
        value = "/".join(Path(str(value)).parts[-2:])
    if name in WORDS:
        return WORDS[name].format(value)
    if name == "teacher":  # its number is what a recipe has; one goes without saying
        return f"{len(value)} teachers" if len(value) > 1 else ""
    if name == "unlabelled" and {text.partition("=")[0] for text in value} == {language}:
        return "unlabelled text"
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return name.replace("_", " ") + ("" if value is True else f" {text}")


def usual_values(recipes: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Option -> the value of more than half of the recipes that have it, and the value of all of them."""
    of_most, of_all = {}, {}
    for name in option_names(recipes):
        values = [getattr(recipe, name) for recipe in recipes if hasattr(recipe, name)]
        ((value, times),) = Counter(values).most_common(1)
        if 2 * times > len(values):
            of_most[name] = value
        if times == len(values):
            of_all[name] = value
    return of_most, of_all


def differing(results: Sequence[Result]) -> list[str]:
    """Options that are not the same in the recipes of all."""
    recipes = [result.recipe for result in results if result.recipe]
    return [name for name in option_names(recipes) if len({getattr(recipe, name, None) for recipe in recipes}) > 1]


def option_names(recipes: Sequence[Hashable]) -> list[str]:
    """Names of the options that they have."""
    return list(dict.fromkeys(item.name for recipe in recipes for item in fields(recipe)))  # type: ignore[arg-type]
