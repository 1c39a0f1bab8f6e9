"""What `ner probe --output` leaves for evaluate.py: probes.json, and flips.parquet with every entity that flipped.

flips.parquet has a row for each entity that is not what it was before a change:

    run, language, split   string
    probe                  string, its name
    sentence               int64, row of the sentence in the split, from 0, as in token_losses.parquet
    flip                   string, of FLIPS
    before, before_type    string, words and type of the entity before; null for a new one
    after, after_type      string, words and type in the changed sentence; null for one that is lost
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ner.analysis.probing.flips import ENTITY_COLUMNS, FLIPS, NAMES, Flips
from ner.analysis.probing.probing import Outcome
from ner.data.corpus import Corpus, Source
from ner.errors import InputError, listed, single_line
from ner.evaluation.bootstrap import Interval
from ner.evaluation.runs import Run, content_key
from ner.files import MANIFEST, file_errors, read_json, sha256, written_aside

PROBES, FLIPPED = "probes.json", "flips.parquet"
SCHEMA = pa.schema([*((name, NAMES) for name in ("run", "language", "split", "probe")), *ENTITY_COLUMNS])
NEVER_NULL = ("run", "language", "split", "probe", "sentence", "flip")
OF_OUTCOME: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("run", "language", "probe", "family", "measure"), str),
    **dict.fromkeys(("sentences", "changed", "gold"), int),
    **dict.fromkeys(("before", "after", "difference"), float),
}


class Part(NamedTuple):
    """Sentences that a run is tested on.

    content: equal for the same sentences with the same gold tags; model: equal for the same model, None where that is
    not known, as of a model of the Hub.
    """

    run: str
    split: str
    language: str
    content: str
    model: str | None

    @property
    def place(self) -> tuple[str, str, str]:
        """Run, split and language; `runs/de/` is `runs/de`."""
        return path(self.run), self.split, self.language


@dataclass(frozen=True)
class Probing:
    """What probes found. outcomes: of each (run, split); flips: entities, with the columns of SCHEMA."""

    outcomes: Mapping[tuple[str, str], Sequence[Outcome]]
    flips: pa.Table


def path(run: str) -> str:
    """The name of a run without a slash at its end."""
    return str(Path(run))


def parts(runs: Sequence[Run], corpora: Mapping[Source, Corpus], splits: Sequence[str]) -> list[Part]:
    """What the runs are tested on."""
    found = []
    for run in runs:
        manifest = Path(run.model) / MANIFEST
        model = sha256(manifest) if manifest.is_file() else None
        for language, rows in corpora[run.source].languages.items():
            found += [Part(run.name, split, language, content_key(rows[split]), model) for split in splits]
    return found


def write_flips(file: Path, outcomes: Iterable[Outcome], split: str) -> None:
    """Writes flips.parquet. Raises OSError."""
    tables = [SCHEMA.empty_table()]
    for outcome in outcomes:
        if outcome.flips:
            entities = outcome.flips.entities
            place = (outcome.run, outcome.language, split, outcome.probe)
            names = [pa.array([name] * len(entities), pa.string()).dictionary_encode() for name in place]
            tables.append(pa.Table.from_arrays([*names, *entities.columns], schema=SCHEMA))
    with written_aside(file) as aside:  # as plain strings to all readers, as those of token losses
        pq.write_table(pa.concat_tables(tables), aside, compression="zstd", store_schema=False)


def read_probing(folders: Sequence[str], tested: Sequence[Part]) -> Probing:
    """What `ner probe --output` wrote in these folders, at least one, on what is tested.

    Runs have the names that they are tested by. Raises InputError for a folder without such files, and for one on other
    runs, sentences or models.
    """
    run_of = {part.place[0]: part.run for part in tested}
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    known: set[tuple[str, str, str, str]] = set()
    tables = []
    for folder in folders:
        with file_errors(folder):
            probed, found = read_probes(Path(folder) / PROBES)
            flips = read_flips(Path(folder) / FLIPPED, found)
        check_same(folder, probed, tested)
        split = probed[0].split
        for outcome in found:
            run = run_of.get(path(outcome.run), outcome.run)
            key = (run, split, outcome.language, outcome.probe)
            if key in known:
                raise InputError(f"`probing` {folder}: {', '.join(key)}: in another of the folders, too; leave one out")
            known.add(key)
            outcomes.setdefault((run, split), []).append(replace(outcome, run=run))
        names = [run_of.get(path(run), run) for run in flips["run"].to_pylist()]
        tables.append(flips.set_column(0, "run", pa.array(names, pa.string())))
    return Probing(outcomes, pa.concat_tables(tables))


def read_probes(file: Path) -> tuple[list[Part], list[Outcome]]:
    """What was tested, all on one split, and what was found: probes.json. Raises InputError and OSError."""
    try:
        content = read_json(file)
        probed = [read_part(part) for part in content["tested"]]
        outcomes = [read_outcome(outcome) for outcome in content["outcomes"]]
        if len({part.split for part in probed}) != 1:
            raise ValueError("of no split, or of several")
        if not {(each.run, each.language) for each in outcomes} <= {(part.run, part.language) for part in probed}:
            raise ValueError("outcomes of what was not tested")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:  # JSON of any shape, or none
        raise InputError(
            f"`probing` {file}: not what this version of `ner probe --output` writes ({single_line(error)}); "
            "run it again"
        ) from error
    return probed, outcomes


def read_part(plain: dict[str, Any]) -> Part:
    """A `Part` of JSON. Raises KeyError and TypeError."""
    run, split, language, content = (str(plain[name]) for name in ("run", "split", "language", "content"))
    return Part(run, split, language, content, plain["model"])


def read_outcome(plain: dict[str, Any]) -> Outcome:
    """An `Outcome` of JSON, without examples. Raises KeyError, ValueError, TypeError and AttributeError."""
    flips = plain["flips"]
    return Outcome(
        **{name: read(plain[name]) for name, read in OF_OUTCOME.items()},
        interval=Interval(*(float(plain["interval"][name]) for name in ("low", "high"))),
        flips=Flips({flip: int(flips["counts"][flip]) for flip in FLIPS}, int(flips["gone"]), ()) if flips else None,
    )


def read_flips(file: Path, outcomes: Sequence[Outcome]) -> pa.Table:
    """The entities that flipped, which are those that the outcomes count. Raises InputError and OSError."""
    if not file.is_file():
        raise InputError(f"`probing` {file}: no such file; `ner probe --output` writes it: run it again")
    plain = pa.schema([(each.name, pa.string() if each.type == NAMES else each.type) for each in SCHEMA])
    try:
        table = pq.read_table(file, columns=SCHEMA.names, partitioning=None).cast(plain)
    except (pa.ArrowException, UnicodeDecodeError, ValueError, KeyError) as error:
        raise InputError(f"`probing` {file}: damaged ({single_line(error)[:200]}); run `ner probe` again") from error
    if empty := [name for name in NEVER_NULL if table[name].null_count]:
        raise InputError(f"`probing` {file}: nulls in {listed(empty)}; run `ner probe` again")
    counted = sum(each.flips.counts[flip] for each in outcomes if each.flips for flip in FLIPS if flip != "kept")
    if counted != len(table):
        raise InputError(
            f"`probing` {file}: {len(table):,} entities, where {PROBES} beside it counts {counted:,}; "
            "run `ner probe` again"
        )
    return table


def check_same(folder: str, probed: Sequence[Part], tested: Sequence[Part]) -> None:
    """Raises InputError for what has nothing in common with what is tested, or other sentences or models of a run."""
    left, right = list(probed), list(tested)
    for i, name in enumerate(("run", "split", "language")):
        found, wanted = ({part.place[i] for part in side} for side in (left, right))
        left = [part for part in left if part.place[i] in wanted]
        right = [part for part in right if part.place[i] in found]
        if not left:
            raise InputError(
                f"`probing` {folder}: of the {name} {listed(sorted(found))}, and tested is {listed(sorted(wanted))}; "
                "run `ner probe` on what is tested"
            )
    here = {part.place: part for part in tested}
    for part in probed:
        if (other := here.get(part.place)) is None:
            continue
        if part.content != other.content:
            raise InputError(
                f"`probing` {folder}: {other.run} was probed on other {part.language} {part.split} sentences than are "
                "tested; give `ner probe` the same `data` and options for it"
            )
        if part.model and other.model and part.model != other.model:
            raise InputError(
                f"`probing` {folder}: of {other.run} another model was probed than is tested; run `ner probe` again, "
                "with the same `checkpoint`"
            )
