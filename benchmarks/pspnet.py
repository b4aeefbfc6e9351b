"""PSPNet R50-D8 the project's way against the plain fp32 eager form of the same network, on the processor."""

import copy
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glomseg.devices import autocast_dtype, choose_precision
from glomseg.inference.runtime import prepare_for_inference
from glomseg.memory import keep_freed_memory
from glomseg.models.heads.psp import PSPHead
from glomseg.models.segmentor import Segmentor
from glomseg.models.winograd import use_winograd
from glomseg.recipes import load_recipe
from glomseg.training.losses import TrainingLoss
from glomseg.training.run import make_optimizer
from networks import network_with_statistics
from timing import parse_quick, print_comparison, print_machine, print_torch, take_turns_apart

CPU = torch.device("cpu")


class PlainPSPHead(PSPHead):
    """The head as it is written in the paper: enlarge the pooled branches, join, convolve."""

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = features[self.in_index]
        size = x.shape[-2:]
        pooled = [F.interpolate(pool(x), size=size, mode="bilinear", align_corners=False) for pool in self.psp_modules]
        logits: Tensor = self.conv_seg(self.dropout(self.bottleneck(torch.cat([x, *pooled], dim=1))))
        return logits


def pspnet() -> Segmentor:
    """Return the network that is timed."""
    return network_with_statistics("pspnet_r50", scale=(0.3, 0.6), zero_init_residual=False)


def plain_form(network: Segmentor) -> Segmentor:
    """Return a copy with the plain head, in torch's own memory format."""
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    plain.decode_head.__class__ = PlainPSPHead
    return plain


def training_step(network: Segmentor, images: Tensor, masks: Tensor, *, fast: bool) -> Callable[[], float]:
    """Return a step of the homework recipe on one batch, which gives the loss; `fast` is the project's way."""
    settings = load_recipe("homework")
    loss_of = TrainingLoss(settings.loss)
    dtype = None
    if fast:
        keep_freed_memory()
        precision = choose_precision("auto", CPU)
        dtype = autocast_dtype(precision)
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
        if precision == "32-true":
            use_winograd(network)
    optimizer = make_optimizer(network.train(), settings.optimizer, fused=fast)

    def step() -> float:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            outputs = network(images)
        loss = loss_of(outputs.main, outputs.auxiliary, masks)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def prediction(network: Segmentor, *, size_px: int, fast: bool) -> Callable[[], Tensor]:
    """Return a call that gives the (1, 2, H, W) logits of one image; `fast` is the project's way."""
    images = torch.randn(1, 3, size_px, size_px, generator=torch.Generator().manual_seed(2))
    dtype = None
    if fast:
        keep_freed_memory()
        precision = choose_precision("auto", CPU)
        dtype = autocast_dtype(precision)
        images = images.contiguous(memory_format=torch.channels_last)
        network = prepare_for_inference(network, device=CPU, precision=precision)
    network.eval()

    def predict() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            logits: Tensor = network(images).main.float()
            return F.interpolate(logits, size=(size_px, size_px), mode="bilinear", align_corners=False)

    return predict


def build_step(*, crop_px: int, batch_size: int, fast: bool) -> Callable[[], float]:
    """Return a training step on random pixels."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch_size, 3, crop_px, crop_px, generator=generator)
    masks = torch.randint(0, 2, (batch_size, crop_px, crop_px), generator=generator)
    network = pspnet()
    return training_step(network if fast else plain_form(network), images, masks, fast=fast)


def build_prediction(*, size_px: int, fast: bool) -> Callable[[], np.ndarray]:
    """Return the prediction of random pixels as an array, which a process can hand over."""
    network = pspnet()
    predict = prediction(network if fast else plain_form(network), size_px=size_px, fast=fast)
    return lambda: predict().numpy()


def main(*, quick: bool) -> None:
    crop_px, batch_size, size_px = (64, 2, 128) if quick else (256, 8, 1024)
    n_rounds = 1 if quick else 3
    sides = {"plain fp32 eager, contiguous": False, "glomseg": True}

    seconds, logits = take_turns_apart(
        {name: partial(build_prediction, size_px=size_px, fast=fast) for name, fast in sides.items()},
        n_rounds=n_rounds,
    )
    print_comparison(f"prediction of one {size_px} x {size_px} image", seconds)
    plain, fast = logits.values()
    print(
        f"  logits differ by at most {float(np.abs(plain - fast).max() / np.abs(plain).max()):.1e} of the largest, "
        f"the class of {int((plain.argmax(1) != fast.argmax(1)).sum())} of {size_px**2} pixels differs"
    )

    seconds, _ = take_turns_apart(
        {name: partial(build_step, crop_px=crop_px, batch_size=batch_size, fast=fast) for name, fast in sides.items()},
        n_rounds=n_rounds,
    )
    print_comparison(f"training step, crop {crop_px}, batch {batch_size}", seconds)


if __name__ == "__main__":
    quick = parse_quick(__doc__)
    print_machine("torch", "glomseg")
    print_torch()
    main(quick=quick)
