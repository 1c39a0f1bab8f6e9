"""Commands and programs of README and the manual, run in small: embedded corpus and encoder, one step each."""

import gzip
import json
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

import evaluate
import train
from ner.arguments import parse
from ner.cli import main as cli
from ner.cli.api import ApiConfig
from ner.cli.serve import ServeConfig
from ner.data import synthetic
from tests.conftest import part_of

ROOT = Path(train.__file__).parent
# In the order of the manual: what one page makes, the next ones use.
NAV = re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
PAGES = [ROOT / "README.md", *(ROOT / "docs" / name for name in NAV)]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def run_command(command: str, arguments: list[str], corpus_folder: Path, encoder_folder: Path) -> None:
    """`ner COMMAND`, with the embedded corpus and encoder in the place of names."""
    if command == "serve":  # it would serve until somebody stops it; tests/tagging/test_app.py does
        assert parse(ServeConfig, arguments, "").runs
        return
    if command == "api":  # nor does this end: tests/cli/test_api.py
        assert parse(ApiConfig, arguments, "").run
        return
    assert command in cli.COMMANDS
    main = import_module(f"ner.cli.{command.replace('-', '_')}").main
    AcceleratorState._reset_state(reset_partial_state=True)
    if "<" in arguments:
        place = arguments.index("<")
        with Path(arguments[place + 1]).open(encoding="utf-8") as lines, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", lines)
            main(arguments[:place])
        return
    if command == "baseline":
        arguments = [*arguments, "--data", str(corpus_folder), "--overwrite"]
    names = {"data/my-corpus": str(corpus_folder), "models/my-encoder": str(encoder_folder)}
    names["xlm-roberta-base"] = str(encoder_folder)
    main([names.get(argument, argument) for argument in arguments])


def write_wikineural(folder: Path, corpus_folder: Path) -> None:
    """The embedded corpus in WikiNEuRal's columns, with an entity of its type MISC."""
    folder.mkdir(parents=True)
    for language in synthetic.LANGUAGES:
        text = (corpus_folder / language / "validation.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()[:20]] + [{"tokens": ["Oscar"], "ner_tags": ["B-MISC"]}]
        pairs = [enumerate(zip(row["tokens"], row["ner_tags"], strict=True)) for row in rows]
        text = "\n\n".join("\n".join(f"{i}\t{word}\t{tag}" for i, (word, tag) in own) for own in pairs)
        data = gzip.compress(text.encode())
        (folder / f"{language}.validation.conllu.gz").write_bytes(data)


@pytest.fixture(scope="session")
def encoder_folder(thin_encoder) -> Path:
    return thin_encoder


@pytest.fixture
def small_corpus(corpus_folder, tmp_path_factory):
    """A part of the embedded corpus: the programs train on all of it."""
    return part_of(corpus_folder, tmp_path_factory.mktemp("small"), train=150, validation=50, test=50)


@pytest.mark.timeout(900)  # many trainings
def test_every_command_runs(tmp_path, monkeypatch, small_corpus, encoder_folder, capsys):
    """In the order of the text, in one folder, as a reader would."""
    corpus_folder = small_corpus
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    (yaml,) = blocks("yaml")
    Path("run.yaml").write_text(yaml, encoding="utf-8")
    Path("lines.txt").write_text("Anna Keller wohnt in Bern.\nLe canton de Vaud\n", encoding="utf-8")
    Path("de-fr.tsv").write_text("Anna wohnt in Bern.\tAnna habite à Berne.\n", encoding="utf-8")
    Path("fr.txt").write_text("Le canton de Berne. Anna Keller habite à Genève.\n", encoding="utf-8")
    Path("web.jsonl").write_text('{"text": "Anna abita a Lugano"}\n', encoding="utf-8")
    small = [
        "--model",
        str(encoder_folder),
        "--data",
        str(corpus_folder),
        "--max-steps",
        "1",
        "--max-length",
        "64",
        "--mixed-precision",
        "no",
    ]
    ran = []
    for command in commands():
        words = shlex.split(command)
        AcceleratorState._reset_state(reset_partial_state=True)
        if "train.py" in words:
            arguments = words[words.index("train.py") + 1 :]
            if "--help" in arguments:
                continue
            if "--min-steps" in arguments:  # which excludes the one step of `small`
                del arguments[(place := arguments.index("--min-steps")) : place + 2]
            train.main([*arguments, *small, *([] if "--resume" in arguments else ["--overwrite"])])
        elif "evaluate.py" in words:
            arguments = words[words.index("evaluate.py") + 1 :]
            if any("wikineural" in word for word in arguments):
                write_wikineural(Path("data/wikineural"), corpus_folder)
            expanded = [path for word in arguments for path in (sorted(map(str, Path().glob(word))) or [word])]
            evaluate.main([*expanded, "--mixed-precision", "no"])
        elif words[0] == "ner" and words[1] not in cli.SCRIPTS and not words[1].startswith("-"):
            if "--help" not in words:
                run_command(words[1], words[2:], corpus_folder, encoder_folder)
        elif words[:4] == ["accelerate", "launch", "-m", "ner"]:
            run_command(words[4], words[5:], corpus_folder, encoder_folder)
        elif words[:2] == ["python", "-m"]:
            assert (ROOT / words[2].replace(".", "/")).is_dir() or (ROOT / f"{words[2].replace('.', '/')}.py").is_file()
        elif words[0] == "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            targets = [word for word in words[1:] if "=" not in word]
            assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
        else:
            assert words[0] in ("git", "cd", "pip", "accelerate"), f"{command} is not tested"
        ran.append(words)
    assert sum("train.py" in words for words in ran) >= 5
    assert any("evaluate.py" in words for words in ran)
    names = {"xlm-roberta-base": str(encoder_folder), "google/xtreme": str(corpus_folder)}
    for program in blocks("python"):
        if "import ray" in program:  # it starts a cluster: tests/tagging/test_ray.py
            continue
        for name, stand_in in names.items():
            program = program.replace(name, stand_in)
        AcceleratorState._reset_state(reset_partial_state=True)
        exec(compile(program, "manual", "exec"), {})
    assert Path("tagged.jsonl").is_file()
    assert Path("other.jsonl").is_file()
    assert Path("runs/smoothed/metrics.json").is_file()
    if "trackio" in sys.modules:  # else it uploads, and says so, when the suite has ended
        sys.modules["trackio"].finish()
    capsys.readouterr()


def test_paths_that_are_named_exist():
    for path in re.findall(r"`((?:ner|launch|tests)/[\w./-]*)`", TEXT):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", ["train.py", "evaluate.py", "Makefile", "constraints.txt"])
def test_top_level(name):
    assert (ROOT / name).is_file()


def test_the_manual_lists_every_module():
    rows = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").splitlines()
    for folder in (file.parent for file in (ROOT / "ner").glob("*/**/__init__.py") if file.parent.name != "cli"):
        (row,) = (row for row in rows if row.startswith(f"| `{folder.relative_to(ROOT).as_posix()}/` |"))
        modules = {file.stem for file in folder.glob("*.py")} - {"__init__"}
        assert set(re.findall(r"`(\w+)`", row)) == modules
