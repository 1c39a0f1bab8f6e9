"""What the suite promises of itself: what is measured, and that no locale changes what it reads."""

import json
from pathlib import Path

from tests.processes import ROOT, fork

MEASURED = """
import json, sys
from coverage import Coverage
coverage = Coverage(data_file=None, config_file=sys.argv[1])
coverage.start()
import evaluate, train
from ner import tags
coverage.stop()
print(json.dumps([coverage.get_option("run:branch"), sorted(coverage.get_data().measured_files())]))
"""


def test_both_scripts_are_measured_and_no_test_is():
    """By the settings of pyproject.toml, which ignored `include` where there is a `source`."""
    _, output = fork(MEASURED, ROOT / "pyproject.toml")
    has_branches, files = json.loads(output.splitlines()[-1])
    names = {Path(file).relative_to(ROOT).as_posix() for file in files}
    assert has_branches
    assert {"train.py", "evaluate.py"} <= names
    assert not {name for name in names if name.startswith("tests/")}
