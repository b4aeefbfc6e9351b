"""Flips of a batch, and the mean of what is predicted over them."""

import pytest
import torch

from glomseg.inference.flipping import flipped, mean_over_flips
from glomseg.types import FLIPS

BATCH = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])


@pytest.mark.parametrize(
    ("flip", "rows"),
    [
        ("none", [[1, 2, 3], [4, 5, 6]]),
        ("horizontal", [[3, 2, 1], [6, 5, 4]]),
        ("vertical", [[4, 5, 6], [1, 2, 3]]),
        ("both", [[6, 5, 4], [3, 2, 1]]),
    ],
)
def test_a_flip_and_its_way_back(flip, rows):
    assert flipped(BATCH, flip)[0, 0].tolist() == rows
    assert torch.equal(flipped(flipped(BATCH, flip), flip), BATCH)
    assert flip in FLIPS


def test_what_does_not_depend_on_the_side_is_its_own_mean():
    found = mean_over_flips(BATCH, FLIPS, predict=lambda batch: batch * 2)
    assert torch.equal(found, BATCH * 2)


def test_the_mean_by_hand():
    """A prediction of 8 in the first column of whatever is shown is 4 at both ends of two flips."""

    def first_column(batch):
        answer = torch.zeros(1, 1, 2, 3)
        answer[..., 0] = 8
        return answer

    assert mean_over_flips(BATCH, ("none", "horizontal"), predict=first_column)[0, 0].tolist() == [[4, 0, 4]] * 2
    assert mean_over_flips(BATCH, ("horizontal",), predict=first_column)[0, 0].tolist() == [[0, 0, 8]] * 2


def test_what_predict_returns_stays_as_it_is():
    kept = torch.ones(1, 1, 2, 3)
    mean_over_flips(BATCH, FLIPS, predict=lambda _: kept)
    assert torch.equal(kept, torch.ones(1, 1, 2, 3))
    assert torch.equal(BATCH[0, 0, 0], torch.tensor([1.0, 2.0, 3.0]))
