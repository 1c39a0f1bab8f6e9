"""Corpora whose columns and tags are not those of PAN-X, as they come: CoNLL++, WikiNEuRal, and launch/conllpp.yaml."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.state import AcceleratorState
from datasets import ClassLabel, Dataset, Features, List, Value

import evaluate
import train
from ner.arguments import parse
from ner.cli import probe
from ner.config import TrainConfig
from ner.data.corpus import Corpus, Source, load_corpus
from ner.errors import InputError
from tests.conftest import write_json_lines
from tests.runs import train_run

pytestmark = pytest.mark.usefixtures("fresh_accelerator")
ROOT = Path(train.__file__).parent
SETTING = ROOT / "launch/conllpp.yaml"
SPLITS = ("train", "validation", "test")
TAGS = tuple("O B-PER I-PER B-ORG I-ORG B-LOC I-LOC B-MISC I-MISC".split())
OTHER_ORDER = ("B-MISC", "I-MISC", "B-LOC", "I-LOC", "O", "B-ORG", "I-ORG", "B-PER", "I-PER")
CHUNKS = ["O", "B-NP", "I-NP"]
Rows = list[dict[str, Any]]


def columns(rows: Rows, names: tuple[str, ...] = TAGS) -> Rows:
    """The rows in CoNLL++'s columns, all tags ids."""
    return [
        {
            "id": str(i),
            "tokens": row["tokens"],
            "pos_tags": [j % 47 for j in range(len(row["tokens"]))],
            "chunk_tags": [j % 3 for j in range(len(row["tokens"]))],
            "ner_tags": [names.index(tag) for tag in row["ner_tags"]],
        }
        for i, row in enumerate(rows)
    ]


def write_parquet(file: Path, rows: Rows, names: tuple[str, ...] = TAGS, *, with_names: bool = True) -> None:
    """With the names of the ids, as `datasets` writes them, or without."""
    tags = ClassLabel(names=list(names)) if with_names else Value("int64")
    features = {"id": Value("string"), "tokens": List(Value("string")), "pos_tags": List(Value("int64"))}
    features |= {"chunk_tags": List(ClassLabel(names=CHUNKS)), "ner_tags": List(tags)}
    file.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(columns(rows, names), Features(features)).to_parquet(file)


def write_hub(folder: Path, parts: dict[str, Rows], names: tuple[str, ...] = TAGS) -> Path:
    """In Hub layout: one config, whose name is no language."""
    card = ["---", "configs:", "- config_name: conllpp", "  data_files:"]
    for split, rows in parts.items():
        write_parquet(folder / f"conllpp/{split}-00000-of-00001.parquet", rows, names)
        card += [f"  - split: {split}", f"    path: conllpp/{split}-00000-of-00001.parquet"]
    (folder / "README.md").write_text("\n".join([*card, "---", ""]), encoding="utf-8")
    return folder


def write_columns(file: Path, rows: Rows) -> None:
    """As the text files of its authors: word, part of speech, chunk and tag, documents apart."""
    sentences = [
        "\n".join(f"{word} NNP B-NP {tag}" for word, tag in zip(row["tokens"], row["ner_tags"], strict=True))
        for row in rows
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("-DOCSTART- -X- -X- O\n\n" + "\n\n".join(sentences) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def parts(corpus_folder) -> dict[str, Rows]:
    """Some English sentences of each split, with an entity of type MISC."""
    sizes = dict(zip(SPLITS, (24, 8, 12), strict=True))
    texts = {split: (corpus_folder / f"en/{split}.jsonl").read_text(encoding="utf-8") for split in SPLITS}
    rows = {split: [json.loads(line) for line in texts[split].splitlines()[:size]] for split, size in sizes.items()}
    return {split: [*of_split, {"tokens": ["Oscar"], "ner_tags": ["B-MISC"]}] for split, of_split in rows.items()}


def named(corpus: Corpus, language: str = "en") -> dict[str, Rows]:
    """Words and names of tags of each split."""
    names = corpus.tags.names
    return {
        split: [{"tokens": row["tokens"], "ner_tags": [names[i] for i in row["ner_tags"]]} for row in rows]
        for split, rows in corpus[language].items()
    }


def test_the_columns_of_conllpp_as_they_come(parts, tmp_path):
    """Hub layout, a folder of Parquet, JSON Lines of ids, and the columns of text: the same sentences and tags."""
    hub = write_hub(tmp_path / "hub", parts)
    for split, rows in parts.items():
        write_parquet(tmp_path / f"parquet/{split}-00000-of-00001.parquet", rows)
        write_json_lines(tmp_path / f"lines/{split}.jsonl", columns(rows))
        usual = "dev" if split == "validation" else split
        write_columns(tmp_path / f"text/conllpp_{usual}.txt", rows)
    sources = [Source(str(hub)), Source(str(tmp_path / "parquet")), Source(str(tmp_path / "lines"), tags=TAGS)]
    sources.append(Source(f"{tmp_path}/text/conllpp_{{split}}.txt"))
    for source in sources:
        corpus = load_corpus(source, ["en"], SPLITS)
        assert named(corpus) == parts, source.data
    assert load_corpus(sources[0], ["en"], SPLITS).tags.names == TAGS
    with pytest.raises(InputError, match=r"ner_tags are ids without names; name them in order, as in `tags` O B-PER"):
        load_corpus(Source(str(tmp_path / "lines")), ["en"], SPLITS)


def test_the_files_of_wikineural_as_they_come(parts, tmp_path):
    """On the Hub its splits are train_de, val_de, ..., and its ids have no names."""
    for language in ("de", "en"):
        for split, rows in zip(("train", "val", "test"), parts.values(), strict=True):
            write_parquet(tmp_path / f"data/{split}_{language}.parquet", rows, with_names=False)
    source = Source(f"{tmp_path}/data/{{split}}_{{lang}}.parquet", tags=TAGS)
    corpus = load_corpus(source, ["de", "en"], SPLITS)
    assert named(corpus, "de") == named(corpus, "en") == parts


def test_the_setting_is_the_published_one():
    config = parse(TrainConfig, ["--config", str(SETTING)], None)
    expected = {
        "model": "distilbert-base-multilingual-cased",
        "label_tokens": "all",
        "epochs": 3,
        "lr": 2e-5,
        "batch_size": 8,
        "train_on": ("en",),
    }
    assert {name: getattr(config, name) for name in expected} == expected
    assert set(yaml.safe_load(SETTING.read_text(encoding="utf-8"))) == {*expected, "data", "output"}
    assert "Run on:" in SETTING.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(parts, thin_encoder, tmp_path_factory) -> Path:
    """A few steps of the setting on sentences in CoNLL++'s columns; `data` beside it."""
    folder = tmp_path_factory.mktemp("conllpp")
    write_hub(folder / "data", parts)
    AcceleratorState._reset_state(reset_partial_state=True)
    paths = ["--model", str(thin_encoder), "--data", str(folder / "data"), "--output", str(folder / "run")]
    train.main(["--config", str(SETTING), *paths, "--max-steps", "2", "--mixed-precision", "no"])
    return folder / "run"


def results(run: Path, output: Path, *flags: str) -> list[dict[str, Any]]:
    """What `evaluate.py` writes of the English test sentences."""
    AcceleratorState._reset_state(reset_partial_state=True)
    arguments = [str(run), "--languages", "en", *flags, "--output", str(output), "--mixed-precision", "no"]
    evaluate.main(arguments)
    found = json.loads((output / "matrix.json").read_text(encoding="utf-8"))["results"]
    return [{name: result[name] for name in ("language", "num_sentences", "scores")} for result in found]


def test_a_run_of_the_setting(run):
    stored = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    kept = {name: stored[name] for name in ("label_tokens", "epochs", "lr", "batch_size", "max_steps", "train_on")}
    expected = {"label_tokens": "all", "epochs": 3, "lr": 2e-5, "batch_size": 8, "max_steps": 2, "train_on": ["en"]}
    assert kept == expected
    labels = json.loads((run / "best/config.json").read_text(encoding="utf-8"))["id2label"]
    assert tuple(labels.values()) == TAGS
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["train_sentences"] == 25


def test_tags_in_another_order_are_matched_by_their_names(run, parts, tmp_path):
    """The loss and the scores are those of the same sentences in the run's order."""
    same = results(run, tmp_path / "same")
    assert same[0]["num_sentences"] == 13
    lines = write_json_lines(tmp_path / "test.jsonl", columns(parts["test"], OTHER_ORDER))
    assert results(run, tmp_path / "lines", "--data", str(lines), "--tags", *OTHER_ORDER) == same
    hub = write_hub(tmp_path / "other", {"test": parts["test"]}, OTHER_ORDER)
    assert named(load_corpus(Source(str(hub)), ["en"], ["test"])) == {"test": parts["test"]}


def test_a_run_without_a_type_of_the_corpus(run, corpus_folder, thin_encoder, tmp_path, capsys):
    """It is said which type is lacking and how to leave it out; with that, the corpus is tested and probed."""
    plain = tmp_path / "panx"
    train_run(thin_encoder, corpus_folder, plain, "--train-on en --max-train-sentences 24 --max-steps 1")
    data = ["--data", str(run.parent / "data")]
    with pytest.raises(SystemExit) as end:
        results(plain, tmp_path / "x", *data)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert f"lacks the tags B-MISC of {data[1]}; it has O B-LOC I-LOC B-ORG I-ORG B-PER I-PER" in message
    assert "--map-tags MISC=O reads them as other types" in message
    mapped = [*data, "--map-tags", "MISC=O"]
    assert results(plain, tmp_path / "mapped", *mapped)[0]["num_sentences"] == 13
    AcceleratorState._reset_state(reset_partial_state=True)
    probes = ["--probes", "lower", "seen", "unseen", "--languages", "en", "--mixed-precision", "no"]
    probe.main([str(plain), *mapped, *probes, "--output", str(tmp_path / "probes")])
    found = json.loads((tmp_path / "probes/probes.json").read_text(encoding="utf-8"))["outcomes"]
    assert {outcome["probe"] for outcome in found} == {"lower", "seen", "unseen"}
    assert all(outcome["sentences"] == 13 for outcome in found)
