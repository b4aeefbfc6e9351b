"""SegNeXt against float64 figures of the real MMSegmentation 1.2.2.

The random bases of the head were drawn there with our seed. Figures are of a narrow network, for 70x90 pixels and with
normalisations and biases stirred. The entries are compared at full width.
"""

import numpy as np
import pytest
import torch

from glomseg.models.build import build_model

from ..goldens import all_figures, fill, hashed_images, layout, stir

LAYOUTS = {
    "segnext_mscan_t": (550, 4_229_747, "1da105190d1ba210"),
    "segnext_mscan_s": (436, 13_899_219, "486d406ec2179012"),
    "segnext_mscan_b": (854, 27_569_107, "b16cbfe9afed27de"),
    "segnext_mscan_l": (1500, 48_792_275, "38fc18e64f722e09"),
}
NARROW = {"embed_dims": (32, 32, 48, 64), "depths": (1, 2, 1, 1), "head_channels": 64}
GOLDEN = [
    [
        -0.16804542924742938,
        1.0102219683350475,
        0.5375735676119046,
        -0.20931708606670105,
        2.2183115149438004,
        -2.001861244818742,
    ],
]


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_entries_are_openmmlabs(architecture):
    with torch.device("meta"):
        model = build_model(architecture, n_classes=19)
    assert layout(model) == LAYOUTS[architecture]


def test_logits_are_openmmlabs_to_1e_9():
    model = build_model("segnext_mscan_t", n_classes=19, **NARROW).double().eval()
    fill(model)
    stir(model)
    with torch.no_grad():
        np.testing.assert_allclose(all_figures(model, hashed_images(70, 90)), GOLDEN, rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return build_model("segnext_mscan_t", n_classes=3, **NARROW)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 70)])
def test_images_of_any_size_give_logits_at_stride_eight(small, height, width):
    logits = small.eval()(torch.randn(1, 3, height, width)).main
    assert logits.shape == (1, 3, -(-height // 8), -(-width // 8))


def test_a_prediction_can_be_repeated_and_does_not_depend_on_the_other_images(small):
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        together = small.eval()(images).main
        torch.rand(10)
        alone = torch.cat([small(image[None]).main for image in images])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5 * float(together.abs().max()))


def test_training_draws_other_bases_each_time_and_reaches_every_parameter(small):
    images = torch.randn(2, 3, 64, 64)
    head = small.train().decode_head
    features = [feature.detach() for feature in small.backbone(images)]
    head.dropout.eval()
    assert not torch.equal(head(features), head(features))
    small(images).main.square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in small.parameters())


def test_narrower_stages_are_refused():
    with pytest.raises(ValueError, match="need 32 channels or more"):
        build_model("segnext_mscan_t", n_classes=2, embed_dims=(16, 32, 32, 32))
