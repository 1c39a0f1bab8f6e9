"""What `ner probe --output` leaves, and what is no such folder, or one about something else."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.analysis.probing.files import FLIPPED, PROBES, SCHEMA, Part, read_probing, write_flips
from ner.analysis.probing.flips import ENTITY_COLUMNS, FLIPS, Flips
from ner.analysis.probing.probing import Outcome
from ner.analysis.probing.tables import to_plain
from ner.errors import InputError
from ner.evaluation.bootstrap import Interval
from ner.files import write_json

ENTITY = ("sentence", "flip", "before", "before_type", "after", "after_type")
LOWER = [(0, "lost", "Bern", "LOC", None, None), (3, "retyped", "Genf", "LOC", "genf", "ORG")]
UPPER = [(3, "new", None, None, "UND", "PER")]
PROBED = [Part("runs/de", "test", language, f"sentences of {language}", "a model") for language in ("de", "fr")]


def outcome(run: str, language: str, probe: str, rows: list[tuple[Any, ...]], **more: Any) -> Outcome:
    """With the entities of these rows, and one more that is kept."""
    counts = {flip: sum(row[1] == flip for row in rows) for flip in FLIPS} | {"kept": 1}
    entities = pa.Table.from_pylist([dict(zip(ENTITY, row, strict=True)) for row in rows], schema=ENTITY_COLUMNS)
    values: dict[str, Any] = {"family": "invariance", "measure": "F1", "sentences": 4, "changed": 2, "gold": 5}
    values |= {"before": 0.75, "after": 0.5, "difference": -0.25, "interval": Interval(-0.5, 0.0)}
    return Outcome(run, language, probe, **(values | {"flips": Flips(counts, 0, (), entities)} | more))


def write(folder: Path, outcomes: list[Outcome], probed: list[Part] = PROBED) -> str:
    folder.mkdir()
    write_json(folder / PROBES, to_plain(outcomes, [], {}, probed[0].split, 42, probed))
    write_flips(folder / FLIPPED, outcomes, probed[0].split)
    return str(folder)


OUTCOMES = [
    outcome("runs/de", "de", "lower", LOWER),
    outcome("runs/de", "fr", "upper", UPPER),
    outcome("runs/de", "fr", "swiss", [], changed=0, flips=None),
    outcome("runs/de", "fr", "unseen", [], measure="recall", flips=None),
]


def test_what_is_written_is_read(tmp_path):
    """With the name of the run as it is tested; a run that is tested and was not probed has nothing."""
    tested = [Part("runs/de/", *part[1:]) for part in PROBED] + [Part("runs/all", "test", "de", "x", None)]
    found = read_probing([write(tmp_path / "probing", OUTCOMES)], tested)
    assert found
    assert list(found.outcomes) == [("runs/de/", "test")]
    read = found.outcomes["runs/de/", "test"]
    assert [(each.probe, each.changed, each.difference, each.interval) for each in read] == [
        (each.probe, each.changed, each.difference, each.interval) for each in OUTCOMES
    ]
    assert [each.flips.counts if each.flips else None for each in read][:3] == [
        {"kept": 1, "lost": 1, "retyped": 1, "re-bounded": 0, "new": 0},
        {"kept": 1, "lost": 0, "retyped": 0, "re-bounded": 0, "new": 1},
        None,
    ]
    assert [tuple(row.values()) for row in found.flips.to_pylist()] == [
        *(("runs/de/", "de", "test", "lower", *row) for row in LOWER),
        ("runs/de/", "fr", "test", "upper", *UPPER[0]),
    ]
    schema = pq.read_schema(tmp_path / "probing" / FLIPPED)
    assert (schema.names, schema.field("probe").type) == (SCHEMA.names, pa.string())


def test_several_folders_are_read_together(tmp_path):
    """One for each split; the same in two of them is an error."""
    validation = [Part(part.run, "validation", *part[2:]) for part in PROBED]
    folders = [write(tmp_path / "one", OUTCOMES), write(tmp_path / "two", OUTCOMES[:1], validation)]
    found = read_probing(folders, PROBED + validation)
    assert found
    assert {place: len(of_place) for place, of_place in found.outcomes.items()} == {
        ("runs/de", "test"): 4,
        ("runs/de", "validation"): 1,
    }
    assert found.flips["split"].to_pylist() == ["test"] * 3 + ["validation"] * 2
    with pytest.raises(InputError, match=r"two: runs/de, test, de, lower: in another of the folders, too"):
        read_probing([folders[0], write(tmp_path / "two/two", OUTCOMES[:1])], PROBED)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": "runs/all"}, "of the run runs/de, and tested is runs/all; run `ner probe` on what is tested"),
        ({"split": "validation"}, "of the split test, and tested is validation"),
        ({"language": "it"}, "of the language de, fr, and tested is it"),
        ({"content": "x"}, "runs/de was probed on other de test sentences than are tested; give `ner probe` the same"),
        ({"model": "x"}, "of runs/de another model was probed than is tested; run `ner probe` again"),
    ],
)
def test_a_folder_about_something_else(tmp_path, changes, message):
    folder = write(tmp_path / "probing", OUTCOMES)
    with pytest.raises(InputError, match=f"`probing` .*{message}"):
        read_probing([folder], [PROBED[0]._replace(**changes)])


def test_a_model_of_which_nothing_is_known_is_not_compared(tmp_path):
    assert read_probing([write(tmp_path / "probing", OUTCOMES)], [PROBED[0]._replace(model=None)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("", "not what this version of `ner probe --output` writes"),
        ("[]", "not what this version"),
        ({"tested": []}, "not what this version .*of no split"),
        ({"tested": [{"run": "x"}]}, "not what this version .*run it again"),
        ({"outcomes": [{}]}, "not what this version"),
        ({"outcomes": []}, r"flips\.parquet: 3 entities, where probes\.json beside it counts 0"),
    ],
)
def test_a_file_that_is_not_of_probes(tmp_path, changes, message):
    folder = Path(write(tmp_path / "probing", OUTCOMES))
    file = folder / PROBES
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(changes if isinstance(changes, str) else json.dumps(content | changes), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_probing([str(folder)], PROBED)


def test_files_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(InputError, match=r"none/probes\.json: No such file"):
        read_probing([str(tmp_path / "none")], PROBED)
    folder = Path(write(tmp_path / "probing", OUTCOMES))
    table = pq.read_table(folder / FLIPPED)
    pq.write_table(table.set_column(3, "probe", pa.array([None] * len(table), pa.string())), folder / FLIPPED)
    with pytest.raises(InputError, match=r"flips\.parquet: nulls in probe"):
        read_probing([str(folder)], PROBED)
    pq.write_table(table.drop_columns(["flip"]), folder / FLIPPED)
    with pytest.raises(InputError, match=r"flips\.parquet: damaged"):
        read_probing([str(folder)], PROBED)
    (folder / FLIPPED).write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"flips\.parquet: damaged"):
        read_probing([str(folder)], PROBED)
    (folder / FLIPPED).unlink()
    with pytest.raises(InputError, match=r"flips\.parquet: no such file; .* writes it"):
        read_probing([str(folder)], PROBED)
