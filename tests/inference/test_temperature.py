"""A model's temperature changes its probabilities, and no mask, in tiles and slides."""

import dataclasses

import numpy as np
import pytest
import torch

from glomseg.errors import InvalidInputError
from glomseg.inference.loading import load_predictor
from glomseg.inference.predictor import Predictor
from glomseg.metrics.temperature import with_temperature
from glomseg.models.model_files import load_model, save_model
from glomseg.models.segmentor import Logits
from glomseg.types import GLOMERULUS, Inference, ModelCard, TestTimeAugmentation

from .array_slide import ArraySlide, blobs, blur_predictor
from .test_slide import run

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


class Red(torch.nn.Module):
    """Says how red it is, with one logit or two."""

    def __init__(self, n_logits):
        super().__init__()
        self.n_logits = n_logits

    def forward(self, images):
        red = images[:, :1].cumsum(dim=-1) / 5
        return Logits(main=torch.cat([-red, red], dim=1)[:, -self.n_logits :])


def predicted(temperature, *, n_logits=2, threshold=None, tta=None):
    card = ModelCard(
        architecture="none",
        classes=GLOMERULUS,
        mean=(120.0,) * 3,
        inference=Inference(temperature=temperature, threshold=threshold),
    )
    predictor = Predictor(Red(n_logits), card, device="cpu", precision="32-true", tta=tta)
    return predictor.predict(IMAGE, keep_probabilities=True)


@pytest.mark.parametrize("tta", [None, TestTimeAugmentation(flips=("none", "horizontal"))])
@pytest.mark.parametrize(("n_logits", "threshold"), [(2, None), (1, None), (1, 0.6), (1, 0.4)])
def test_masks_stay_and_probabilities_become_less_sure(n_logits, threshold, tta):
    plain = predicted(1.0, n_logits=n_logits, threshold=threshold, tta=tta)
    assert 0 < plain.mask.mean() < 1
    for temperature in (0.25, 3.0):
        found = predicted(temperature, n_logits=n_logits, threshold=threshold, tta=tta)
        np.testing.assert_array_equal(found.mask, plain.mask)
        np.testing.assert_allclose(found.probabilities, with_temperature(plain.probabilities, temperature), atol=1e-6)
        assert (found.probabilities.max(axis=0).mean() < plain.probabilities.max(axis=0).mean()) == (temperature > 1)
        np.testing.assert_array_equal(found.disagreement, plain.disagreement)


def test_one_view_has_the_sigmoid_of_the_logit_over_the_temperature():
    red = (IMAGE[..., 0].astype(np.float64) - 120) / 58.395  # the card's default deviation of red
    expected = 1 / (1 + np.exp(-red.cumsum(axis=1) / 5 / 4))
    np.testing.assert_allclose(predicted(4.0, n_logits=1).probabilities[1], expected, atol=1e-5)
    np.testing.assert_allclose(
        predicted(8.0).probabilities[1], expected, atol=1e-5
    )  # two logits, one the other's minus


@pytest.mark.parametrize("n_classes", [2, 3])
def test_slides_keep_their_mask_and_have_the_temperature_in_their_probabilities(tmp_path, n_classes):
    class Blur(torch.nn.Module):
        def forward(self, images):
            smooth = torch.nn.functional.avg_pool2d(images, 9, stride=1, padding=4)
            return Logits(main=smooth[:, :n_classes] * 2)

    slide = ArraySlide(blobs(70, 60))
    predictor = blur_predictor(model=Blur(), n_classes=n_classes)
    mask, foreground = run(tmp_path / "plain", predictor, slide)
    predictor.card = dataclasses.replace(
        predictor.card, inference=dataclasses.replace(predictor.card.inference, temperature=3.0)
    )
    same, softer = run(tmp_path / "softer", predictor, slide)
    np.testing.assert_array_equal(same, mask)
    assert softer.min() > foreground.min()
    if n_classes == 2:
        share = foreground.astype(np.float32) / 255
        clear = (share > 0.05) & (share < 0.95)  # rounded to a byte, others are too rough to be compared
        expected = 255 * with_temperature(np.stack([1 - share, share])[:, clear], 3.0)[1]
        assert np.abs(softer[clear] - expected).max() < 2.5


def test_the_temperature_lies_in_the_model_file(tiny_model, tmp_path):
    model, card = load_model(tiny_model)
    assert card.inference.temperature == 1.0
    for temperature in (2.5, 0.0, float("inf"), 1000.0):
        inference = dataclasses.replace(card.inference, temperature=temperature)
        save_model(tmp_path / "m.safetensors", model, dataclasses.replace(card, inference=inference))
        if temperature == 2.5:
            assert load_predictor(tmp_path / "m.safetensors", device="cpu").card.inference.temperature == 2.5
        else:
            with pytest.raises(InvalidInputError, match=r"temperature"):
                load_model(tmp_path / "m.safetensors")
