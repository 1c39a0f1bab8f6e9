"""The options of evaluate.py."""

from dataclasses import dataclass
from typing import Literal

from ner.arguments import flag, named_twice, not_above_zero, option
from ner.config.options import BatchOptions, HubOptions, PrecisionOptions, bad_row_length, pushed_nowhere
from ner.errors import InputError
from ner.files import distinct


@dataclass(frozen=True)
class EvaluationOptions:
    """evaluation"""

    runs: tuple[str, ...] = option(
        (),
        "run folders of train.py and ner baseline, model folders, Hub names of token classifiers, or files of "
        "sentences that another system has tagged",
        metavar="RUN",
        positional=True,
    )
    languages: tuple[str, ...] | None = option(
        None, "languages to test on: the columns (every language that a run was trained on)", metavar="LANG"
    )
    splits: tuple[str, ...] = option(("test",), "splits to test on, a matrix each", metavar="SPLIT")
    checkpoint: Literal["best", "last", "average"] = option("best", "which model of a run folder")
    scoring: Literal["default", "strict"] = option(
        "default", "entities of the matrix: conlleval's rules, or strict IOB2; the JSON has both"
    )
    by_type: bool = option(
        False, "print precision, recall and F1 of each entity type and their averages, too; --output always has them"
    )
    output: str | None = option(
        None, "folder for the matrix, the learning curve and the comparison, as tables and pictures", metavar="FOLDER"
    )
    token_losses: bool = option(
        False, "write token_losses.parquet to --output: loss, probabilities and sub-tokens of every word"
    )
    report: bool = option(
        False, "write report.html to --output: all of this, and every sentence with its errors; implies --token-losses"
    )
    probing: tuple[str, ...] = option(
        (),
        "folders that ner probe --output wrote about these runs and sentences: the report shows what probes found, and "
        "finds the sentences that they flipped",
        metavar="FOLDER",
    )
    compare: bool = option(
        False, "of two runs: which entities only one, both or neither found, and a paired test of their F1"
    )


@dataclass(frozen=True)
class EvaluationDataOptions:
    """data (each run's own, unless given; with --data, nothing of the run's)"""

    data: str | None = option(None, "as in train.py", metavar="NAME")
    data_config: str | None = option(None, "as in train.py", metavar="PATTERN")
    columns: str | None = option(None, "as in train.py", metavar="COLUMNS")
    tags: tuple[str, ...] | None = option(None, "as in train.py", metavar="TAG")
    map_tags: str | None = option(None, "as in train.py", metavar="OLD=NEW")
    on_bad_row: Literal["stop", "skip"] | None = option(None, "as in train.py; skipped.jsonl goes to --output")
    validation_fraction: float | None = option(None, "as in train.py", metavar="X")
    sample: tuple[str, ...] | None = option(None, "as in train.py", metavar="SHARE")
    corrections: str | None = option(None, "as in train.py; those of the run are not used", metavar="FILE")


@dataclass(frozen=True)
class EvaluateConfig(EvaluationOptions, EvaluationDataOptions, BatchOptions, PrecisionOptions, HubOptions):
    """Everything that decides a run of evaluate.py."""

    def __post_init__(self) -> None:
        problems = bad_row_length(self) + not_above_zero(self, "max_tokens_per_micro_batch")
        problems += named_twice(self, "languages", "splits", paths=("probing",)) + pushed_nowhere(self)
        if self.push_to_hub and self.checkpoint != "best":
            problems.append(f"--push-to-hub uploads best/, and --checkpoint {self.checkpoint} tests another model")
        if self.compare and len(distinct(self.runs)) != 2:
            problems.append(f"--compare takes two runs, not {len(distinct(self.runs))}")
        problems += [
            f"{flag(name)} needs a folder to write to: --output FOLDER"
            for name in ("token_losses", "report")
            if getattr(self, name) and not self.output
        ]
        if self.probing and not self.report:
            problems.append("--probing is for the report: --report")
        if problems:
            raise InputError("\n".join(problems))
