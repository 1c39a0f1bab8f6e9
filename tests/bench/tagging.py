"""Our tagger against transformers' pipeline, on the same sentences: the same entities, and how fast. Not in the suite.

python -m tests.bench.tagging --model runs/all --data data/panx [--languages de fr it en] [--sentences 5000]
                              [--onnx runs/all/onnx] [--int8]

Words are what stands between blanks, as in the pipeline. Prints sentences a second of both (the pipeline at its best
batch size, in turn with ours, medians), F1 of each, and every sentence on which they differ for another reason than the
manual's. --onnx: also what `ner export --format onnx-int8` wrote; --int8: also torchao's dynamic int8 (pip install
torchao).
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Pipeline, pipeline
from transformers.utils import logging

from ner.data.arrow_store import TAGS, WORDS
from ner.data.corpus import Source, load_corpus
from ner.data.words import join
from ner.evaluation.metrics import ratios
from ner.inputs.collators import PaddedCollator
from ner.sharing.onnx import FP32, INT8, OnnxModel
from ner.tagging.document import Entity
from ner.tagging.tagger import Tagger
from ner.tags import entities
from ner.training.run_folder import find_model
from ner.utils import table
from tests.stress.memory import peak_megabytes

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
TO_CHOOSE_BY = 600  # sentences
LONG = 100_000  # words
Found = list[tuple[str, int, int]]


def of_pipeline(text: str, found: Sequence[dict[str, Any]]) -> Found:
    """Type, start and end of its entities, without the blank before the first word that some tokenizers count in."""
    edges = [(entity["entity_group"], entity["start"], entity["end"]) for entity in found]
    return [(kind, end - len(text[start:end].lstrip()), end) for kind, start, end in edges]


def found_by(tag: Callable[[list[str]], Any], texts: list[str]) -> list[Found]:
    """Entities of texts, by the pipeline or a tagger."""
    found = tag(texts)
    if isinstance(tag, Tagger):
        return [of_ours(own) for own in found]
    return [of_pipeline(text, own) for text, own in zip(texts, found, strict=True)]


def of_ours(found: Sequence[Entity]) -> Found:
    """Type, start and end of our entities."""
    return [(entity.type, entity.start, entity.end) for entity in found]


def gold_sentences(
    data: str, languages: Sequence[str], split: str, num_sentences: int
) -> tuple[list[str], list[Found]]:
    """Sentences joined by blanks, as many of each language, and their gold entities by characters."""
    corpus = load_corpus(Source(data, sample=("all",)), languages, [split])
    texts, gold = [], []
    for language in languages:
        rows = corpus[language][split][: num_sentences // len(languages)]
        for words, tags in zip(rows[WORDS], rows[TAGS], strict=True):
            text, offsets = join(words)
            is_first = np.arange(len(words)) == 0
            found = zip(*entities(np.array(tags), is_first, corpus.tags), strict=True)
            texts.append(text)
            gold.append(
                [(corpus.tags.types[kind], offsets[start][0], offsets[end - 1][1]) for start, end, kind in found]
            )
    return texts, gold


def f1_of(found: Sequence[Found], gold: Sequence[Found]) -> float:
    """Micro F1 of whole entities, by their characters."""
    pairs = [(set(own), set(true)) for own, true in zip(found, gold, strict=True)]
    counts = [(len(own & true), len(own), len(true)) for own, true in pairs]
    return float(ratios(np.array(counts).sum(axis=0))["f1"])


def on_onnx(tagger: Tagger, file: Path) -> Tagger:
    """The tagger, computing with an exported model: the same windows, in padded batches."""
    pad = tagger.tokenizer.pad_token_id
    assert isinstance(pad, int)
    return replace(tagger, model=OnnxModel(file), collator=PaddedCollator(pad), precision="no")


def quantized(tagger: Tagger) -> Tagger:
    """The tagger with the products of its encoder in 8 bits by torchao: weights before, activations as they come."""
    from torchao import quantization  # type: ignore[import-not-found]  # nothing else here needs it

    model = copy.deepcopy(tagger.model)
    quantization.quantize_(model, quantization.Int8DynamicActivationInt8WeightConfig())
    return replace(tagger, model=model)


def has_bare_blank(text: str, classifier: Pipeline) -> bool:
    """Whether a word begins with a piece that is nothing but the mark of its beginning, which the pipeline counts as
    a word of its own."""
    return any(piece == "▁" for piece in classifier.tokenizer.tokenize(text))  # type: ignore[union-attr]


def is_long(text: str, classifier: Pipeline, tagger: Tagger) -> bool:
    """Whether the text takes several of the tagger's windows."""
    return len(classifier.tokenizer(text)["input_ids"]) > tagger.max_length  # type: ignore[misc]


def sentences_per_second(tag: Callable[[list[str]], Any], texts: list[str]) -> float:
    """How fast it is."""
    start = time.perf_counter()
    tag(texts)
    return len(texts) / (time.perf_counter() - start)


def long_text(tagger: Tagger, texts: Sequence[str]) -> str:
    """Speed and memory of one text of LONG words without sentences, after one of a tenth of that."""
    words = " ".join(texts).split(" ")
    words = (words * (LONG // len(words) + 1))[:LONG]
    peaks = []
    for part in (words[: LONG // 10], words):
        start = time.perf_counter()
        tagger(" ".join(part))
        seconds = time.perf_counter() - start
        peaks.append(peak_megabytes())
    return (
        f"a text of {LONG:,} words: {LONG / seconds:,.0f} words a second; peak {peaks[1]:,.0f} MB, {peaks[0]:,.0f} MB "
        "with a tenth of it"
    )


def best_batch_size(classifier: Pipeline, texts: list[str]) -> int:
    """That at which the pipeline is fastest; prints all."""
    rates = {}
    for size in BATCH_SIZES:
        rates[size] = sentences_per_second(lambda part, n=size: classifier(part, batch_size=n), texts)  # type: ignore[misc]
    print("pipeline at batch sizes:", ", ".join(f"{size}: {rate:.0f}/s" for size, rate in rates.items()))
    return max(rates, key=lambda size: rates[size])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--languages", nargs="+", default=["de", "fr", "it", "en"])
    parser.add_argument("--split", default="test")
    parser.add_argument("--sentences", type=int, default=5000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--onnx", type=Path, metavar="FOLDER")
    parser.add_argument("--int8", action="store_true")
    options = parser.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    texts, gold = gold_sentences(options.data, options.languages, options.split, options.sentences)
    source, _ = find_model(options.model)
    classifier = pipeline("token-classification", model=source, aggregation_strategy="first")
    taggers = {
        "tagger, fp32": Tagger.from_pretrained(options.model, words="spaces", precision="no"),
        "tagger, auto": Tagger.from_pretrained(options.model, words="spaces"),
    }
    size = best_batch_size(classifier, texts[:: max(len(texts) // TO_CHOOSE_BY, 1)])
    print(long_text(taggers["tagger, auto"], texts))
    rounded_classifier = pipeline(
        "token-classification", model=source, aggregation_strategy="first", dtype=torch.bfloat16
    )
    contenders: dict[str, Callable[[list[str]], Any]] = {
        f"pipeline, fp32, batches of {size}": lambda part: classifier(part, batch_size=size),
        f"pipeline, bf16, batches of {size}": lambda part: rounded_classifier(part, batch_size=size),
        **taggers,
    }
    fp32 = taggers["tagger, fp32"]
    if options.int8:
        contenders["tagger, int8 by torchao"] = quantized(fp32)
    if options.onnx:
        contenders["tagger on ONNX, fp32"] = on_onnx(fp32, options.onnx / FP32)
        contenders["tagger on ONNX, int8"] = on_onnx(fp32, options.onnx / INT8)
    f1 = {name: f1_of(found_by(tag, texts), gold) for name, tag in contenders.items()}  # and warms them up
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.repetitions):
        for name, tag in contenders.items():
            rates[name].append(sentences_per_second(tag, texts))
    peer = statistics.median(next(iter(rates.values())))
    lines = [
        [
            name,
            f"{(middle := statistics.median(own)):.1f}",
            f"{min(own):.1f}-{max(own):.1f}",
            f"{middle / peer:.2f} x",
            f"{f1[name]:.4f}",
        ]
        for name, own in rates.items()
    ]
    print(f"\n{table([f'{len(texts):,} sentences', 'a second', 'from-to', 'of the pipeline', 'F1'], lines)}\n")

    theirs = [of_pipeline(text, found) for text, found in zip(texts, classifier(texts, batch_size=size), strict=True)]
    exact, rounded = ([of_ours(found) for found in tagger(texts)] for tagger in taggers.values())
    differ = [i for i in range(len(texts)) if exact[i] != theirs[i]]
    long = {i for i in differ if is_long(texts[i], classifier, taggers["tagger, fp32"])}
    bare = {i for i in differ if has_bare_blank(texts[i], classifier)} - long
    others = sorted(set(differ) - long - bare)
    num_rounded = sum(exact[i] != rounded[i] for i in range(len(texts)))
    print(f"fp32: {len(differ):,} sentences differ: {len(bare):,} have a word with a bare ▁, {len(long):,} are long")
    print(f"{taggers['tagger, auto'].precision}: {num_rounded:,} sentences differ from ours in fp32")
    for i in others:
        print(f"not explained: {texts[i]!r}\n  ours     {exact[i]}\n  pipeline {theirs[i]}")


if __name__ == "__main__":
    main()
