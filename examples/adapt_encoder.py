"""Masked language modelling on text without tags, which adapts an encoder to it before it is fine-tuned.

Stopped, the program goes on after its newest checkpoint. `train.py --model encoders/adapted/encoder` fine-tunes what it
writes.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import set_seed
from transformers import AutoModelForMaskedLM, DataCollatorForLanguageModeling, get_scheduler

from ner import Source, load_corpus, load_tokenizer
from ner.runtime import start_accelerator
from ner.tagging.unlabelled import read_unlabelled
from ner.training.checkpoint import newest, of_step, prune, write_folder
from ner.training.optimization import clip_gradients, parameter_groups, step_if_finite
from ner.training.state import capture_state, read_snapshot, restore_state, write_snapshot
from ner.utils import progress_bar

OUTPUT = Path("encoders/adapted")
BATCH_SIZE, LEARNING_RATE, WARMUP, SEED, CHECKPOINT_EVERY = 64, 2e-4, 0.06, 42, 500


class MaskedTokens(torch.nn.Module):
    """The mean loss of masked sub-tokens. The head, with its row for each piece of the vocabulary, sees those alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, labels, **inputs):
        is_masked = labels >= 0
        states = self.model.base_model(**inputs).last_hidden_state[is_masked]
        head = self.model.lm_head if hasattr(self.model, "lm_head") else self.model.cls
        return torch.nn.functional.cross_entropy(head(states).float(), labels[is_masked])


def plan_epoch(lengths, size, seed):
    """The sentences of each batch: drawn at random, those of a batch of about one length."""
    random = np.random.default_rng(seed)
    order = np.argsort(lengths + random.uniform(-2, 2, len(lengths)), kind="stable")
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    return [batches[i] for i in random.permutation(len(batches))]


accelerator = start_accelerator("auto")
corpus = load_corpus(Source("google/xtreme", sample=("swiss",)), ["de"], ["train"])
pool = read_unlabelled(["fr", "it", "en"], corpus, corpus["de"]["train"])  # nothing of a validation or test split
print(pool)
tokenizer = load_tokenizer("xlm-roberta-base")
texts = tokenizer(pool.sentences["tokens"][:], is_split_into_words=True, truncation=True, max_length=128)["input_ids"]
model = AutoModelForMaskedLM.from_pretrained(
    "xlm-roberta-base", dtype=torch.float32, trust_remote_code=False, use_safetensors=True
)
collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
plan = plan_epoch([len(text) for text in texts], BATCH_SIZE, SEED)
rank, world = accelerator.process_index, accelerator.num_processes
num_steps = len(plan) // world
optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay=0.01), lr=LEARNING_RATE)
scheduler = get_scheduler("linear", optimizer, round(WARMUP * num_steps), num_steps)
loss_of, optimizer = accelerator.prepare(MaskedTokens(model), optimizer)
set_seed(SEED, device_specific=True)

first, (checkpoint, _) = 0, newest(OUTPUT)
if checkpoint:
    snapshot = read_snapshot(checkpoint)
    restore_state(snapshot, accelerator, loss_of, optimizer, scheduler)
    first = snapshot.state["step"]
loss_of.train()
bar = progress_bar(accelerator, "adapt", " steps", total=num_steps, initial=first)
total = torch.zeros((), device=accelerator.device)
for step in range(first + 1, num_steps + 1):
    sentences = plan[(step - 1) * world + rank]
    batch = collate([{"input_ids": texts[i]} for i in sentences]).to(accelerator.device)
    loss = loss_of(**batch)
    accelerator.backward(loss)
    step_if_finite(accelerator, optimizer, clip_gradients(accelerator, loss_of, max_norm=1.0))
    optimizer.zero_grad()
    scheduler.step()
    total += loss.detach()
    bar.update()
    if step % 100 == 0:
        bar.write(f"step {step:,}: loss {total.item() / 100:.4f}")
        total.zero_()
    if step % CHECKPOINT_EVERY == 0:
        snapshot = capture_state(accelerator, loss_of, optimizer, scheduler, {"step": step})
        if accelerator.is_main_process:
            write_folder(of_step(OUTPUT, step), partial(write_snapshot, snapshot=snapshot), facts={"step": step})
            prune(OUTPUT, keep=1)
bar.close()
if accelerator.is_main_process:
    for part in (model, tokenizer):
        part.save_pretrained(OUTPUT / "encoder")
accelerator.end_training()
