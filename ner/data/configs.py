"""Configs of a data set in Hub layout: their names, and which of them is which language."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import datasets
from datasets import get_dataset_config_names
from datasets.naming import camelcase_to_snakecase

from ner.errors import InputError, single_line
from ner.files import read_json

CONFIGS = ("PAN-X.{lang}", "{lang}")  # what `auto` tries


def config_names(data: str) -> tuple[list[str], bool]:
    """Configs of a Hub dataset or of a local folder, and whether these are all.

    Where the Hub cannot be asked, those in the cache: `datasets` loads one of them by its name, but lists none, and
    says that there is one, `default`.
    """
    try:
        names = [str(name) for name in get_dataset_config_names(data)]
    except Exception as error:  # of names and network, and of cards that anybody may have written, errors of all kinds
        raise InputError(f"{data}: {shown(error)}") from error
    if names != ["default"] or Path(data).is_dir():
        return names, True
    *owner, name = data.split("/")
    folder = Path(datasets.config.HF_DATASETS_CACHE, "___".join([*owner, camelcase_to_snakecase(name)]))
    infos = {info.parts[-4]: info for info in sorted(folder.glob("*/*/*/dataset_info.json"))}
    cached = [config for config, info in infos.items() if is_info_of(config, info)]
    return (cached, False) if cached and "default" not in cached else (names, True)


def is_info_of(config: str, info: Path) -> bool:
    """Whether a dataset_info.json of the cache is whole, and of that config: not of a part of one."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return bool(read_json(info)["config_name"] == config)
    return False


def shown(error: Exception) -> str:
    """What a library says, in one line; errors that are not made for readers come with their kind."""
    text = single_line(error)[:1000]
    return text if isinstance(error, OSError | RuntimeError | ValueError) else f"{type(error).__name__}: {text}"


def resolve_config(pattern: str, configs: Sequence[str], languages: Sequence[str] | None) -> str:
    """What `auto` means for a dataset with these configs: the first of CONFIGS that fits one, or the only one."""
    if pattern != "auto":
        return pattern
    if len(configs) == 1 and languages and len(languages) == 1 and not configs[0].endswith(languages[0]):
        return configs[0]
    return next(p for p in CONFIGS if any(config.startswith(p.partition("{")[0]) for config in configs))


def configs_by_language(pattern: str, configs: Sequence[str]) -> dict[str, str]:
    """Language -> config, of those configs that a pattern such as `PAN-X.{lang}` fits."""
    before, _, after = pattern.partition("{lang}")
    return {
        config[len(before) : len(config) - len(after)]: config
        for config in configs
        if "{lang}" in pattern and config.startswith(before) and config.endswith(after) and len(config) > len(before)
    }
