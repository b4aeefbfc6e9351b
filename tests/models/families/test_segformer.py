"""SegFormer against float64 figures of the real MMSegmentation 1.2.2."""

import numpy as np
import pytest
import torch

from glomseg.models.build import build_model

from ..goldens import all_figures, fill, hashed_images, layout, stir

LAYOUTS = {
    "segformer_mit_b0": (192, 3_720_051, "7ab951a161bbebf4"),
    "segformer_mit_b1": (192, 13_683_155, "76272b8f25a9eb3e"),
    "segformer_mit_b2": (332, 24_728_019, "94c4ed81b6302d89"),
    "segformer_mit_b3": (548, 44_603_859, "6fd3eb7cae83dfb8"),
    "segformer_mit_b4": (782, 61_374_419, "34b0125f1aad60ea"),
    "segformer_mit_b5": (980, 81_974_739, "41d29ac218a44e5d"),
}

# Figures for 64x64 pixels.
GOLDEN = {
    "segformer_mit_b0": [
        -0.19854698449123723,
        1.2219817425600172,
        -0.6158312022380303,
        -1.8277986903725074,
        0.4963251426575882,
        -0.2274651681452111,
    ],
    "segformer_mit_b5": [
        0.19276099330200128,
        1.5242170118742755,
        0.15655188832906033,
        -1.3552532031651885,
        1.7720813496777725,
        2.603791835796674,
    ],
}

# Figures of B0 for 70x90 pixels, normalisations and biases stirred.
STIRRED = [
    0.14221585130046996,
    1.4275074082620414,
    -0.34709152181265945,
    0.5044052206434899,
    0.7628569687974295,
    -1.0336245626558704,
]


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_entries_are_openmmlabs(architecture):
    with torch.device("meta"):
        model = build_model(architecture, n_classes=19)
    assert layout(model) == LAYOUTS[architecture]


@pytest.mark.parametrize("architecture", ["segformer_mit_b0", pytest.param("segformer_mit_b5", marks=pytest.mark.slow)])
def test_logits_are_openmmlabs_to_1e_9(architecture):
    model = build_model(architecture, n_classes=19).double().eval()
    fill(model)
    with torch.no_grad():
        np.testing.assert_allclose(all_figures(model, hashed_images(64, 64)), [GOLDEN[architecture]], rtol=0, atol=1e-9)


def test_normalisations_and_biases_are_used_as_in_openmmlab():
    model = build_model("segformer_mit_b0", n_classes=19).double().eval()
    fill(model)
    stir(model)
    with torch.no_grad():
        np.testing.assert_allclose(all_figures(model, hashed_images(70, 90)), [STIRRED], rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return build_model("segformer_mit_b0", n_classes=3, embed_dims=8, depths=(1, 2, 1, 1), head_channels=16)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 70), (40, 200)])
def test_logits_are_at_stride_four(small, height, width):
    logits = small.eval()(torch.randn(2, 3, height, width))
    assert logits.main.shape == (2, 3, -(-height // 4), -(-width // 4))
    assert logits.auxiliary == ()


def test_images_smaller_than_the_reduction_are_padded(small):
    assert small.eval()(torch.randn(1, 3, 1, 5)).main.shape == (1, 3, 8, 8)


def test_training_reaches_every_parameter(small):
    small.train()(torch.randn(2, 3, 64, 64)).main.square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in small.parameters())


def test_it_can_learn_a_tile_by_heart():
    torch.manual_seed(0)
    model = build_model(
        "segformer_mit_b0",
        n_classes=2,
        embed_dims=8,
        depths=(1, 1, 1, 1),
        head_channels=16,
        drop_path_rate=0,
        dropout=0,
    )
    images = torch.randn(2, 3, 64, 64)
    mask = (torch.arange(16)[None, :, None] < 8).expand(2, 16, 16).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(images).main, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
