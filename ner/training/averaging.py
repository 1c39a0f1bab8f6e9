"""The mean of the weights over the last part of training, which average/ is written from.

Checkpoint averaging helps where a tagger is tested on languages that it was not trained on, and makes it matter less
when training stops (Schmidt, Vulić, Glavaš: Free Lunch: Robust Cross-Lingual Transfer via Model Checkpoint Averaging,
arXiv 2305.16834).
"""

import contextlib
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ner.config import TrainConfig
from ner.training.state import like

WEIGHTS = 100  # taken into the mean where nobody says how often; more of them cost time and change little


class RunningMean:
    """The mean of the trained parameters so far: fp32, on their device and sharded as they are.

    means: by the parameter's name, empty before the first; count: how many weights are in it. It stays empty where it
    is not wanted.
    """

    def __init__(self, config: TrainConfig, model: nn.Module, num_steps: int) -> None:
        """model: prepared, unwrapped; num_steps: of the whole training."""
        self.model, self.num_steps, self.decay = model, num_steps, config.average_decay
        self.after = math.floor(config.average_from * num_steps) if config.average == "on" else num_steps
        self.every = config.average_every or max(1, (num_steps - self.after) // WEIGHTS)
        self.parameters = {name: each for name, each in model.named_parameters() if each.requires_grad}
        self.means: dict[str, Tensor] = {}
        self.count = 0

    def after_step(self, number: int) -> None:
        """Takes in the weights after the step of that number, where they are due; those after the last step always are.

        Costs a pass over the weights, on the device, and waits for nothing.
        """
        if number <= self.after or (self.num_steps - number) % self.every:
            return
        if not self.means:
            self.means = {name: each.detach().clone() for name, each in self.parameters.items()}
        else:  # exponential: the share of the newest falls as in the uniform mean until it is 1 - decay
            kept = self.count / (self.count + 1)
            take_in = get_ema_multi_avg_fn(min(kept, self.decay or 1.0))
            take_in(local(self.means), local(self.parameters), self.count)
        self.count += 1

    def restore(self, means: Mapping[str, Tensor], count: int) -> None:
        """Makes it what it was. means: whole."""
        # In the order of the parameters: a file has another one.
        self.means = {name: like(means[name], each) for name, each in self.parameters.items()} if means else {}
        self.count = count

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the model has the mean as its weights, and the mean waits in their place."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges weights and mean, to the bit."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()  # of an evaluation, FSDP keeps gathered weights for the next forward
        for weight, mean in zip(local(self.parameters), local(self.means), strict=True):
            kept = weight.clone()
            weight.copy_(mean)
            mean.copy_(kept)


def local(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """What this process has of them; it shares their memory."""
    detached = (tensor.detach() for tensor in tensors.values())
    return [tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in detached]
