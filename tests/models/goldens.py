"""The rule by which networks are filled with weights, here and in OpenMMLab, so that their outputs can be compared.

Golden figures in the tests of this folder are what MMSegmentation 1.2.2 gives under this rule in float64.
"""

import ast
import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from glomseg.models.segmentor import Segmentor


def hashed_uniform(n: int, index: int) -> np.ndarray:
    """Return n float64 numbers in [-0.5, 0.5) from two rounds of a 32-bit integer hash."""
    a = np.arange(n, dtype=np.uint32)
    a += np.uint32((index * 1000003 + 1) % 2**32)
    for multiplier in (2246822519, 3266489917):
        a ^= a >> 15
        a *= np.uint32(multiplier)
    a ^= a >> 16
    return a / 2**32 - 0.5


def fill(model: nn.Module, *, min_ndim: int = 2) -> None:
    """Fill every entry of a model by the rule: hashed numbers from `min_ndim` axes on, below it ones and zeros."""
    for index, (name, value) in enumerate(model.state_dict().items()):
        if value.ndim >= min_ndim and value.is_floating_point():
            fan_in = value[0].numel()
            numbers = hashed_uniform(value.numel(), index) * np.sqrt(24 / fan_in)
            value.copy_(torch.from_numpy(numbers).reshape(value.shape))
        elif value.ndim == 1:
            is_one = name.endswith("running_var") or (name.endswith("weight") and not name.endswith("bn3.weight"))
            value.fill_(1.0 if is_one else 0.2 if name.endswith("bn3.weight") else 0.0)


def stir(model: nn.Module) -> None:
    """Add hashed numbers to the entries of one axis, which `fill` leaves at ones and zeros, so that each one counts."""
    for index, value in enumerate(model.state_dict().values()):
        if value.ndim == 1 and value.is_floating_point():
            value.add_(torch.from_numpy(hashed_uniform(value.numel(), 10000 + index)))


def hashed_images(height: int, width: int) -> Tensor:
    """Return the (1, 3, H, W) float64 images that the figures belong to."""
    return torch.from_numpy(hashed_uniform(3 * height * width, 9999) * 4).reshape(1, 3, height, width)


def layout(model: nn.Module) -> tuple[int, int, str]:
    """Return the number of entries, of parameters, and the first digits of a hash of all names and shapes in order."""
    entries = model.state_dict()
    lines = "".join(f"{name} {tuple(value.shape)}\n" for name, value in entries.items())
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return len(entries), n_parameters, hashlib.sha256(lines.encode()).hexdigest()[:16]


def listed_layout(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Return names and shapes of the entries in a file with a line "name, tab, shape, tab, type" for each."""
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [(name, ast.literal_eval(shape)) for name, shape, _ in rows]


def figures(logits: Tensor) -> list[float]:
    """Return mean, standard deviation and the first four classes' values in the corner of (B, C, h, w) logits."""
    return [float(logits.mean()), float(logits.std()), *logits[0, :4, 0, 0].tolist()]


def all_figures(model: Segmentor, images: Tensor) -> list[list[float]]:
    """Return the figures of the decode head's logits, then of those of each auxiliary head, in evaluation mode."""
    features = model.backbone(images)
    if model.neck is not None:
        features = model.neck(features)
    auxiliary = model.auxiliary_head
    heads = auxiliary if isinstance(auxiliary, nn.ModuleList) else [] if auxiliary is None else [auxiliary]
    return [figures(head(features)) for head in (model.decode_head, *heads)]
