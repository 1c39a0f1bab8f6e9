"""Encoder and head: built, frozen and saved in the standard Hugging Face layout."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ner.errors import InputError, shorten, single_line
from ner.inputs.collators import POSITIONS_BEHIND_PADDING
from ner.modeling import calibration
from ner.modeling.head import match_head, replace_head
from ner.modeling.pretrained import load_config, load_token_classifier
from ner.tags import TagSet


def build_model(name: str, tags: TagSet, seed: int, *, allow_pickle: bool = False) -> PreTrainedModel:
    """A pretrained encoder with a linear head for these tags, in fp32 whatever the checkpoint's dtype.

    The head has random weights. That of a tagger goes on: its rows are matched by the names of the tags.

    Args:
        name: A Hub name or a local model folder.
        tags: The tags, which become `id2label` and `label2id` of the config.
        seed: Of the head's weights; torch's default generators are seeded with it.
        allow_pickle: Take pytorch_model.bin where there are no safetensors: a pickle can run code of whoever made it.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        InputError: With the reason in one line.
    """
    match = match_head(name, tags)
    torch.manual_seed(seed)
    if match and match.kept:
        model = load_token_classifier(name, allow_pickle=allow_pickle)
    else:
        head = {"id2label": dict(enumerate(tags.names)), "label2id": tags.ids, "num_labels": len(tags)}
        model = load_token_classifier(name, new_head=head, allow_pickle=allow_pickle)
    if match:
        torch.manual_seed(seed)  # loading may have drawn
        replace_head(model, tags, match)
    vars(model.config).pop(calibration.KEY, None)  # of the tagger before it is trained further
    return model


def load_tagger(name: str) -> tuple[PreTrainedModel, TagSet]:
    """A fine-tuned token classifier in fp32 and its tags.

    Args:
        name: A Hub name or a local model folder, such as `runs/de/best`; its weights must be safetensors.

    Returns:
        The model on the CPU, in evaluation mode, and the IOB2 tags of its config.

    Raises:
        InputError: With the reason in one line: no model, weights that do not fit its config, labels that are not IOB2.
    """
    tags = TagSet.of_model(load_config(name, "model"), name)
    return load_token_classifier(name), tags


def max_positions(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest window the encoder takes, with special tokens. Raises InputError for a broken config."""
    return max_positions_of(model.config, tokenizer, model.name_or_path)


def load_max_positions(name: str, tokenizer: PreTrainedTokenizerBase) -> int:
    """As `max_positions`, of a model that is not loaded: a Hub name or a local folder. Raises InputError."""
    return max_positions_of(load_config(name, "config"), tokenizer, name)


def max_positions_of(config: Any, tokenizer: PreTrainedTokenizerBase, name: str | None) -> int:
    """As `max_positions`, of a config. name: of the model, for messages."""
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    if config.model_type in POSITIONS_BEHIND_PADDING:
        if type(config.pad_token_id) is not int:
            raise InputError(f"{name}: its config.json says pad_token_id {shorten(config.pad_token_id)}")
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def freeze(model: PreTrainedModel, *, encoder: bool = False, num_layers: int = 0) -> None:
    """Keeps the encoder, or the embeddings and the first num_layers layers, as they are.

    Raises InputError if the encoder has fewer layers.
    """
    base = model.base_model
    if num_layers:
        layers = encoder_layers(model, "`freeze_layers`")
        if num_layers > len(layers):
            raise InputError(f"`freeze_layers` {num_layers}: the encoder has {len(layers)} layers")
        frozen: list[nn.Module] = [m for name, m in base.named_children() if "embedding" in name]
        frozen += layers[:num_layers]
    else:
        frozen = []
    for module in [base] if encoder else frozen:
        module.requires_grad_(False)


def compile_layers(model: PreTrainedModel) -> None:
    """torch.compile, layer by layer: equal layers are compiled once to train and once to evaluate, for any rows.

    What surrounds them (Accelerate's precision and distribution, the embedding table) stays as it is.
    """
    # What DDP would have: gradients exchanged during the backward pass, for which it cuts each layer in pieces.
    torch._dynamo.config.optimize_ddp = False
    for layer in encoder_layers(model, "`compile`"):
        layer.compile(dynamic=True)
    encoder: Any = model.base_model
    encoder.forward = with_two_rows(encoder.forward)


def with_two_rows(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Computes a single row twice, and returns it once: a size of 1 is never dynamic, and would be compiled anew."""

    @functools.wraps(forward)
    def computed(*arguments: Any, **inputs: Any) -> Any:
        given = (arguments, inputs)
        if any(isinstance(value, Tensor) and len(value) > 1 for value in tree_leaves(given)):
            return forward(*arguments, **inputs)
        arguments, inputs = tree_map_only(Tensor, lambda value: torch.cat([value, value]), given)
        return tree_map_only(Tensor, lambda value: value[:1], forward(*arguments, **inputs))

    return computed


def encoder_layers(model: PreTrainedModel, wanted_by: str) -> list[nn.Module]:
    """The layers of the encoder, first to last. Raises InputError where they cannot be told.

    wanted_by: the flag, for the message.
    """
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == model.config.num_hidden_layers:
            return list(module)
    raise InputError(f"{wanted_by}: {model.config.model_type} does not list its layers")


def set_train_mode(model: nn.Module) -> None:
    """`model.train()`, but for frozen parts: without dropout their features are the same in every epoch."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def save_model(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, state: dict[str, Tensor]
) -> None:
    """Writes a model folder that `from_pretrained` and `pipeline` load.

    state: the full state dict (of a sharded model, gathered). Raises OSError and SafetensorError.
    """
    model.save_pretrained(folder, state_dict=state)
    save_tokenizer(folder, tokenizer)


def save_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Writes the tokenizer's files. Raises OSError."""
    try:
        tokenizer.save_pretrained(folder)
    except Exception as error:  # tokenizers raises what goes wrong with a file as bare Exception, and nothing else is
        if type(error) is not Exception:
            raise
        raise OSError(f"{folder}: {single_line(error)}") from error
