"""Random networks to time."""

import torch
from torch import nn

from glomseg.models.build import build_model
from glomseg.models.segmentor import Segmentor

QUICK = {"channels": (8, 8, 8, 8), "n_blocks": (1, 1, 1, 1), "head_channels": 8}
"""Options of the default network for a trial of whether a benchmark runs."""


def network_with_statistics(
    name: str, *, scale: tuple[float, float] = (0.5, 1), seed: int = 0, **options: object
) -> Segmentor:
    """Return a 2-class network with random weights whose normalisations have something to do.

    Their factors are from the range `scale`.
    """
    torch.manual_seed(seed)
    network = build_model(name, n_classes=2, **options)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(*scale)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return network
