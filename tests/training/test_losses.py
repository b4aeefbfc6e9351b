import math

import pytest
import torch
import torch.nn.functional as F

from glomseg.config import LossSettings
from glomseg.errors import InvalidInputError
from glomseg.training.losses import TrainingLoss, binary_cross_entropy, cross_entropy
from glomseg.training.region_losses import SMOOTHING_SHARE, dice_loss


def logits_for(probability: float, shape: tuple[int, int, int]) -> torch.Tensor:
    """Two-class logits that give the foreground this probability everywhere."""
    batch, height, width = shape
    logits = torch.zeros(batch, 2, height, width, dtype=torch.float64)
    logits[:, 1] = math.log(probability / (1 - probability))
    return logits


def test_cross_entropy_divides_by_all_pixels_as_mmsegmentation_does():
    torch.manual_seed(0)
    logits, mask = torch.randn(1, 3, 4, 4, dtype=torch.float64), torch.randint(0, 3, (1, 4, 4))
    mask[0, 0] = 255  # 4 of 16 ignored
    torch_mean = F.cross_entropy(logits, mask, ignore_index=255)
    assert cross_entropy(logits, mask).item() == pytest.approx(torch_mean.item() * 12 / 16, rel=1e-12)


def test_cross_entropy_weighs_classes():
    logits, mask = logits_for(0.5, (1, 1, 2)), torch.tensor([[[0, 1]]])
    weights = torch.tensor([1.0, 3.0], dtype=torch.float64)
    assert cross_entropy(logits, mask, class_weights=weights).item() == pytest.approx(4 * math.log(2) / 2)


@pytest.mark.parametrize("share", [1e-6, 0.01, 0.5, 1 - 1e-9])
def test_dice_of_an_empty_tile_costs_what_its_docstring_says(share):
    mask = torch.zeros(1, 20, 20, dtype=torch.int64)
    expected = share / (share + SMOOTHING_SHARE)
    assert dice_loss(logits_for(share, (1, 20, 20)), mask).item() == pytest.approx(expected, rel=1e-5)


def test_a_wrong_all_foreground_prediction_on_an_empty_tile_is_expensive():
    mask = torch.zeros(1, 16, 16, dtype=torch.int64)
    wrong, right = dice_loss(logits_for(1 - 1e-9, (1, 16, 16)), mask), dice_loss(logits_for(1e-9, (1, 16, 16)), mask)
    assert wrong > 0.98
    assert right < 1e-6


def test_a_perfect_prediction_costs_nothing_and_the_opposite_nearly_one():
    mask = torch.zeros(1, 10, 10, dtype=torch.int64)
    mask[0, :5] = 1
    right = torch.stack([1 - mask, mask], dim=1).double() * 60 - 30
    assert dice_loss(right, mask).item() == pytest.approx(0, abs=1e-9)
    assert dice_loss(-right, mask).item() == pytest.approx(1 - 1 / 101, rel=1e-6)  # s = 1, P = T = 50, I = 0


def test_ignored_pixels_change_no_loss():
    torch.manual_seed(1)
    logits, mask = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    mask[:, :3] = 255
    changed = logits.clone()
    changed[:, :, :3] += torch.randn(2, 3, 3, 8)
    assert torch.equal(dice_loss(logits, mask), dice_loss(changed, mask))
    assert torch.allclose(cross_entropy(logits, mask), cross_entropy(changed, mask))


def test_a_window_of_ignored_pixels_alone_has_a_finite_gradient():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    mask = torch.full((1, 4, 4), 255)
    loss = TrainingLoss(LossSettings(dice=1.0))(logits, [], mask)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_the_auxiliary_head_adds_its_share_of_cross_entropy():
    torch.manual_seed(2)
    main, auxiliary = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    mask = torch.randint(0, 2, (1, 4, 4))
    settings = LossSettings(cross_entropy=1.0, dice=0.0, auxiliary=0.4)
    expected = cross_entropy(main, mask) + 0.4 * cross_entropy(auxiliary, mask)
    assert torch.allclose(TrainingLoss(settings)(main, [auxiliary], mask), expected)


def test_logits_are_enlarged_to_the_mask():
    mask = torch.ones(1, 8, 8, dtype=torch.int64)
    loss = TrainingLoss(LossSettings())(logits_for(0.25, (1, 2, 2)), [], mask)
    assert loss.item() == pytest.approx(-math.log(0.25), rel=1e-6)


def test_splitting_a_batch_and_averaging_gives_the_loss_of_the_batch():
    torch.manual_seed(3)
    logits, mask = torch.randn(4, 3, 8, 8, dtype=torch.float64), torch.randint(0, 3, (4, 8, 8))
    mask[0] = 255
    loss = TrainingLoss(LossSettings(dice=1.0))
    halves = (loss(logits[:2], [], mask[:2]) + loss(logits[2:], [], mask[2:])) / 2
    assert loss(logits, [], mask).item() == pytest.approx(halves.item(), rel=1e-6)


def test_the_divisor_of_the_cross_entropy():
    logits, mask = logits_for(0.5, (1, 1, 4)), torch.tensor([[[0, 1, 1, 255]]])
    weights = torch.tensor([1.0, 3.0], dtype=torch.float64)
    total = 7 * math.log(2)  # 1 + 3 + 3
    for divide_by, divisor in {"pixels": 4, "labelled": 3, "weights": 7}.items():
        loss = cross_entropy(logits, mask, class_weights=weights, divide_by=divide_by)
        assert loss.item() == pytest.approx(total / divisor), divide_by
    assert cross_entropy(logits, mask, divide_by="weights").item() == pytest.approx(math.log(2))


def test_dividing_by_weights_is_torchs_mean():
    torch.manual_seed(4)
    logits, mask = torch.randn(2, 3, 5, 5), torch.randint(0, 3, (2, 5, 5))
    mask[0, :2] = 255
    weights = torch.tensor([0.5, 2.0, 4.0])
    expected = F.cross_entropy(logits, mask, weight=weights, ignore_index=255)
    assert torch.allclose(cross_entropy(logits, mask, class_weights=weights, divide_by="weights"), expected)


def test_a_single_logit_is_judged_by_its_sigmoid():
    logits = torch.tensor([[[[0.0, 2.0, -1.0, 9.0]]]], dtype=torch.float64)
    mask = torch.tensor([[[1, 0, 1, 255]]])
    costs = [math.log(2), math.log(1 + math.exp(2)), math.log(1 + math.exp(1))]
    assert binary_cross_entropy(logits, mask).item() == pytest.approx(sum(costs) / 4)
    assert binary_cross_entropy(logits, mask, divide_by="labelled").item() == pytest.approx(sum(costs) / 3)
    weighed = binary_cross_entropy(logits, mask, class_weights=torch.tensor([1.0, 5.0]))
    assert weighed.item() == pytest.approx((5 * costs[0] + costs[1] + 5 * costs[2]) / 4)
    loss = TrainingLoss(LossSettings(cross_entropy=2.0))(logits.float(), [], mask)
    assert loss.item() == pytest.approx(2 * sum(costs) / 4, rel=1e-6)


def test_with_sigmoid_every_class_is_judged_by_itself():
    torch.manual_seed(5)
    logits, mask = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    truth = torch.stack([mask == index for index in range(3)], dim=1).float()
    expected = F.binary_cross_entropy_with_logits(logits, truth)
    assert torch.allclose(TrainingLoss(LossSettings(sigmoid=True))(logits, [], mask), expected)


def test_the_dice_of_a_single_logit_is_that_of_two():
    torch.manual_seed(6)
    single, mask = torch.randn(2, 1, 6, 6), torch.randint(0, 2, (2, 6, 6))
    assert torch.allclose(dice_loss(single, mask), dice_loss(torch.cat([0 * single, single], dim=1), mask))


def test_auxiliary_heads_may_weigh_each_its_own():
    torch.manual_seed(7)
    main, mask = torch.randn(1, 2, 4, 4), torch.randint(0, 2, (1, 4, 4))
    loss = TrainingLoss(LossSettings(auxiliary=(0.5, 0.25)))
    expected = cross_entropy(main, mask) + 0.5 * cross_entropy(-main, mask) + 0.25 * cross_entropy(2 * main, mask)
    assert torch.allclose(loss(main, [-main, 2 * main], mask), expected)
    with pytest.raises(InvalidInputError, match="2 weights for 1 auxiliary heads"):
        loss(main, [main], mask)


def test_logits_may_be_enlarged_with_corners_on_corners():
    mask = torch.tensor([[[0, 0, 1]]])
    logits = torch.tensor([[[[0.0, 4.0]], [[0.0, 0.0]]]])
    expected = cross_entropy(torch.tensor([[[[0.0, 2.0, 4.0]], [[0.0, 0.0, 0.0]]]]), mask)
    assert torch.allclose(TrainingLoss(LossSettings(), align_corners=True)(logits, [], mask), expected)
