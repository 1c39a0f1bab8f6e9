"""The defaults of the scripts are names on the Hub: from a server that answers as it does, and then from the cache."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.hub import AGENTS, Downloads, pickled, served, xlm_roberta, xtreme
from tests.processes import ROOT, SECONDS, preloaded

MODULES = "train evaluate ner.cli.corpus ner.cli.tokens transformers.models.xlm_roberta.modeling_xlm_roberta"
TRAIN = "train.py --train-on de --max-steps 1 --max-length 32 --mixed-precision no".split()
EVALUATE = "evaluate.py --languages de fr --mixed-precision no".split()
TOKENS = ["ner", "tokens", "--model", "xlm-roberta-base", "--text", "Anna wohnt in Bern"]
CORPUS = ["ner", "corpus", "google/xtreme", "--languages", "de"]
LIST = ["ner", "corpus", "google/xtreme", "--list"]
SENTENCES = 60  # of each split
SWISS = {"de": 37, "fr": 13}  # of these, by language
LIBRARIES = {AGENTS, "s3.amazonaws.com:443"}  # what they ask by themselves: there, datasets counts what is loaded
MODEL, DATA = "FacebookAI/xlm-roberta-base", "google/xtreme"


class Done(NamedTuple):
    """A command that has ended. asked: what was asked of the Hub meanwhile."""

    status: int
    output: str
    asked: list[tuple[str, str]]

    @property
    def repositories(self) -> set[str]:
        """Whose pages were asked for; the addresses of all other pages."""
        return {name or url for name, url in self.asked} - LIBRARIES

    @property
    def configs(self) -> set[str]:
        """Of which data was loaded."""
        return {url.split("/")[-2] for _, url in self.asked if url.endswith(".parquet")}


Command = Callable[..., Done]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the runs are, and the caches."""
    return tmp_path_factory.mktemp("names")


@pytest.fixture(scope="module")
def hub(thin_encoder) -> Iterator[tuple[Downloads, str]]:
    """A Hub, and its address."""
    data = xtreme(["de", "fr", "it"], SENTENCES)
    downloads = Downloads([xlm_roberta(thin_encoder), pickled(thin_encoder), data])
    with served(downloads.answer) as address:
        yield downloads, address


@contextmanager
def commands(hub: tuple[Downloads, str], folder: Path, offline: str) -> Iterator[Command]:
    """Runs commands that ask this Hub, which is also the proxy for all other addresses."""
    downloads, address = hub
    ours = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DOWNLOAD_TIMEOUT": str(SECONDS),  # else it says after 10 seconds that it asks again
        "HF_HUB_ETAG_TIMEOUT": str(SECONDS),
        "HF_HUB_OFFLINE": offline,
        "HTTP_PROXY": address,
        "HTTPS_PROXY": address,
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    theirs = {k: v for k, v in os.environ.items() if not re.match("HF_|TRANSFORMERS_|.*_PROXY$", k, re.IGNORECASE)}
    with preloaded(MODULES, {**theirs, **ours}, folder) as run_script:

        def run_command(name: str, *arguments: object, env: Mapping[str, str] | None = None) -> Done:
            start = len(downloads.asked)
            program = ROOT / (name if name.endswith(".py") else f"{name}/__main__.py")
            status, output = run_script(program, *arguments, env=env)
            return Done(status, output, downloads.asked[start:])

        yield run_command


@pytest.fixture(scope="module")
def online(hub, folder) -> Iterator[Command]:
    with commands(hub, folder, "0") as run_command:
        yield run_command


@pytest.fixture(scope="module")
def offline(hub, folder) -> Iterator[Command]:
    with commands(hub, folder, "1") as run_command:
        yield run_command


@pytest.fixture(scope="module")
def trained(online, folder) -> Done:
    return online(*TRAIN, "--output", folder / "de")


@pytest.fixture(scope="module")
def evaluated(online, trained, folder) -> Done:
    assert trained.status == 0, trained.output
    return online(*EVALUATE, folder / "de", "--output", folder / "matrix")


def content(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def test_the_defaults_train(trained, folder):
    """The Swiss shares of PAN-X, of which only the German config is loaded, and the encoder by its old name."""
    assert trained.status == 0, trained.output
    assert trained.repositories == {MODEL, DATA}
    assert trained.configs == {"PAN-X.de"}
    config = yaml.safe_load((folder / "de/config.yaml").read_text(encoding="utf-8"))
    assert (config["model"], config["data"]) == ("xlm-roberta-base", DATA)
    assert (config["data_config"], config["sample"]) == ("PAN-X.{lang}", ["swiss"])
    metrics = content(folder / "de/metrics.json")
    assert metrics["hub"] == {"model": "xlm-roberta-base", "data": DATA}
    assert metrics["sentences"] == {"de": SWISS["de"]}
    assert metrics["best"]["f1"] >= 0


def test_sentences_stream_from_the_hub(online, folder):
    """The files of two splits of one config are fetched, and none is kept."""
    stream = ["--stream-buffer", "20", "--batch-size", "10", "--max-steps", "5", "--max-length", "32"]
    more = ["--train-on", "de", "--mixed-precision", "no", "--output", folder / "streamed"]
    done = online("train.py", *stream, *more)
    assert done.status == 0, done.output
    files = [url.rpartition("/")[2] for _, url in done.asked if url.endswith(".parquet")]
    assert set(files) == {"train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"}
    assert done.configs == {"PAN-X.de"}
    assert content(folder / "streamed/metrics.json")["train_sentences"] == 50
    assert not list(folder.rglob("ner-unfinished-*"))
    tested = online("evaluate.py", folder / "streamed", "--languages", "fr", "--mixed-precision", "no")
    assert tested.status == 0, tested.output
    assert {url.rpartition("/")[2] for _, url in tested.asked if url.endswith(".parquet")} == {
        "test-00000-of-00001.parquet"
    }
    assert "its training sentences streamed; which it is tested on is unknown" in tested.output


def test_a_run_is_tested_on_the_data_that_it_names(evaluated, folder):
    assert evaluated.status == 0, evaluated.output
    assert evaluated.repositories == {DATA}
    assert evaluated.configs == {"PAN-X.fr"}
    results = content(folder / "matrix/matrix.json")["results"]
    assert {result["language"]: result["num_sentences"] for result in results} == SWISS
    assert all(0 <= result["scores"]["default"]["f1"] <= 1 for result in results)


def test_ner_takes_hub_names(evaluated, online):
    tokens, corpus = online(*TOKENS), online(*CORPUS)
    assert tokens.status == corpus.status == 0, tokens.output + corpus.output
    assert tokens.repositories == {MODEL}
    assert "| 3 Bern |" in tokens.output
    assert corpus.repositories == {DATA}
    assert f"| train      | {SENTENCES:>9} |" in corpus.output


def test_without_the_hub_the_cache_is_enough(evaluated, offline, folder):
    again = [
        offline(*TRAIN, "--output", folder / "again"),
        offline(*EVALUATE, folder / "de"),
        offline(*TOKENS),
        offline(*CORPUS),
    ]
    for done in again:
        assert (done.status, done.asked) == (0, []), done.output
    weights = [(folder / run / "best/model.safetensors").read_bytes() for run in ("de", "again")]
    assert weights[0] == weights[1]
    matrix = (folder / "matrix/matrix.md").read_text(encoding="utf-8")
    assert matrix.partition("By entity type")[0].strip() in again[1].output


def test_names_are_listed_without_data(evaluated, online, offline):
    """Of the Hub all of them, and without it those in the cache."""
    whole, cached = online(*LIST), offline(*LIST)
    assert whole.status == cached.status == 0, whole.output + cached.output
    assert (whole.repositories, whole.configs, cached.asked) == ({DATA}, set(), [])
    assert f"{DATA}: 3 languages, 4 configs (those of languages: PAN-X.{{lang}})\n" in whole.output
    assert "| it       | PAN-X.it |" in whole.output
    assert whole.output.endswith("other configs: MLQA.de.de\n")
    assert f"{DATA}: 2 languages, 2 configs" in cached.output
    assert "the Hub was not reached: these are in the cache" in cached.output
    assert "PAN-X.it" not in cached.output
    nothing = offline("ner", "corpus", "nobody/nothing", "--list")
    assert (nothing.status, nothing.asked) == (2, [])
    assert "HF_HUB_OFFLINE is set, and the cache has nothing of it" in nothing.output


def test_what_is_not_in_the_cache_is_said(evaluated, offline):
    done = offline("ner", "corpus", DATA, "--languages", "de", "it")
    assert (done.status, done.asked) == (2, [])
    lines = done.output.splitlines()
    assert lines[-1] == (
        f"ner corpus: {DATA}: no language it (config PAN-X.it); the Hub was not reached, and the cache has the "
        "languages de, fr"
    )


@pytest.mark.parametrize("token", [None, "hf_of_somebody"])
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["ner", "corpus", "nobody/nothing"], "doesn't exist on the Hub"),
        ([*TRAIN, "--output", "none", "--data", "nobody/nothing"], "doesn't exist on the Hub"),
        ([*TRAIN, "--output", "none", "--model", "nobody/nothing"], "is not a valid model identifier"),
        (["ner", "tokens", "--model", "nobody/nothing", "--text", "Bern"], "is not a valid model identifier"),
        ([*EVALUATE, "nobody/nothing"], "is not a valid model identifier"),
    ],
)
def test_a_name_that_is_not_on_the_hub_is_one_message(evaluated, online, folder, token, command, reason):
    """The Hub says 401 to who names nobody, since the name might be of a private repository, and 404 to others."""
    done = online(*command, env={"HF_TOKEN": token} if token else {})
    assert done.status == 2, done.output
    (line,) = done.output.splitlines()
    assert "nobody/nothing: " in line
    assert reason in line
    others = done.repositories - {DATA}
    assert others
    assert not [url for url in others if "nobody/nothing" not in url]
    assert not (folder / "none").exists()


def test_nobody_is_asked_to_convert_a_pickle(evaluated, online, folder):
    """transformers would ask a Space, with the user's token, and that opens a pull request on the repository."""
    refused = online(*TRAIN, "--output", folder / "none", "--model", "somebody/pickled")
    assert (refused.status, refused.repositories) == (2, {DATA, "somebody/pickled"})
    assert "If you trust them, pass --allow-pickle" in refused.output
    loaded = online(*TRAIN, "--output", folder / "pickled", "--model", "somebody/pickled", "--allow-pickle")
    assert (loaded.status, loaded.repositories) == (0, {DATA, "somebody/pickled"})
