"""The tagger under Ray Data: two workers, each with its own tagger and one thread."""

import pyarrow as pa
import ray

from ner import Tagger

string, number = pa.string(), pa.int64()
entity = pa.struct({"type": string, "text": string, "start": number, "end": number, "score": pa.float64()})


class Tag:
    def __init__(self):
        self.tagger = Tagger.from_pretrained("runs/all")

    def __call__(self, batch):
        found = [[entity._asdict() for entity in own] for own in self.tagger(batch["text"].to_pylist())]
        return batch.append_column("entities", pa.array(found, pa.list_(entity)))


with ray.init(num_cpus=3):  # one for each tagger, and one to read and write
    texts = ray.data.read_json("web.jsonl")
    workers = ray.data.ActorPoolStrategy(size=2)
    tagged = texts.map_batches(Tag, batch_format="pyarrow", batch_size=1_000, compute=workers, num_cpus=1)
    tagged.write_parquet("tagged-by-ray")
