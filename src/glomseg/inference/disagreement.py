"""How far predictions of the same image contradict each other."""

import math

import torch
from torch import Tensor


def with_entropy(probabilities: Tensor) -> Tensor:
    """Return probabilities (B, C, H, W) and their entropy as one channel more: (B, C + 1, H, W).

    Take the mean of such maps over flips, scales or models, in whatever order and one after the other, and
    `split_disagreement` tells from it how far they disagree: no map has to be kept.
    """
    return torch.cat([probabilities, _entropy(probabilities)], dim=1)


def split_disagreement(mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean probabilities (B, C, H, W), and how far the maps that they are the mean of disagree, (B, H, W).

    The disagreement is the mutual information of map and class: the entropy of the mean less the mean of the
    entropies, over the logarithm of the number of classes. It is 0 where all maps say the same, however unsure each is,
    and 1 where they are equally often quite sure of every class.

    Parameters
    ----------
    mean
        (B, C + 1, H, W), of what `with_entropy` returns.

    References
    ----------
    Depeweg et al., "Decomposition of Uncertainty in Bayesian Deep Learning", ICML 2018.
    """
    probabilities, mean_entropy = mean[:, :-1], mean[:, -1:]
    return probabilities, (_entropy(probabilities) - mean_entropy).clamp_(0, 1)[:, 0]


def _entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy over the logarithm of the number of classes, (B, 1, H, W)."""
    entropy: Tensor = torch.special.entr(probabilities).sum(dim=1, keepdim=True)
    return entropy / math.log(probabilities.shape[1])
