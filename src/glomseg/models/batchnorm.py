"""Batch normalisation over all processes of a distributed run."""

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn


class _SumOfProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; so is the gradient's."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total


class SynchronizedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose training statistics are those of the batches of all processes together.

    The entries of the state dict are those of ``BatchNorm2d``. Every process must have the same number
    of values a channel. torch's own SyncBatchNorm takes CUDA tensors only; this one runs anywhere.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised (B, C, H, W) input."""
        if not self.training or not torch.distributed.is_initialized():
            return super().forward(input)
        values = input if input.dtype == torch.float64 else input.float()
        n_processes = torch.distributed.get_world_size()
        moments = torch.stack([values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3))])  # (2, C)
        moments = _SumOfProcesses.apply(moments) / n_processes  # type: ignore[no-untyped-call]
        mean, variance = moments[0], moments[1] - moments[0].square()
        self._track(mean.detach(), variance.detach(), n_values=n_processes * values.numel() // values.shape[1])
        scale = self.weight * torch.rsqrt(variance.clamp_min(0) + self.eps)
        shift = self.bias - mean * scale
        normalised: Tensor = values * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
        return normalised.to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor, *, n_values: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        unbiased = variance * (n_values / max(n_values - 1, 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)


def synchronize_batchnorm(network: nn.Module) -> nn.Module:
    """Make every BatchNorm2d of the network compute over all processes, in place, and return it."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SynchronizedBatchNorm2d
    return network
