"""`ner baseline`, and what evaluate.py and the other programs make of its runs, beside a run of train.py."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import seqeval.metrics
from accelerate.state import AcceleratorState

import evaluate
import train
from ner.arguments import read_config
from ner.cli import baseline, export, tag
from ner.config import BaselineConfig, TrainConfig
from ner.data.corpus import Source, load_corpus
from ner.data.sampling import join_languages
from ner.files import verify
from ner.modeling.baselines import load_baseline, sentences
from ner.modeling.dictionary import MentionDictionary
from tests.runs import train_run

SIZES = (50, 200)
pytestmark = pytest.mark.usefixtures("fresh_accelerator")


@pytest.fixture(scope="module")
def runs(small_corpus, thin_encoder, tmp_path_factory) -> Path:
    """Baselines on fr, of two sizes, and on de; an encoder on fr and on de."""
    folder = tmp_path_factory.mktemp("runs")
    for method in ("crf", "dictionary"):
        for language, size in (("fr", SIZES[0]), ("fr", SIZES[1]), ("de", SIZES[1])):
            train_baseline(
                small_corpus, folder / f"{language}-{size}-{method}", f"--train-on {language} --method {method}", size
            )
    for language in ("fr", "de"):
        train_run(thin_encoder, small_corpus, folder / language, f"--train-on {language} --max-steps 4")
    return folder


def train_baseline(corpus: Path, output: Path, flags: str, size: int = 200) -> None:
    """All of the sentences are no cut."""
    cut = ["--max-train-sentences", str(size)] if size < 200 else []
    baseline.main(["--data", str(corpus), "--output", str(output), *flags.split(), *cut])


def run(*arguments):
    evaluate.main([*map(str, arguments), "--mixed-precision", "no"])


def failure(capsys, main, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments)])
    assert caught.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_run_folder_holds_what_evaluate_needs(runs, small_corpus):
    folder = runs / "fr-50-crf"
    assert {file.name for file in folder.iterdir()} == {"best", "config.yaml", "metrics.json"}
    assert set(verify(folder / "best")["files"]) == {"model.crfsuite", "tags.json"}
    options = read_config(BaselineConfig, folder / "config.yaml")
    assert (options.method, options.train_on, options.max_train_sentences) == ("crf", ("fr",), ("50",))
    assert options.sample == ("all",)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["train_sentences"] == 50
    assert metrics["config"]["max_train_sentences"] == ["50"]
    assert metrics["environment"]["versions"]["torch"]
    assert metrics["sentences"] == {"fr": 200}
    assert metrics["train_sentences_by_language"] == {"fr": 50}
    assert metrics["best"]["languages"]["fr"]["f1"] == metrics["best"]["f1"] > 0.3
    dictionary = json.loads((runs / "fr-50-dictionary/metrics.json").read_text(encoding="utf-8"))
    assert dictionary["best"]["loss"] is None


def test_it_trains_on_the_sentences_that_train_py_takes(runs, small_corpus):
    """The dictionary holds the mentions of those sentences, and no others."""
    french = load_corpus(Source(str(small_corpus)), ["fr"], ["train"])["fr"]["train"]
    rows, _ = join_languages({"fr": french}, 50)
    names = rows.features["ner_tags"].feature.names
    mentions = set()
    for words, ids in sentences(rows):
        tags = [names[i] for i in ids]
        mentions |= {
            " ".join(words[start : end + 1]) for _, start, end in seqeval.metrics.sequence_labeling.get_entities(tags)
        }
    model = load_baseline(runs / "fr-50-dictionary/best", "dictionary")
    assert {" ".join(mention) for mention in model.types} == mentions  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["crf", "dictionary"])
def test_the_same_seed_is_the_same_model(runs, small_corpus, tmp_path, method, capsys):
    train_baseline(small_corpus, tmp_path / "again", f"--train-on fr --method {method}", 50)
    assert "fr 50 of 200), " in capsys.readouterr().out
    files = verify(runs / f"fr-50-{method}/best")["files"]
    assert verify(tmp_path / "again/best")["files"] == files
    train_baseline(small_corpus, tmp_path / "other", f"--train-on fr --method {method} --seed 7", 50)
    assert (verify(tmp_path / "other/best")["files"] == files) == (method == "dictionary")


def test_baselines_and_an_encoder_in_one_matrix_and_one_curve(runs, tmp_path, capsys):
    names = [
        "fr",
        "de",
        *(f"{name}-{method}" for method in ("crf", "dictionary") for name in ("fr-50", "fr-200", "de-200")),
    ]
    run(*(runs / name for name in names), "--languages", "fr", "de", "--output", tmp_path, "--report")
    captured = capsys.readouterr()
    written = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))
    matrix = written["f1"]["test"]
    assert list(matrix) == [
        *("fr", "de", "each"),
        *("fr, CRF", "fr (50), CRF", "de, CRF", "each, CRF"),
        *("fr, dictionary", "fr (50), dictionary", "de, dictionary", "each, dictionary"),
    ]
    assert matrix["each, CRF"] == {"fr": matrix["fr, CRF"]["fr"], "de": matrix["de, CRF"]["de"]}
    assert matrix["each"] == {"fr": matrix["fr"]["fr"], "de": matrix["de"]["de"]}
    assert matrix["fr, CRF"]["fr"] > matrix["fr (50), CRF"]["fr"] > matrix["de, CRF"]["fr"]
    cell = written["cells"]["test"]["fr, CRF"]["fr"]
    assert cell["interval"]["low"] < cell["f1"] < cell["interval"]["high"]
    gap = written["cells"]["test"]["de, CRF"]["fr"]["gap"]
    assert gap == pytest.approx(matrix["fr, CRF"]["fr"] - matrix["de, CRF"]["fr"])
    curves = json.loads((tmp_path / "curve.json").read_text(encoding="utf-8"))["test"]
    assert [curve["name"] for curve in curves] == ["fr alone, CRF baseline", "fr alone, dictionary baseline"]
    for curve, method in zip(curves, ("crf", "dictionary"), strict=True):
        assert [point["train_sentences"] for point in curve["points"]] == list(SIZES)
        assert curve["level"]["runs"] == [str(runs / f"de-200-{method}")]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "fr (50), CRF" in page
    assert "fr, dictionary" in page
    assert captured.err.count("packing: ") == 1
    for name in names[2:]:
        assert not (runs / name / "README.md").exists()
        assert not (runs / name / "evaluation.json").exists()
    assert (runs / "fr/evaluation.json").is_file()


def test_a_cell_is_what_seqeval_says_of_the_crf(runs, small_corpus, tmp_path):
    run(runs / "fr-200-crf", "--languages", "fr", "--output", tmp_path)
    ours = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))["results"][0]["scores"]
    model = load_baseline(runs / "fr-200-crf/best", "crf")
    gold, predicted = [], []
    for line in (small_corpus / "fr/test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        gold.append(row["ner_tags"])
        predicted.append([model.tags.names[i] for i in model.tag(row["tokens"])[0]])
    assert ours["default"]["f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted), abs=1e-9)
    assert ours["default"]["accuracy"] == pytest.approx(seqeval.metrics.accuracy_score(gold, predicted), abs=1e-9)


def test_token_losses_are_those_of_the_marginals(runs, tmp_path):
    run(runs / "fr-200-crf", runs / "fr-200-dictionary", "--languages", "fr", "--output", tmp_path, "--token-losses")
    table = pq.read_table(tmp_path / "token_losses.parquet").to_pandas()
    model = load_baseline(runs / "fr-200-crf/best", "crf")
    of_crf = table[table.run.str.endswith("crf")]
    first = of_crf[of_crf.sentence == 0]
    tags, p = model.tag(first.text.tolist())
    assert p is not None
    gold = [model.tags.ids[name] for name in first.gold]
    np.testing.assert_allclose(first.loss, -np.log(p[np.arange(len(gold)), gold]), rtol=1e-5)
    np.testing.assert_allclose(first.p_predicted, p[np.arange(len(gold)), tags], rtol=1e-5)
    np.testing.assert_allclose(first.entropy, -(p * np.log(p)).sum(axis=1), rtol=1e-4, atol=1e-6)
    assert [pieces.tolist() for pieces in first.sub_tokens] == [[word] for word in first.text]
    mean = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))["results"][0]["scores"]["default"]["loss"]
    assert of_crf.loss.mean() == pytest.approx(mean, rel=1e-5)
    of_dictionary = table[table.run.str.endswith("dictionary")]
    assert len(of_dictionary) == len(of_crf)
    assert of_dictionary[["loss", "p_gold", "p_predicted", "entropy"]].isna().all().all()
    assert set(of_dictionary.predicted) > {"O"}


def test_the_report_of_a_dictionary_alone(runs, tmp_path, recwarn):
    """No word has a loss."""
    run(runs / "fr-200-dictionary", "--languages", "fr", "--output", tmp_path, "--report")
    assert "fr, dictionary" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_a_baseline_compared_with_an_encoder(runs, tmp_path, capsys):
    run(runs / "fr", runs / "fr-200-crf", "--compare", "--languages", "fr", "--output", tmp_path)
    compared = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))["test"]
    f1 = json.loads((tmp_path / "matrix.json").read_text(encoding="utf-8"))["f1"]["test"]
    assert compared["f1"]["fr"] == pytest.approx([f1["fr"]["fr"], f1["fr, CRF"]["fr"]])
    assert f"B is {runs / 'fr-200-crf'}" in capsys.readouterr().out


def test_seeds_of_a_baseline_are_one_row(runs, small_corpus, tmp_path):
    train_baseline(small_corpus, tmp_path / "other", "--train-on fr --seed 7")
    run(runs / "fr-200-crf", tmp_path / "other", "--languages", "fr", "--output", tmp_path / "out")
    cells = json.loads((tmp_path / "out/matrix.json").read_text(encoding="utf-8"))["cells"]["test"]
    assert list(cells) == ["fr, CRF"]
    assert len(cells["fr, CRF"]["fr"]["runs"]) == 2


def test_checkpoints_are_of_encoders(runs, capsys):
    """A baseline has one model, whichever is asked for."""
    run(runs / "fr", runs / "fr-200-crf", "--checkpoint", "last")
    assert "fr, CRF" in capsys.readouterr().out


def test_what_takes_encoders_alone_says_so(runs, small_corpus, thin_encoder, capsys):
    folder = runs / "fr-50-crf"
    message = f"{folder}: a baseline (crf), which evaluate.py tests and nothing else takes"
    assert message in failure(capsys, tag.main, folder, "--text", "Bern")
    pytest.importorskip("onnx")
    assert message in failure(capsys, export.main, folder)
    pushed = failure(capsys, evaluate.main, folder, "--push-to-hub", "me/{run}", "--push-dry-run")
    assert f"{folder}: --push-to-hub uploads run folders of train.py, and this is none" in pushed
    given = ["--model", str(thin_encoder), "--data", str(small_corpus), "--train-on", "fr", "--output", str(folder)]
    AcceleratorState._reset_state(reset_partial_state=True)
    assert "config.yaml: no option method" in failure(capsys, train.main, *given, "--resume", "auto")


def test_a_folder_that_is_taken(runs, small_corpus, tmp_path, capsys):
    folder = shutil.copytree(runs / "fr-50-crf", tmp_path / "run")
    given = ["--data", small_corpus, "--train-on", "fr", "--method", "dictionary", "--output", folder]
    assert "is not empty; --overwrite replaces the run that is there" in failure(capsys, baseline.main, *given)
    assert (folder / "best/model.crfsuite").is_file()
    baseline.main([*map(str, given), "--overwrite"])
    assert {file.name for file in folder.iterdir()} == {"best", "config.yaml", "metrics.json"}
    assert (folder / "best/mentions.jsonl").is_file()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").touch()
    other = ["--data", small_corpus, "--output", tmp_path / "other", "--overwrite"]
    assert "not a run of train.py" in failure(capsys, baseline.main, *other)


def test_a_run_of_train_py_makes_room_and_takes_it_back(runs, small_corpus, thin_encoder, tmp_path):
    folder = shutil.copytree(runs / "fr", tmp_path / "run")
    baseline.main(["--data", str(small_corpus), "--train-on", "fr", "--output", str(folder), "--overwrite"])
    assert {file.name for file in folder.iterdir()} <= {"best", "config.yaml", "metrics.json", "README.md"}
    train_run(thin_encoder, small_corpus, folder, "--train-on fr --max-steps 1 --overwrite")
    assert read_config(TrainConfig, folder / "config.yaml").train_on == ("fr",)
    assert not (folder / "best/model.crfsuite").exists()


def test_damaged_folders_are_messages(runs, tmp_path, capsys):
    folder = shutil.copytree(runs / "fr-50-crf", tmp_path / "run")
    whole = (folder / "best/model.crfsuite").read_bytes()
    for content in (b"", whole[: len(whole) // 2]):
        (folder / "best/model.crfsuite").write_bytes(content)
        message = failure(capsys, run_of(folder), "--languages", "fr")
        assert f"{folder}/best: model.crfsuite has {len(content):,} bytes instead of" in message
    (folder / "best/tags.json").unlink()
    assert "tags.json: No such file" in failure(capsys, run_of(folder), "--languages", "fr")
    (folder / "best/manifest.json").unlink()
    assert "has not written it yet" in failure(capsys, run_of(folder), "--languages", "fr")


def run_of(folder: Path):
    """evaluate.py with that run first."""
    return lambda arguments: run(folder, *arguments)


def test_bad_options(small_corpus, capsys, monkeypatch, tmp_path):
    given = ["--data", small_corpus, "--output", tmp_path / "run"]
    assert "--seed -1 must not be negative" in failure(capsys, baseline.main, *given, "--seed", "-1")
    assert "--train-on names one twice" in failure(capsys, baseline.main, *given, "--train-on", "de", "de")
    assert "no language rm" in failure(capsys, baseline.main, *given, "--train-on", "rm")
    assert not (tmp_path / "run").exists()
    monkeypatch.setitem(sys.modules, "pycrfsuite", None)
    message = failure(capsys, baseline.main, *given)
    assert 'python-crfsuite is not installed; pip install "crosslingual-ner[baseline]"' in message


def test_copies_with_other_mentions(small_corpus, tmp_path, capsys):
    """A dictionary of them knows no other mentions: those come from the same sentences."""
    for name, flags in (("plain", ""), ("more", " --augment mentions=2")):
        train_baseline(small_corpus, tmp_path / name, f"--train-on fr --method dictionary{flags}", 50)
    assert "note: augmentation: 50 sentences, +" in capsys.readouterr().err
    metrics, options = (tmp_path / "more" / file for file in ("metrics.json", "config.yaml"))
    assert json.loads(metrics.read_text(encoding="utf-8"))["train_sentences"] == 50
    assert read_config(BaselineConfig, options).augment == ("mentions=2",)
    plain, more = (load_baseline(tmp_path / name / "best", "dictionary") for name in ("plain", "more"))
    assert isinstance(plain, MentionDictionary)
    assert isinstance(more, MentionDictionary)
    assert set(more.types) == set(plain.types)
