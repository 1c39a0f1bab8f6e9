"""Accelerators that do on a CPU what Accelerate does on GPUs only: fp16 with a GradScaler, and FSDP2."""

from typing import Any

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from ner import runtime

SCALE = 2.0**24  # the first loss scale: too large for the first few steps, as the usual 65,536 is for large encoders


class Fp16Accelerator(Accelerator):
    """fp16 autocast and loss scaling; Accelerate leaves both out on a CPU, without a word."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.mixed_precision == "fp16":
            self.native_amp = True
            self.scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)


class ShardedAccelerator(Fp16Accelerator):
    """The model sharded over the processes, with the settings of launch/gpus_fsdp2.sh."""

    def __init__(self, **options: Any) -> None:
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="transformer_based_wrap",
            reshard_after_forward=True,
            state_dict_type="FULL_STATE_DICT",
        )
        super().__init__(fsdp_plugin=plugin, **options)
        for state in (AcceleratorState, PartialState):
            state._shared_state["distributed_type"] = DistributedType.FSDP
        if self.mixed_precision != "no":
            plugin.set_mixed_precision(self.mixed_precision)
        self.state.fsdp_plugin = plugin


def use(accelerator: type[Accelerator]) -> None:
    """Makes the scripts of this process take it: for programs that run in a process of their own."""
    vars(runtime)["Accelerator"] = accelerator
