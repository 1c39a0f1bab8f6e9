"""Where sentences are: a path or Hub name -> the files of each language and split."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from datasets import Features, load_dataset_builder
from datasets.config import REPOCARD_FILENAME, REPOYAML_FILENAME

from ner.data.configs import config_names, configs_by_language, resolve_config, shown
from ner.data.readers import SUFFIXES, suffix_of
from ner.data.remote import is_address, name_of, numbered
from ner.errors import InputError, listed, shorten, single_line
from ner.files import file_errors, parse_yaml

SAME_SPLIT = (("train", "training"), ("validation", "dev", "valid", "val"), ("test", "testing"))
SHARD = re.compile(r"-\d{5}-of-\d{5}$")
FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
LANGUAGE = re.compile(r"[a-z]{2,3}(-[\w-]+)?")  # a code, such as de or zh-classical
OF_SPLIT = re.compile(r"(\w[\w-]*)=(.+)")  # train=https://host/train.jsonl
NAME_IT = "name what is elsewhere yourself: `data` with that path"


@dataclass(frozen=True)
class Place:
    """One split of one language. files: local ones; none: at an address, or a split of that config on the Hub.

    addresses: of files that are fetched, those of a Hub config where its files have names; features: as a card declares
    them.
    """

    files: tuple[Path, ...] = ()
    features: Features | None = None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What a corpus has. places: language -> split -> where; missing: why a language is not there.

    pattern: of the configs in a Hub layout, empty elsewhere; configs: of each language there.
    """

    places: dict[str, dict[str, Place]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    pattern: str = ""
    configs: dict[str, str] = field(default_factory=dict)


def find(data: str, languages: Sequence[str] | None, splits: Sequence[str], data_config: str = "auto") -> Listing:
    """Languages and splits of a corpus. Raises InputError where there is no corpus.

    data: a path with {lang} and {split} in it (and * for shards), a file, a folder in Hub layout or of files
    {lang}/{split}.jsonl and the like, a Hub name, or an address. languages: those that are wanted, None for all.
    splits: a file by itself is the first of them.
    """
    with file_errors(shorten(data)):  # a name that is too long, a folder that may not be looked into
        return find_at(data, languages, splits, data_config)


def find_at(data: str, languages: Sequence[str] | None, splits: Sequence[str], data_config: str) -> Listing:
    """As `find`. Raises OSError, too."""
    path = Path(data)
    if is_address(data):
        return of_address(data, languages, splits)
    if "{" in data or "*" in data:
        return of_pattern(data, languages)
    if path.is_file():
        if not suffix_of(path):
            raise InputError(f"{data}: no reader for this name; files end in {listed(SUFFIXES)}, each also with .gz")
        return Listing({language: {splits[0]: Place((path,))} for language in single_language(data, languages)})
    if path.is_dir() and not has_card(path):
        return of_folder(path, languages, splits)
    if not path.exists() and looks_like_path(data):
        raise InputError(f"{data}: no such file or folder")
    return of_hub(data, languages, data_config)


def single_language(data: str, languages: Sequence[str] | None) -> Sequence[str]:
    """The one language of data that names none."""
    if languages is None or len(languages) != 1:
        wanted = "none is named" if languages is None else f"{len(languages)} are wanted"
        raise InputError(f"{data}: holds one language, and {wanted}; name one, or put {{lang}} into the path")
    return languages


def looks_like_path(data: str) -> bool:
    """Whether this cannot be a Hub name: `name` or `owner/name`."""
    return data.count("/") > 1 or data.startswith((".", "/", "~")) or bool(suffix_of(Path(data)))


def has_card(folder: Path) -> bool:
    """Whether a folder has a README.md that names configs, as datasets on the Hub have."""
    card = folder / "README.md"
    return card.is_file() and "configs:" in card.read_text(encoding="utf-8", errors="replace")


def of_pattern(pattern: str, languages: Sequence[str] | None) -> Listing:
    """The files that a path with {lang}, {split} and * names."""
    if "{lang}" not in pattern:
        single_language(pattern, languages)
    escaped = re.escape(str(Path(pattern)))
    for marker, group in (("{lang}", r"([^/]+?)"), ("{split}", r"([^/]+?)"), ("*", r"[^/]*")):
        escaped = escaped.replace(re.escape(marker), group)
    regex = re.compile(escaped)
    order = re.findall(r"\{(lang|split)\}", pattern)
    if "split" not in order or len(set(order)) < len(order):
        raise InputError(f"{pattern}: a path needs {{split}} once, and {{lang}} once for several languages")
    glob = re.sub(r"\{(lang|split)\}", "*", re.sub(r"[\[?]", r"[\g<0>]", pattern))  # these stand for themselves
    anchor = Path(glob).anchor
    found: dict[str, dict[str, list[Path]]] = {}
    try:
        files = sorted(Path(anchor or ".").glob(str(Path(glob).relative_to(anchor) if anchor else Path(glob))))
    except ValueError as error:  # of ** beside something else
        raise InputError(f"{pattern}: {single_line(error)}") from error
    for file in files:
        if (match := regex.fullmatch(str(file))) and file.is_file():
            groups = dict(zip(order, match.groups(), strict=True))
            for language in [groups["lang"]] if "lang" in groups else single_language(pattern, languages):
                found.setdefault(language, {}).setdefault(groups["split"], []).append(file)
    if not found:
        raise InputError(f"{pattern}: no such files")
    for file in [file for splits in found.values() for files in splits.values() for file in files]:
        if not suffix_of(file):
            raise InputError(f"{file}: no reader for this name; files end in {listed(SUFFIXES)}, each also with .gz")
    return of_files(pattern, found, languages, several="*" in pattern)


def of_address(data: str, languages: Sequence[str] | None, splits: Sequence[str]) -> Listing:
    """Files at an address with {lang}, {split} and {00..99} for shards in it. Whether they are there shows later.

    data: one address for all splits, or `train=ADDRESS,validation=ADDRESS`, some of which may be paths.
    """
    if languages is None:
        raise InputError(f"{data}: nothing lists what is there; name the languages")
    items = [OF_SPLIT.match(item) for item in data.split(",")]
    named = {item[1]: item[2] for item in items if item}
    if len(named) < len(items):
        named = dict.fromkeys(splits if "{split}" in data else splits[:1], data)
    for address in named.values():
        if not suffix_of(Path(name_of(address))):
            raise InputError(f"{address}: no reader for this name; files end in {listed(SUFFIXES)}, each also with .gz")
        if "::" in address or "*" in address:
            raise InputError(f"{address}: takes no :: and no *; number the shards, like train-{{0000..0099}}.parquet")
        if "{lang}" not in address:
            single_language(address, languages)

    def place(language: str, split: str) -> Place:
        names = tuple(numbered(named[split].replace("{lang}", language).replace("{split}", split)))
        return Place(addresses=names) if is_address(named[split]) else Place(tuple(map(Path, names)))

    return Listing({language: {split: place(language, split) for split in named} for language in languages})


def of_folder(folder: Path, languages: Sequence[str] | None, splits: Sequence[str]) -> Listing:
    """Files {lang}/{split}.jsonl, or {lang}.{split}.conll.gz, or {split}.tsv of one language, by any suffix.

    A language has a split of a usual name, or one of `splits`: other files may lie there too.
    """
    usual = {*chain(*SAME_SPLIT), *splits}
    found: dict[str, dict[str, list[Path]]] = {}
    for file in files_in(folder, "*/*"):
        found.setdefault(file.parent.name, {}).setdefault(stem_of(file), []).append(file)
    found = {language: by_split for language, by_split in found.items() if usual & set(by_split)}
    for file in files_in(folder, "*") if not found else ():
        if stem_of(file) in usual:
            found.setdefault(single_language(str(folder), languages)[0], {}).setdefault(stem_of(file), []).append(file)
        elif match := re.fullmatch(r"(.+?)[._-]([A-Za-z0-9]+)", stem_of(file)):
            found.setdefault(match[1], {}).setdefault(match[2], []).append(file)
    found = {language: by_split for language, by_split in found.items() if usual & set(by_split)}
    if not found:
        raise InputError(
            f"{folder}: no data in this folder; expected {{lang}}/{{split}}.jsonl (or {listed(SUFFIXES[1:])}, each "
            "also with .gz), or a README.md that names configs"
        )
    return of_files(str(folder), found, languages, several=False)


def files_in(folder: Path, pattern: str) -> list[Path]:
    """Files that a reader fits, in order."""
    return [file for file in sorted(folder.glob(pattern)) if suffix_of(file) and file.is_file()]


def stem_of(file: Path) -> str:
    """The name without suffix and shard: train of train-00000-of-00001.parquet and of train.conll.gz."""
    stem = re.sub(rf"{re.escape(suffix_of(file))}(\.gz)?$", "", file.name, flags=re.IGNORECASE)
    return SHARD.sub("", stem)


def of_files(
    data: str, found: dict[str, dict[str, list[Path]]], languages: Sequence[str] | None, *, several: bool
) -> Listing:
    """A listing of the files that were found. several: whether a split may be several files that are not shards."""
    for language, splits in found.items():
        for split, files in splits.items():
            shards = all(SHARD.search(file.name.partition(".")[0]) for file in files)
            if len(files) > 1 and not several and not shards:
                raise InputError(
                    f"{data}: {language} {split} is {listed(map(str, files))}; name one in a path like "
                    "{lang}/{split}.jsonl"
                )
    wanted = sorted(found) if languages is None else [language for language in languages if language in found]
    places = {
        language: by_usual_names({split: Place(tuple(files)) for split, files in found[language].items()})
        for language in wanted
    }
    lost = {
        language: f"no language {language}; it has {listed(sorted(found))}"
        for language in languages or ()
        if language not in found
    }
    return Listing(places, missing=lost)


def check_card(folder: Path) -> None:
    """Raises InputError for a local card that is no YAML, or names files that are not in its folder.

    Beforehand: `datasets` would ask the network for an address.
    """
    for name in (REPOCARD_FILENAME, REPOYAML_FILENAME):
        file = folder / name
        if not file.is_file():
            continue
        with file_errors(file):
            text = file.read_text(encoding="utf-8", errors="replace")
        if name == REPOCARD_FILENAME:
            text = match[1] if (match := FRONT_MATTER.match(text)) else ""
        head = parse_yaml(text, str(file))
        configs = head.get("configs") if isinstance(head, dict) else None
        for config in configs if isinstance(configs, list) else []:
            for key in ("data_files", "data_dir"):
                for path in texts_in(config.get(key) if isinstance(config, dict) else None):
                    if "://" in path or "::" in path or Path(path).is_absolute() or ".." in Path(path).parts:
                        raise InputError(f"{file}: {key} {shorten(path)} is outside of the folder; {NAME_IT}")


def texts_in(value: Any) -> Iterator[str]:
    """The texts in lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_in(part)


def of_hub(data: str, languages: Sequence[str] | None, pattern: str) -> Listing:
    """Languages of a Hub dataset, or of a local folder in the same layout."""
    if Path(data).is_dir():
        check_card(Path(data))
    configs, are_all = config_names(data)
    # One config in the cache need not be the only one that there is.
    pattern = resolve_config(pattern, configs, languages if are_all else None)
    if "{lang}" not in pattern and (languages is None or len(languages) > 1):
        raise InputError(f"`data_config` {pattern} is one config for several languages; put {{lang}} into it")
    there = configs_by_language(pattern, configs)
    has = "it has" if are_all else "the Hub was not reached, and the cache has"
    listing = Listing(pattern=pattern)
    for language in there if languages is None else languages:
        config = pattern.replace("{lang}", language)
        if config not in configs:
            names = f"languages {listed(there)}" if there else f"configs {listed(configs)}"
            listing.missing[language] = f"no language {language} (config {config}); {has} the {names}"
            continue
        try:
            builder = load_dataset_builder(data, config)
        except Exception as error:  # as in config_names
            listing.missing[language] = shown(error)
            continue
        listing.configs[language] = config
        try:
            listing.places[language] = of_builder(data, builder)
        except InputError as error:
            listing.missing[language] = single_line(error)
    return listing


def of_builder(data: str, builder: Any) -> dict[str, Place]:
    """Splits of a config: local files where there are some, which `ner.data.readers` reads and checks row by row."""
    files = builder.config.data_files or {}
    if not Path(data).is_dir():
        addresses = {str(split): tuple(map(str, paths)) for split, paths in files.items()}
        features = builder.info.features
        names = map(str, files or builder.info.splits or ())
        return by_usual_names({name: Place((), features, addresses.get(name, ())) for name in names})
    places = {}
    for split, paths in files.items():
        unread = [path for path in paths if not suffix_of(Path(path))]
        if unread:
            raise InputError(f"{unread[0]}: no reader for this name; files end in {listed(SUFFIXES)}")
        if outside := [path for path in paths if not is_inside(Path(path), Path(data))]:
            raise InputError(f"{outside[0]}: is outside of {data}, or a link that leads there; {NAME_IT}")
        places[str(split)] = Place(tuple(Path(path) for path in paths), builder.info.features)
    return by_usual_names(places)


def is_inside(file: Path, folder: Path) -> bool:
    """Whether a file is in the folder, and no link out of it.

    A snapshot in the Hub's cache is all links, to the blobs beside it.
    """
    folder, file = folder.resolve(), file.resolve()
    blobs = folder.parent.parent / "blobs" if folder.parent.name == "snapshots" else folder
    return file.is_relative_to(folder) or file.is_relative_to(blobs)


def by_usual_names(splits: dict[str, Place]) -> dict[str, Place]:
    """Splits with dev, valid and val as validation and so on, unless there is one of that name."""
    usual = {other: same[0] for same in SAME_SPLIT for other in same[1:] if same[0] not in splits}
    return {usual.get(split, split): place for split, place in splits.items()}
