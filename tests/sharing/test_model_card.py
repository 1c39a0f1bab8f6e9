"""Model cards of runs on the embedded corpus."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from accelerate.state import AcceleratorState
from huggingface_hub import ModelCard

import evaluate
from ner.arguments import read_config, to_yaml
from ner.config import TrainConfig
from ner.files import write_json
from ner.sharing.model_card import make_card, widget, write_card
from ner.sharing.run_record import hub_name, last_part
from ner.training.run_folder import OURS
from tests.conftest import part_of
from tests.runs import train_run

FLAGS = ["--mixed-precision", "no"]


@pytest.fixture(scope="module")
def corpus_folder(corpus_folder, tmp_path_factory) -> Path:
    """A part of the embedded corpus."""
    return part_of(corpus_folder, tmp_path_factory.mktemp("part"), train=300, validation=60, test=100)


@pytest.fixture(scope="module")
def trained(corpus_folder, encoder_folder, tmp_path_factory) -> Path:
    """Two short runs on German, of two seeds, and one on German and French."""
    folder = tmp_path_factory.mktemp("runs")
    for name, flags in (("one", "de"), ("two", "de --seed 1"), ("both", "de fr")):
        flags = f"--max-steps 20 --license cc-by-sa-4.0 --train-on {flags}"
        train_run(encoder_folder, corpus_folder, folder / name, flags)
    return folder


@pytest.fixture
def runs(trained, tmp_path) -> Path:
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs"


def run(*arguments):
    AcceleratorState._reset_state(reset_partial_state=True)
    evaluate.main([*map(str, arguments), *FLAGS])
    AcceleratorState._reset_state(reset_partial_state=True)


def change(folder: Path, **options) -> None:
    """Makes a run one of other options."""
    file = folder / "config.yaml"
    file.write_text(to_yaml(replace(read_config(TrainConfig, file), **options)), encoding="utf-8")


def from_hub(folder: Path) -> None:
    """Makes a run one of a Hub's encoder and data."""
    change(folder, model="xlm-roberta-base", data="google/xtreme", data_config="PAN-X.{lang}", sample=("swiss",))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics["hub"] = {"model": "xlm-roberta-base", "data": "google/xtreme"}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    if (folder / "evaluation.json").is_file():
        evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        for scores in evaluation["results"]:
            scores |= {"data": "google/xtreme", "hub": True, "config": "PAN-X.{lang}", "sample": ["swiss"]}
        (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")


def test_after_training_a_card_has_what_is_known(runs, corpus_folder, encoder_folder):
    text = (runs / "both/README.md").read_text(encoding="utf-8")
    metrics = json.loads((runs / "both/metrics.json").read_text(encoding="utf-8"))
    card = ModelCard(text)
    data = card.data.to_dict()
    assert data["language"] == ["de", "fr"]
    assert data["license"] == "cc-by-sa-4.0"
    assert data["library_name"] == "transformers"
    assert [example["example_title"] for example in data["widget"]] == ["Deutsch", "Français"]
    assert data["widget"][0]["text"].startswith("Anna Keller leitet seit März das Universitätsspital Zürich . Zuvor")
    assert not {"base_model", "datasets", "model-index"} & set(data)  # local ones have no name on the Hub
    assert f"| {sum(metrics['sentences'].values()):,} (de {metrics['sentences']['de']:,}, fr" in text
    assert metrics["sentences"].keys() == {"de", "fr"}
    for language, scores in metrics["best"]["languages"].items():
        assert f"{scores['f1']:.3f}" in text
        for kind, row in scores["per_type"].items():
            ratios = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
            cells = [language, kind, *ratios, f"{row['support']:,}"]
            assert cells in [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert "It was not tested yet" in text
    assert "`cc-by-sa-4.0`" in text
    assert "PAN-X" not in text
    assert "95% interval" not in text
    for path in (corpus_folder, encoder_folder, runs):
        assert str(path.parent) not in text
    assert f"`{corpus_folder.name}`" in text
    (block,) = [part.partition("```")[0] for part in text.split("```yaml\n")[1:]]
    options = yaml.safe_load(block)
    assert options["model"] == encoder_folder.name
    assert options["lr"] == 2e-3
    assert not {"output", "resume", "push_to_hub"} & set(options)


def test_the_evaluations_of_the_training_are_a_table(runs):
    """Of a run without a log there is none; of a long one it is folded away."""
    lines = (runs / "one/log.jsonl").read_text(encoding="utf-8").splitlines()
    *_, entry = [line for line in lines if '"validation"' in line]
    logged = json.loads(entry)
    scores = logged["validation"]
    numbers = [logged["train_loss"], *(scores[key] for key in ("loss", "precision", "recall", "f1", "accuracy"))]
    text = (runs / "one/README.md").read_text(encoding="utf-8")
    row = ["20", f"{logged['epoch']:.2f}", *(f"{value:.4f}" for value in numbers)]
    assert row in [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert "training loss" in text
    assert text.count("<details>") == 1
    (runs / "one/log.jsonl").write_text(f"{entry}\n" * 13, encoding="utf-8")
    text = make_card(runs / "one")
    assert "<summary>13 evaluations</summary>\n\n|" in text
    (runs / "one/log.jsonl").unlink()
    assert "training loss" not in make_card(runs / "one")


def test_what_it_was_made_with(runs):
    """Versions, device and commit are text of a file, which may hold anything; older runs do not have them."""
    metrics = json.loads((runs / "one/metrics.json").read_text(encoding="utf-8"))
    found = metrics["environment"]
    stored = read_config(TrainConfig, runs / "one/config.yaml")
    assert metrics["config"] == json.loads(json.dumps(asdict(stored)))
    assert metrics["config"]["row_length"] == "64"  # auto was resolved

    def rows(**changes) -> dict[str, str]:
        text = json.dumps({**metrics, "environment": {**found, **changes}})
        (runs / "one/metrics.json").write_text(text, encoding="utf-8")
        lines = make_card(runs / "one").partition("What it was made with:\n\n")[2].partition("\n\n")[0].splitlines()
        return dict([cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:])

    assert rows()["torch"] == found["versions"]["torch"]
    assert rows()["processes"] == "1"
    clean, changed = ({"commit": "abc", "dirty": is_dirty} for is_dirty in (False, True))
    assert rows(git=clean)["commit of the code"] == "abc"
    assert rows(git=changed)["commit of the code"] == "abc, with changes that are not committed"
    assert "commit of the code" not in rows(git=None)
    assert "seqeval" not in rows(versions={**found["versions"], "seqeval": None})
    assert rows(device="<img src=x>\n[a](b)")["device"] == "&#60;img src=x&#62;\\n&#91;a&#93;(b)"
    with pytest.raises(ValueError, match="lacks what a card needs"):
        rows(git={"commit": "abc"})
    del metrics["environment"]
    (runs / "one/metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    assert "What it was made with" not in make_card(runs / "one")


def test_evaluation_adds_its_row_with_the_matrix_intervals(runs, tmp_path):
    """A run alone in its row has the row's figures; of two seeds in one row, each card has its own."""
    run(runs / "one", "--languages", "fr", "de", "--output", tmp_path / "out")
    text = (runs / "one/README.md").read_text(encoding="utf-8")
    cells = json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))["cells"]["test"]["de"]
    kept = {r["language"]: r for r in json.loads((runs / "one/evaluation.json").read_text(encoding="utf-8"))["results"]}
    for language, cell in cells.items():
        scores = kept[language]["scores"]["default"]
        assert (scores["f1"], scores["interval"]) == (cell["f1"], cell["interval"])
        assert f"{cell['f1']:.3f}" in text
        assert f"[{cell['interval']['low']:.3f}, {cell['interval']['high']:.3f}]" in text
    assert kept["fr"]["scores"]["strict"]["interval"]["low"] > 0
    assert "It was trained on no `fr`: there it works zero-shot." in text
    assert "It was not tested yet" not in text
    before = (runs / "one/evaluation.json").read_text(encoding="utf-8")
    run(runs / "one", runs / "two", "--languages", "fr", "de")
    assert (runs / "one/evaluation.json").read_text(encoding="utf-8") == before
    two = json.loads((runs / "two/evaluation.json").read_text(encoding="utf-8"))["results"]
    assert [scores["scores"] for scores in two] != [scores["scores"] for scores in kept.values()]
    metrics = json.loads((runs / "one/metrics.json").read_text(encoding="utf-8"))
    assert metrics["also_trained_on"] == []
    write_json(runs / "one/metrics.json", metrics | {"also_trained_on": ["fr"]})  # a second stage
    text = make_card(runs / "one")
    assert "It builds on taggers of `fr`." in text
    assert "zero-shot" not in text


def test_evaluations_of_other_data_and_splits_stand_beside_each_other(runs, corpus_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(corpus_folder, other)
    shutil.copy(corpus_folder / "it/train.jsonl", other / "it/test.jsonl")
    shutil.copy(corpus_folder / "de/train.jsonl", other / "de/test.jsonl")
    run(runs / "one", "--languages", "de")
    run(runs / "one", "--languages", "it", "de", "--data", other)
    run(runs / "one", "--languages", "it", "--splits", "test", "validation")
    results = json.loads((runs / "one/evaluation.json").read_text(encoding="utf-8"))["results"]
    name = corpus_folder.name
    assert [(r["data"], r["split"], r["language"]) for r in results] == [
        (name, "test", "de"),
        ("other", "test", "it"),
        ("other", "test", "de"),
        (name, "test", "it"),
        (name, "validation", "it"),
    ]
    assert results[2]["seen"] == results[2]["sentences"]  # the training sentences themselves
    text = (runs / "one/README.md").read_text(encoding="utf-8")
    headings = [line for line in text.splitlines() if line.startswith("## F1")]
    assert headings == [f"## F1 on test of `{name}`", "## F1 on test of `other`", f"## F1 on validation of `{name}`"]
    assert "part of the score is memory" in text
    assert str(tmp_path) not in text + (runs / "one/evaluation.json").read_text(encoding="utf-8")


def test_another_model_in_best_makes_old_results_void(runs):
    run(runs / "one", "--languages", "de")
    assert "## F1 on test" in make_card(runs / "one")
    shutil.rmtree(runs / "one/best")
    shutil.copytree(runs / "two/best", runs / "one/best")
    assert "## F1 on test" not in make_card(runs / "one")
    run(runs / "one", "--languages", "fr")
    assert len(json.loads((runs / "one/evaluation.json").read_text(encoding="utf-8"))["results"]) == 1


def test_other_models_than_best_ones_leave_cards_alone(runs):
    before = (runs / "one/README.md").read_text(encoding="utf-8")
    run(runs / "one", "--languages", "de", "--checkpoint", "last")
    run(runs / "one/best", "--languages", "de", "--data", read_config(TrainConfig, runs / "one/config.yaml").data)
    assert (runs / "one/README.md").read_text(encoding="utf-8") == before
    assert not list(runs.glob("one/**/evaluation.json"))


def test_hub_names_go_into_the_head_and_come_back(runs):
    run(runs / "both", "--languages", "de", "it")
    from_hub(runs / "both")
    text = make_card(runs / "both", "someone/swiss")
    card = ModelCard(text)
    data = card.data.to_dict()
    assert (data["base_model"], data["datasets"]) == ("xlm-roberta-base", ["google/xtreme"])
    results = card.data["eval_results"]
    assert card.data["model_name"] == "swiss"
    places = [(r.dataset_type, r.dataset_config, r.dataset_split, r.metric_type) for r in results]
    assert places == [
        ("google/xtreme", f"PAN-X.{lang}", "test", metric)
        for lang in ("de", "it")
        for metric in ("f1", "precision", "recall")
    ]
    scores = json.loads((runs / "both/evaluation.json").read_text(encoding="utf-8"))["results"][0]["scores"]["default"]
    assert results[0].metric_value == round(scores["f1"], 4)
    assert ModelCard(str(card)).data["eval_results"] == results
    assert "whose labels are silver" in text
    assert 'model="someone/swiss"' in text
    assert "de 62.9%, fr 22.9%" in text


def test_a_card_that_was_written_by_hand_is_kept(runs):
    file = runs / "one/README.md"
    file.write_text("# Mine\n", encoding="utf-8")
    write_card(runs / "one")
    run(runs / "one", "--languages", "de")
    assert file.read_text(encoding="utf-8") == "# Mine\n"
    file.write_text(f"# Anything\n{OURS}\n", encoding="utf-8")
    write_card(runs / "one")
    assert "F1 on test" in file.read_text(encoding="utf-8")


def test_a_folder_that_can_not_be_written_is_a_note(runs, capsys):
    before = {file: file.read_bytes() for file in runs.glob("one/*.*")}
    (runs / "one/.evaluation.json.new").mkdir()  # root may write anywhere else
    run(runs / "one", "--languages", "de")
    (runs / "one/.evaluation.json.new").rmdir()
    captured = capsys.readouterr()
    assert f"note: {runs}/one: its model card stays as it was: " in captured.err
    assert "F1 on test" in captured.out
    assert {file: file.read_bytes() for file in runs.glob("one/*.*")} == before


@pytest.mark.parametrize("content", ["[]", "{", '"results": [{}]', '"results": 1'])
def test_a_damaged_file_is_said(runs, content, capsys):
    run(runs / "one", "--languages", "de")
    file = runs / "one/evaluation.json"
    model = json.loads(file.read_text(encoding="utf-8"))["model"]
    file.write_text(content if content in ("[]", "{") else f'{{"model": "{model}", {content}}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"evaluation\.json.*restore or delete it"):
        make_card(runs / "one")
    run(runs / "one", "--languages", "de")
    assert "its model card stays as it was: " in capsys.readouterr().err


@pytest.mark.parametrize(("name", "content"), [("metrics.json", "{}"), ("best/config.json", "[]")])
def test_a_run_without_what_a_card_needs(runs, name, content):
    (runs / "one" / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="json"):
        make_card(runs / "one")


def test_runs_from_before_there_were_cards(runs):
    """Old folders have neither the options of sharing nor the facts in metrics.json."""
    file = runs / "both/config.yaml"
    old = {
        key: v
        for key, v in yaml.safe_load(file.read_text(encoding="utf-8")).items()
        if key != "license" and key[:4] != "push"
    }
    file.write_text(yaml.safe_dump(old), encoding="utf-8")
    metrics = json.loads((runs / "both/metrics.json").read_text(encoding="utf-8"))
    metrics = {key: value for key, value in metrics.items() if key not in ("hub", "sentences")}
    (runs / "both/metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (runs / "both/README.md").unlink()
    run(runs / "both", "--languages", "de")
    data = ModelCard((runs / "both/README.md").read_text(encoding="utf-8")).data.to_dict()
    assert data["license"] == "unknown"
    assert "base_model" not in data


def test_a_finished_run_gets_its_card_and_another_licence(runs, corpus_folder, encoder_folder):
    (runs / "one/README.md").unlink()
    for more, expected in (("", "cc-by-sa-4.0"), ("--license mit", "mit"), ("", "mit")):
        train_run(encoder_folder, corpus_folder, runs / "one", f"--max-steps 20 --resume auto {more}")
        assert ModelCard((runs / "one/README.md").read_text(encoding="utf-8")).data["license"] == expected


def test_the_widget_has_a_text_of_each_language_that_there_is_one_for():
    (english,) = widget(["xx", "en"])
    assert english["example_title"] == "English"
    assert "again , said Nina Hofmann at Kloten . FC Basel" in english["text"]
    assert widget(["xx"]) == []


def test_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/tiny").mkdir(parents=True)
    assert hub_name("models/tiny") is None
    assert hub_name("models/other") == "models/other"
    assert hub_name("xlm-roberta-base") == "xlm-roberta-base"
    for path in ("/home/me/data", "./data", "a/b/c", "data/{lang}.conll", "train.conll.gz", "~/data", ".."):
        assert hub_name(path) is None
    assert last_part("/home/me/wikineural/{lang}.{split}.conllu.gz") == "wikineural"
    assert last_part("data/{lang}/{split}.jsonl") == "data"
    assert last_part("/") == last_part("..") == last_part(".") == last_part("{lang}/{split}.tsv") == "local"
