"""Packed batches in the Trainer of transformers: corpus, encoding, model and collator from this package.

Trains XLM-RoBERTa-base on the German part of PAN-X for one epoch.
"""

from transformers import Trainer, TrainingArguments

from ner import PackedCollator, Source, build_model, encode, load_corpus, load_tokenizer

corpus = load_corpus(Source("google/xtreme"), ["de"], ["train"])
tokenizer = load_tokenizer("xlm-roberta-base")
model = build_model("xlm-roberta-base", corpus.tags, seed=42)
train = encode(corpus["de"]["train"], tokenizer, corpus.tags, max_length=512)

collator = PackedCollator.for_model(
    model, row_length=64
)  # block-diagonal attention: right for the encoders listed under Architecture, Packing
arguments = TrainingArguments("runs/trainer", per_device_train_batch_size=64, num_train_epochs=1, report_to="none")
Trainer(model, arguments, data_collator=collator, train_dataset=train).train()
