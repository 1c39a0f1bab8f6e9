"""Exports a tagger as ONNX, checked sentence by sentence against PyTorch.

    ner export runs/all
    ner export runs/all --format onnx-int8

Writes RUN/onnx: model.onnx (fp32) and, with onnx-int8, model_quantized.onnx (8 bits), the tokenizer, and the config.
Validation sentences of the run are tagged by PyTorch and by each file; where model.onnx tags otherwise, nothing is
written. Needs the extra [onnx].
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import transformers
from datasets import disable_progress_bars

from ner.arguments import FAILED, command, echo, exit_on_input_error, named_twice, not_above_zero, option, parse
from ner.config import EvaluationDataOptions
from ner.data.corpus import load_corpus
from ner.errors import InputError, single_line
from ner.evaluation.runs import check_map, check_tags, find_run
from ner.files import MANIFEST
from ner.inputs.encoding_cache import encode_once
from ner.modeling.model import load_tagger, max_positions
from ner.modeling.pretrained import load_tokenizer
from ner.sharing.onnx import INT8, SOURCE, export, missing, to_markdown
from ner.training.run_folder import find_encoder
from ner.training.state import NOT_WRITTEN


@dataclass(frozen=True)
class ExportOptions:
    """export"""

    run: str = option(
        "", "run folder of train.py, model folder, or Hub name of a token classifier", metavar="RUN", positional=True
    )
    format: Literal["onnx", "onnx-int8"] = option(
        "onnx", "onnx: model.onnx, in fp32; onnx-int8: model_quantized.onnx beside it, in 8 bits"
    )
    checkpoint: Literal["best", "last", "average"] = option("best", "which model of a run folder")
    output: str | None = option(None, "folder to write (RUN/onnx)", metavar="FOLDER")
    overwrite: bool = option(False, "replace the export that is in the folder")


@dataclass(frozen=True)
class CheckOptions:
    """check: the sentences that must be tagged as PyTorch tags them"""

    languages: tuple[str, ...] | None = option(
        None, "languages of the sentences (those that the run was trained on)", metavar="LANG"
    )
    split: str = option("validation", "split of the sentences", metavar="SPLIT")
    max_sentences: int = option(1000, "the first N of each language", metavar="N")
    max_tokens_per_micro_batch: int = option(8192, "positions in a batch, padding included", metavar="N")


@dataclass(frozen=True)
class ExportConfig(ExportOptions, CheckOptions, EvaluationDataOptions):
    """Everything that decides what `ner export` writes."""

    on_bad_row: Literal["stop", "skip"] | None = option(None, "as in train.py")

    def __post_init__(self) -> None:
        problems = not_above_zero(self, "max_sentences", "max_tokens_per_micro_batch") + named_twice(self, "languages")
        if problems:
            raise InputError("\n".join(problems))


def output_folder(config: ExportConfig) -> Path:
    """Where the export goes. Raises InputError for a Hub name without --output, and for what may not be replaced."""
    if config.output is None and not Path(config.run).is_dir():
        raise InputError(f"{config.run} is no local folder; name one to write to: --output FOLDER")
    folder = Path(config.output or Path(config.run) / "onnx")
    manifest = folder / MANIFEST
    is_export = manifest.is_file() and SOURCE in manifest.read_text(encoding="utf-8")
    if folder.exists() and not is_export:
        raise InputError(f"{folder}: something else is there; name a new folder: --output FOLDER")
    if is_export and not config.overwrite:
        raise InputError(f"{folder}: an export is there; --overwrite replaces it")
    return folder


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """The command `ner export`."""
    disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with exit_on_input_error():
        config = parse(ExportConfig, arguments, __doc__)
        if lacking := missing():
            raise InputError(lacking)
        find_encoder(config.run, config.checkpoint)  # raises for a baseline
        tested = find_run(config.run, config.checkpoint, config)
        folder = output_folder(config)
        languages = config.languages or tested.trained_on
        if not languages or not (config.data or tested.trained_from):
            raise InputError(
                f"{config.run} does not say what it was trained on; name sentences to check the export on: "
                "--data NAME --languages de fr"
            )
        corpus = load_corpus(tested.source, languages, (config.split,), check_map=False)
        check_map(config.map_tags, [tested], [corpus])
        check_tags(tested, corpus)
        model, tags = load_tagger(tested.model)
        tokenizer = load_tokenizer(tested.model)
        sentences = {}
        for language in languages:
            rows = corpus[language][config.split]
            rows = rows.select(range(min(len(rows), config.max_sentences)))
            longest = tested.max_length or max_positions(model, tokenizer)
            sentences[language] = encode_once(rows, tokenizer, tags, max_length=longest)
    for note in corpus.notes:
        echo(f"note: {note}", sys.stderr)
    try:
        outcomes = export(
            folder,
            model,
            tokenizer,
            tags,
            sentences,
            int8=config.format == "onnx-int8",
            source=tested.model,
            max_tokens=config.max_tokens_per_micro_batch,
        )
    except (ArithmeticError, torch.onnx.OnnxExporterError, *NOT_WRITTEN) as error:
        echo(f"ner export: {config.run}: {single_line(error)}", sys.stderr)
        sys.exit(FAILED)
    words = sum(counts.words for counts in outcomes[0].counts.values())
    echo(to_markdown(outcomes))
    echo(
        f"\n{words:,} words of {config.split} sentences of {tested.source.data}; fp32 but for {INT8}, all in the same "
        f"padded batches, on the CPU, threads: {torch.get_num_threads()}"
    )
    echo(f"written: {folder}/{', '.join(file.name for file in sorted(folder.iterdir()))}")
