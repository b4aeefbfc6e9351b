"""MobileNetV2 against float64 figures of the real MMSegmentation 1.2.2, at widths where channels are rounded."""

import numpy as np
import pytest
import torch

from glomseg.models.backbones.mobilenet_v2 import MobileNetV2, mobilenet_widths

from ..goldens import figures, fill, hashed_images, layout, stir

LAYOUTS = {0.5: (306, 480_320, "8b2994bfa4ffac4f"), 1.4: (306, 3_509_376, "2cd1451169f6b2fb")}
GOLDEN = [
    [1.014789986154369, 4.489403427177226, -4.009759996969207, -0.4574994591049415, -3.0395947759831463,
     -0.5706944266724769],
    [0.894778882997591, 4.062190891936653, 2.1462055937859583, 2.032161760109582, 5.100813614884967,
     0.3397586035334528],
    [-0.6577816822336245, 5.6945534335082515, 3.695853296108302, 0.9783272046012121, -1.9545816914676013,
     3.182516524239767],
    [-0.11252772194971424, 2.907462835023614, -3.687219852573647, -2.205937340217844, 0.13106856863771582,
     -1.7543129069207384],
]  # fmt: skip
"""Of the four features at width 0.5."""


@pytest.mark.parametrize("widen_factor", LAYOUTS)
def test_entries_are_openmmlabs(widen_factor):
    with torch.device("meta"):
        assert layout(MobileNetV2(widen_factor=widen_factor)) == LAYOUTS[widen_factor]


def test_features_are_openmmlabs_to_1e_9():
    backbone = MobileNetV2(widen_factor=0.5).double().eval()
    fill(backbone)
    stir(backbone)
    with torch.no_grad():
        features = backbone(hashed_images(70, 90))
    assert [feature.shape[1:] for feature in features] == [(16, 18, 23), (16, 9, 12), (48, 5, 6), (160, 3, 3)]
    np.testing.assert_allclose([figures(feature) for feature in features], GOLDEN, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("widen_factor", "expected"),
    [(1.0, (24, 32, 96, 320)), (0.35, (8, 16, 32, 112)), (0.1, (8, 8, 16, 32)), (1.4, (32, 48, 136, 448))],
)
def test_widths_are_multiples_of_8_and_not_below_nine_tenths(widen_factor, expected):
    assert mobilenet_widths(widen_factor, (1, 2, 4, 6)) == expected


def test_only_the_stages_that_are_asked_for_are_given():
    images = torch.randn(1, 3, 64, 64)
    (feature,) = MobileNetV2(widen_factor=0.35, out_indices=(2,)).eval()(images)
    assert feature.shape == (1, 16, 8, 8)
    for wrong in ((), (7,), (2, 1), (1, 1)):
        with pytest.raises(ValueError, match="are not stages from 0 to 6 in order"):
            MobileNetV2(out_indices=wrong)


def test_blocks_add_their_input_where_the_shape_stays():
    backbone = MobileNetV2(widen_factor=0.35).eval()
    first, second = backbone.layer2
    for block in (first, second):
        torch.nn.init.zeros_(block.conv[2].bn.weight)
    x = torch.randn(1, 8, 8, 8)
    assert torch.equal(second(x), x)
    assert torch.equal(first(x), torch.zeros(1, 8, 4, 4))
