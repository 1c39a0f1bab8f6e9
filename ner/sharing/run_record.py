"""What is known of a run, for its card: its options and scores, from the files of its folder.

`evaluate.py` keeps what it found in evaluation.json there, and `ner probe` in probing.json; before that, metrics.json
has the validation scores.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # its documented place

from ner.analysis.probing.probing import Outcome
from ner.arguments import read_config
from ner.config import TrainConfig
from ner.data.corpus import Source
from ner.data.discovery import looks_like_path
from ner.errors import InputError, single_line
from ner.evaluation.bootstrap import interval, resampled
from ner.evaluation.matrix import Result
from ner.files import MANIFEST, read_json, sha256, write_json
from ner.tags import SCORINGS
from ner.training.environment import environment
from ner.training.log_entries import Evaluation, read_evaluations
from ner.training.run_folder import ALSO_TRAINED_ON, EVALUATION, PROBING, also_trained_on, languages_of_taggers

Scores = dict[str, Any]  # of one language, as evaluation.json and probing.json have them
PlaceOf = Callable[[Scores], tuple[str, ...]]


@dataclass(frozen=True)
class Facts:
    """What a card says. name: of the run folder; types: of entities, as the model has them.

    hub: `model` and `data` -> Hub name, None for local ones; sentences: to train on, of each language, empty where
    metrics.json does not have them; also_trained_on: languages of taggers that it goes on or learns from; scores: of
    each language of each evaluation, validation included; probing: what each probe found in each language;
    evaluations: while it was trained.
    """

    name: str
    options: TrainConfig
    metrics: dict[str, Any]
    types: tuple[str, ...]
    hub: dict[str, str | None]
    sentences: dict[str, int]
    also_trained_on: tuple[str, ...]
    scores: list[Scores]
    probing: list[Scores]
    evaluations: list[Evaluation]


def read_facts(folder: Path) -> Facts:
    """What is known of a run. Raises InputError for a file that is damaged, OSError for one that cannot be read."""
    options = read_config(TrainConfig, folder / "config.yaml")
    metrics = read_object(folder / "metrics.json")
    tags = read_object(folder / "best/config.json").get("id2label", {}).values()
    training_data = about(Source.of(options))
    best = metrics.get("best", {}).get("languages", {})
    chosen_by = [
        {
            **training_data,
            "split": "validation",
            "language": language,
            "sentences": None,
            "seen": None,
            "scores": {"default": scores},
        }
        for language, scores in best.items()
    ]
    together = {place(scores): scores for scores in chosen_by} | read_results(folder, EVALUATION, place)
    return Facts(
        folder.resolve().name,
        options,
        metrics,
        tuple(dict.fromkeys(tag[2:] for tag in tags if tag[1:2] == "-")),
        metrics.get("hub") or hub_names(options),
        metrics.get("sentences", {}),
        also_trained_on(folder, options),
        sorted(together.values(), key=lambda scores: (scores["split"] != "test", about_only(scores) != training_data)),
        list(read_results(folder, PROBING, place_of_probe).values()),
        read_evaluations(folder),
    )


def read_object(file: Path) -> dict[str, Any]:
    """A file's JSON object. Raises InputError for anything else."""
    try:
        content = read_json(file)
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({single_line(error)}); restore or delete it") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: not a JSON object, but {type(content).__name__}; restore or delete it")
    return content


def read_results(folder: Path, name: str, place: PlaceOf) -> dict[tuple[str, ...], Scores]:
    """What evaluations or probes found about the model that is now in best/, each at its place.

    name: of the file, EVALUATION or PROBING. Raises InputError and OSError.
    """
    file = folder / name
    content = read_object(file) if file.is_file() else {}
    if content.get("model") != model_key(folder):
        return {}
    try:
        return {place(scores): scores for scores in content["results"]}
    except (KeyError, TypeError) as error:
        writer = "evaluate.py" if name == EVALUATION else "ner probe"
        raise InputError(f"{file}: not what {writer} writes ({error!r}); restore or delete it") from error


def model_key(folder: Path) -> str:
    """Another one for every model in best/: its manifest has the hashes of all files."""
    return sha256(folder / "best" / MANIFEST)


def add_results(
    folder: Path, source: Source, results: Sequence[Result], seen: Mapping[tuple[str, str], int] | None
) -> None:
    """Adds results of a run's best model to evaluation.json.

    source: of the test data, resolved; seen: (language, split) -> how many of the sentences were trained on, None if
    that is unknown. A result takes the place of an earlier one on the same data, split and language.
    Raises OSError and InputError.
    """
    known = read_results(folder, EVALUATION, place)
    for result in results:
        assert result.counts is not None
        samples = resampled(result.counts.sum(axis=2).swapaxes(0, 1)).T
        scores = {
            **about(source),
            "split": result.split,
            "language": result.language,
            "sentences": result.num_sentences,
            "seen": None if seen is None else seen.get((result.language, result.split), 0),
            "scores": {
                scoring: {**result.scores[scoring], "interval": asdict(interval(drawn))}
                for scoring, drawn in zip(SCORINGS, samples, strict=True)
            },
        }
        known[place(scores)] = scores
    write_results(folder, EVALUATION, known)


def add_probing(folder: Path, source: Source, split: str, outcomes: Sequence[Outcome]) -> None:
    """Adds what probes that change sentences found of a run's best model to probing.json.

    source: of the test data, resolved. An outcome takes the place of an earlier one of the same probe on the same data,
    split and language. Raises OSError and InputError.
    """
    known = read_results(folder, PROBING, place_of_probe)
    for outcome in outcomes:
        if outcome.measure == "F1":
            found = {**about(source), "split": split, **asdict(replace(outcome, flips=None))}
            del found["run"], found["flips"]  # a path of this machine; and what a card has no room for
            known[place_of_probe(found)] = found
    write_results(folder, PROBING, known)


def write_results(folder: Path, name: str, results: Mapping[tuple[str, ...], Scores]) -> None:
    """Writes evaluation.json or probing.json, as results of the model in best/. Raises OSError."""
    write_json(folder / name, {"model": model_key(folder), "results": list(results.values())})


def about(source: Source) -> Scores:
    """What is said of data: its Hub name or the last part of its path, config, and what was read of it."""
    hub = hub_name(source.data)
    return {
        "data": hub or last_part(source.data),
        "hub": hub is not None,
        "config": source.data_config,
        "sample": list(source.sample),
        "map_tags": source.map_tags,
    }


def about_only(scores: Scores) -> Scores:
    """What `about` said."""
    return {key: scores[key] for key in ("data", "hub", "config", "sample", "map_tags")}


def place(scores: Scores) -> tuple[str, ...]:
    """Equal for results of which a later one takes the other's place."""
    return tuple(str(scores[key]) for key in ("data", "sample", "map_tags", "split", "language"))


def place_of_probe(found: Scores) -> tuple[str, ...]:
    """`place` of what a probe found."""
    return *place(found), str(found["probe"])


def run_facts(options: TrainConfig, accelerator: Accelerator) -> dict[str, Any]:
    """What metrics.json says of a run beside its numbers: `hub`, and on the main process what it was made with.

    That is `environment`, and `config`: every option as it was used, of config.yaml. `also_trained_on` has the
    languages of the taggers that it goes on from, or learns from.
    """
    facts: dict[str, Any] = {"hub": hub_names(options), ALSO_TRAINED_ON: list(languages_of_taggers(options))}
    if accelerator.is_main_process:
        facts["environment"] = environment(accelerator.device, accelerator.num_processes)
        facts["config"] = asdict(read_config(TrainConfig, options.folder / "config.yaml"))
    return facts


def hub_names(options: TrainConfig) -> dict[str, str | None]:
    """`model` and `data` -> Hub name, None for what is read from disk: known for sure while it is there."""
    return {"model": hub_name(options.model), "data": hub_name(options.data)}


def hub_name(name: str) -> str | None:
    """The name if it is one on the Hub, None for a path."""
    try:
        validate_repo_id(name)
    except ValueError:
        return None
    return None if Path(name).exists() or looks_like_path(name) else name


def last_part(path: str) -> str:
    """What of a path may be public: its last part that is not a pattern."""
    parts = [part for part in Path(path).parts if not set("{*/") & set(part) and part not in ("..", "~")]
    return parts[-1] if parts else "local"
