"""The tagger under `datasets.map`: in batches, with the cache of `datasets`."""

from datasets import Features, List, Value, load_dataset

from ner import Tagger

tagger = Tagger.from_pretrained("runs/all")


def tag(rows):
    return {"entities": [[entity._asdict() for entity in found] for found in tagger(rows["text"])]}


texts = load_dataset("text", data_files="lines.txt", split="train")
string, number = Value("string"), Value("int64")
entity = {"type": string, "text": string, "start": number, "end": number, "score": Value("float64")}
tagged = texts.map(tag, batched=True, features=Features({**texts.features, "entities": List(entity)}))
print(tagged[0]["entities"])
