"""A run's state as tensors and numbers: model, optimizer, scheduler, loss scaling, random generators.

Tensors are stored as safetensors, all else as JSON: nothing that is read here can run code.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ner.errors import InputError, single_line
from ner.files import verify
from ner.training.checkpoint import read_state

NOT_WRITTEN = (OSError, SafetensorError)  # what saving raises on a full disk and the like


@dataclass(frozen=True)
class Snapshot:
    """A run at the end of a step. tensors: on the CPU, whole and its own; state: plain numbers and texts."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, without it."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """state.safetensors and state.json."""
    save_file(snapshot.tensors, folder / "state.safetensors")
    (folder / "state.json").write_text(json.dumps(snapshot.state, indent=1), encoding="utf-8")


def read_snapshot(folder: Path) -> Snapshot:
    """What `write_snapshot` wrote. Raises InputError for a folder that does not check out."""
    verify(folder)
    try:
        return Snapshot(load_file(folder / "state.safetensors"), read_state(folder))
    except NOT_WRITTEN as error:
        raise InputError(f"{folder}: {single_line(error)}") from error


def capture_state(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    state: dict[str, Any],
    means: Mapping[str, Tensor] | None = None,
) -> Snapshot:
    """A snapshot of a run, taken by all processes, whole on the main process.

    state: whatever else is to be kept; means: of the weights, by name.
    """
    keep = accelerator.is_main_process
    tensors = {}
    plain = accelerator.unwrap_model(model)
    for name, value in plain.state_dict().items():
        tensors[f"model/{name}"] = whole(value, keep)
    for name, parameter in plain.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{key}/{name}"] = whole(value, keep)
    for name, value in (means or {}).items():
        tensors[f"average/{name}"] = whole(value, keep)
    for rank, states in enumerate(gather_object([random_state()])):
        tensors |= {f"random/{rank}/{name}": value for name, value in states.items()}
    scaler = accelerator.scaler
    kept = {
        **state,
        "scheduler": {k: v for k, v in scheduler.state_dict().items() if k != "lr_lambdas"},
        "scaler": scaler.state_dict() if scaler else None,
    }
    return Snapshot(tensors, kept)


def restore_state(
    snapshot: Snapshot, accelerator: Accelerator, model: nn.Module, optimizer: Optimizer, scheduler: LRScheduler
) -> None:
    """Makes a run of the same options what it was. Raises InputError if the model has other parameters."""
    plain = accelerator.unwrap_model(model)
    current = plain.state_dict()
    given = snapshot.under("model/")
    if current.keys() != given.keys() or any(current[name].shape != value.shape for name, value in given.items()):
        raise InputError("the checkpoint's model has other parameters than this one")
    with torch.no_grad():
        for name, value in given.items():
            current[name].copy_(like(value, current[name]))
    parameters = dict(plain.named_parameters())
    for path, value in snapshot.under("optimizer/").items():
        key, _, name = path.partition("/")
        parameter = parameters[name]
        optimizer.state[parameter][key] = like(value, parameter) if value.ndim else value.to(parameter.device)
    scheduler.load_state_dict({**snapshot.state["scheduler"], "lr_lambdas": [None] * len(optimizer.param_groups)})
    for group, lr in zip(optimizer.param_groups, scheduler.get_last_lr(), strict=True):
        group["lr"] = lr
    if accelerator.scaler and snapshot.state["scaler"]:
        accelerator.scaler.load_state_dict(snapshot.state["scaler"])
    if mine := snapshot.under(f"random/{accelerator.process_index}/"):
        set_random_state(mine)
    else:  # more processes than there were
        torch.manual_seed(torch.initial_seed() + snapshot.state["step"])


def whole(value: Tensor, keep: bool) -> Tensor:
    """A copy on the CPU, gathered from all processes if it is sharded; an empty tensor where it is not to be kept."""
    full = value.full_tensor() if isinstance(value, DTensor) else value
    return full.detach().to("cpu", copy=True).contiguous() if keep else torch.empty(0)


def like(value: Tensor, other: Tensor) -> Tensor:
    """On the device of the other, and sharded as it is."""
    if isinstance(other, DTensor):
        return distribute_tensor(value.to(other.device), other.device_mesh, other.placements)
    return value.to(other.device)


def random_state() -> dict[str, Tensor]:
    """The random generators of this process: torch's on the CPU and on its GPU, NumPy's and Python's."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global one, which others may use)
    version, numbers, gauss = random.getstate()
    states = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.array([*keys, *rest], dtype=np.float64)),
        "python": torch.tensor([version, *numbers], dtype=torch.int64),
    }
    assert name == "MT19937"
    if gauss is not None:
        states["python_gauss"] = torch.tensor([gauss], dtype=torch.float64)
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: dict[str, Tensor]) -> None:
    """What `random_state` gave."""
    torch.set_rng_state(states["torch"])
    *keys, position, has_gauss, gauss = states["numpy"].tolist()
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), int(position), int(has_gauss), gauss))  # noqa: NPY002
    version, *numbers = states["python"].tolist()
    python_gauss = states["python_gauss"].item() if "python_gauss" in states else None
    random.setstate((version, tuple(numbers), python_gauss))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
