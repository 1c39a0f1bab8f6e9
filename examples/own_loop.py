"""A training loop of one's own: corpus, encoding, padded batches, loss and scores from this package.

Trains XLM-RoBERTa-base on the German part of PAN-X for one epoch, and prints the F1 on its validation sentences.
"""

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from ner import PaddedCollator, Source, build_model, encode, evaluate, load_corpus, load_tokenizer, token_loss

corpus = load_corpus(Source("google/xtreme"), ["de"], ["train", "validation"])
tokenizer = load_tokenizer("xlm-roberta-base")
model = build_model("xlm-roberta-base", corpus.tags, seed=42)
train, validation = (
    encode(corpus["de"][split], tokenizer, corpus.tags, max_length=512) for split in ("train", "validation")
)

collator = PaddedCollator(tokenizer.pad_token_id)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
model.train()  # with dropout; it was loaded without
for batch in DataLoader(train, batch_size=16, shuffle=True, collate_fn=collator):
    labels, words = batch.pop("labels"), batch.pop("words")  # words: which word each token is scored for, -1 for none
    loss = token_loss(model(**batch).logits, labels).sum() / (labels >= 0).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
print(evaluate(model.eval(), validation, collator, Accelerator(), corpus.tags, max_tokens=8192).f1)
