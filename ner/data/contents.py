"""What a data set has, by name: its configs, languages and splits. No sentence of it is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets

from ner.data.configs import config_names, configs_by_language, resolve_config
from ner.data.discovery import find, has_card, looks_like_path
from ner.errors import InputError, listed, shorten
from ner.files import file_errors


@dataclass(frozen=True)
class Contents:
    """The names of what is in a data set.

    Attributes:
        languages: Language -> its config; "" for files outside of the Hub layout.
        splits: Language -> its splits, of local data; of data on the Hub they are not known without loading it.
        configs: All configs, also those of no language; none outside of the Hub layout.
        pattern: What the configs of languages look like, `PAN-X.{lang}` for example; "" outside of the Hub layout.
        is_whole: False where the Hub was not reached, and these are the configs in the cache.
    """

    languages: dict[str, str]
    splits: dict[str, tuple[str, ...]]
    configs: tuple[str, ...] = ()
    pattern: str = ""
    is_whole: bool = True


def list_contents(data: str, languages: Sequence[str] | None = None, data_config: str = "auto") -> Contents:
    """The languages, configs and splits of a data set, from its names alone: no file of sentences is opened.

    Args:
        data: A Hub name, a folder, a path with `{lang}` and `{split}`, or a file, as of `Source`.
        languages: Languages to look for, None for all. A single file holds one, which must be named.
        data_config: Config of a language in Hub layout, as of `Source`.

    Returns:
        What there is.

    Raises:
        InputError: If nothing is found, a wanted language is not there, or the Hub does not answer and the cache has
            nothing of this data set.
    """
    with file_errors(shorten(data)):  # a name that is too long, a folder that may not be looked into
        is_hub_name = not ({"{", "*"} & set(data) or Path(data).exists() or looks_like_path(data))
        has_configs = is_hub_name or (Path(data).is_dir() and has_card(Path(data)))
    configs, is_whole = known_configs(data) if has_configs else ((), True)
    if not is_hub_name:
        return on_disk(data, languages, data_config, configs)
    return on_hub(data, languages, data_config, configs, is_whole=is_whole)


def on_hub(
    data: str, languages: Sequence[str] | None, data_config: str, configs: tuple[str, ...], *, is_whole: bool
) -> Contents:
    """The languages of these configs. Raises InputError for a language that is not there."""
    pattern = resolve_config(data_config, configs, languages if is_whole else None)
    found = configs_by_language(pattern, configs)
    if languages and "{lang}" not in pattern and pattern in configs:  # the only config
        found = {languages[0]: pattern}
    if lost := [language for language in languages or () if language not in found]:
        names = f"languages {listed(found)}" if found else f"configs {listed(configs)}"
        has = "it has" if is_whole else "the Hub was not reached, and the cache has"
        raise InputError(f"{data}: no language {lost[0]}; {has} the {names}")
    kept = {language: config for language, config in found.items() if languages is None or language in languages}
    return Contents(kept, {}, configs, pattern, is_whole)


def known_configs(data: str) -> tuple[tuple[str, ...], bool]:
    """As `config_names`. Raises InputError with the remedy where nothing is known."""
    try:
        configs, is_whole = config_names(data)
    except InputError as error:
        if not datasets.config.HF_HUB_OFFLINE or Path(data).is_dir():
            raise
        raise InputError(
            f"{error}; HF_HUB_OFFLINE is set, and the cache has nothing of it: unset that, or name a local folder"
        ) from error
    if not configs:
        raise InputError(f"{data}: no configs; name its files in a path with {{lang}} and {{split}}")
    return tuple(configs), is_whole


def on_disk(data: str, languages: Sequence[str] | None, data_config: str, configs: tuple[str, ...]) -> Contents:
    """What is in local files. Raises InputError as `find` does, and for a language that is not there."""
    listing = find(data, languages, ("train",), data_config)
    reasons = list(listing.missing.values())
    if reasons and (languages is not None or not listing.places):
        raise InputError(f"{data}: {reasons[0]}")
    return Contents(
        languages={language: listing.configs.get(language, "") for language in listing.places},
        splits={language: tuple(places) for language, places in listing.places.items()},
        configs=configs,
        pattern=listing.pattern,
    )
