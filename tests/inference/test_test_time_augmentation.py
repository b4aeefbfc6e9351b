"""Predictions that are the mean of the probabilities of several views."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from glomseg.errors import InvalidInputError
from glomseg.inference.loading import load_predictor
from glomseg.inference.predictor import Predictor
from glomseg.models.model_files import load_model, save_model
from glomseg.models.segmentor import Logits
from glomseg.types import FLIPS, GLOMERULUS, Inference, ModelCard, Scaling, TestTimeAugmentation

CARD = ModelCard(architecture="pspnet_r18", classes=GLOMERULUS, mean=(100.0, 100.0, 100.0), std=(50.0, 50.0, 50.0))
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


class FromTheLeft(nn.Module):
    """Adds red up from the left at half the resolution, so that a flip changes what it says; keeps what it saw."""

    def __init__(self, n_logits: int = 2) -> None:
        super().__init__()
        self.n_logits = n_logits
        self.saw: list[torch.Tensor] = []

    def forward(self, images):
        self.saw.append(images)
        red = images[:, :1, ::2, ::2].cumsum(dim=-1)
        return Logits(main=torch.cat([-red, red][-self.n_logits :], dim=1))


def predictor(tta, card=CARD, n_logits=2):
    return Predictor(FromTheLeft(n_logits), card, device="cpu", precision="32-true", tta=tta)


def test_probabilities_are_the_mean_over_scales_and_flips_at_the_images_size():
    tta = TestTimeAugmentation(scales=(0.5, 1.0, 1.5), flips=("none", "vertical", "horizontal"))
    made = predictor(tta)
    found = made.predict(IMAGE, keep_probabilities=True)
    assert [tuple(view.shape[-2:]) for view in made.networks[0].saw] == [(10, 15)] * 3 + [(20, 30)] * 3 + [(30, 45)] * 3
    assert torch.equal(made.networks[0].saw[4], made.networks[0].saw[3].flip(-2))
    assert torch.equal(made.networks[0].saw[5], made.networks[0].saw[3].flip(-1))
    expected = []
    for scale in tta.scales:
        alone = predictor(None, dataclasses.replace(CARD, scaling=Scaling(factor=scale)))
        for axes in ((), (0,), (1,)):
            picture = np.ascontiguousarray(np.flip(IMAGE, axes))
            view = alone.predict(picture, keep_probabilities=True).probabilities
            expected.append(np.flip(view, [axis + 1 for axis in axes]))
    np.testing.assert_allclose(found.probabilities, np.mean(expected, axis=0), atol=1e-5)
    np.testing.assert_array_equal(found.mask, found.probabilities.argmax(axis=0))
    assert found.probabilities.dtype == np.float32
    assert found.mask.dtype == np.uint8
    assert made.predict(IMAGE).probabilities is None


def test_it_is_the_mean_of_probabilities_and_not_of_logits():
    class SureFromOneSide(nn.Module):
        """Says glomerulus with a logit of 12 where it looks from one side, background with -2 from the other."""

        def forward(self, images):
            logit = torch.full((1, 1, 2, 2), 12.0 if images[0, 0, 0, 0] > 0 else -2.0)
            return Logits(main=torch.cat([0 * logit, logit], dim=1))

    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 0] = 200
    views = TestTimeAugmentation(flips=("vertical", "horizontal", "both"))  # one from that side, two from the other
    found = Predictor(SureFromOneSide(), CARD, device="cpu", precision="32-true", tta=views)
    kept = found.predict(image, keep_probabilities=True)
    sure, doubtful = 1 / (1 + np.exp(-12)), 1 / (1 + np.exp(2))
    np.testing.assert_allclose(kept.probabilities[1], (sure + 2 * doubtful) / 3, atol=1e-6)
    assert not kept.mask.any()  # although the mean of the logits is 8 / 3


@pytest.mark.parametrize("threshold", [0.7, 0.5, None])
def test_a_single_logit_has_one_sigmoid_and_its_threshold(threshold):
    card = dataclasses.replace(CARD, inference=Inference(threshold=threshold))
    views = TestTimeAugmentation(flips=("none", "vertical"))
    found = predictor(views, card, n_logits=1).predict(IMAGE, keep_probabilities=True)
    assert found.probabilities.shape == (2, 20, 30)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(found.mask, found.probabilities[1] > (threshold or 0.5))
    assert 0 < found.mask.mean() < 1


def test_windows_and_the_working_scale_are_those_of_the_card():
    card = dataclasses.replace(
        CARD, scaling=Scaling(mpp=2.0, factor=0.5), inference=Inference(window_px=(8, 8), stride_px=(8, 8))
    )
    made = predictor(TestTimeAugmentation(scales=(2.0,), flips=("both",)), card)
    made.predict(IMAGE, mpp=1.0)  # 20 x 30 pixels become 10 x 15, twice that with the scale
    assert len(made.networks[0].saw) == 3 * 4
    assert {tuple(view.shape[-2:]) for view in made.networks[0].saw} == {(8, 8)}


def test_one_view_is_the_plain_prediction():
    found = predictor(TestTimeAugmentation(flips=("none",))).predict(IMAGE, keep_probabilities=True)
    plain = predictor(None).predict(IMAGE, keep_probabilities=True)
    np.testing.assert_array_equal(found.mask, plain.mask)
    np.testing.assert_array_equal(found.probabilities, plain.probabilities)


def test_errors_are_told():
    large = dataclasses.replace(CARD, scaling=Scaling(factor=1000))
    with pytest.raises(
        InvalidInputError, match=r"30x20 pixels would be worked on at 60000x40000.*smaller --tta-scales"
    ):
        predictor(TestTimeAugmentation(scales=(2.0,)), large).predict(IMAGE)

    class Broken(nn.Module):
        def forward(self, images):
            return Logits(main=torch.full((1, 2, 4, 4), float("nan")))

    with pytest.raises(InvalidInputError, match="NaN or infinite numbers"):
        Predictor(Broken(), CARD, device="cpu", tta=TestTimeAugmentation()).predict(IMAGE)


def test_true_takes_the_models_own_views_else_the_default(tiny_model, tmp_path):
    plain = load_predictor(tiny_model, device="cpu")
    assert (plain.tta, plain.notes) == (None, ())
    by_default = load_predictor(tiny_model, device="cpu", tta=True)
    assert by_default.tta == TestTimeAugmentation(scales=(1.0,), flips=FLIPS)
    assert by_default.notes == (
        "test-time augmentation: masks are of the mean probabilities of 4 views "
        "(scales 1 of the working size; flips none, horizontal, vertical, both)",
    )
    own = TestTimeAugmentation(scales=(0.5, Scaling(factor=0.75, boxed=True)), flips=("none", "horizontal"))
    model, card = load_model(tiny_model)
    save_model(tmp_path / "own.safetensors", model, dataclasses.replace(card, tta=own))
    assert load_predictor(tmp_path / "own.safetensors", device="cpu").tta is None
    assert load_predictor(tmp_path / "own.safetensors", device="cpu", tta=True).tta == own
    chosen = TestTimeAugmentation(flips=("vertical",))
    assert load_predictor(tmp_path / "own.safetensors", device="cpu", tta=chosen).tta == chosen


@pytest.mark.parametrize(
    ("own", "scales", "is_noted"),
    [
        (Scaling(fit_px=(320, 240)), (Scaling(factor=0.5),), True),
        (Scaling(factor=0.25), (Scaling(factor=0.5),), True),
        (Scaling(), (Scaling(factor=0.5),), False),
        (Scaling(fit_px=(320, 240)), (0.5, 1.0), False),
        (Scaling(fit_px=(320, 240)), (Scaling(fit_px=(320, 240)),), False),
    ],
)
def test_views_at_another_size_than_the_models_are_noted(tiny_model, tmp_path, own, scales, is_noted):
    model, card = load_model(tiny_model)
    views = TestTimeAugmentation(scales=scales)
    save_model(tmp_path / "m.safetensors", model, dataclasses.replace(card, scaling=own, tta=views))
    (note,) = load_predictor(tmp_path / "m.safetensors", device="cpu", tta=True).notes
    assert ("sizes that it never saw: compare with --tta-flips horizontal" in note) == is_noted


def test_a_card_with_views_that_cannot_be(tiny_model, tmp_path):
    model, card = load_model(tiny_model)
    impossible = TestTimeAugmentation(scales=(Scaling(factor=-1.0),))
    save_model(tmp_path / "m.safetensors", model, dataclasses.replace(card, tta=impossible))
    with pytest.raises(InvalidInputError, match=r"m\.safetensors.*test-time augmentation: scaling\.factor = -1"):
        load_model(tmp_path / "m.safetensors")
    object.__setattr__(impossible, "flips", ("sideways",))
    save_model(tmp_path / "m.safetensors", model, dataclasses.replace(card, tta=impossible))
    with pytest.raises(InvalidInputError, match=r"m\.safetensors.*no flip 'sideways'"):
        load_model(tmp_path / "m.safetensors")
