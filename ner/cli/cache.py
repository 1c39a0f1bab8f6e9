"""Shows the cache of data, and deletes what is not used of it.

    ner cache
    ner cache --prune --dry-run
    ner cache --prune --older-than 30
    ner cache --prune --limit 20GB

The cache has what the programs have read, encoded and computed, in folders ner-* of the cache of `datasets`. The
variable HF_DATASETS_CACHE names another place. All of it is made again where it is missing. Folders that a running
program uses stay, and so does what is not of these programs. Where the variable NER_CACHE_LIMIT has a size, such as
20GB, programs delete what was least recently used whenever they add a folder.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ner.arguments import FAILED, command, echo, exit_on_input_error, flag, not_above_zero, option, parse
from ner.data.cache import LIMIT, cache_folder, cache_limit
from ner.data.cache_pruning import DAY, Entry, Pruned, contents, is_used, parse_size, prune
from ner.errors import InputError, single_line
from ner.files import file_errors
from ner.utils import table

MOST_LINES = 10  # of a table or list
WIDEST = 40  # characters of a cell
USED = {True: "yes", False: "", None: "?"}
UNITS = {"days": DAY, "hours": 3600, "minutes": 60}


@dataclass(frozen=True)
class CacheOptions:
    """cache"""

    prune: bool = option(False, "delete the folders that no running program uses")
    older_than: float | None = option(None, "with --prune: those that were not used for so long alone", metavar="DAYS")
    limit: str | None = option(
        None, "with --prune: the least recently used, until what is left has this size: 500MB, 20GB", metavar="SIZE"
    )
    dry_run: bool = option(False, "with --prune: say what would be deleted, and delete nothing")


@dataclass(frozen=True)
class CacheConfig(CacheOptions):
    """Everything that decides what `ner cache` does."""

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "older_than")
        alone = [name for name in ("older_than", "limit", "dry_run") if getattr(self, name) and not self.prune]
        problems += [f"{flag(name)} says what to prune: add --prune" for name in alone]
        if problems:
            raise InputError("\n".join(problems))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner cache`."""
    with exit_on_input_error():
        config = parse(CacheConfig, arguments, __doc__)
        cache = cache_folder()
        size = parse_size(config.limit, "--limit") if config.limit else None
        with file_errors(cache):
            if not config.prune:
                echo(contents_to_text(cache, contents(cache), cache_limit()))
                return
            seconds = None if config.older_than is None else config.older_than * DAY
            pruned = prune(cache, unused_for=seconds, limit=size, dry_run=config.dry_run)
            left = contents(cache)
    echo(pruned_to_text(cache, pruned, left, dry_run=config.dry_run))
    if pruned.failed:
        echo(failures_to_text(pruned), sys.stderr)
        sys.exit(FAILED)


def contents_to_text(cache: Path, entries: Sequence[Entry], limit: int | None) -> str:
    """Where the cache is, how much it has, and two tables: its kinds, and its folders in the order in which they go."""
    title = f"{cache}: {amount(entries)}; {LIMIT}: {'none' if limit is None else f'{megabytes(limit)} MB'}"
    if not entries:
        return title
    now = time.time()
    lines = [
        [
            entry.kind[:WIDEST],
            shorten_start(entry.content),
            megabytes(entry.size),
            ago(now - entry.last_used),
            USED[is_used(entry)],
            entry.folder.name,
        ]
        for entry in entries[:MOST_LINES]
    ]
    head = ["kind", "of", "MB", "last used", "in use", "folder"]
    others = len(entries) - MOST_LINES
    parts = [
        title,
        kind_table(entries),
        f"Folders, the least recently used first{f', and {others:,} more' if others > 0 else ''}",
        table(head, lines, right=[False, False, True, True, False, False]),
    ]
    return "\n\n".join(parts)


def kind_table(entries: Sequence[Entry]) -> str:
    """The kinds of folders, the largest first."""
    now = time.time()
    kinds: dict[str, list[Entry]] = {}
    for entry in entries:
        kinds.setdefault(entry.kind[:WIDEST] or "of an older version", []).append(entry)
    sizes = {kind: sum(entry.size for entry in of_kind) for kind, of_kind in kinds.items()}
    lines = [
        [kind, len(kinds[kind]), megabytes(sizes[kind]), ago(now - max(entry.last_used for entry in kinds[kind]))]
        for kind in sorted(kinds, key=lambda kind: -sizes[kind])[:MOST_LINES]
    ]
    return table(["kind", "folders", "MB", "last used"], lines, right=[False, True, True, True])


def pruned_to_text(cache: Path, pruned: Pruned, left: Sequence[Entry], *, dry_run: bool) -> str:
    """What was deleted, or would be, and what stays."""
    parts = [f"{cache}: {'would delete' if dry_run else 'deleted'} {amount(pruned.deleted)}"]
    if pruned.deleted:
        parts.append(kind_table(pruned.deleted))
    gone = {entry.folder for entry in pruned.deleted}
    stays = f"{'would be ' if dry_run else ''}left: {amount([entry for entry in left if entry.folder not in gone])}"
    if pruned.in_use:
        stays += f"; {amount(pruned.in_use)} of what was to go is used by running programs"
    return "\n\n".join([*parts, stays])


def failures_to_text(pruned: Pruned) -> str:
    """The folders that cannot be deleted, and why, a line each."""
    lines = [
        f"ner cache: {error.filename or entry.folder}: {error.strerror or single_line(error)}"
        for entry, error in pruned.failed[:MOST_LINES]
    ]
    if (others := len(pruned.failed) - MOST_LINES) > 0:
        lines.append(f"ner cache: {others:,} more could not be deleted")
    return "\n".join(lines)


def amount(entries: Sequence[Entry]) -> str:
    """Number and size of folders."""
    number = len(entries)
    return f"{number:,} folder{'' if number == 1 else 's'}, {megabytes(sum(entry.size for entry in entries))} MB"


def megabytes(size: int) -> str:
    """Of a million bytes."""
    return f"{size / 1e6:,.1f}"


def ago(seconds: float) -> str:
    """Seconds as a person says it."""
    for unit, length in UNITS.items():
        if seconds >= 2 * length:
            return f"{seconds // length:,.0f} {unit} ago"
    return "just now"


def shorten_start(text: str) -> str:
    """The end of a text, which says more of a path."""
    return text if len(text) <= WIDEST else f"...{text[3 - WIDEST :]}"
