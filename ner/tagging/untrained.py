"""An encoder with an untrained head as a tagger: what the first step of a training starts from."""

from pathlib import Path
from typing import Any

from ner.modeling.model import build_model
from ner.modeling.pretrained import load_tokenizer
from ner.tagging.tagger import Tagger
from ner.tags import TagSet


def untrained_tagger(name: str | Path, tags: TagSet, *, seed: int = 42, **settings: Any) -> Tagger:
    """A tagger whose head has the random weights that a training with this seed begins with.

    Args:
        name: Model folder or Hub name of an encoder. Of a tagger, the rows of its head for tags of the same name are
            kept, as in train.py.
        tags: The tags of the head.
        seed: Of the weights; torch's default generators are seeded with it.
        settings: Arguments of `Tagger.from_pretrained`, but for `checkpoint`.

    Returns:
        The tagger, its model on the device and in evaluation mode.

    Raises:
        InputError: For a model that cannot be loaded, and a tokenizer that does not align words.
    """
    model = build_model(str(name), tags, seed)
    return Tagger.of_model(model, load_tokenizer(str(name)), tags.names, **settings)
