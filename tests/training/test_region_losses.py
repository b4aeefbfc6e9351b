import itertools
import math

import pytest
import torch

from glomseg.config import LossSettings
from glomseg.training.losses import TrainingLoss, binary_cross_entropy, cross_entropy, dice_loss, focal_loss
from glomseg.training.region_losses import boundary_loss, tversky_loss

SIDE = 20
EMPTY, FULL = torch.zeros(1, SIDE, SIDE, dtype=torch.int64), torch.ones(1, SIDE, SIDE, dtype=torch.int64)


def logits_for(probability: float, *, single: bool = False) -> torch.Tensor:
    """Logits that give the foreground this probability everywhere, of two classes or one."""
    odds = math.log(probability / (1 - probability))
    foreground = torch.full((1, 1, SIDE, SIDE), odds, dtype=torch.float64)
    return foreground if single else torch.cat([torch.zeros_like(foreground), foreground], dim=1)


def disc() -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return (((rows - 8) ** 2 + (columns - 11) ** 2) < 30).long()[None]


LOSSES = {
    "focal": lambda logits, mask, **options: focal_loss(logits, mask, gamma=2.0, **options),
    "tversky": tversky_loss,
    "focal tversky": lambda logits, mask, **options: tversky_loss(logits, mask, power=0.75, **options),
    "boundary": boundary_loss,
}
EMPTY_COSTS = {  # of a foreground probability p everywhere
    "focal": lambda p: -(p**2) * math.log(1 - p),
    "tversky": lambda p: 0.3 * p / (0.3 * p + 0.01),
    "focal tversky": lambda p: (0.3 * p / (0.3 * p + 0.01)) ** 0.75,
    "boundary": lambda p: p,
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("p", [1e-4, 0.01, 0.5, 1 - 1e-6])
def test_an_empty_tile_costs_what_the_docstring_says(name, single, p):
    found = LOSSES[name](logits_for(p, single=single), EMPTY).item()
    assert found == pytest.approx(EMPTY_COSTS[name](p), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_predicted_on_an_empty_tile_is_free_and_all_of_it_dear(name):
    assert LOSSES[name](logits_for(1e-9), EMPTY) < 1e-4
    assert LOSSES[name](logits_for(1 - 1e-9), EMPTY) > 0.96
    assert LOSSES[name](logits_for(1 - 1e-9), FULL) < 1e-4


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_prediction_costs_next_to_nothing_and_its_opposite_much(name):
    mask = disc()
    right = torch.stack([1 - mask, mask], dim=1).double() * 60 - 30
    loss = LOSSES[name]
    assert loss(right, mask).item() == pytest.approx(0, abs=1e-5)
    assert loss(-right, mask) > 0.1


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("mask", [EMPTY, FULL, disc(), torch.full((1, SIDE, SIDE), 255)], ids=range(4))
@pytest.mark.parametrize("level", [-200.0, 0.0, 200.0])
def test_gradients_are_finite(name, single, mask, level):
    logits = torch.zeros(1, 1 if single else 2, SIDE, SIDE)
    logits[:, -1] = level
    logits.requires_grad_()
    loss = LOSSES[name](logits, mask)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_change_no_loss(name):
    torch.manual_seed(0)
    logits, mask = torch.randn(2, 3, 12, 12), torch.randint(0, 3, (2, 12, 12))
    mask[:, :4] = 255
    changed = logits.clone()
    changed[:, :, :4] += torch.randn(2, 3, 4, 12)
    assert torch.equal(LOSSES[name](logits, mask), LOSSES[name](changed, mask))


@pytest.mark.parametrize("name", LOSSES)
def test_a_single_logit_is_the_softmax_of_two(name):
    torch.manual_seed(1)
    logits = torch.randn(2, 1, SIDE, SIDE, dtype=torch.float64)
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    mask = disc().repeat(2, 1, 1)
    assert LOSSES[name](logits, mask).item() == pytest.approx(LOSSES[name](two, mask).item(), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_class_weights_weigh(name):
    torch.manual_seed(2)
    logits, mask = torch.randn(1, 3, 12, 12), torch.randint(0, 3, (1, 12, 12))
    loss = LOSSES[name]
    plain = loss(logits, mask)
    assert loss(logits, mask, class_weights=torch.ones(3)).item() == pytest.approx(plain.item(), rel=1e-5)
    first, second = (loss(logits, mask, class_weights=torch.tensor([0.0, *pair])) for pair in ((1.0, 0.0), (0.0, 1.0)))
    both = loss(logits, mask, class_weights=torch.tensor([0.0, 3.0, 1.0]))
    total = 1 if name == "focal" else 4
    assert both.item() == pytest.approx((3 * first + second).item() / total, rel=1e-5)
    assert loss(logits, mask, class_weights=torch.zeros(3)).item() == 0


def test_focal_with_gamma_0_is_the_cross_entropy():
    torch.manual_seed(3)
    logits, mask = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    mask[0, 0] = 255
    weights = torch.tensor([1.0, 2.0, 3.0])
    for divide_by, class_weights in itertools.product(("pixels", "labelled", "weights"), (None, weights)):
        options = {"divide_by": divide_by, "class_weights": class_weights}
        found = focal_loss(logits, mask, gamma=0.0, **options)
        assert torch.allclose(found, cross_entropy(logits, mask, **options))
        found = focal_loss(logits, mask, gamma=0.0, sigmoid=True, **options)
        assert torch.allclose(found, binary_cross_entropy(logits, mask, **options))


def test_focal_of_one_pixel():
    logits, mask = torch.tensor([[[[0.0]], [[math.log(3)]]]]), torch.tensor([[[0]]])  # p(background) = 1/4
    assert focal_loss(logits, mask, gamma=2.0).item() == pytest.approx(0.75**2 * math.log(4))


def test_tversky_at_one_half_is_dice_and_weighs_what_is_missed():
    torch.manual_seed(4)
    logits, mask = torch.randn(2, 3, 16, 16), torch.randint(0, 3, (2, 16, 16))
    # (I + s) / (I + M/2 + V/2 + s) is Dice with twice the smoothing, which hardly matters in full windows
    assert tversky_loss(logits, mask, missed=0.5).item() == pytest.approx(dice_loss(logits, mask).item(), abs=0.02)
    half = torch.zeros(1, 10, 10, dtype=torch.int64)
    half[0, :5] = 1
    all_missed, all_invented = torch.full((1, 1, 10, 10), -50.0), torch.full((1, 1, 10, 10), 50.0)
    assert tversky_loss(all_missed, half).item() == pytest.approx(1 - 1 / (0.7 * 50 + 1))
    assert tversky_loss(all_invented, half).item() == pytest.approx(1 - 51 / (50 + 0.3 * 50 + 1))


def test_boundary_distances_by_hand():
    mask = torch.tensor([[[0, 0, 0, 1]]])
    logits = torch.zeros(1, 1, 1, 4, dtype=torch.float64)  # 0.5 everywhere
    diagonal = math.hypot(1, 4)
    assert boundary_loss(logits, mask).item() == pytest.approx(0.5 * (3 + 2 + 1 + 1) / 4 / diagonal)


def test_boundary_has_the_gradient_of_the_published_loss():
    torch.manual_seed(5)
    mask = disc()
    inside = [(r, c) for r in range(SIDE) for c in range(SIDE) if mask[0, r, c]]
    outside = [(r, c) for r in range(SIDE) for c in range(SIDE) if not mask[0, r, c]]
    signed = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    for places, others, sign in ((inside, outside, -1), (outside, inside, 1)):
        for row, column in places:
            signed[row, column] = sign * min(math.dist((row, column), other) for other in others)
    logits = torch.randn(1, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    published = (logits.sigmoid() * signed).mean() / math.hypot(SIDE, SIDE)
    (expected,) = torch.autograd.grad(published, logits)
    (found,) = torch.autograd.grad(boundary_loss(logits, mask), logits)
    assert torch.allclose(found, expected, atol=1e-8)


def test_the_settings_weigh_every_part_and_auxiliary_heads_have_those_by_pixels():
    torch.manual_seed(6)
    main, auxiliary, mask = torch.randn(1, 2, SIDE, SIDE), torch.randn(1, 2, SIDE, SIDE), disc()
    settings = LossSettings(
        cross_entropy=0.5, dice=0.7, focal=2.0, focal_gamma=1.5, tversky=3.0, tversky_missed=0.6, tversky_power=0.75,
        boundary=4.0, auxiliary=0.4,
    )  # fmt: skip
    by_pixels = [0.5 * cross_entropy(item, mask) + 2 * focal_loss(item, mask, gamma=1.5) for item in (main, auxiliary)]
    expected = by_pixels[0] + 0.4 * by_pixels[1] + 0.7 * dice_loss(main, mask)
    expected += 3 * tversky_loss(main, mask, missed=0.6, power=0.75) + 4 * boundary_loss(main, mask)
    assert torch.allclose(TrainingLoss(settings)(main, [auxiliary], mask), expected)


@pytest.mark.parametrize("part", ["dice", "focal", "tversky", "boundary"])
def test_each_part_is_enough_by_itself(part):
    LossSettings(**{"cross_entropy": 0.0, part: 1.0})
    with pytest.raises(ValueError, match="all 0, so nothing would be learnt"):
        LossSettings(**{"cross_entropy": 0.0, part: 0.0})
