"""Frozen dataclasses -> flags, `--help`, and the keys of a YAML file.

A script's options are one dataclass that inherits from groups; a group's docstring is its heading in `--help`, and each
field carries one line of documentation. `parse` reads YAML first and flags second, so that a flag wins.
"""

import argparse
import contextlib
import difflib
import functools
import inspect
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field, asdict, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TextIO, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from tqdm import tqdm

from ner.errors import InputError, harmless, shorten
from ner.files import distinct, is_unread, parse_yaml

UNITS = {"e": ("epochs", "1e"), "m": ("minutes", "10m")}

Options = TypeVar("Options")
PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")  # as errors of the library name one
parsed: set[str] = set()  # names of the options of this program
BAD_INPUT = 2  # exit status, as argparse has it
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
READER_GONE = 141  # 128 + SIGPIPE, as a shell reports it
FAILED = 1  # of what was asked for rightly and cannot be done: a disk that is full, a Hub that refuses


def option(default: Any, text: str, *, metavar: str | None = None, positional: bool = False) -> Any:
    """A dataclass field with its line of documentation. positional: required, without a flag."""
    return field(default=default, metadata={"text": text, "metavar": metavar, "positional": positional})


def flag(name: str) -> str:
    """train_on -> --train-on."""
    return "--" + name.replace("_", "-")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, instead of behind a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, harmless(f"{self.prog}: {message} (--help lists the options)\n"))


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows a default as it would be typed, and none where there is none to type; a description as it is written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default in ((), "", argparse.SUPPRESS)
        if nothing or not action.option_strings:
            return action.help
        default = " ".join(action.default) if isinstance(action.default, tuple) else action.default
        return f"{action.help} (default: {default})"


def parse(config_class: type[Options], arguments: Sequence[str] | None, description: str | None) -> Options:
    """Options from the command line (None: sys.argv) and the YAML file of `--config`.

    description: what `--help` shows above the options.

    Raises InputError for a value that makes no sense; a flag that does not exist ends the program with status 2.
    """
    hints = get_type_hints(config_class)
    parsed.update(hints)
    positional: list[str] = []
    for item in fields(config_class):  # type: ignore[arg-type]
        if item.metadata["positional"]:
            name = item.metadata["metavar"]
            positional.append(f"{name} [{name} ...]" if element_type(hints[item.name])[1] else name)
    parser = Parser(
        usage=" ".join(["%(prog)s", *positional, "[options]"]),
        prog=Path(sys.argv[0]).name,
        description=(description or "").strip(),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file of these options; flags win over it")
    groups = [base for base in config_class.__mro__[1:] if base.__doc__ and base is not object]
    headings = {base.__doc__: parser.add_argument_group(str(base.__doc__)) for base in groups}
    items = {item.name: item for item in fields(config_class)}  # type: ignore[arg-type]
    for name in in_order(config_class):
        owner = [base for base in groups if name in inspect.get_annotations(base)][-1]
        add_argument(headings[owner.__doc__], items[name], hints[name])
    file = parser.parse_args(arguments).config
    values = read_yaml(file, hints) if file else {}
    # A flag that was not given is absent from the second reading: only then do the file's values show.
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    given = vars(parser.parse_args(arguments))
    given.pop("config", None)
    return config_class(**(values | {name: as_tuple(value) for name, value in given.items()}))


def in_order(config_class: type) -> list[str]:
    """The options as `--help` and config.yaml have them: those of a group before those that it inherits."""
    # inspect: since Python 3.14 a class does not keep its annotations among its attributes.
    names = (name for group in config_class.__mro__[:-1] for name in inspect.get_annotations(group))
    return list(dict.fromkeys(names))


def add_argument(group: argparse._ArgumentGroup, item: Field[Any], hint: Any) -> None:
    """One field as a flag (or as the positional arguments)."""
    type_, is_list = element_type(hint)
    settings: dict[str, Any] = {"help": item.metadata["text"].replace("%", "%%"), "metavar": item.metadata["metavar"]}
    if item.metadata["positional"]:
        group.add_argument(item.name, **settings, **({"nargs": "+"} if is_list else {}))  # type: ignore[arg-type]
        return
    settings |= {"default": item.default, "dest": item.name}
    if type_ is bool:
        settings |= {"action": "store_true"}
        settings.pop("metavar")
    elif get_origin(type_) is Literal:
        settings |= {"choices": get_args(type_), "metavar": "{" + ",".join(get_args(type_)) + "}"}
        settings |= {"nargs": "+"} if is_list else {}
    else:
        settings |= {"type": type_} | ({"nargs": "+"} if is_list else {})
    group.add_argument(flag(item.name), **settings)


def element_type(hint: Any) -> tuple[Any, bool]:
    """The type of a value and whether there are several: `tuple[str, ...] | None` -> (str, True)."""
    if is_union(hint):
        hint = next(type_ for type_ in get_args(hint) if type_ is not NoneType)
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def is_union(hint: Any) -> bool:
    """Whether this is `X | None`, which for a Literal is of another class."""
    return get_origin(hint) in (UnionType, Union)


def read_yaml(file: str | Path, hints: dict[str, Any]) -> dict[str, Any]:
    """The options of a YAML file, each of its field's type. Raises InputError naming the file and the key."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    content = parse_yaml(text, str(file)) or {}
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected `option: value` lines, got {type(content).__name__}")
    values = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name not in hints:
            close = difflib.get_close_matches(name, hints, n=1)
            raise InputError(f"{file}: no option {str(key)[:60]}" + (f"; did you mean {close[0]}?" if close else ""))
        values[name] = convert(value, hints[name], f"{file}: {key}")
    return values


def convert(value: Any, hint: Any, where: str) -> Any:
    """A YAML value as its field's type. YAML 1.1 reads 5e-5 as a string, so numbers go through their own type."""
    type_, is_list = element_type(hint)
    if value is None:
        if is_union(hint):
            return None
        raise InputError(f"{where}: has no value")
    if is_list:
        return tuple(convert(element, type_, where) for element in (value if isinstance(value, list) else [value]))
    if get_origin(type_) is Literal:
        value = "no" if value is False else value  # YAML 1.1 reads a bare no as false
        if value not in get_args(type_):
            raise InputError(f"{where}: {str(value)[:60]} is none of {', '.join(get_args(type_))}")
        return value
    if isinstance(value, int) and abs(value) >= 2**63:  # Python may refuse to print it
        raise InputError(f"{where}: a number of {value.bit_length():,} bits is too large")
    fraction_lost = type_ is int and isinstance(value, float) and not value.is_integer()
    if isinstance(value, bool) != (type_ is bool) or isinstance(value, list | dict) or fraction_lost:
        raise InputError(f"{where}: {shorten(value)} is not {type_.__name__}")
    try:
        return type_(value)
    except ValueError as error:
        raise InputError(f"{where}: {shorten(value)} is not {type_.__name__}") from error


def read_config(config_class: type[Options], file: str | Path) -> Options:
    """Options that a script stored. Raises InputError naming the file and the key."""
    return config_class(**read_yaml(file, get_type_hints(config_class)))


def as_tuple(value: Any) -> Any:
    """Lists of argparse as the tuples of a frozen dataclass."""
    return tuple(value) if isinstance(value, list) else value


def to_yaml(config: Any) -> str:
    """The resolved options as YAML that `--config` reads back."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
    return yaml.safe_dump({name: plain[name] for name in in_order(type(config))}, sort_keys=False, allow_unicode=True)


@contextlib.contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Ends the program with one message and status 2 when the input is at fault: InputError, and nothing else.

    Only around work that is checked before anything is computed. NER_TRACEBACK=1 shows the whole traceback.
    """
    try:
        yield
    except InputError as error:
        if os.environ.get("NER_TRACEBACK") == "1":
            raise
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            echo(f"{Path(sys.argv[0]).name}: {with_flags(str(error))}", sys.stderr)
        sys.exit(BAD_INPUT)


def with_flags(message: str) -> str:
    """A message of the library, where a parameter is `max_length`, as the command line has it: --max-length."""
    return PARAMETER.sub(lambda match: flag(match[1]) if match[1] in parsed else match[0], message)


class Record(logging.LogRecord):
    """What a library logs: it may quote names from files. Colours, which some add themselves, are left out."""

    def getMessage(self) -> str:  # noqa: N802  # its name
        return harmless(COLOURS.sub("", super().getMessage()))


class AboveTheBar(logging.Handler):
    """Shows what this project logs on standard error, above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(harmless(with_flags(self.format(record))), file=sys.stderr)


plain_format = warnings.formatwarning


def format_warning(message: Any, *arguments: Any, **more: Any) -> str:
    """A warning of a library, which may quote names from files."""
    return harmless(plain_format(message, *arguments, **more))


Main = Callable[[Sequence[str] | None], None]


def command(main: Main) -> Callable[..., None]:
    """Makes a `main` a good citizen of pipes: who reads its output may stop, and need not read UTF-8.

    A reader that has gone ends it quietly with the status that SIGPIPE gives; characters that the output's encoding
    lacks are written as escapes. What libraries log and warn of is as harmless to a terminal as what we print.
    """

    @functools.wraps(main)
    def run(arguments: Sequence[str] | None = None) -> None:
        logging.setLogRecordFactory(Record)
        logger = logging.getLogger("ner")
        logger.handlers, logger.propagate = [AboveTheBar()], False
        logger.setLevel(logging.INFO)
        warnings.formatwarning = format_warning
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        ended: SystemExit | None = None
        try:
            try:
                main(arguments)
            except SystemExit as exit_:  # of --help, too
                ended = exit_
            if sys.stdout:  # None where the program was started with none
                sys.stdout.flush()
        except BrokenPipeError:
            unread = [stream for stream in (sys.stdout, sys.stderr) if stream and is_unread(stream)]
            if not unread:  # of a socket
                raise
            for stream in unread:  # else Python tries again when it ends, and complains
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            sys.exit((ended and ended.code) or READER_GONE)
        if ended:
            raise ended

    return run


def echo(text: str, file: TextIO | None = None) -> None:
    """Prints text for a person: nothing in it is obeyed by a terminal. file: None for standard output."""
    print(harmless(text), file=file)


def named_twice(config: Any, *names: str, paths: Sequence[str] = ()) -> list[str]:
    """A message for each of these options that names one twice. paths: options whose values may be files or folders."""
    values = {name: getattr(config, name) or () for name in (*names, *paths)}
    once = {name: len(distinct(v) if name in paths else set(v)) for name, v in values.items()}
    return [f"{flag(name)} names one twice: {' '.join(v)}" for name, v in values.items() if once[name] < len(v)]


def not_given(config: Any, *names: str) -> list[str]:
    """A message for each of these options that is needed and missing."""
    return [f"{flag(name)} is needed" for name in names if not getattr(config, name)]


def not_above_zero(config: Any, *names: str) -> list[str]:
    """A message for each of these options that is given and not above 0."""
    values = {name: getattr(config, name) for name in names}
    return [
        f"{flag(name)} {v} must be above 0" + (", and finite" if v == float("inf") else "")
        for name, v in values.items()
        if v is not None and not 0 < v < float("inf")
    ]


def parse_interval(text: str, name: str, units: str = "e") -> tuple[int, str]:
    """`200` -> (200, "steps"), `1e` -> (1, "epochs"), `10m` -> (10, "minutes"). Raises InputError on anything else.

    units: the letters that may be there; name: of the flag, for the message.
    """
    number, unit = (text[:-1], text[-1]) if text and text[-1] in units else (text, "")
    if not number.isdecimal() or int(number) < 1:
        known = ["steps (200)", *(f"{UNITS[letter][0]} ({UNITS[letter][1]})" for letter in units)]
        raise InputError(f"{name} {text}: give a number of {' or '.join(known)}")
    return int(number), UNITS[unit][0] if unit else "steps"
