"""A slide that is an array in memory, and a model that is quick and sees its surroundings."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from glomseg.inference.predictor import Predictor
from glomseg.models.segmentor import Logits
from glomseg.types import GLOMERULUS, Classes, Inference, ModelCard, Scaling


class ArraySlide:
    """A slide whose pixels are an array; it notes what was read."""

    path = Path("array")
    notes = ()
    background = (255, 255, 255)

    def __init__(self, pixels, *, mpp=None):
        self.pixels = pixels
        self.mpp = mpp
        self.regions = []

    @property
    def size_px(self):
        return self.pixels.shape[1], self.pixels.shape[0]

    def read(self, region, *, mpp=None, downsample=None):
        assert mpp is None
        self.regions.append(region)
        step = downsample or 1
        down = _shares(region.y, region.height, step=step, length=self.pixels.shape[0])
        across = _shares(region.x, region.width, step=step, length=self.pixels.shape[1])
        return np.einsum("ah,hwc,bw->abc", down, self.pixels, across, optimize=True).round().astype(np.uint8)

    def close(self):
        pass


def _shares(start, extent, *, step, length):
    """The (n, length) shares with which the pixels of one side make those of the result."""
    edges = start + step * np.arange(round(extent / step) + 1)
    ends = np.minimum(edges[1:, None], np.arange(1, length + 1))
    return np.clip(ends - np.maximum(edges[:-1, None], np.arange(length)), 0, 1) / step


class Blur(nn.Module):
    """Foreground where the red around a pixel, 9 pixels wide, is above the mean: borders of windows differ."""

    def forward(self, images):
        red = F.avg_pool2d(images[:, :1], 9, stride=1, padding=4)
        return Logits(main=torch.cat([-red, red], dim=1))


def blur_predictor(*, window_px=(32, 32), stride_px=(24, 24), scaling=None, model=None, n_classes=2, threshold=None):
    inference = Inference(window_px=window_px, stride_px=stride_px, threshold=threshold)
    classes = GLOMERULUS if n_classes == 2 else Classes.of([f"class {index}" for index in range(n_classes)])
    card = ModelCard(architecture="none", classes=classes, inference=inference, scaling=scaling or Scaling())
    return Predictor(model or Blur(), card, device="cpu", precision="32-true")


def blobs(height, width, *, seed=0):
    """Noise with large stains of red, green and blue."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 3, max(2, height // 12), max(2, width // 12))))
    smooth = F.interpolate(coarse, size=(height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    return np.clip(smooth * 255 + rng.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)
