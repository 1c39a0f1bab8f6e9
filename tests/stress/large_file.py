"""Reads a column file of a million sentences, and prints how fast and with how much memory: not part of the suite.

python -m tests.stress.large_file [--sentences 1000000]
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import datasets

from ner.data import synthetic
from ner.data.corpus import Source, load_corpus
from tests.stress.memory import peak_megabytes


def write(file: Path, num_sentences: int) -> None:
    """Sentences of the embedded corpus over and over, each with its number, so that all differ."""
    rows = [row for language in synthetic.LANGUAGES for row in synthetic.sentences(language, "train")]
    with file.open("w", encoding="utf-8") as lines:
        for number, row in enumerate(itertools.islice(itertools.cycle(rows), num_sentences)):
            lines.write(f"{number}\tO\n")
            lines.writelines(f"{word}\t{tag}\n" for word, tag in zip(row["tokens"], row["ner_tags"], strict=True))
            lines.write("\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sentences", type=int, default=1_000_000)
    num_sentences = parser.parse_args().sentences
    with tempfile.TemporaryDirectory() as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder) / "cache"
        file = Path(folder) / "large.conll"
        write(file, num_sentences)
        before = peak_megabytes()
        start = time.perf_counter()
        corpus = load_corpus(Source(str(file)), ["de"], ["train"])
        seconds = time.perf_counter() - start
        assert len(corpus["de"]["train"]) == num_sentences
        print(
            f"{num_sentences:,} sentences, {file.stat().st_size / 1e6:.0f} MB: {num_sentences / seconds:,.0f} "
            f"sentences a second; peak memory {peak_megabytes():.0f} MB, {before:.0f} MB of it before reading"
        )
        start = time.perf_counter()
        load_corpus(Source(str(file)), ["de"], ["train"])
        print(f"again, from the cache: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
