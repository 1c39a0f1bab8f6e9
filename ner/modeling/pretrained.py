"""What others made, read as data: the config, the tokenizer and the weights of a local folder or a Hub name.

Nothing in it is run: no code that it brings (auto_map, kernels of the Hub), and no pickle unless that is asked for.
"""

import contextlib
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    dynamic_module_utils,
)

from ner.errors import InputError, listed, shorten, single_line
from ner.files import read_json

# Byte-level BPE tokenizers that take words only with this set.
NEEDS_PREFIX_SPACE = frozenset({"roberta", "deberta", "gpt2", "bloom", "longformer", "modernbert"})

# A file may name a class (tokenizer_class: AutoModel) that hands `trust_remote_code` on to nobody; then transformers
# asks on standard input, where a line of a text may say yes. Seconds that it waits for an answer; 0: it does not ask.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
# Where there are no safetensors, it has a Space of the Hub convert the weights, which opens a pull request of them.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
OWN_CODE = "it brings code of its own (auto_map), which is not run here; take a model of a type that transformers knows"
SAFE = ".safetensors"
# Of a config: far above any encoder that there is. A few bytes that ask for more would fill the memory.
LARGEST = {
    "vocab_size": 10_000_000,
    "hidden_size": 65_536,
    "embedding_size": 65_536,
    "intermediate_size": 1_000_000,
    "num_hidden_layers": 1_000,
    "max_position_embeddings": 10_000_000,
    "type_vocab_size": 1_000_000,
    "num_labels": 100_000,
}
# Weights that a model may have beyond those in its files: tables that are computed, a new head.
SPARE_WEIGHTS = 50_000_000
WEIGHTS_PER_BYTE = 2  # of a file in 4 bits


def load(auto: Any, name: str, what: str, **settings: Any) -> Any:
    """`auto.from_pretrained(name)`, without the code that may come with it. Raises InputError as `readable` does."""
    with readable(name, what):
        return auto.from_pretrained(name, trust_remote_code=False, **settings)


@contextlib.contextmanager
def readable(name: str, what: str) -> Iterator[None]:
    """Turns whatever goes wrong with others' files into an InputError with the reason in one line.

    transformers raises all kinds of errors for those. what: is read, for messages.
    """
    try:
        yield
    except Exception as error:
        raise InputError(f"{name}: no {what} to load: {reason(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of tokenizers and safetensors, which are written in Rust
            raise
        raise InputError(f"{name}: no {what} to load: {single_line(error)}") from error


def reason(error: Exception) -> str:
    """What is wrong, in one line; errors that are not made for readers come with their kind."""
    text = single_line(error)
    if "trust_remote_code" in text:
        return OWN_CODE
    return text if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {text}"


def load_config(name: str, what: str) -> Any:
    """The config of a model. Raises InputError for one that cannot be read, or asks for what is not run here.

    what: it is needed for, in messages.
    """
    config = load(AutoConfig, name, what)
    for key, largest in LARGEST.items():
        value = getattr(config, key, None)
        if isinstance(value, int) and value > largest:
            raise InputError(f"{name}: its config.json says {key} {value:,}; more than {largest:,} is not believed")
    for key in ("_attn_implementation", "_experts_implementation"):
        if "/" in str(getattr(config, key, None)):
            raise InputError(
                f"{name}: its config.json names code on the Hub, {shorten(getattr(config, key))}, which is not run "
                f"here; remove {key[1:]} from it"
            )
    return config


def load_token_classifier(
    name: str, *, new_head: dict[str, Any] | None = None, allow_pickle: bool | None = None
) -> PreTrainedModel:
    """A token classifier in fp32 with all of its weights, from safetensors.

    new_head: id2label, label2id and num_labels of a head with random weights, in place of the model's own, if it has
    one. allow_pickle: from pytorch_model.bin, where there are no others; None where no option could allow it.
    Raises InputError, also for weights that do not fit the config: `from_pretrained` makes up what is missing.
    """
    config = load_config(name, "model")
    check_weights(Path(name), config)
    check_size(name, config)
    try:
        model, found = load(
            AutoModelForTokenClassification,
            name,
            "model",
            use_safetensors=None if allow_pickle else True,
            weights_only=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # of the encoder, refused below; of a head that is replaced, as it should be
            output_loading_info=True,
            **(new_head or {}),
        )
    except InputError as error:
        cause = str(error.__cause__)
        if allow_pickle or not isinstance(error.__cause__, OSError) or SAFE not in cause:
            raise
        if Path(name).is_dir() and not any(Path(name).glob("*.bin")):
            raise
        raise InputError(
            f"{name}: no {SAFE} file; a pytorch_model.bin is a pickle, which can run code of whoever made it, and is "
            f"not loaded. If you trust them, {'' if allow_pickle is None else 'pass `allow_pickle`, or '}convert it: "
            f"{conversion(name, 'AutoModel' if new_head else 'AutoModelForTokenClassification')}"
        ) from error
    lost = sorted({*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])})
    of_encoder = [key for key in lost if key.startswith(f"{model.base_model_prefix}.")]
    if lost and not of_encoder and not new_head:
        raise InputError(f"{name}: its weights have no head for the labels of its config.json: {listed(lost, 3)}")
    if lost := of_encoder:
        raise InputError(
            f"{name}: its weights do not fit its config.json: {len(lost):,} of {len(model.state_dict()):,} tensors "
            f"are missing or of another size ({listed(lost, 3)}); fetch or save the model again"
        )
    return model


def check_size(name: str, config: Any) -> None:
    """Raises InputError if a local model is much larger by its config than its files are: it would fill the memory."""
    if not Path(name).is_dir():
        return
    size = sum(file.stat().st_size for suffix in ("safetensors", "bin") for file in Path(name).glob(f"*.{suffix}"))
    with readable(name, "model"), torch.device("meta"):  # takes none
        model = AutoModelForTokenClassification.from_config(config, trust_remote_code=False)
    number = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    if number > SPARE_WEIGHTS + WEIGHTS_PER_BYTE * size:
        raise InputError(
            f"{name}: its config.json describes {number:,} weights, and its files have {size:,} bytes; fetch or save "
            "the model again"
        )


def conversion(name: str, auto: str) -> str:
    """A command that writes a model's weights as safetensors: into its folder, or from the Hub into a new one."""
    folder = name if Path(name).is_dir() else name.rpartition("/")[2]
    classes = [auto] if folder == name else [auto, "AutoTokenizer"]
    source, target = json.dumps(name), json.dumps(folder)
    options = {auto: ", use_safetensors=False"}
    steps = [
        f"{class_name}.from_pretrained({source}{options.get(class_name, '')}).save_pretrained({target})"
        for class_name in classes
    ]
    program = "; ".join([f"from transformers import {', '.join(classes)}", *steps])
    return f"python -c {shlex.quote(program)}"


def check_weights(folder: Path, config: Any) -> None:
    """Raises InputError for a local folder that names other files than safetensors of its own as its weights."""
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not (file.is_file() or file.is_dir()):  # to read a pipe is to wait for ever
            raise InputError(f"{file}: neither a file nor a folder, or a link to nothing")
        if file.suffix == SAFE and file.is_file():
            try:
                file.open("rb").close()  # safetensors would say that there is no such file
            except PermissionError as error:
                raise InputError(f"{file}: {error.strerror}; its owner can change that: chmod a+r") from error
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder}: an adapter (adapter_config.json), which names another model; merge the two with "
            "peft's merge_and_unload() and save that"
        )
    index = folder / f"model{SAFE}.index.json"
    names = [getattr(config, "transformers_weights", None)]
    if index.is_file():
        try:
            names += read_json(index)["weight_map"].values()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{index}: not an index of weights: {single_line(error)}") from error
    for name in names:
        if name is not None and not (isinstance(name, str) and name.endswith((SAFE, f"{SAFE}.index.json"))):
            raise InputError(f"{folder}: names {shorten(name)} as its weights, which is no {SAFE} file")
        if name is not None and Path(name).name != name:
            raise InputError(f"{folder}: names {shorten(name)} as its weights, which is not in that folder")


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a Hub name or local folder, set up for words.

    Byte-level ones get `add_prefix_space`, which they need to take words. No code that it brings is run.

    Args:
        name: A Hub name or a local model folder.

    Returns:
        The fast tokenizer where there is one; `encode` refuses others.

    Raises:
        InputError: With the reason in one line.
    """
    config = load_config(name, "tokenizer")
    prefix = {"add_prefix_space": True} if config.model_type in NEEDS_PREFIX_SPACE else {}
    tokenizer = load(AutoTokenizer, name, "tokenizer", use_fast=True, **prefix)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise InputError(f"{name}: its tokenizer_class is {type(tokenizer).__name__}, which is no tokenizer")
    longest = tokenizer.model_max_length
    if not isinstance(longest, int | float) or isinstance(longest, bool) or longest < 1:
        raise InputError(f"{name}: its tokenizer_config.json says model_max_length {shorten(longest)}, not a number")
    return tokenizer
