"""Small token classifiers for tests, with random weights: what they say means nothing, but it is the same each time."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

LABELS = ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")


def write_tagger(folder: Path, encoder: Path, labels: tuple[str, ...] = LABELS, *, num_layers: int = 2) -> Path:
    """A model folder with the tokenizer of `encoder`, whose tags vary.

    num_layers 0: a word's tag depends on its first sub-token alone, not on where it stands and what is around it.
    """
    config = AutoConfig.from_pretrained(encoder, num_labels=len(labels))
    config.num_hidden_layers = num_layers
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}
    torch.manual_seed(3)
    model = AutoModelForTokenClassification.from_config(config)
    with torch.no_grad():
        model.classifier.weight.normal_(std=1.0)
        model.base_model.embeddings.word_embeddings.weight.normal_(std=1.0)
        if not num_layers:
            model.base_model.embeddings.position_embeddings.weight.zero_()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder
