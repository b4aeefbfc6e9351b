"""How far predictions of the same image contradict each other."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from glomseg.inference.disagreement import split_disagreement, with_entropy
from glomseg.inference.predictor import Predictor
from glomseg.models.segmentor import Logits
from glomseg.types import GLOMERULUS, ModelCard, TestTimeAugmentation

CARD = ModelCard(architecture="none", classes=GLOMERULUS, mean=(100.0, 100.0, 100.0), std=(50.0, 50.0, 50.0))


def maps_of(*foreground):
    """One map of a pixel each, of two classes."""
    return [torch.tensor([1 - p, p]).view(1, 2, 1, 1) for p in foreground]


def disagreement(maps):
    return split_disagreement(torch.stack([with_entropy(one) for one in maps]).mean(dim=0))


@pytest.mark.parametrize(
    ("foreground", "expected"),
    [
        ((0.5, 0.5), 0),  # as unsure as can be, and of one mind
        ((0.9, 0.9), 0),
        ((0.0, 1.0), 1),  # each quite sure of the other class
        ((1.0, 1.0, 1.0), 0),
        ((0.2, 0.6), None),
    ],
)
def test_it_is_how_unlike_the_maps_are_and_not_how_unsure(foreground, expected):
    mean, found = disagreement(maps_of(*foreground))
    assert mean[0, 1].item() == pytest.approx(np.mean(foreground))
    each = np.mean([entropy([1 - p, p], base=2) for p in foreground])
    whole = entropy([1 - np.mean(foreground), np.mean(foreground)], base=2)
    assert found.item() == pytest.approx(whole - each, abs=1e-6)
    if expected is not None:
        assert found.item() == pytest.approx(expected, abs=1e-6)


def test_of_many_classes_it_is_mutual_information_in_any_order_of_means():
    drawn = np.random.default_rng(0).dirichlet([0.5] * 4, (6, 2, 5, 7))
    maps = [torch.from_numpy(np.moveaxis(one, -1, 1).copy()).float() for one in drawn]
    mean, found = disagreement(maps)
    expected = entropy(drawn.mean(axis=0), base=4, axis=-1) - entropy(drawn, base=4, axis=-1).mean(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(mean, np.moveaxis(drawn.mean(axis=0), -1, 1), atol=1e-6)
    halves = [torch.stack([with_entropy(one) for one in half]).mean(dim=0) for half in (maps[:3], maps[3:])]
    np.testing.assert_allclose(split_disagreement(sum(halves) / 2)[1], found, atol=1e-6)


class FromTheLeft(torch.nn.Module):
    """Adds red up from the left, so that a flip changes what it says."""

    def forward(self, images):
        red = images[:, :1].cumsum(dim=-1)
        return Logits(main=torch.cat([-red, red], dim=1))


def test_a_prediction_of_several_views_says_how_far_they_disagree():
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)

    def predicted(tta, picture=image, *, keep=True):
        predictor = Predictor(FromTheLeft(), CARD, device="cpu", precision="32-true", tta=tta)
        return predictor.predict(picture, keep_probabilities=keep)

    found = predicted(TestTimeAugmentation(flips=("none", "horizontal")))
    assert (found.disagreement.shape, found.disagreement.dtype) == ((12, 16), np.float32)
    views = [
        predicted(None).probabilities,
        predicted(None, np.ascontiguousarray(image[:, ::-1])).probabilities[..., ::-1],
    ]
    expected = entropy(np.mean(views, axis=0), base=2) - np.mean([entropy(view, base=2) for view in views], axis=0)
    np.testing.assert_allclose(found.disagreement, expected, atol=1e-5)
    assert found.disagreement.max() > 0.5
    np.testing.assert_allclose(found.probabilities, np.mean(views, axis=0), atol=1e-6)
    assert np.abs(predicted(TestTimeAugmentation(flips=("none", "vertical"))).disagreement).max() < 1e-5
    assert predicted(None).disagreement is None
    assert predicted(TestTimeAugmentation(), keep=False).disagreement is None
