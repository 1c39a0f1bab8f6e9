"""Clipping, steps that are skipped where a gradient is not finite, and which parameters decay."""

from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def clip_gradients(accelerator: Accelerator, model: torch.nn.Module, max_norm: float) -> Tensor:
    """Clips the gradient; returns its norm before, over all parameters and processes, a scalar on the device."""
    norm = accelerator.clip_grad_norm_(model.parameters(), max_norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def step_if_finite(accelerator: Accelerator, optimizer: AcceleratedOptimizer, grad_norm: Tensor) -> Tensor:
    """An optimizer step that leaves weights and state alone if the gradient is not finite.

    grad_norm: scalar over all parameters and processes, the same on all of them. Returns bool, a scalar on the device.
    Fused AdamW takes the flag on the device, without a host sync. With fp16 the GradScaler hands it over, and is told
    here: finite gradients can have a norm that overflows, and clipping by that has made them 0.
    """
    is_finite = torch.isfinite(grad_norm)
    is_fused = bool(optimizer.param_groups[0].get("fused"))
    if accelerator.scaler is not None:
        for found_inf in accelerator.scaler._found_inf_per_device(optimizer.optimizer).values():  # as torch's own do
            found_inf.logical_or_(~is_finite)
    elif is_fused:
        optimizer.optimizer.found_inf = (~is_finite).float()
    if accelerator.scaler is not None or is_fused or is_finite:  # host sync: on devices without a fused AdamW
        optimizer.step()
    return is_finite


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: matrices decay; biases and norms, which are vectors, do not."""

    def trained(is_matrix: bool) -> Iterator[nn.Parameter]:
        return (p for p in model.parameters() if p.requires_grad and (p.ndim >= 2) == is_matrix)

    groups = [
        {"params": list(trained(True)), "weight_decay": weight_decay},
        {"params": list(trained(False)), "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
