"""The training loop of `train.py` with a head of two layers and a smoothed loss.

Run it at the top of a clone of the repository, where `train.py` is: `python -m examples.own_head_and_loss`.
"""

from dataclasses import replace

import torch

from ner import build_model
from ner.config import TrainConfig
from ner.runtime import start_accelerator
from train import build, fit


def with_deep_head(name, tags, seed):
    """A head of two layers; its checkpoints are loaded by making the model in this way again."""
    model = build_model(name, tags, seed)
    width = model.config.hidden_size
    model.classifier = torch.nn.Sequential(
        torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.Linear(width, len(tags))
    )
    return model


def smoothed_loss(logits, labels, num_labels, num_processes):
    """A micro-batch's share of the step's loss. num_labels: of the whole step, so that shares add up."""
    smoothed = torch.nn.CrossEntropyLoss(ignore_index=-100, reduction="sum", label_smoothing=0.1)
    return smoothed(logits.float().flatten(0, 1), labels.flatten()) * num_processes / num_labels


config = TrainConfig(model="xlm-roberta-base", data="google/xtreme", train_on=("de",), output="runs/smoothed")
accelerator = start_accelerator(config.mixed_precision)
job = build(config, accelerator, with_deep_head)
fit(config, accelerator, replace(job, loss=smoothed_loss))
