"""What raw text costs a tagger that was trained on tokenized sentences, by how it is taken apart: not in the suite.

python -m tests.bench.raw_text --model runs/all --data data/panx [--languages de fr it en] [--sentences 1200]

Takes test sentences that end with a full stop and have six words or more, glues marks to their words as people write,
and tags them one by one, in paragraphs of five, and as one document. F1 is of whole entities, by their characters.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from transformers.utils import logging

from ner.data.arrow_store import TAGS, WORDS, tag_set
from ner.data.corpus import Source, load_corpus
from ner.data.words import split_edges
from ner.evaluation.metrics import ratios
from ner.tagging.tagger import Tagger
from ner.utils import table

Spans = set[tuple[int, int, str]]
GLUED_LEFT = re.compile(r"[.,;:!?)\]%]+|'s")
SIZES = {"a sentence": 1, "five": 5, "all of them": 1 << 30}


def written(words: Sequence[str], tags: Sequence[str]) -> tuple[str, Spans]:
    """The sentence without blanks before and behind marks, and its entities by their characters."""
    text, spans = "", list[tuple[int, int, str]]()
    before = ""
    for word, tag in zip(words, tags, strict=True):
        is_elided = before.endswith("'") and len(before) < 5 and before != "''"  # l' d' dell'
        text += "" if not text or GLUED_LEFT.fullmatch(word) or before in ("(", "[") or is_elided else " "
        start = len(text)
        text += word
        if tag.startswith("B-"):
            spans.append((start, len(text), tag[2:]))
        elif tag.startswith("I-") and spans and spans[-1][2] == tag[2:]:
            spans[-1] = (spans[-1][0], len(text), tag[2:])
        before = word
    return text, set(spans)


def joined(sentences: Sequence[tuple[str, Spans]]) -> tuple[str, Spans]:
    """Sentences as one text."""
    text, spans = "", Spans()
    for own, entities in sentences:
        text += " " if text else ""
        spans |= {(start + len(text), end + len(text), kind) for start, end, kind in entities}
        text += own
    return text, spans


def as_text(tagger: Tagger) -> Callable[[list[str]], list[Spans]]:
    """Entities of raw texts, as the tagger takes them apart."""
    return lambda texts: [{(e.start, e.end, e.type) for e in found} for found in tagger(texts)]


def as_words(tagger: Tagger) -> Callable[[list[str]], list[Spans]]:
    """Entities of texts in words as the tagger's own, but each text as one sentence."""

    def tag(texts: list[str]) -> list[Spans]:
        found = []
        words = [split_edges(text) for text in texts]
        lists = [[text[a:b] for a, b in own] for text, own in zip(texts, words, strict=True)]
        for own, tagged in zip(words, tagger.tag(lists), strict=True):
            starts = {mine[0]: real[0] for mine, real in zip(tagged.words, own, strict=True)}
            ends = {mine[1]: real[1] for mine, real in zip(tagged.words, own, strict=True)}
            found.append({(starts[e.start], ends[e.end], e.type) for e in tagged.entities})
        return found

    return tag


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--languages", nargs="+", default=["de", "fr", "it", "en"])
    parser.add_argument("--sentences", type=int, default=1200, help="of each language")
    options = parser.parse_args()
    logging.disable_progress_bar()
    corpus = load_corpus(Source(options.data, sample=("all",)), options.languages, ["test"])
    tagger = Tagger.from_pretrained(options.model)
    whole = Tagger.from_pretrained(options.model, max_length=1 << 30)
    ways = {
        "words at blanks, the text as a whole": as_text(replace(whole, words="spaces")),
        f"edges, the text as a whole (windows of {whole.max_length})": as_words(whole),
        f"edges, the text as a whole (windows of {tagger.max_length})": as_words(tagger),
        "edges, by sentence (the default)": as_text(tagger),
    }
    counts = {(way, size): [0, 0, 0] for way in ways for size in SIZES}
    num_sentences = {}
    for language in options.languages:
        rows = corpus[language]["test"]
        names = tag_set(rows).names
        sentences = [
            written(words, [names[tag] for tag in tags])
            for words, tags in zip(rows[WORDS], rows[TAGS], strict=True)
            if words[-1] == "." and len(words) >= 6
        ][: options.sentences]
        num_sentences[language] = len(sentences)
        for size, number in SIZES.items():
            texts = [joined(sentences[i : i + number]) for i in range(0, len(sentences), number)]
            for way, tag in ways.items():
                for found, (_, gold) in zip(tag([text for text, _ in texts]), texts, strict=True):
                    for i, more in enumerate((len(found & gold), len(found), len(gold))):
                        counts[way, size][i] += more
    lines = [[way, *(f"{ratios(counts[way, size])['f1']:.3f}" for size in SIZES)] for way in ways]  # type: ignore[arg-type]
    print(table(["F1, a text being", *SIZES], lines))
    print(f"\n{sum(num_sentences.values()):,} sentences: {num_sentences}")


if __name__ == "__main__":
    main()
