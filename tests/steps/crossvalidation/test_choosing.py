"""What is chosen, and what choosing gains on tiles that did not choose."""

import numpy as np
import pytest

from glomseg.data.dataset import open_dataset
from glomseg.errors import InvalidInputError
from glomseg.metrics.pixels import PixelCounts, pixel_metrics
from glomseg.steps.crossvalidation import choosing
from glomseg.steps.crossvalidation.choosing import HeldOut, best_option, check_choices, choose
from glomseg.types import GLOMERULUS, ModelCard, Prediction


def counts(right, wrong):
    """Of tiles with only these numbers of right and wrong pixels."""
    return PixelCounts(matrix=np.array([[right, wrong], [0, 0]]))


def accuracy(of):
    return pixel_metrics(of).pixel_accuracy


def test_an_option_that_is_best_in_every_fold_is_chosen():
    best = best_option([[counts(5, 5), counts(8, 2)], [counts(6, 4), counts(7, 3)]], accuracy)
    assert best.scores == (0.55, 0.75)
    assert (best.best, best.nested, best.position) == (1, 0.75, 1)


def test_what_is_best_only_where_it_was_chosen_is_not():
    # Option 1 shines in the first fold, option 2 in the second; each takes the one that is best in the other fold.
    best = best_option(
        [[counts(6, 4), counts(9, 1), counts(2, 8)], [counts(6, 4), counts(4, 6), counts(9, 1)]], accuracy
    )
    assert best.scores == (0.6, 0.65, 0.55)
    assert best.best == 1
    assert best.nested == pytest.approx((2 + 4) / 20)
    assert best.position == 0


def test_equals_leave_the_default():
    best = best_option([[counts(5, 5)] * 3] * 2, accuracy)
    assert (best.best, best.position) == (0, 0)


class Faint:
    """In place of a loaded model: 0.35 where the truth is, and specks of 0.9."""

    def __init__(self, masks, tta):
        self.masks, self.tta = masks, tta
        self.card = ModelCard(architecture="faint", classes=GLOMERULUS)

    def predict(self, image, *, mpp, keep_probabilities, look=None):
        foreground = np.where(self.masks[image.tobytes()] == 1, 0.35, 0.05).astype(np.float32)
        if self.tta:
            foreground += 0.1  # views are worth nothing here
        foreground[0, ::8] = 0.9
        probabilities = np.stack([1 - foreground, foreground])
        return Prediction(
            mask=probabilities.argmax(axis=0).astype(np.uint8), classes=GLOMERULUS, probabilities=probabilities
        )


@pytest.fixture
def folds(tiny_dataset, monkeypatch):
    from glomseg.data.tiles import read_tile

    dataset = open_dataset(tiny_dataset)
    masks = {}
    for sample in dataset.samples:
        image, mask = read_tile(dataset, sample)
        masks[image.tobytes()] = mask
    monkeypatch.setattr(choosing, "load_predictor", lambda path, *, tta, device, precision: Faint(masks, tta))
    return dataset, [HeldOut(model=dataset.root, samples=part) for part in (dataset.samples[:6], dataset.samples[6:])]


def test_the_threshold_nearest_to_the_default_that_finds_all_and_the_size_that_drops_specks(folds):
    dataset, held_out = folds
    choice = choose(held_out, dataset, choices=["threshold", "tta", "min-size"], figure="foreground_iou")
    assert (choice.threshold, choice.tta) == (0.3, None)
    assert choice.smallest.unit == "px"
    assert choice.smallest.area_px(None) >= 2
    assert choice.record["pixels"]["nested"] == choice.record["pixels"]["best"] > 0.9
    assert choice.record["objects"]["default"] < choice.record["objects"]["nested"] == 1.0
    assert "threshold 0.3, with a foreground_iou of" in choice.notes[0]
    assert choice.notes[1].startswith("Chosen on the held-out tiles: smallest diameter ")


def test_what_is_not_asked_for_is_not_chosen(folds):
    dataset, held_out = folds
    choice = choose(held_out, dataset, choices=[], figure="mean_iou")
    assert (choice.threshold, choice.tta, choice.smallest, choice.notes) == (None, None, None, ())
    choice = choose(held_out, dataset, choices=["tta"], figure="mean_iou")
    assert choice.threshold is None
    assert [item["tta"] for item in choice.record["pixels"]["tried"]] == [False, True]
    assert "the default, test-time augmentation off" in choice.notes[0]
    assert "choosing gains nothing" in choice.notes[0]


def test_choices_that_are_none(tiny_dataset):
    with pytest.raises(InvalidInputError, match=r"--choose 'min_size': did you mean 'min-size'\?"):
        check_choices(["min_size"], open_dataset(tiny_dataset))
    three = open_dataset(tiny_dataset, classes=["background", "a", "b"])
    with pytest.raises(InvalidInputError, match="--choose threshold is for two classes, and the data set has 3"):
        check_choices(["threshold"], three)
