"""The mean of the weights of models that were trained alike: a model soup (Wortsman et al., arXiv 2203.05482)."""

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ner.errors import InputError, shorten, single_line
from ner.files import MANIFEST, read_json, write_json
from ner.modeling import calibration
from ner.modeling.pretrained import SAFE

CONFIG = "config.json"
# Of the config: where a model was, what wrote it, and what is of its own weights alone.
NOT_COMPARED = ("_name_or_path", "transformers_version", calibration.KEY)


def check_alike(folders: Sequence[Path]) -> None:
    """Raises InputError for model folders of which a mean would be no model: it names the file and the difference.

    They share config and tags, in their order, the files of the tokenizer, and names, shapes and types of the tensors.
    """
    first, *others = folders
    expected = described(first)
    for folder in others:
        found = described(folder)
        for file in sorted({*expected, *found}):
            if (mine := found.get(file)) == (theirs := expected.get(file)):
                continue
            if mine is None or theirs is None:
                there, lacking = (first, folder) if mine is None else (folder, first)
                raise InputError(f"{lacking} has no {file}, and {there} has one")
            if isinstance(mine, bytes):
                raise InputError(f"{folder / file} is not that of {first}; average models of one tokenizer")
            key = next(key for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key))
            ours, its = (shorten(of.get(key), 200) for of in (mine, theirs))
            raise InputError(f"{folder / file}: {key} is {ours}, and {its} in {first}")


def described(folder: Path) -> dict[str, Any]:
    """File -> what must be the same: of tensors type and shape, of the config its keys, else the bytes."""
    found: dict[str, Any] = {}
    for file in sorted(folder.iterdir()):
        try:
            if file.name == CONFIG:
                config = read_json(file)
                found[file.name] = {key: value for key, value in config.items() if key not in NOT_COMPARED}
            elif file.suffix == SAFE:
                with safe_open(file, "pt") as tensors:
                    slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 (no mapping)
                    found[file.name] = {name: f"{s.get_dtype()} {s.get_shape()}" for name, s in slices.items()}
            elif file.name != MANIFEST:
                found[file.name] = file.read_bytes()
        except (OSError, ValueError, AttributeError, SafetensorError) as error:
            raise InputError(f"{file}: {single_line(error)}") from error
    return found


def write_mean(folders: Sequence[Path], target: Path) -> None:
    """Writes the model folder of their mean, which is taken in fp32. folders: that `check_alike` has passed.

    One tensor of each is in memory at a time, and one file of the mean. Raises OSError and SafetensorError.
    """
    for file in sorted(folders[0].iterdir()):
        if file.name == CONFIG:
            config = {key: value for key, value in read_json(file).items() if key != calibration.KEY}
            write_json(target / CONFIG, config)
            continue
        if file.suffix != SAFE:
            if file.name != MANIFEST:
                shutil.copyfile(file, target / file.name)
            continue
        mean = {}
        with contextlib.ExitStack() as stack:
            models = [stack.enter_context(safe_open(folder / file.name, "pt")) for folder in folders]
            for name in models[0].keys():  # noqa: SIM118
                tensor = models[0].get_tensor(name)
                total = torch.zeros(tensor.shape)
                for model in models:
                    total += model.get_tensor(name)
                mean[name] = (total / len(models)).to(tensor.dtype)
        save_file(mean, target / file.name, metadata={"format": "pt"})
