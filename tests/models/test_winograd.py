import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glomseg.models.build import build_model
from glomseg.models.winograd import WinogradConv2d, freeze_winograd, use_winograd


def conv(*, dilation=1, channels=(128, 136), bias=True, dtype=torch.float64) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(*channels, 3, padding=dilation, dilation=dilation, bias=bias).to(dtype)


@pytest.mark.parametrize(
    ("size", "dilation"), [((2, 32, 32), 1), ((1, 37, 41), 1), ((2, 30, 26), 2), ((1, 64, 47), 4), ((5, 15, 15), 1)]
)
def test_result_and_gradients_are_those_of_the_convolution(size, dilation):
    plain = conv(dilation=dilation)
    fast = use_winograd(conv(dilation=dilation))
    assert type(fast) is WinogradConv2d
    images = torch.randn(size[0], 128, *size[1:], dtype=torch.float64)
    results = []
    for network in (plain, fast):
        own = images.clone().requires_grad_()
        out = network(own)
        out.square().mean().backward()
        results.append((out.detach(), own.grad, network.weight.grad, network.bias.grad))
    for expected, found in zip(*results, strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11 * float(expected.abs().max()))


def test_a_cell_of_ones_spreads_over_its_neighbours():
    network = conv(bias=False)
    nn.init.zeros_(network.weight)
    with torch.no_grad():
        network.weight[0, 0] = torch.arange(9.0).view(3, 3)
    images = torch.zeros(1, 128, 32, 32, dtype=torch.float64)
    images[0, 0, 0, 5] = 1  # at the upper border
    out = use_winograd(network)(images)
    expected = torch.tensor([[5.0, 4.0, 3.0], [2.0, 1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(out[0, 0, :2, 4:7], expected, rtol=0, atol=1e-12)
    assert out[0, 0, 2:].abs().max() < 1e-12


def test_in_fp32_the_rounding_is_small():
    network = conv(channels=(512, 128), bias=False, dtype=torch.float32)
    images = torch.randn(1, 512, 32, 32)
    expected = F.conv2d(images.double(), network.weight.double(), padding=1)
    error = (use_winograd(network)(images) - expected).abs().max() / expected.abs().max()
    assert error < 3e-5


def test_frozen_weights_give_the_same_result():
    fast, frozen = use_winograd(conv()), freeze_winograd(conv())
    images = torch.randn(1, 128, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.equal(fast(images), frozen(images))


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(128, 128, 3, padding=1, stride=2),
        nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 128, 1),
        nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(128, 64, 3, padding=1),
        nn.Conv2d(128, 128, (3, 5), padding=(1, 2)),
    ],
)
def test_other_convolutions_stay_as_they_are(module):
    assert type(use_winograd(module)) is nn.Conv2d


@pytest.mark.parametrize("size", [(8, 8), (31, 33)])
def test_small_images_and_wasteful_dilations_are_convolved_plainly(size):
    plain, fast = conv(dilation=8), use_winograd(conv(dilation=8))
    images = torch.randn(1, 128, *size, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(fast(images), plain(images))


def test_autocast_computes_in_its_own_precision():
    plain, fast = conv(dtype=torch.float32), use_winograd(conv(dtype=torch.float32))
    images = torch.randn(1, 128, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert fast(images).dtype == torch.bfloat16
        assert torch.equal(fast(images), plain(images))


def test_entries_keep_their_names():
    model = build_model("pspnet_r18", n_classes=2)
    names = list(model.state_dict())
    assert list(use_winograd(model).state_dict()) == names
    assert any(isinstance(module, WinogradConv2d) for module in model.modules())
