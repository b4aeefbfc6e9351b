"""The moving average of a network's weights: steadier than the weights of any one step."""

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of a network, kept as a network of its own.

    At step t the average moves by ``1 - min(decay, (1 + t) / (10 + t))`` of the way to the weights, so that
    the random ones of the beginning are soon forgotten. The statistics of batch normalisation are averaged
    alike, counters are copied.

    Parameters
    ----------
    network
        Followed, not changed.
    decay
        Between 0 and 1; 0.99 averages over about a hundred steps.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, *, step: int) -> None:
        """Move the average towards the network after step `step`."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for average, value in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if average.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, values, weight)
