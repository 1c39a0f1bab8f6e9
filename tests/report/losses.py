"""Tables of token losses: written by hand, and large ones of made-up words."""

import numpy as np
import pyarrow as pa

from ner.analysis.probing.flips import FLIPS
from ner.analysis.probing.probes import ALL
from ner.report.flip_data import FlipTable
from ner.report.sentence_data import SCHEMA, Sentences
from tests.conftest import TAGS


def losses(*sentences: str, run="runs/de", language="de", split="test", first=0) -> pa.Table:
    """A table of token losses; words with gold, predicted and loss, as in "Bern/B-LOC/O/2.5 ist/O/O/-"."""
    rows = []
    for number, sentence in enumerate(sentences, first):
        for word, item in enumerate(sentence.split(" ")):
            text, gold, predicted, loss = item.rsplit("/", 3)
            value = None if loss == "-" else float(loss)
            p_gold = None if value is None else float(np.exp(-value))
            pieces = [] if value is None else [text[:3], text[3:]]
            place = (run, language, split, number, word)
            rows.append((*place, text, pieces, gold, predicted, value, p_gold, p_gold, value))
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)


def many_losses(num_sentences: int, seed: int = 0, run: str = "runs/de") -> pa.Table:
    """A table of about ten words a sentence, of a Zipfian vocabulary of 60,000."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 18, num_sentences)
    num_words = int(lengths.sum())
    ids = np.minimum(rng.zipf(1.3, num_words), 60_000) - 1
    vocabulary = pa.array([f"Wort{i:x}" for i in range(60_000)])
    gold = np.where(rng.random(num_words) < 0.2, rng.integers(1, len(TAGS), num_words), 0)
    predicted = np.where(rng.random(num_words) < 0.05, rng.integers(0, len(TAGS), num_words), gold)
    loss = np.where(gold == predicted, rng.gamma(0.3, 0.1, num_words), rng.gamma(3, 1, num_words)).astype(np.float32)
    text, names = vocabulary.take(pa.array(ids)), pa.array(TAGS.names)
    columns = {
        "run": pa.array([run] * num_words),
        "language": pa.array(np.array(["de", "fr", "it", "en"])[np.repeat(np.arange(num_sentences) % 4, lengths)]),
        "split": pa.array(["validation"] * num_words),
        "sentence": np.repeat(np.arange(num_sentences), lengths),
        "word": np.arange(num_words) - np.repeat(np.cumsum(lengths) - lengths, lengths),
        "text": text,
        "sub_tokens": pa.ListArray.from_arrays(pa.array(np.arange(num_words + 1, dtype=np.int32)), text),
        "gold": names.take(pa.array(gold)),
        "predicted": names.take(pa.array(predicted)),
        "loss": loss,
        "p_gold": np.exp(-loss),
        "p_predicted": np.exp(-loss / 2),
        "entropy": loss / 3,
    }
    return pa.table(columns).cast(SCHEMA)


def many_flips(sentences: Sentences, of_sentence: float, seed: int = 0) -> FlipTable:
    """Entities that all probes which change sentences flipped, so many of each sentence in the mean."""
    rng = np.random.default_rng(seed)
    count = int(of_sentence * len(sentences.number))
    row = rng.integers(0, len(sentences.number), count)
    probes = [probe.name for probe in ALL if probe.change]
    text, other = ([f"Name{i:x}" for i in rng.integers(0, count, count)] for _ in range(2))
    types = ["LOC", "ORG", "PER"]
    columns = {
        **{name: np.array(sentences.names[name])[sentences.codes[i][row]] for i, name in enumerate(sentences.names)},
        "probe": rng.choice(probes, count),
        "sentence": sentences.number[row],
        "flip": rng.choice(FLIPS[1:], count),
        "before": text,
        "before_type": rng.choice(types, count),
        "after": other,
        "after_type": rng.choice(types, count),
    }
    return FlipTable(pa.table(columns), probes, FLIPS[1:])
