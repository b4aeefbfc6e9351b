import pytest
import torch
from torch import nn

from glomseg.models.backbones.resnet import ResNet


def narrow(depth=18, **options):
    return ResNet(depth, base_channels=4, stem_channels=4, **options)


@pytest.mark.parametrize(
    ("strides", "dilations", "sizes"),
    [
        ((1, 2, 1, 1), (1, 1, 2, 4), [16, 8, 8, 8]),
        ((1, 2, 2, 1), (1, 1, 1, 2), [16, 8, 4, 4]),
        ((1, 2, 2, 2), (1, 1, 1, 1), [16, 8, 4, 2]),
    ],
)
@pytest.mark.parametrize("avg_down", [False, True])
def test_strides_make_the_output_stride(strides, dilations, sizes, avg_down):
    backbone = narrow(50, strides=strides, dilations=dilations, avg_down=avg_down).eval()
    features = backbone(torch.randn(1, 3, 64, 64))
    assert [feature.shape[-1] for feature in features] == sizes
    assert tuple(feature.shape[1] for feature in features) == backbone.out_channels == (16, 32, 64, 128)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [4, 4, 4]),
        ({"contract_dilation": True}, [2, 4, 4]),
        ({"contract_dilation": True, "multi_grid": (1, 2, 8)}, [1, 2, 8]),
    ],
)
def test_dilations_of_the_last_stage(options, expected):
    backbone = narrow(50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), **options)
    assert [block.conv2.dilation[0] for block in backbone.layer4] == expected
    assert [block.conv2.dilation[0] for block in backbone.layer2] == [1, 1, 1, 1]


def test_by_default_it_is_openmmlabs_plain_resnet():
    names = list(narrow().state_dict())
    assert names[0] == "conv1.weight"
    assert names[1] == "bn1.weight"
    assert not any(name.startswith("stem") for name in names)


def test_the_averaging_shortcut_leaves_no_pixel_out():
    shortcut = narrow(avg_down=True).layer2[0].downsample.double().eval()
    nn.init.ones_(shortcut[1].weight)
    image = torch.zeros(1, 4, 3, 3, dtype=torch.float64)
    image[0, 0, 0, 1] = 4.0  # a stride of two without averaging would pass it over
    image[0, 0, 2, 2] = 4.0  # alone in its cell at the border
    scale = float(1 / torch.sqrt(torch.tensor(1 + shortcut[2].eps, dtype=torch.float64)))
    expected = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64) * scale
    torch.testing.assert_close(shortcut(image)[0, 0], expected)


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("zero_init_residual", [True, False])
def test_blocks_start_as_the_identity_if_wanted(depth, zero_init_residual):
    block = narrow(depth, zero_init_residual=zero_init_residual).layer1[1].eval()
    x = torch.rand(1, block.conv1.in_channels, 8, 8)
    assert torch.equal(block(x), x) == zero_init_residual
