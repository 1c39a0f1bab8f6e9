"""A tagger as ONNX, in fp32 and in 8 bits, and the proof on sentences that it tags as PyTorch does.

The folder holds what onnxruntime, optimum and transformers.js read: model.onnx and, in 8 bits, model_quantized.onnx;
config.json with the tags; the tokenizer. Inputs are input_ids and attention_mask, int64 [rows, tokens], the output is
logits, float32 [rows, tokens, tags]. It is written aside and checked there: a model that does not pass is not left.
"""

import contextlib
import importlib.util
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import TokenClassifierOutput

from ner.evaluation.inference import Predictions, predict, score
from ner.evaluation.metrics import Counts
from ner.inputs.collators import PaddedCollator
from ner.inputs.encoding import Encoded
from ner.modeling.calibration import fold_temperature
from ner.modeling.cpu_kernels import use_cpu_kernels
from ner.modeling.model import save_tokenizer
from ner.tags import TagSet
from ner.training.checkpoint import write_folder
from ner.utils import table, tqdm

# Since 1.29, its import makes an identifier of the machine and starts an uploader, before anything can be called.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")

FP32, INT8 = "model.onnx", "model_quantized.onnx"  # the names that optimum and transformers.js look for
SOURCE = "exported_from"  # in the manifest
LARGEST_FILE = 2**31 - 2**24  # bytes of weights; protobuf ends at 2 GB
MOST_DIFFERENT = 1e-3  # of a word's probability, and share of words with another tag, in fp32


def to_onnx(model: PreTrainedModel, file: Path) -> None:
    """Writes the model in fp32; weights beyond 2 GB go to a second file of its name with `_data` behind it.

    Raises torch.onnx.OnnxExporterError for an encoder that cannot be exported, and OSError.
    """
    from onnxscript import ir

    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")  # the plainest graph: SDPA brings a guard for rows that attend to nothing
    model.eval()
    example = torch.zeros(2, 8, dtype=torch.int64)
    shape = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens")}
    try:
        with quiet():
            program = torch.onnx.export(
                model,
                (),
                kwargs={"input_ids": example, "attention_mask": torch.ones_like(example)},
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
                dynamic_shapes={"input_ids": shape, "attention_mask": shape},
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:  # pages of advice to authors of encoders
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise torch.onnx.OnnxExporterError(f"torch cannot export {model.config.model_type}: {reason}") from error
    model.set_attn_implementation(implementation)
    assert program is not None
    ir.passes.common.ClearMetadataAndDocStringPass()(program.model)  # stack traces, with the paths of this machine
    ir.save(program.model, file, external_data=f"{file.name}_data" if num_bytes(model) > LARGEST_FILE else None)


def to_int8(source: Path, file: Path) -> None:
    """Writes an ONNX file with the weights of linear layers and embeddings in 8 bits; the rest is computed in fp32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        # A scale for each output of a layer. 7 of the 8 bits: on CPUs without VNNI, sums of products of 8 overflow.
        quantize_dynamic(
            source,
            file,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' warnings: what matters of them shows in the check."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


@dataclass(frozen=True)
class Outcome:
    """What a model makes of the sentences of each language.

    name: of its file, or PyTorch; size: in bytes.
    """

    name: str
    size: int
    predictions: Mapping[str, Predictions]
    counts: Mapping[str, Counts]
    sentences_per_second: float

    @property
    def f1(self) -> dict[str, float]:
        """Of each language, and of all together where there are several."""
        together = {"all": reduce(add, self.counts.values()).f1} if len(self.counts) > 1 else {}
        return {language: counts.f1 for language, counts in self.counts.items()} | together


def export(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tags: TagSet,
    sentences: Mapping[str, Encoded],
    *,
    int8: bool,
    source: str,
    max_tokens: int = 8192,
) -> list[Outcome]:
    """Writes the model folder, whole or not at all; returns what PyTorch and each file make of the sentences.

    model: in fp32 on the CPU; its attention and dropout are replaced by those of `ner.modeling.cpu_kernels`.
    sentences: of each language, encoded for it. source: what the manifest calls it. max_tokens: positions in a batch.
    Raises ArithmeticError if model.onnx does not tag as PyTorch does, else as `to_onnx`.
    """
    outcomes: list[Outcome] = []

    def write(aside: Path) -> None:
        fold_temperature(model)
        to_onnx(model, aside / FP32)
        if int8:
            to_int8(aside / FP32, aside / INT8)
        model.config.save_pretrained(aside)
        save_tokenizer(aside, tokenizer)
        use_cpu_kernels(model)
        collator = PaddedCollator(model.config.pad_token_id or 0)
        outcomes.append(run("PyTorch", num_bytes(model), model, sentences, collator, tags, max_tokens))
        for name in (FP32, INT8) if int8 else (FP32,):
            size = sum(file.stat().st_size for file in aside.glob(f"{name}*"))
            outcomes.append(run(name, size, OnnxModel(aside / name), sentences, collator, tags, max_tokens))
            if name == FP32:
                check(*outcomes)

    write_folder(folder, write, facts={SOURCE: source})
    return outcomes


def num_bytes(model: nn.Module) -> int:
    """Of the model's weights."""
    return sum(weight.numel() * weight.element_size() for weight in model.state_dict().values())


def run(
    name: str,
    size: int,
    model: nn.Module,
    sentences: Mapping[str, Encoded],
    collator: PaddedCollator,
    tags: TagSet,
    max_tokens: int,
) -> Outcome:
    """Tags the sentences. model: anything that `predict` takes."""
    accelerator = Accelerator(cpu=True)
    num_sentences = sum(encoded.num_sentences for encoded in sentences.values())
    start = time.perf_counter()
    with tqdm(total=num_sentences, desc=name, unit=" sentences") as bar:
        predictions = {
            language: predict(
                model, encoded, collator, accelerator, outside=tags.outside, max_tokens=max_tokens, progress=bar.update
            )
            for language, encoded in sentences.items()
        }
    seconds = time.perf_counter() - start
    counts = {
        language: score(predictions[language], encoded, accelerator, tags) for language, encoded in sentences.items()
    }
    return Outcome(name, size, predictions, counts, num_sentences / seconds)


def num_different(reference: Outcome, found: Outcome) -> int:
    """Words that the second tags otherwise."""
    pairs = ((expected, found.predictions[language]) for language, expected in reference.predictions.items())
    return sum(int((expected.tags != predictions.tags).sum()) for expected, predictions in pairs)


def check(reference: Outcome, found: Outcome) -> None:
    """Raises ArithmeticError if the second does not compute what the first does, rounding apart."""
    worst = 0.0
    for language, expected in reference.predictions.items():
        other = found.predictions[language]
        scored = ~np.isnan(expected.losses)
        for p, other_p in ((expected.p_gold, other.p_gold), (expected.p_predicted, other.p_predicted)):
            worst = float(np.max(np.abs(p - other_p)[scored], initial=worst))  # nan stays nan
    different = num_different(reference, found)
    words = sum(counts.words for counts in reference.counts.values())
    if different > MOST_DIFFERENT * words or not worst <= MOST_DIFFERENT:
        raise ArithmeticError(
            f"{found.name} does not compute what PyTorch does: {different:,} of {words:,} words have another tag, and "
            f"probabilities differ by up to {worst:.1e}; nothing is written. Other versions of torch, onnxscript and "
            "onnxruntime may export this encoder"
        )


def to_markdown(outcomes: Sequence[Outcome]) -> str:
    """Size, agreement, F1 and speed of each, the first being the reference."""
    reference = outcomes[0]
    header = ["model", "MB", "words tagged otherwise", *(f"F1 {name}" for name in reference.f1), "sentences/s"]
    lines = [
        [
            outcome.name,
            round(outcome.size / 1e6),
            num_different(reference, outcome),
            *(f"{f1:.4f}" for f1 in outcome.f1.values()),
            round(outcome.sentences_per_second),
        ]
        for outcome in outcomes
    ]
    return table(header, lines)


def missing() -> str:
    """Which packages are to be installed before anything of ONNX works, "" if all are there."""
    names = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not names:
        return ""
    extra = "or the extra: pip install 'crosslingual-ner[onnx]'"
    return f"{', '.join(names)}: not installed; pip install {' '.join(names)}, {extra}"


class OnnxModel(nn.Module):
    """A token classifier in a file, on as many threads as torch has."""

    def __init__(self, file: Path) -> None:
        """Loads the file."""
        import onnxruntime

        super().__init__()
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> TokenClassifierOutput:
        """input_ids, attention_mask: int64 [rows, tokens] on the CPU. Its logits are float32 [rows, tokens, tags]."""
        inputs = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        return TokenClassifierOutput(logits=torch.from_numpy(self.session.run(["logits"], inputs)[0]))
