"""Which pixels count in online hard example mining, by hand and against MMSegmentation's rule."""

import numpy as np
import pytest
import torch

from glomseg.config import LossSettings
from glomseg.errors import InvalidInputError
from glomseg.models.segmentor import QueryLogits
from glomseg.training.hard_pixels import hard_pixels
from glomseg.training.losses import TrainingLoss, cross_entropy


def logits_of(probabilities: list[float]) -> torch.Tensor:
    """Two-class logits (1, 2, 1, W) that give class 1 these probabilities."""
    foreground = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([torch.zeros_like(foreground), torch.logit(foreground)])[None, :, None]


PROBABILITIES = [0.1, 0.4, 0.9, 0.2, 0.95]
MASK = torch.tensor([[[0, 0, 0, 1, 255]]])  # the true classes have 0.9, 0.6, 0.1, 0.2


@pytest.mark.parametrize(
    ("threshold", "min_kept", "kept"),
    [
        (0.7, 0, [1, 2, 3]),
        (0.15, 0, [2]),
        (0.0, 2, [2, 3]),
        (0.15, 3, [1, 2, 3]),  # the number raises the threshold
        (1.0, 0, [0, 1, 2, 3]),  # all but what is ignored
        (0.0, 100, [1, 2, 3]),  # as MMSegmentation: the easiest of all stays out, strictly below its own probability
    ],
)
def test_what_is_hard(threshold, min_kept, kept):
    found = hard_pixels(logits_of(PROBABILITIES), MASK, threshold=threshold, min_kept=min_kept)
    assert np.flatnonzero(found[0, 0].numpy()).tolist() == kept


def test_a_single_logit_is_judged_by_its_sigmoid():
    two = logits_of(PROBABILITIES)
    one = two[:, 1:] - two[:, :1]
    for threshold in (0.15, 0.5, 0.7):
        expected = hard_pixels(two, MASK, threshold=threshold, min_kept=0)
        assert torch.equal(hard_pixels(one, MASK, threshold=threshold, min_kept=0), expected)


def test_the_number_is_of_the_batch():
    torch.manual_seed(0)
    easy, hard = logits_of([0.01] * 8), logits_of([0.6, 0.7, 0.8, 0.9, 0.65, 0.75, 0.85, 0.95])
    mask = torch.zeros(2, 1, 8, dtype=torch.int64)
    kept = hard_pixels(torch.cat([easy, hard]), mask, threshold=0, min_kept=2)
    assert kept.sum(dim=(1, 2)).tolist() == [0, 4]


def test_a_batch_of_ignored_pixels_alone_keeps_none():
    ignored = torch.full((1, 1, 5), 255)
    assert not hard_pixels(logits_of(PROBABILITIES), ignored, threshold=0.7, min_kept=5).any()


@pytest.mark.parametrize("divide_by", ["pixels", "labelled"])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_the_loss_sums_hard_pixels_and_divides_as_before(divide_by, sigmoid):
    torch.manual_seed(0)
    logits, mask = torch.randn(2, 2, 6, 5), torch.randint(0, 2, (2, 6, 5))
    mask[0, 0] = 255
    settings = LossSettings(ohem_threshold=0.5, ohem_min_kept=0, divide_by=divide_by, sigmoid=sigmoid)
    whole = TrainingLoss(LossSettings(divide_by=divide_by, sigmoid=sigmoid))
    hard = hard_pixels(logits, mask, threshold=0.5, min_kept=0)
    n_labelled, n_hard = int((mask != 255).sum()), int(hard.sum())
    assert 0 < n_hard < n_labelled
    of_hard_alone = whole(logits, [], mask.where(hard, 255))
    factor = n_hard / n_labelled if divide_by == "labelled" else 1
    assert TrainingLoss(settings)(logits, [], mask).item() == pytest.approx(of_hard_alone.item() * factor, rel=1e-6)


def test_every_labelled_pixel_is_the_plain_loss():
    torch.manual_seed(0)
    logits, mask = torch.randn(2, 3, 6, 5), torch.randint(0, 3, (2, 6, 5))
    mask[1, 2] = 255
    loss = TrainingLoss(LossSettings(ohem_threshold=1.0))
    assert loss(logits, [], mask).item() == pytest.approx(cross_entropy(logits, mask).item(), rel=1e-6)


def test_auxiliary_heads_learn_from_all_pixels():
    torch.manual_seed(0)
    logits, mask = torch.randn(1, 2, 6, 5), torch.randint(0, 2, (1, 6, 5))
    settings = LossSettings(ohem_threshold=0.5, ohem_min_kept=0, auxiliary=1.0)
    main = TrainingLoss(settings)(logits, [], mask)
    both = TrainingLoss(settings)(logits, [logits], mask)
    assert (both - main).item() == pytest.approx(cross_entropy(logits, mask).item(), rel=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_queries_have_a_loss_of_their_own(threshold):
    layer = QueryLogits(classes=torch.zeros(1, 4, 3), masks=torch.zeros(1, 4, 8, 8))
    with pytest.raises(InvalidInputError, match=r"loss\.ohem_threshold does not go with"):
        TrainingLoss(LossSettings(ohem_threshold=threshold))(
            torch.zeros(1, 2, 8, 8), [], torch.zeros(1, 8, 8, dtype=torch.int64), queries=[layer]
        )
