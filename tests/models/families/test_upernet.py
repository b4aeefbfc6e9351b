"""UPerNet on ResNet, Swin and ConvNeXt against float64 figures of the real MMSegmentation 1.2.2.

Figures are of narrow networks, for 70x90 pixels and with normalisations and biases stirred: those of the main logits,
then those of the auxiliary ones. The entries are compared at full width.
"""

import numpy as np
import pytest
import torch

from glomseg.models.build import build_model

from ..goldens import all_figures, fill, hashed_images, layout, stir

LAYOUTS = {
    "upernet_r50": (412, 66_415_238, "727dd856baec2ba9"),
    "upernet_r101": (718, 85_407_366, "98cbb40460292f57"),
    "upernet_swin_t": (271, 59_840_992, "ca25de7504e65707"),
    "upernet_swin_s": (439, 81_158_896, "889d37e6fe3ae857"),
    "upernet_swin_b": (439, 121_178_846, "46a3807a2ab4b998"),
    "upernet_swin_l": (439, 233_659_066, "0918be02b9033ff4"),
    "upernet_convnext_t": (268, 60_141_766, "5f0075c6e6dfc5bc"),
    "upernet_convnext_s": (430, 81_776_326, "7c1f50a5f640e6e3"),
    "upernet_convnext_b": (430, 122_002_086, "26ddd152d7998e16"),
    "upernet_convnext_l": (430, 234_893_926, "09e97d3923f7f893"),
    "upernet_convnext_xl": (430, 391_039_526, "d51657b2c86e9b58"),
}
HEADS = {"head_channels": 32, "auxiliary_channels": 16}
NARROW = {
    "resnet": ("upernet_r50", {"base_channels": 8, **HEADS}),
    "swin": ("upernet_swin_t", {"embed_dims": 32, "depths": (2, 2, 2, 2), **HEADS}),
    "swin, window 12": ("upernet_swin_b", {"embed_dims": 32, "depths": (2, 1, 2, 1), "window_size": 12, **HEADS}),
    "convnext": ("upernet_convnext_t", {"channels": (16, 24, 32, 48), "depths": (1, 2, 2, 1), **HEADS}),
}
GOLDEN = {
    "resnet": [
        [
            7.396336356692625,
            45.65571119664575,
            1.1728076296547065,
            14.69783660090851,
            -6.5522479719590265,
            0.9878719700410692,
        ],
        [
            -2.2983685931261797,
            15.921517281322389,
            5.342941020580314,
            5.021858534279032,
            -0.8807967341185992,
            -0.006159356869788635,
        ],
    ],
    "swin": [
        [
            -1.0570737437703295,
            4.1432911923715565,
            -0.7262657255141589,
            2.8224609547536588,
            0.08141624769196254,
            -1.0043138209045066,
        ],
        [
            -0.33271458598494297,
            1.4471128187613962,
            -0.6998231632499146,
            -0.5450535866501975,
            -0.38684632032473876,
            -3.1299706508175675,
        ],
    ],
    "swin, window 12": [
        [
            0.48320794136619716,
            3.854613918533485,
            -3.6741525008280007,
            -1.7069909324315036,
            1.7840392814425554,
            -1.0261954770132724,
        ],
        [
            -0.003543064721386598,
            1.427501201387059,
            -2.1620332493856447,
            1.989929990413985,
            -0.30040755229577726,
            0.7745883353108841,
        ],
    ],
    "convnext": [
        [
            0.28854933617797235,
            2.6077054932365393,
            -0.0916784837266168,
            -1.0099226700148725,
            -1.050931270828802,
            0.2555228417194545,
        ],
        [
            0.2790582522874188,
            1.3845897357760106,
            0.611278145656218,
            -2.618920687462158,
            0.6537129578411716,
            0.9706119252141792,
        ],
    ],
}


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_entries_are_openmmlabs(architecture):
    with torch.device("meta"):
        model = build_model(architecture, n_classes=19)
    assert layout(model) == LAYOUTS[architecture]


def test_entries_of_windows_of_twelve_tokens_are_openmmlabs():
    with torch.device("meta"):
        model = build_model("upernet_swin_b", n_classes=19, window_size=12)
    assert layout(model) == (439, 121_314_206, "eae6882537ac52d5")


@pytest.mark.parametrize("name", NARROW)
def test_logits_are_openmmlabs_to_1e_9(name):
    architecture, options = NARROW[name]
    model = build_model(architecture, n_classes=19, **options).double().eval()
    fill(model)
    stir(model)
    with torch.no_grad():
        np.testing.assert_allclose(all_figures(model, hashed_images(70, 90)), GOLDEN[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 70)])
def test_images_of_any_size_give_logits(name, height, width):
    architecture, options = NARROW[name]
    model = build_model(architecture, n_classes=3, **options).eval()
    # ConvNeXt leaves out pixels that fill no patch, and pads what is smaller than its largest stride.
    expected = [max(side, 32) // 4 if name == "convnext" else -(-side // 4) for side in (height, width)]
    assert model(torch.randn(1, 3, height, width)).main.shape == (1, 3, *expected)


@pytest.mark.parametrize("name", NARROW)
def test_training_reaches_every_parameter(name):
    torch.manual_seed(0)
    architecture, options = NARROW[name]
    model = build_model(architecture, n_classes=2, **options).train()
    logits = model(torch.randn(2, 3, 64, 64))
    assert logits.auxiliary[0].shape == (2, 2, 4, 4)
    (logits.main.square().sum() + logits.auxiliary[0].square().sum()).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


def test_a_width_that_heads_do_not_divide_is_refused_by_name():
    with pytest.raises(ValueError, match=r"option embed_dims = 40: .*multiple of 32"):
        build_model("upernet_swin_t", n_classes=2, embed_dims=40)
