"""The tagger under DuckDB and Arrow: record batches of a query, and a function of SQL."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ner import Tagger

tagger = Tagger.from_pretrained("runs/all")
string, number = pa.string(), pa.int64()
entity = pa.struct({"type": string, "text": string, "start": number, "end": number, "score": pa.float64()})


def entities(texts):
    return pa.array([[found._asdict() for found in own] for own in tagger(texts.to_pylist())], pa.list_(entity))


returns = 'struct("type" varchar, "text" varchar, "start" bigint, "end" bigint, score double)[]'
with duckdb.connect() as connection:
    rows = connection.sql("select text from 'web.jsonl' where text is not null").to_arrow_reader(10_000)
    with pq.ParquetWriter("web.parquet", rows.schema.append(pa.field("entities", pa.list_(entity)))) as writer:
        for batch in rows:
            writer.write_batch(batch.append_column("entities", entities(batch["text"])))

    connection.create_function("entities", entities, ["varchar"], returns, type="arrow")
    print(connection.sql("select unnest(entities(text), recursive := true) from 'web.jsonl'"))
