"""What the suite promises of itself: what is measured, and that no locale changes what it reads."""

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.environment import CACHES
from tests.processes import ROOT, fork, run

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


def in_the_locales_encoding(source: str) -> list[int]:
    """Lines where a file is read or written as text, and no encoding is said."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or {"encoding", "again"} & {keyword.arg for keyword in node.keywords}:
            continue  # a journal is opened `again`
        values = [argument.value if isinstance(argument, ast.Constant) else "" for argument in node.args]
        match node.func:
            case ast.Attribute(attr="read_text"):
                is_text = not values
            case ast.Attribute(attr="write_text"):
                is_text = len(values) == 1
            case ast.Attribute(attr="open", value=owner) if ast.unparse(owner) not in ("os", "gzip", "tarfile", "page"):
                is_text = not values or (str(values[0])[:1] in tuple("rwax") and "b" not in str(values[0]))
            case ast.Name(id="open"):
                is_text = len(values) < 2 or "b" not in str(values[1])
            case _:
                is_text = False
        lines += [node.lineno] * is_text
    return sorted(lines)


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.rglob("*.py")), ids=lambda file: file.name)
def test_no_locale_changes_what_is_read(file):
    assert in_the_locales_encoding(file.read_text(encoding="utf-8")) == []


def test_a_file_in_the_encoding_of_a_locale_is_seen():
    calls = [
        "a.read_text()",
        "a.read_text('utf-8')",
        "a.write_text(b)",
        "a.open()",
        "a.open('rb')",
        "a.open('w')",
        "open(a)",
    ]
    source = "\n".join([*calls, "open(a, 'rb')"])
    assert in_the_locales_encoding(source) == [1, 3, 4, 6, 7]


def test_programs_of_tests_share_the_folder_of_caches():
    """A fork ends without its finalizers: a folder of its own would stay for ever."""
    _, output = fork("from tests.environment import CACHES; print(CACHES)", env={"MASTER_PORT": "1"})
    assert output.split() == [str(CACHES)]


NEEDED = "bash chmod dirname env timeout true".split()  # the programs of .ci/run that are no stand-in


@pytest.fixture
def ci(tmp_path):
    """Runs .ci/run of a copy with stand-ins for what it calls; each writes what it was asked to `calls`."""
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    (tmp_path / "tree/.ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", tmp_path / "tree/.ci/run")
    for name in NEEDED:
        (programs / name).symlink_to(str(shutil.which(name)))

    def go(user: int = 0, has: tuple[str, ...] = ("apt-get",), apt: int = 0) -> tuple[list[str], str]:
        bodies = {name: f'echo "{name} $*" >> {calls}' for name in ("make", *has)}
        brings = f"echo > {programs}/chromium; echo > {programs}/chromedriver; {programs}/chmod +x {programs}/chrom*"
        if "apt-get" in has:
            bodies["apt-get"] += f'; [ {apt} = 0 ] || exit {apt}; [ "$1" = update ] || {{ {brings}; }}'
        bodies["id"] = f"echo {user}"
        for name, body in bodies.items():
            (programs / name).write_text(f"#!{programs}/bash\n{body}\n", encoding="utf-8")
            (programs / name).chmod(0o755)
        done = run([programs / "bash", tmp_path / "tree/.ci/run"], env={"PATH": str(programs)})
        return calls.read_text(encoding="utf-8").splitlines(), done.stderr

    return go


def test_ci_brings_a_browser_where_it_may(ci):
    asked, errors = ci()
    assert [line.split()[1] for line in asked[:2]] == ["update", "install"]
    assert asked[1].endswith("chromium chromium-driver")
    assert [line.split()[1] for line in asked[2:]] == ["test", "lint", "docs"]
    assert not errors


@pytest.mark.parametrize(
    "given", [{"user": 1000}, {"has": ()}, {"has": ("apt-get", "chromium", "chromedriver")}, {"has": ("chromium",)}]
)
def test_ci_installs_nothing_where_it_may_not_or_need_not(ci, given):
    asked, errors = ci(**given)
    assert [line.split()[1] for line in asked] == ["test", "lint", "docs"]
    assert ("NO BROWSER" in errors) == ("chromedriver" not in given.get("has", ()))


def test_ci_goes_on_without_a_browser_and_says_so(ci):
    asked, errors = ci(apt=100)
    assert [line.split()[1] for line in asked] == ["update", "test", "lint", "docs"]
    assert "NO BROWSER" in errors


def test_half_a_browser_is_none(ci):
    asked, _ = ci(has=("apt-get", "chromedriver"))
    assert [line.split()[1] for line in asked] == ["update", "install", "test", "lint", "docs"]


def test_ci_measures_branches_with_a_floor(ci):
    asked, _ = ci()
    flags = r"--cov --cov-report= --cov-fail-under=\d\d --durations=\d\d"
    assert re.fullmatch(f"make test WORKERS=2 TEST={flags}", asked[2])
