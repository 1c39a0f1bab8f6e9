import re
from pathlib import Path

import pytest
import yaml

from ner.arguments import exit_on_input_error, parse, parse_interval, read_config, to_yaml
from ner.cli.corpus import CorpusConfig
from ner.config import BaselineConfig, EvaluateConfig, TrainConfig
from ner.errors import InputError

FLAGS = (
    "model data data-config columns map-tags on-bad-row validation-fraction sample tags train-on "
    "max-train-sentences augment label-tokens max-length packing row-length max-tokens-per-micro-batch batch-size "
    "epochs max-steps lr schedule warmup weight-decay max-grad-norm evaluate-every patience seed mixed-precision "
    "output overwrite log-every trackers freeze freeze-layers config push-to-hub push-private push-dry-run "
    "license cuda-graphs min-steps slice-seed sampling-temperature max-validation-sentences"
).split()


def train(*arguments: str) -> TrainConfig:
    return parse(TrainConfig, arguments, "about")


def test_defaults_and_flags():
    assert train() == TrainConfig()
    config = train("--train-on", "de", "fr", "--lr", "2e-4", "--overwrite", "--max-steps", "7")
    assert (config.train_on, config.lr, config.overwrite, config.max_steps) == (("de", "fr"), 2e-4, True, 7)
    assert config.folder == Path("runs/de+fr")
    assert (config.model, config.data, config.data_config) == ("xlm-roberta-base", "google/xtreme", "auto")


def test_a_flag_wins_over_the_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "lr: 3e-4\ntrain-on: [it, en]\nbatch_size: 8\nmixed_precision: no\noverwrite: true\n", encoding="utf-8"
    )
    config = train("--config", str(file), "--batch-size", "64")
    assert (config.lr, config.train_on, config.mixed_precision) == (3e-4, ("it", "en"), "no")
    assert config.batch_size == 64  # equal to the default, and still from the flag
    assert config.overwrite


def test_the_stored_file_reads_back(tmp_path):
    config = train("--train-on", "de", "--lr", "2e-4", "--patience", "3", "--output", "x: {train_on} # é")
    (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert read_config(TrainConfig, tmp_path / "config.yaml") == config
    assert train("--config", str(tmp_path / "config.yaml")) == config
    assert next(iter(yaml.safe_load(to_yaml(config)))) == "model"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lrr: 1", "run.yaml: no option lrr; did you mean lr?"),
        ("lr: fast", "run.yaml: lr: 'fast' is not float"),
        ("epochs: 2.5", "run.yaml: epochs: 2.5 is not int"),
        ("epochs: true", "run.yaml: epochs: True is not int"),
        ("packing: maybe", "run.yaml: packing: maybe is none of auto, on, off"),
        ("lr:", "run.yaml: lr: has no value"),
        ("- lr", "run.yaml: expected `option: value` lines, got list"),
        ("a: [", "run.yaml: not YAML"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, text, message):
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        train("--config", str(tmp_path / "run.yaml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"no/such\.yaml: No such file"):
        train("--config", "no/such.yaml")


def test_every_senseless_value_is_reported_at_once():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        train("--lr", "0", "--epochs", "-1", "--warmup", "-0.1", "--train-on", "de", "de", "--evaluate-every", "2u")
    lines = str(caught.value).splitlines()
    assert lines == [
        "--epochs -1 must be above 0",
        "--lr 0.0 must be above 0",
        "--warmup -0.1 must not be negative, nor infinite",
        "--evaluate-every 2u: give a number of steps (200) or epochs (1e)",
        "--train-on names one twice: de de",
    ]


@pytest.mark.parametrize("arguments", [["--lrr", "1"], ["--lr", "fast"], ["--packing", "maybe"], ["stray"]])
def test_a_bad_flag_is_one_line_and_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        train(*arguments)
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_is_grouped_and_shows_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit) as caught:
        train("--help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for heading in ("model:", "data:", "encoding:", "batches:", "training:", "machine:", "run folder:"):
        assert f"\n{heading}\n" in text
    for flag in FLAGS:
        assert f"\n  --{flag} " in text or f"\n  --{flag}\n" in text
    names = re.findall(r"^  --([a-z-]+)", text, flags=re.MULTILINE)
    assert names.index("train-on") < names.index("data") < names.index("data-config")
    assert "(default: 5e-05)" in text
    assert "keep the embeddings and the first N layers as they are (default: 0)" in " ".join(text.split())
    assert "(default: None)" not in text


def test_evaluation_options():
    config = parse(EvaluateConfig, ["a", "b", "--languages", "de", "fr"], "about")
    assert (config.runs, config.languages, config.splits) == (("a", "b"), ("de", "fr"), ("test",))
    with pytest.raises(SystemExit):
        parse(EvaluateConfig, [], "about")
    with pytest.raises(ValueError, match="--row-length 0 must be above 0\n--languages names one twice: de de"):
        parse(EvaluateConfig, ["a", "--languages", "de", "de", "--row-length", "0"], "about")


@pytest.mark.parametrize("config_class", [TrainConfig, EvaluateConfig])
def test_length_of_rows(config_class, tmp_path):
    def rows(*arguments: str, device: str) -> int:
        return parse(config_class, ["a", *arguments][config_class is TrainConfig :], "about").row_length_on(device)

    assert [rows(device=device) for device in ("cpu", "cuda", "mps")] == [64, 256, 64]
    assert rows("--row-length", "32", device="cuda") == 32
    (tmp_path / "old.yaml").write_text("row_length: 48\n", encoding="utf-8")  # a number, as runs used to store it
    assert rows("--config", str(tmp_path / "old.yaml"), device="cuda") == 48
    for bad in ("0", "-5", "long", "1.5", "9999999999", "²"):
        with pytest.raises(ValueError, match=f"--row-length '?{bad}"):
            rows("--row-length", bad, device="cpu")


@pytest.mark.parametrize("config_class", [TrainConfig, BaselineConfig])
@pytest.mark.parametrize(
    ("flags", "sizes"),
    [
        ("", None),
        ("--max-train-sentences 250", 250),
        ("--train-on de fr --max-train-sentences fr=100", {"fr": 100}),
        ("--train-on de fr it --max-train-sentences fr=100 it=50", {"fr": 100, "it": 50}),
        ("--max-train-sentences de=7", {"de": 7}),
    ],
)
def test_sizes_of_training_data(config_class, flags, sizes, tmp_path):
    config = parse(config_class, flags.split(), "about")
    assert config.train_sizes == sizes
    (tmp_path / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert read_config(config_class, tmp_path / "config.yaml") == config


@pytest.mark.parametrize("config_class", [TrainConfig, BaselineConfig])
def test_a_slice_seed_is_one_of_numpy(config_class):
    assert config_class().slice_seed == 42
    for bad, message in (
        (-1, "--slice-seed -1 must not be negative"),
        (2**31, "--slice-seed 2147483648 must be below"),
    ):
        with pytest.raises(InputError, match=message):
            config_class(slice_seed=bad)


@pytest.mark.parametrize("text", ["max_train_sentences: 250", "max_train_sentences:"])
def test_sizes_as_runs_used_to_store_them(text, tmp_path):
    (tmp_path / "old.yaml").write_text(text, encoding="utf-8")
    assert train("--config", str(tmp_path / "old.yaml")).train_sizes == (250 if "250" in text else None)


@pytest.mark.parametrize("config_class", [TrainConfig, BaselineConfig])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("0", "--max-train-sentences '0': give a number above 0, or one of single languages, like fr=100"),
        ("fr=0", "--max-train-sentences 'fr=0': give a number above 0"),
        ("-5", "--max-train-sentences '-5': give a number above 0"),
        ("fr=", "--max-train-sentences 'fr=': give a number above 0"),
        ("=5", "--max-train-sentences '=5': give a number above 0"),
        ("1.5", "--max-train-sentences '1.5': give a number above 0"),
        ("it=5", "--max-train-sentences 'it=5': 'it' is none of the languages to train on, de fr"),
        (
            "5 fr=5",
            "--max-train-sentences '5 fr=5': a number cuts all languages joined; give one, or sizes like fr=100",
        ),
        ("5 6", "--max-train-sentences '5 6': a number cuts all languages joined; give one, or sizes like fr=100"),
        ("fr=5 fr=6", "--max-train-sentences names one twice: 'fr=5 fr=6'"),
    ],
)
def test_sizes_that_make_no_sense(config_class, sizes, message):
    with pytest.raises(InputError) as caught:
        config_class(train_on=("de", "fr"), max_train_sentences=tuple(sizes.split()))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_few_sentences_get_enough_steps():
    """(steps, steps between evaluations) of epochs of 12 steps."""
    assert train().plan_steps(12) == (36, 12)
    assert train("--evaluate-every", "2e").plan_steps(12) == (36, 24)
    assert train("--evaluate-every", "5").plan_steps(12) == (36, 5)
    assert train("--max-steps", "7").plan_steps(12) == (7, 12)
    enough = ("--min-steps", "500")
    assert train(*enough).plan_steps(12) == (500, 167)  # three evaluations, as --epochs 3 has
    assert train(*enough, "--evaluate-every", "5").plan_steps(12) == (500, 5)
    assert train(*enough).plan_steps(200) == train().plan_steps(200) == (600, 200)
    with pytest.raises(InputError, match="--max-steps 7 and --min-steps 500: give one of them"):
        train(*enough, "--max-steps", "7")
    with pytest.raises(InputError, match="--min-steps 0 must be above 0"):
        train("--min-steps", "0")


@pytest.mark.parametrize(
    ("flags", "sizes"), [("", None), ("train", "train"), ("de=10", {"de": 10}), ("fr=5 de=10", {"de": 10, "fr": 5})]
)
def test_sizes_of_validation_data(flags, sizes):
    given = ["--max-validation-sentences", *flags.split()] if flags else []
    assert train("--train-on", "de", "fr", *given).validation_sizes == sizes


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("10", "--max-validation-sentences 10: give train, or a number for each language, like de=10"),
        ("train de=10", "--max-validation-sentences 'train': give a number above 0"),
        ("it=10", "--max-validation-sentences 'it=10': 'it' is none of the languages to train on"),
    ],
)
def test_sizes_of_validation_data_that_make_no_sense(sizes, message):
    with pytest.raises(InputError) as caught:
        train("--train-on", "de", "--max-validation-sentences", *sizes.split())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("temperature", ["0.5", "0", "nan", "inf"])
def test_sampling_temperature(temperature):
    assert train("--sampling-temperature", "3").sampling_temperature == 3
    with pytest.raises(InputError, match=f"--sampling-temperature {float(temperature)} must be 1 or more, and finite"):
        train("--sampling-temperature", temperature)


def test_intervals():
    assert parse_interval("200", "--x") == (200, "steps")
    assert parse_interval("1e", "--x") == (1, "epochs")
    for bad in ("", "e", "200u", "0", "1.5e", "-1e", "1m", "10s"):
        with pytest.raises(ValueError, match="--x"):
            parse_interval(bad, "--x")


def test_bad_input_ends_with_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as caught, exit_on_input_error():
        raise InputError("rows\x1b[2J.jsonl:3: bad")
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(": rows\\x1b[2J.jsonl:3: bad\n")


@pytest.mark.parametrize("error", [AssertionError, ValueError, KeyError, FileNotFoundError, UnicodeDecodeError])
def test_our_own_faults_keep_their_traceback(error):
    with pytest.raises(error), exit_on_input_error():
        raise error(*["utf-8", b"", 0, 1, "why"] if error is UnicodeDecodeError else ["why"])


def test_a_traceback_of_bad_input_on_demand(monkeypatch):
    monkeypatch.setenv("NER_TRACEBACK", "1")
    with pytest.raises(InputError, match="why"), exit_on_input_error():
        raise InputError("why")


def test_one_positional_argument():
    config = parse(CorpusConfig, ["data/x", "--languages", "de", "fr"], "about")
    assert (config.data, config.languages, config.sample) == ("data/x", ("de", "fr"), ("all",))
    with pytest.raises(ValueError, match="--languages names one twice: de de"):
        parse(CorpusConfig, ["data/x", "--languages", "de", "de"], "about")


@pytest.mark.parametrize("fraction", ["0", "1", "-0.1", "nan"])
def test_validation_fraction(fraction):
    with pytest.raises(ValueError, match="--validation-fraction"):
        train("--validation-fraction", fraction)


def test_the_command_line_adds_the_flag(capsys):
    """A part of the library knows its parameters, and nobody's flags."""
    train("--lr", "1e-3")
    with pytest.raises(SystemExit), exit_on_input_error():
        raise InputError("`max_length` 9: raise `max_length`, `de` or `os.path`")
    assert capsys.readouterr().err.endswith(": --max-length 9: raise --max-length, `de` or `os.path`\n")


def test_the_recipe_says_that_there_is_a_teacher_not_which():
    with_teacher = [TrainConfig(unlabelled=("fr.txt",), teacher=(name,), seed=i) for i, name in enumerate("ab")]
    assert with_teacher[0].recipe() == with_teacher[1].recipe() != TrainConfig().recipe()


@pytest.mark.parametrize("given", [{"teacher": ("a",)}, {"unlabelled": ("fr",)}])
def test_unlabelled_text_needs_a_teacher(given):
    with pytest.raises(InputError, match="needs --"):
        TrainConfig(**given)


def test_copies_of_unlabelled_text():
    with pytest.raises(InputError, match="--augment-unlabelled needs --unlabelled"):
        TrainConfig(augment_unlabelled=("case=0.2",))
    with pytest.raises(InputError, match="--augment-unlabelled 'case=2': give a share"):
        TrainConfig(unlabelled=("fr",), teacher=("a",), augment_unlabelled=("case=2",))
