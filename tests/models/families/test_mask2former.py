"""Mask2Former against float64 figures of the real MMSegmentation 1.2.2."""

import numpy as np
import pytest
import torch

from glomseg.config import LossSettings
from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.models.profile import count_macs
from glomseg.training.losses import TrainingLoss

from ..goldens import figures, fill, hashed_images, layout

SMALL_HEAD = {"feat_channels": 32, "num_queries": 5, "encoder_layers": 1, "decoder_layers": 3}
TINY = {**SMALL_HEAD, "base_channels": 4, "stem_channels": 4}

# Entries, parameters and hash of the shipped models with 150 classes.
LAYOUTS = {
    "mask2former_r50": (610, 44_041_367, "864d892cb48a4f90"),
    "mask2former_r101": (916, 63_033_495, "e7a7a674e0d19538"),
    "mask2former_swin_t": (481, 47_439_633, "47b0dc219109a7e5"),
    "mask2former_swin_s": (649, 68_757_537, "3a40de4875192321"),
    "mask2former_swin_b": (649, 106_922_191, "f00f7a65908307a1"),
    "mask2former_swin_l": (649, 215_488_779, "cc6fc58893aa6bb2"),
}

# Figures with SMALL_HEAD and 3 classes; the real one computed positions in float64 for them, instead of its float32.
GOLDEN = {
    ("mask2former_r50", (64, 64)): [
        *(0.008209840478964732, 0.06249572185194382),
        *(4.3363522624307284e-07, 3.4242363944860377e-07, 1.0426055478294427e-06),
    ],
    # Padded to 64 x 64 by MMSegmentation itself, and cut back.
    ("mask2former_r50", (50, 61)): [
        *(0.023995091458357848, 0.1247345484747931),
        *(0.22258738428459474, 0.13812548329521168, 0.39099323190437546),
    ],
    ("mask2former_swin_t", (64, 64)): [
        *(0.9755129297169441, 0.6892024415623439),
        *(0.6948608173194559, 1.9784368344294416, 1.5766309612674334),
    ],
    ("mask2former_swin_t", (50, 61)): [
        *(1.0870328822418514, 1.176336104815837),
        *(0.02685385452321272, 0.11432219212972812, 0.015147384847634646),
    ],
}


@pytest.fixture(scope="module")
def filled():
    """Networks in float64 under the rule of golden figures, by name."""
    models = {}
    for name in {name for name, _ in GOLDEN}:
        models[name] = build_model(name, n_classes=3, **SMALL_HEAD).double().eval()
        fill(models[name])
    return models


@pytest.mark.parametrize("name", LAYOUTS)
def test_entries_are_openmmlabs(name):
    with torch.device("meta"):
        model = build_model(name, n_classes=150)
    assert layout(model) == LAYOUTS[name]


@pytest.mark.parametrize(("name", "size"), GOLDEN)
def test_scores_are_openmmlabs_to_1e_9(filled, name, size):
    with torch.no_grad():
        scores = filled[name](hashed_images(*size)).main
    assert scores.shape == (1, 3, *size)
    np.testing.assert_allclose(figures(scores), GOLDEN[name, size], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (33, 70)])
def test_images_of_any_size_give_scores_of_that_size(size):
    model = build_model("mask2former_r50", n_classes=3, **TINY).eval()
    assert model(torch.randn(1, 3, *size)).main.shape == (1, 3, *size)


def test_without_padding_scores_are_at_four_times_the_finest_feature():
    model = build_model("mask2former_r50", n_classes=3, **TINY, size_divisor=1).eval()
    assert model(torch.randn(1, 3, 33, 70)).main.shape == (1, 3, 36, 72)


def test_training_reaches_every_parameter():
    torch.manual_seed(0)
    model = build_model("mask2former_r50", n_classes=2, **TINY).train()
    logits = model(torch.randn(2, 3, 64, 64))
    mask = torch.zeros(2, 64, 64, dtype=torch.int64)
    mask[0, :30] = 1
    TrainingLoss(LossSettings())(logits.main, logits.auxiliary, mask, queries=logits.queries).backward()
    for name, value in model.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), name


def test_its_work_can_be_counted_without_running_it():
    model = build_model("mask2former_r50", n_classes=2, **TINY)
    assert count_macs(model, height=128, width=128) > 3 * count_macs(model, height=64, width=64)


def test_widths_have_to_fit_groups_and_heads():
    with pytest.raises(InvalidInputError, match="multiple of 32"):
        build_model("mask2former_r50", n_classes=2, feat_channels=40)
