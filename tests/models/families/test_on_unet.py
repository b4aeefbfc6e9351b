"""Families on U-Net against float64 figures of the real MMSegmentation 1.2.2."""

import numpy as np
import pytest
import torch

from glomseg.models.build import build_model

from ..goldens import all_figures, figures, fill, hashed_images, layout, listed_layout

# Entries, parameters and hash of the shipped models with 19 classes.
LAYOUTS = {
    "fcn_unet": (148, 29_062_886, "d82b366a011810cf"),
    "pspnet_unet": (172, 29_047_670, "3b5e942618baaf2a"),
    "deeplabv3_unet": (178, 29_066_390, "510e37316df3a7d6"),
}

# Figures of the main and the auxiliary logits for 96x112 pixels at base_channels=8, the heads as shipped.
GOLDEN = {
    "fcn_unet": [
        [
            0.057739906504787,
            0.5658243042991327,
            0.39243361576035907,
            -0.369890580036405,
            0.39090999946114885,
            -0.11267108213668557,
        ],
        [
            -0.3468524487481602,
            1.636369659239777,
            0.14978041298835734,
            -0.01511339119314828,
            0.13752332810769508,
            -0.31519977944943095,
        ],
    ],
    "pspnet_unet": [
        [
            -0.13589509898916363,
            0.4121831999166498,
            0.0142477571882087,
            -0.3728650076262282,
            0.2312924853157642,
            0.4041466511871162,
        ],
        [
            -0.4223644358816489,
            2.430854120164684,
            -0.32050848286357836,
            0.24419544223181805,
            -0.7117243700302099,
            -0.3834029548400916,
        ],
    ],
    "deeplabv3_unet": [
        [
            -0.0746479833970848,
            0.712209824614457,
            -0.2035454302053999,
            0.06974143023177742,
            0.49938821824117635,
            -0.04368844270453917,
        ],
        [
            -0.11074166029050557,
            1.3679853757408134,
            0.11103712908946897,
            -0.5773157012952264,
            -0.17761117536413454,
            -0.5773307780154652,
        ],
    ],
}


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_entries_are_openmmlabs(architecture):
    with torch.device("meta"):
        model = build_model(architecture, n_classes=19)
    assert layout(model) == LAYOUTS[architecture]


@pytest.mark.real
def test_entries_of_the_fcn_are_those_listed(shared_data):
    path = shared_data.parent / "openmmlab" / "fcn_unet_s5-d16_keys.txt"
    with torch.device("meta"):
        own = build_model("fcn_unet", n_classes=19).state_dict()
    assert [(name, tuple(value.shape)) for name, value in own.items()] == listed_layout(path)


@pytest.mark.parametrize("architecture", GOLDEN)
def test_logits_are_openmmlabs_to_1e_9(architecture):
    model = build_model(architecture, n_classes=19, base_channels=8).double().eval()
    fill(model)
    with torch.no_grad():
        found = all_figures(model, hashed_images(96, 112))
    np.testing.assert_allclose(found, GOLDEN[architecture], rtol=0, atol=1e-9)


def test_the_fcn_at_full_width_gives_openmmlabs_logits_to_1e_9():
    model = build_model("fcn_unet", n_classes=19).double().eval()
    fill(model)
    with torch.no_grad():
        logits = model(hashed_images(64, 64)).main
    assert tuple(logits.shape) == (1, 19, 64, 64)
    expected = [
        0.08806561880773774,
        1.502307241761419,
        0.5456693012655554,
        -0.43871510798406244,
        -0.2424437862037817,
        0.252572395616173,
    ]
    np.testing.assert_allclose(figures(logits), expected, rtol=0, atol=1e-9)
    last = [-0.20396934385082785, -0.0053609005138144095, 1.0248986320841345, 0.78612642692674]
    np.testing.assert_allclose(logits[0, -4:, -1, -1].numpy(), last, rtol=0, atol=1e-9)


@pytest.mark.parametrize("architecture", LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (33, 70)])
def test_images_of_any_size_give_logits_as_large(architecture, size):
    model = build_model(architecture, n_classes=3, base_channels=4).eval()
    assert model(torch.randn(1, 3, *size)).main.shape == (1, 3, *size)


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_training_reaches_every_parameter(architecture):
    torch.manual_seed(0)
    model = build_model(architecture, n_classes=2, base_channels=4).train()
    logits = model(torch.randn(2, 3, 32, 32))
    assert [tuple(part.shape[-2:]) for part in logits.auxiliary] == [(16, 16)]
    sum(part.square().sum() for part in (logits.main, *logits.auxiliary)).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())
