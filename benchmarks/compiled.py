"""Whether torch.compile pays: the default network's training step and prediction, compiled and as glomseg runs them."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from glomseg.config import LossSettings
from glomseg.inference.runtime import fold_batchnorm, prepare_for_inference
from glomseg.training.losses import TrainingLoss
from networks import QUICK, network_with_statistics
from timing import parse_quick, print_comparison, print_machine, print_torch, take_turns


def training_step(network: nn.Module, images: Tensor, masks: Tensor) -> float:
    """Return the loss of one step, without the optimizer's part."""
    outputs = network(images)
    loss = TrainingLoss(LossSettings())(outputs.main, outputs.auxiliary, masks)
    loss.backward()
    network.zero_grad(set_to_none=True)
    return loss.item()


@torch.no_grad()
def prediction(network: nn.Module, images: Tensor) -> Tensor:
    """Return the logits of a window."""
    logits: Tensor = network(images).main
    return logits


def main(*, quick: bool) -> None:
    side_px, n_rounds = (64, 2) if quick else (160, 15)
    network = network_with_statistics("fpn_resnet_small", **(QUICK if quick else {}))
    network = network.to(memory_format=torch.channels_last)
    masks = torch.randint(0, 2, (8, side_px, side_px))
    # What makes prediction quick cannot be compiled: Winograd's convolutions decide by the size of what they are given.
    quickened = prepare_for_inference(network, device=torch.device("cpu"), precision="32-true")
    folded = torch.compile(fold_batchnorm(network))
    step, trained = partial(training_step, masks=masks), network.train()
    compare("training step", trained, torch.compile(trained), step, (8, side_px), n_rounds=n_rounds)
    compare("prediction", quickened, folded, prediction, (1, 4 * side_px), n_rounds=n_rounds)


def compare(
    title: str,
    plain: nn.Module,
    compiled: nn.Module,
    case: Callable[..., object],
    windows: tuple[int, int],
    *,
    n_rounds: int,
) -> None:
    """Print how fast a network computes compiled, and how long compiling took; `windows` are number and side."""
    n_windows, side_px = windows
    images = torch.randn(n_windows, 3, side_px, side_px).contiguous(memory_format=torch.channels_last)
    calls = {"plain": partial(case, plain, images), "compiled": partial(case, compiled, images)}
    start = time.perf_counter()
    calls["compiled"]()
    print(f"\n{title}: compiled in {time.perf_counter() - start:.0f} s")
    print_comparison(f"{n_windows} of {side_px} x {side_px} pixels", take_turns(calls, n_rounds=n_rounds))


if __name__ == "__main__":
    quick = parse_quick(__doc__)
    print_machine("torch", "glomseg")
    print_torch()
    main(quick=quick)
