"""Why the default network has no work at strides 1 and 2: the candidates side by side.

Times a training step (8 windows of 256 x 256) and the prediction of one 256 x 256 and one 1024 x 1024
image, all candidates in turn, several times over; prints medians and each candidate's ratio to the first.

    python benchmarks/small_network.py [--repeats 7]
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU
from glomseg.models.build import build_model
from glomseg.models.profile import count_macs, count_parameters
from glomseg.models.segmentor import Logits


class UNet(nn.Module):
    """A plain U-Net that works at full resolution, as wide as the parameter budget allows."""

    def __init__(self, width: int = 20, n_classes: int = 2) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(_double(inside, out) for inside, out in zip([3, *widths], widths, strict=False))
        self.reduce = nn.ModuleList(ConvBNReLU(deep, out, kernel_size=1) for out, deep in itertools.pairwise(widths))
        self.up = nn.ModuleList(_double(2 * out, out) for out in widths[:-1])
        self.classify = nn.Conv2d(width, n_classes, 1)

    def forward(self, x: Tensor) -> Logits:
        features = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            features.append(x)
        for level in reversed(range(len(self.up))):
            x = F.interpolate(self.reduce[level](x), scale_factor=2, mode="bilinear", align_corners=False)
            x = self.up[level](torch.cat([features[level], x], dim=1))
        return Logits(main=self.classify(x))


def _double(inside: int, out: int) -> nn.Sequential:
    return nn.Sequential(ConvBNReLU(inside, out, kernel_size=3), ConvBNReLU(out, out, kernel_size=3))


CANDIDATES: dict[str, Callable[[], nn.Module]] = {
    "plain U-Net, strides 1 to 16": UNet,
    "fpn_resnet_small, strides 4 to 32": lambda: build_model("fpn_resnet_small", n_classes=2),
    "the same, narrower at the fine strides": lambda: build_model(
        "fpn_resnet_small", n_classes=2, channels=(32, 64, 128, 256)
    ),
    "pspnet_r18": lambda: build_model("pspnet_r18", n_classes=2),
}


def training_step(model: nn.Module) -> None:
    images = torch.randn(8, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    masks = torch.randint(0, 2, (8, 256, 256))
    model.train()
    logits = F.interpolate(model(images).main, size=masks.shape[-2:], mode="bilinear", align_corners=False)
    F.cross_entropy(logits, masks).backward()
    model.zero_grad(set_to_none=True)


def prediction(model: nn.Module, side: int) -> None:
    model.eval()
    with torch.inference_mode():
        model(torch.randn(1, 3, side, side).contiguous(memory_format=torch.channels_last))


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args(arguments).repeats
    models = {name: make().to(memory_format=torch.channels_last) for name, make in CANDIDATES.items()}
    times: dict[str, list[list[float]]] = {name: [] for name in models}
    for repeat in range(repeats + 1):
        for name, model in models.items():
            row = [
                seconds(lambda model=model: training_step(model)),
                seconds(lambda model=model: prediction(model, 256)),
                seconds(lambda model=model: prediction(model, 1024)),
            ]
            if repeat:  # the first round warms up
                times[name].append(row)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, median of {repeats}, ms (ratio to the first)")
    print(f"{'network':50} {'params':>8} {'GMACs':>7} {'step 8x256':>18} {'image 256':>18} {'image 1024':>18}")
    first = [statistics.median(column) for column in zip(*times[next(iter(models))], strict=True)]
    for name, rows in times.items():
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        cells = "".join(
            f"{1000 * value:11.1f} ({value / base:4.2f})" for value, base in zip(medians, first, strict=True)
        )
        model = models[name]
        macs = count_macs(model, height=256, width=256) / 1e9
        print(f"{name:50} {count_parameters(model) / 1e6:7.2f}M {macs:7.2f} {cells}")


if __name__ == "__main__":
    main()
