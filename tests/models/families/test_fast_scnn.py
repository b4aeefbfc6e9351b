"""Fast-SCNN against float64 figures of the real MMSegmentation 1.2.2."""

import numpy as np
import pytest
import torch

from glomseg.models.build import build_model

from ..goldens import all_figures, fill, hashed_images, layout

# Figures of the main logits and those of both auxiliary heads for 97x113 pixels.
GOLDEN = [
    [
        4.1362533665076135,
        113.64387811655972,
        -2.082055852111479,
        16.121044571649644,
        -123.4873688497621,
        -179.2369906462458,
    ],
    [
        -4.149565676176908,
        61.75813536556876,
        5.9292500010674685,
        -81.08374440411471,
        13.08940240947624,
        4.031923353419663,
    ],
    [
        0.3956734196245571,
        2.10083097847824,
        -1.4301348654980128,
        -0.35033321974514803,
        1.9167910009185252,
        -0.16618073682375814,
    ],
]


@pytest.fixture(scope="module")
def filled():
    model = build_model("fast_scnn", n_classes=19).double().eval()
    fill(model)
    return model


def test_entries_are_openmmlabs(filled):
    assert layout(filled) == (282, 1_456_617, "6b8e6020da25ebb9")


def test_logits_are_openmmlabs_to_1e_9(filled):
    with torch.no_grad():
        found = all_figures(filled, hashed_images(97, 113))
    np.testing.assert_allclose(found, GOLDEN, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (33, 70)])
def test_images_of_any_size_give_logits_at_stride_eight(size):
    model = build_model("fast_scnn", n_classes=3).eval()
    assert model(torch.randn(1, 3, *size)).main.shape == (1, 3, -(-size[0] // 8), -(-size[1] // 8))


def test_training_reaches_every_parameter_and_both_auxiliary_heads_speak():
    torch.manual_seed(0)
    model = build_model("fast_scnn", n_classes=2).train()
    logits = model(torch.randn(2, 3, 64, 96))
    assert [tuple(part.shape) for part in logits.auxiliary] == [(2, 2, 2, 3), (2, 2, 8, 12)]
    sum(part.square().sum() for part in (logits.main, *logits.auxiliary)).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())
