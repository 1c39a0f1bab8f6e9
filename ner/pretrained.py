"""What others made, read as data: the config, the tokenizer and the weights of a local folder or a Hub name.

Nothing in it is run: no code that it brings (auto_map, kernels of the Hub), and no pickle unless that is asked for.
"""

import json
import shlex
from pathlib import Path
from typing import Any

from transformers import AutoConfig, dynamic_module_utils

from ner.faults import InputError, one_line, shorten

# A file may name a class (tokenizer_class: AutoModel) that hands `trust_remote_code` on to nobody; then transformers
# asks on standard input, where a line of a text may say yes. Seconds that it waits for an answer; 0: it does not ask.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
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


def load(auto: Any, name: str, what: str, **settings: Any) -> Any:
    """`auto.from_pretrained(name)`, without the code that may come with it.

    what: it is, for messages. Raises InputError with the reason in one line, whatever goes wrong: what is read is
    others' files, and transformers raises all kinds of errors for those.
    """
    try:
        return auto.from_pretrained(name, trust_remote_code=False, **settings)
    except Exception as error:
        raise InputError(f"{name}: no {what} to load: {reason(error)}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of tokenizers and safetensors, which are written in Rust
            raise
        raise InputError(f"{name}: no {what} to load: {one_line(error)}") from error


def reason(error: Exception) -> str:
    """What is wrong, in one line; errors that are not made for readers come with their kind."""
    text = one_line(error)
    if "trust_remote_code" in text:
        return OWN_CODE
    return text if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {text}"


def load_config(name: str, what: str) -> Any:
    """The config of a model. Raises InputError for one that can not be read, or asks for what is not run here.

    what: it is needed for, in messages.
    """
    config = load(AutoConfig, name, what)
    for key, largest in LARGEST.items():
        value = getattr(config, key, None)
        if isinstance(value, int) and value > largest:
            raise InputError(f"{name}: its config.json says {key} {value:,}; more than {largest:,} is not believed")
    labels = getattr(config, "id2label", None) or {}
    if sorted(labels, key=str) != sorted(range(len(labels)), key=str) or not all(
        isinstance(label, str) for label in labels.values()
    ):
        raise InputError(f"{name}: its config.json has no id2label that names each id from 0 on: {shorten(labels)}")
    for key in ("_attn_implementation", "_experts_implementation"):
        if "/" in str(getattr(config, key, None)):
            raise InputError(
                f"{name}: its config.json names code on the Hub, {shorten(getattr(config, key))}, which is not run "
                f"here; remove {key[1:]} from it"
            )
    return config


def load_weights(
    auto: Any, name: str, *, allow_pickle: bool = False, convert: str, flag: str = "", **settings: Any
) -> Any:
    """A model with its weights, from safetensors.

    allow_pickle: from pytorch_model.bin, where there are no others. convert, flag: for the message, the class of
    transformers that turns such a folder into one with safetensors, and what allows a pickle. Raises InputError.
    """
    config = load_config(name, "model")
    check_weights(Path(name), config)
    try:
        return load(auto, name, "model", use_safetensors=None if allow_pickle else True, weights_only=True, **settings)
    except InputError as error:
        cause = str(error.__cause__)
        if allow_pickle or not isinstance(error.__cause__, OSError) or SAFE not in cause:
            raise
        if Path(name).is_dir() and not any(Path(name).glob("*.bin")):
            raise
        raise InputError(
            f"{name}: no {SAFE} file; a pytorch_model.bin is a pickle, which can run code of whoever made it, and is "
            f"not loaded. If you trust them, {f'pass {flag}, or ' if flag else ''}convert it: "
            f"{conversion(name, convert)}"
        ) from error


def conversion(name: str, auto: str) -> str:
    """A command that writes a model's weights as safetensors: into its folder, or from the Hub into a new one."""
    folder = name if Path(name).is_dir() else name.rpartition("/")[2]
    classes = [auto] if folder == name else [auto, "AutoTokenizer"]
    steps = [
        f"{one}.from_pretrained({json.dumps(name)}{', use_safetensors=False' * (one == auto)})"
        f".save_pretrained({json.dumps(folder)})"
        for one in classes
    ]
    program = "; ".join([f"from transformers import {', '.join(classes)}", *steps])
    return f"python -c {shlex.quote(program)}"


def check_weights(folder: Path, config: Any) -> None:
    """Raises InputError for a local folder that names other files than safetensors of its own as its weights."""
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder}: an adapter (adapter_config.json), which names another model; merge the two with "
            "peft's merge_and_unload() and save that"
        )
    index = folder / f"model{SAFE}.index.json"
    names = [getattr(config, "transformers_weights", None)]
    if index.is_file():
        try:
            names += json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{index}: not an index of weights: {one_line(error)}") from error
    for name in names:
        if name is not None and not (isinstance(name, str) and name.endswith((SAFE, f"{SAFE}.index.json"))):
            raise InputError(f"{folder}: names {shorten(name)} as its weights, which is no {SAFE} file")
        if name is not None and Path(name).name != name:
            raise InputError(f"{folder}: names {shorten(name)} as its weights, which is not in that folder")
