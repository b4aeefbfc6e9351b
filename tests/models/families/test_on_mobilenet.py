"""Networks on MobileNetV2 against float64 figures of the real MMSegmentation 1.2.2.

Figures are of ``mobilenet-v2-d8_*_cityscapes``, for 70x90 pixels and with normalisations and biases stirred.
"""

import numpy as np
import pytest
import torch

from glomseg.models.build import build_model

from ..goldens import all_figures, fill, hashed_images, layout, stir

LAYOUTS = {
    "fcn_mobilenet_v2": (334, 9_718_822, "0e852de7aa4ee0f0"),
    "pspnet_mobilenet_v2": (346, 13_620_262, "abf67b4f66e0cec6"),
    "deeplabv3_mobilenet_v2": (352, 18_602_022, "9872b1d753eadc88"),
    "deeplabv3plus_mobilenet_v2": (400, 15_244_374, "74da3747a2fde1e9"),
}
GOLDEN = {
    "fcn_mobilenet_v2": [
        [-0.8259037451401803, 5.636612311297625, -2.9026856631247107, -4.310373188718045, -1.7534680750691027,
         1.0292580609670052],
        [2.1742108489691714, 9.405377634835515, -0.7749679095291832, -11.342246643498843, 1.045961071452961,
         6.822249611881735],
    ],
    "pspnet_mobilenet_v2": [
        [0.24755605878984482, 4.515630363199937, -3.3843554456246587, -1.7068971219252351, 0.34649048560558304,
         6.792539397661102],
        [-1.7195671496461102, 7.883726349893186, 5.621526783137801, 1.9872815372961217, 0.7403968464189178,
         3.7900814084332257],
    ],
    "deeplabv3_mobilenet_v2": [
        [0.02947867914108776, 3.156711006970955, 2.3371392038128187, -5.078969551337854, 0.13445912633411122,
         1.9934682697231896],
        [0.6162223780438059, 7.441241320090246, -6.60507668552542, 3.452381315645039, 0.09924037269763175,
         11.17821842069193],
    ],
    "deeplabv3plus_mobilenet_v2": [
        [0.004041074332309381, 3.4735590209325315, 3.517526897243982, 1.0978754594353655, 0.6587519869710798,
         0.1328937423519152],
        [-3.111522042036055, 10.877919353068343, -5.8960385234665065, -4.846975050922028, -1.8808784450498004,
         -3.1621788774091817],
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def filled():
    def make(architecture):
        model = build_model(architecture, n_classes=19).double().eval()
        fill(model)
        stir(model)
        return model

    return make


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_entries_and_logits_are_openmmlabs_to_1e_9(filled, architecture):
    model = filled(architecture)
    assert layout(model) == LAYOUTS[architecture]
    with torch.no_grad():
        np.testing.assert_allclose(all_figures(model, hashed_images(70, 90)), GOLDEN[architecture], rtol=0, atol=1e-9)


def test_the_small_one_is_small_and_gives_logits_at_stride_four():
    model = build_model("fpn_mobilenet_v2", n_classes=2).eval()
    n_parameters = sum(value.numel() for value in model.parameters())
    assert n_parameters == pytest.approx(1.88e6, rel=0.01)
    for height, width in ((64, 64), (33, 70), (1, 1)):
        logits = model(torch.randn(2, 3, height, width)).main
        assert logits.shape == (2, 2, -(-height // 4), -(-width // 4))


def test_every_parameter_gets_a_gradient_that_is_finite():
    torch.manual_seed(0)
    model = build_model("fpn_mobilenet_v2", n_classes=2, widen_factor=0.35, head_channels=8)
    model(torch.randn(2, 3, 64, 64)).main.square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())
