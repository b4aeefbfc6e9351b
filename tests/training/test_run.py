"""How a training run is set up."""

import pytest
import torch
from torch import nn

from glomseg.config import Settings
from glomseg.training.run import _with_safe_layout

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("convolution", "device", "kept"),
    [
        (nn.Conv2d(8, 16, 1, stride=2), CPU, False),
        (nn.Conv2d(8, 16, 1, stride=2), torch.device("cuda"), True),
        (nn.Conv2d(8, 16, 1), CPU, True),
        (nn.Conv2d(8, 16, 3, stride=2), CPU, True),
        (nn.Conv2d(64, 128, 1, stride=2), CPU, True),
    ],
)
def test_the_layout_that_crashes_is_left(convolution, device, kept):
    settings = _with_safe_layout(Settings(), nn.Sequential(convolution), device)
    assert settings.run.channels_last is kept
    assert settings.model_copy(update={"run": Settings().run}) == Settings()


def test_a_narrow_network_trains(tiny_dataset, tmp_path):
    """Strided 1 x 1 convolutions of 8 channels, as the downsampling of a narrow ResNet has them."""
    from glomseg.data.dataset import open_dataset
    from glomseg.recipes import load_recipe
    from glomseg.steps.train import train_model
    from glomseg.training.hardware import Hardware

    settings = load_recipe(
        "homework",
        [
            "model.architecture=pspnet_r18", "model.options.base_channels=8", "model.options.stem_channels=8",
            "crop.size_px=256", "scaling.fit_px=[256, 256]", "run.steps=1", "run.batch_size=2", "run.workers=0",
        ],
    )  # fmt: skip
    result = train_model(
        open_dataset(tiny_dataset), settings, out=tmp_path / "run", hardware=Hardware(device="cpu", precision="32-true")
    )
    assert result.finished
