"""Another system in the matrix: writes what a pipeline of transformers finds in the German test sentences of PAN-X.

evaluate.py tests the file beside runs. In place of the pipeline may stand anything that finds entities in a text.
"""

import json
from itertools import accumulate
from pathlib import Path

from transformers import pipeline

from ner import Source, load_corpus

corpus = load_corpus(Source("google/xtreme"), ["de"], ["test"])
tagger = pipeline("token-classification", model="runs/de/best", aggregation_strategy="first")
with Path("other.jsonl").open("w", encoding="utf-8") as file:
    for words in corpus["de"]["test"]["tokens"]:
        tags = ["O"] * len(words)
        starts = list(accumulate((len(word) + 1 for word in words[:-1]), initial=0))
        for entity in tagger(" ".join(words)):
            inside = [i for i, start in enumerate(starts) if entity["start"] <= start < entity["end"]]
            for i in inside:
                tags[i] = ("B-" if i == inside[0] else "I-") + entity["entity_group"]
        print(json.dumps({"tokens": words, "ner_tags": tags}), file=file)
