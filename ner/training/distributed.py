"""Model and optimizer for the processes that train together: replicated (DDP) or sharded (FSDP2)."""

import warnings
from dataclasses import replace
from typing import cast

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import broadcast
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from transformers import PreTrainedModel

from ner.inputs.collators import collate, to_device
from ner.modeling.model import encoder_layers
from ner.training.cuda_graphs import Compute
from ner.training.job import Job
from ner.training.state import random_state, set_random_state


def prepare(
    accelerator: Accelerator, model: PreTrainedModel, optimizer: Optimizer, *, ddp: bool = True
) -> tuple[nn.Module, AcceleratedOptimizer]:
    """`accelerator.prepare`, with what an encoder needs.

    The scheduler is not prepared: Accelerate would step it once per process.

    ddp: False leaves out DistributedDataParallel, for who averages the gradients himself. A CUDA graph cannot hold its
    hooks.
    """
    if not ddp:
        bare = accelerator.prepare_model(model, evaluation_mode=True)
        for tensor in (*bare.parameters(), *bare.buffers()):
            broadcast(tensor.detach())  # all begin with the weights of the main process, as with DDP
        return bare, accelerator.prepare_optimizer(optimizer)
    if accelerator.is_fsdp2:
        plugin = accelerator.state.fsdp_plugin
        shard_by_layer(plugin, model)
        if (
            policy := plugin.mixed_precision_policy
        ):  # gradients are added up as exactly as with DDP, however a step is split
            plugin.mixed_precision_policy = replace(policy, reduce_dtype=torch.float32)
        # The logits are a view, and nothing is done to them in place.
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    prepared, wrapped = accelerator.prepare(model, optimizer)
    if isinstance(prepared, DistributedDataParallel):
        prepared.broadcast_buffers = False  # those of an encoder never change
    return cast(nn.Module, prepared), cast(AcceleratedOptimizer, wrapped)


def settle_buckets(accelerator: Accelerator, model: nn.Module, job: Job, accumulate: Compute, number: int) -> None:
    """For a run that goes on: a backward pass that changes nothing, so that its sums are those of one not interrupted.

    DDP exchanges gradients in buckets, and arranges them anew after its first backward pass. From three processes on,
    the place of a gradient decides in which order its parts are added up, and so how the sum is rounded. number: of the
    last step that was made.
    """
    if not isinstance(model, DistributedDataParallel):
        return
    before = random_state()
    plan = job.plan.of_epoch(number // len(job.plan))
    step = plan[0]
    batch = collate(plan.encoded, step.micro_batches[accelerator.process_index][0], job.collator, with_words=False)
    accumulate(to_device(batch, accelerator.device), step.num_labels, True)
    model.zero_grad()
    set_random_state(before)


def shard_by_layer(plugin: FullyShardedDataParallelPlugin, model: PreTrainedModel) -> None:
    """Makes each layer of the encoder a unit of FSDP, unless FSDP_TRANSFORMER_CLS_TO_WRAP names others.

    Accelerate would take the model's `_no_split_modules`, which name the embeddings of most encoders, and then fail to
    shard the embedding table within them once more.
    """
    if plugin.transformer_cls_names_to_wrap is None:
        names = dict.fromkeys(type(layer).__name__ for layer in encoder_layers(model, "FSDP"))
        plugin.transformer_cls_names_to_wrap = list(names)
