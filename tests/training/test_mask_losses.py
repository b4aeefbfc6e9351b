"""The loss of masks, against float64 figures of the real MMSegmentation 1.2.2 at the same points among others."""

import pytest
import torch

from glomseg.config import LossSettings
from glomseg.errors import InvalidInputError
from glomseg.models.segmentor import QueryLogits
from glomseg.training import mask_losses
from glomseg.training.losses import TrainingLoss
from glomseg.training.mask_losses import MaskLoss, masks_of_classes, sample_points, uncertain_points

from ..models.goldens import hashed_uniform
from ..models.heads.mask2former.small import filled_head, hashed_features, small_head


def three_masks() -> torch.Tensor:
    """Two tiles: background, a square and a corner; background and ignored pixels."""
    mask = torch.zeros(2, 96, 80, dtype=torch.int64)
    mask[0, 20:60, 10:50] = 1
    mask[0, 70:, 60:] = 2
    mask[1, :, :30] = 255
    return mask


def queries_for(mask: torch.Tensor, *, n_classes: int, n_queries: int = 4) -> QueryLogits:
    """Queries that find every class of (B, H, W) masks, the last class first, and are sure."""
    classes = torch.full((len(mask), n_queries, n_classes + 1), -50.0, dtype=torch.float64)
    classes[..., n_classes] = 50
    masks = torch.full((len(mask), n_queries, *mask.shape[1:]), -50.0, dtype=torch.float64)
    for index, tile in enumerate(mask):
        for query, label in enumerate(reversed(tile.unique()[tile.unique() != 255].tolist())):
            classes[index, query, label], classes[index, query, n_classes] = 50, -50
            masks[index, query, tile == label] = 50
    return QueryLogits(classes=classes, masks=masks)


@pytest.fixture
def fixed_points(monkeypatch):
    def points(n, n_points, *, like):
        return torch.from_numpy(hashed_uniform(n * n_points * 2, 77) + 0.5).view(n, n_points, 2)

    monkeypatch.setattr(mask_losses, "random_points", points)


def test_loss_and_gradient_are_openmmlabs(fixed_points):
    head = filled_head().train()
    loss = MaskLoss(n_points=64)(head(hashed_features()).queries, three_masks())
    loss.backward()
    # The real one adds 1.2e-7 to what it divides by.
    assert loss.item() == pytest.approx(58.3740783582017, rel=1e-7)
    norm = torch.stack([value.grad.norm() for value in head.parameters()]).norm()
    assert norm.item() == pytest.approx(209.186885398618, rel=1e-7)
    norms = {
        "query_feat.weight": 11.270542011687354,
        "pixel_decoder.input_convs.0.conv.weight": 59.67488041961391,
        "cls_embed.bias": 2.0543124952744245,
    }
    for name, expected in norms.items():
        assert head.get_parameter(name).grad.norm().item() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(("ignored", "expected"), [([1], 48.108459493389496), ([0, 1], 23.553884659457207)])
def test_tiles_that_are_ignored_as_a_whole_cost_what_they_cost_in_openmmlab(fixed_points, ignored, expected):
    head, mask = filled_head().train(), three_masks()
    mask[ignored] = 255
    loss = MaskLoss(n_points=64)(head(hashed_features()).queries, mask)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=2e-7)
    assert all(value.grad is not None for value in head.parameters())


@pytest.fixture
def pixel_centers(monkeypatch):
    """Points that lie on the pixels of a 16 x 16 mask, so that none is half in a mask."""
    torch.manual_seed(0)

    def points(n, n_points, *, like):
        return (torch.randint(0, 16, (n, n_points, 2)) + 0.5).to(like.dtype) / 16

    monkeypatch.setattr(mask_losses, "random_points", points)


def test_right_masks_cost_nothing_in_whatever_order_and_wrong_ones_much(pixel_centers):
    mask = torch.zeros(2, 16, 16, dtype=torch.int64)
    mask[0, :8] = 1
    mask[0, 8:, 8:] = 2
    right = queries_for(mask, n_classes=3)
    assert MaskLoss(n_points=100)([right], mask).item() == pytest.approx(0, abs=1e-12)
    for wrong in (right._replace(classes=-right.classes), right._replace(masks=-right.masks)):
        assert MaskLoss(n_points=100)([wrong], mask).item() > 5


def test_an_empty_tile_is_one_mask_of_background(pixel_centers):
    mask = torch.zeros(1, 16, 16, dtype=torch.int64)
    assert MaskLoss(n_points=50)([queries_for(mask, n_classes=2)], mask).item() == pytest.approx(0, abs=1e-12)
    nothing = QueryLogits(torch.tensor([[[-50.0, -50, 50]] * 4]), torch.full((1, 4, 16, 16), -50.0))
    # 2 x 100 for a class of probability e^-100 weighed 1 in 1.3, 5 x 50 for the mask's logits, 5 x Dice of about 1.
    assert MaskLoss(n_points=50)([nothing], mask).item() == pytest.approx(200 / 1.3 + 250 + 5 * 50 / 51, rel=1e-5)


def test_class_weights_and_no_object_weigh_the_classes_alone(pixel_centers):
    mask = torch.zeros(1, 16, 16, dtype=torch.int64)
    logits = QueryLogits(torch.zeros(1, 2, 3), torch.full((1, 2, 16, 16), 50.0))
    logits.classes[0, 0, 0] = 1.0  # the first query gets the mask
    loss = MaskLoss(n_points=20, class_weights=(3.0, 1.0), no_object=0.5)([logits], mask)
    first, second = -logits.classes[0].log_softmax(dim=-1)[[0, 1], [0, 2]]
    assert loss.item() == pytest.approx(2 * (3 * first + 0.5 * second).item() / 3.5, rel=1e-5)


def test_more_masks_than_queries_leave_some_without():
    torch.manual_seed(0)
    mask = torch.arange(3)[None, :, None].expand(1, 3, 6).contiguous()
    logits = QueryLogits(torch.randn(1, 2, 4), torch.randn(1, 2, 3, 6))
    assert MaskLoss(n_points=20)([logits], mask).isfinite()


def test_layers_are_summed(pixel_centers):
    mask = torch.zeros(1, 16, 16, dtype=torch.int64)
    layer = QueryLogits(torch.randn(1, 3, 3), torch.zeros(1, 3, 16, 16))  # the same at any point
    one = MaskLoss(n_points=20)([layer], mask)
    assert MaskLoss(n_points=20)([layer] * 3, mask).item() == pytest.approx(3 * one.item(), rel=1e-6)


def test_a_network_that_diverged_gives_nan_for_the_loop_to_find():
    logits = QueryLogits(torch.full((1, 2, 3), torch.nan), torch.full((1, 2, 4, 4), torch.nan))
    assert MaskLoss(n_points=20)([logits], torch.zeros(1, 4, 4, dtype=torch.int64)).isnan()


def test_masks_are_those_of_the_labelled_classes():
    target = masks_of_classes(torch.tensor([[0, 2], [255, 2]]), like=torch.zeros((), dtype=torch.float64))
    assert target.labels.tolist() == [0, 2]
    assert target.masks.tolist() == [[[1, 0], [0, 0]], [[0, 1], [0, 1]]]
    assert target.masks.dtype == torch.float64


def test_points_are_x_and_y_and_most_lie_where_the_network_is_unsure():
    maps = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    assert sample_points(maps, torch.tensor([[[0.75, 0.25], [0.25, 0.75]]])).tolist() == [[1.0, 2.0]]
    torch.manual_seed(0)
    logits = torch.full((1, 10, 10), 9.0)
    logits[0, :, :5] = 0
    points = uncertain_points(logits, n_points=400)
    assert points.shape == (1, 400, 2)
    assert 0.8 < (points[..., 0] < 0.5).double().mean().item() < 0.95  # 3/4, and half of 1/4


def test_the_training_loss_takes_queries_instead_of_the_main_logits(pixel_centers):
    mask = torch.zeros(1, 16, 16, dtype=torch.int64)
    layer = queries_for(mask, n_classes=2)
    main = torch.full((1, 2, 16, 16), torch.nan)
    assert TrainingLoss(LossSettings())(main, [], mask, queries=[layer]).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("part", ["focal", "tversky", "boundary"])
def test_losses_that_queries_do_not_have_are_refused(part):
    mask = torch.zeros(1, 16, 16, dtype=torch.int64)
    with pytest.raises(InvalidInputError, match=rf"loss\.{part} does not go with .*Mask2Former.*leave it out"):
        TrainingLoss(LossSettings(**{part: 1.0}))(mask, [], mask, queries=[queries_for(mask, n_classes=2)])


def test_a_head_learns_two_tiles_by_heart():
    torch.manual_seed(0)
    head = small_head(n_classes=2).train()
    features = [feature.float() for feature in hashed_features()]
    mask = torch.zeros(2, 96, 80, dtype=torch.int64)
    mask[0, 20:60, 10:50] = 1
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = MaskLoss(n_points=256)(head(features).queries, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        found = head.eval()(features).argmax(dim=1)
    assert losses[-1] < 0.3 * losses[0]
    assert (found == mask).double().mean() > 0.95
