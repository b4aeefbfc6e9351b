"""From an image to its prediction."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.inference.loading import load_predictor, scale_note
from glomseg.inference.predictor import Predictor, most_likely_classes
from glomseg.models.segmentor import Logits
from glomseg.runs import model_path
from glomseg.types import GLOMERULUS, ModelCard, Scaling

CARD = ModelCard(architecture="pspnet_r18", classes=GLOMERULUS, mean=(100.0, 100.0, 100.0), std=(50.0, 50.0, 50.0))
MPP_SCALING = Scaling(mpp=2.0, factor=0.25)


class Redness(nn.Module):
    """Calls what is redder than the mean a glomerulus, at half the resolution, and remembers what it saw."""

    def forward(self, images):
        self.saw = images
        red = images[:, :1, ::2, ::2]
        return Logits(main=torch.cat([-red, red], dim=1))


def predictor(card=CARD, *, model=None):
    return Predictor(model or Redness(), card, device="cpu", precision="32-true")


def test_pixels_are_normalised_classified_and_enlarged_to_the_image():
    image = np.full((6, 8, 3), 50, np.uint8)
    image[:, 4:, 0] = 200
    made = predictor()
    found = made.predict(image, keep_probabilities=True)
    assert made.networks[0].saw[0, :, 0, 7].tolist() == [
        2.0,
        -1.0,
        -1.0,
    ]  # (value - mean) / std, channels red, green, blue
    assert found.mask.dtype == np.uint8
    assert found.mask.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 6
    assert found.probabilities.shape == (2, 6, 8)
    assert found.probabilities.dtype == np.float32
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-6)
    assert found.probabilities[1, 0, 7] == pytest.approx(1 / (1 + np.exp(-4)))  # softmax of (-2, 2)
    assert found.classes == GLOMERULUS
    assert predictor().predict(image).probabilities is None


def test_a_tie_is_background():
    image = np.full((4, 4, 3), 100, np.uint8)
    assert not predictor().predict(image).mask.any()


@pytest.mark.parametrize(
    ("scaling", "mpp", "working"),
    [
        (Scaling(factor=0.5), None, (20, 30)),
        (MPP_SCALING, 1.0, (20, 30)),
        (MPP_SCALING, None, (10, 15)),
        (MPP_SCALING, 4.0, (80, 120)),
        (Scaling(fit_px=(30, 30)), 0.1, (20, 30)),
    ],
)
def test_the_network_sees_the_working_size_and_the_mask_has_the_images(scaling, mpp, working):
    made = predictor(dataclasses.replace(CARD, scaling=scaling))
    found = made.predict(np.zeros((40, 60, 3), np.uint8), mpp=mpp)
    assert made.networks[0].saw.shape[-2:] == working
    assert found.mask.shape == (40, 60)
    assert found.mpp == mpp


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (301, 3), (33, 47)])
def test_any_size_has_a_mask(tiny_model, size):
    found = load_predictor(tiny_model, device="cpu", precision="32-true").predict(np.zeros((*size, 3), np.uint8))
    assert found.mask.shape == size


def test_a_prediction_leaves_no_trace(tiny_model):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    made = load_predictor(tiny_model, device="cpu", precision="32-true")
    before = made.logits(first)
    made.logits(second)
    assert torch.equal(made.logits(first), before)
    assert not before.requires_grad


def test_bf16_gives_nearly_the_same(tiny_model):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    exact = load_predictor(tiny_model, device="cpu", precision="32-true").logits(image)
    rough = load_predictor(tiny_model, device="cpu", precision="bf16-mixed").logits(image)
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.05 * float(exact.abs().max()))


class Broken(nn.Module):
    def __init__(self, error=None):
        super().__init__()
        self.error = error

    def forward(self, images):
        if self.error is not None:
            raise self.error
        return Logits(main=torch.full((1, 2, 4, 4), float("nan")))


def test_nan_is_an_error_and_not_background():
    with pytest.raises(InvalidInputError, match="NaN or infinite numbers in 32-true; the model is damaged"):
        predictor(model=Broken()).predict(np.zeros((8, 8, 3), np.uint8))
    half = Predictor(Broken(), CARD, device="cpu", precision="bf16-mixed")
    with pytest.raises(InvalidInputError, match="use --precision 32-true"):
        half.predict(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_too_little_memory_is_told_as_such(error):
    with pytest.raises(InvalidInputError, match=r"8x9 pixels.*does not fit into the memory of 'cpu'.*smaller tiles"):
        predictor(model=Broken(error)).predict(np.zeros((9, 8, 3), np.uint8))


def test_other_errors_of_the_network_are_bugs():
    with pytest.raises(RuntimeError, match="shapes"):
        predictor(model=Broken(RuntimeError("shapes do not fit"))).predict(np.zeros((8, 8, 3), np.uint8))


def test_an_absurd_mpp_does_not_fill_the_memory():
    made = predictor(dataclasses.replace(CARD, scaling=MPP_SCALING))
    with pytest.raises(InvalidInputError, match=r"250.* um per pixel would be worked on at 125000x125000"):
        made.predict(np.zeros((1000, 1000, 3), np.uint8), mpp=250)


def test_a_path_is_a_model_or_a_run(tmp_path, tiny_model):
    assert model_path(tiny_model) == tiny_model
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(MissingInputError, match="is not a run folder"):
        model_path(run)
    (run / "manifest.json").write_text("{}")
    with pytest.raises(MissingInputError, match=r"holds no model yet.*glomseg train --resume"):
        model_path(run)
    (run / "last.safetensors").write_bytes(b"")
    assert model_path(run) == run / "last.safetensors"
    (run / "best.safetensors").write_bytes(b"")
    assert model_path(str(run)) == run / "best.safetensors"


def test_a_scale_that_may_differ_is_noted():
    def note(images_mpp, *, scaling=MPP_SCALING, **trained_on):
        return scale_note(dataclasses.replace(CARD, scaling=scaling, trained_on=trained_on), mpp=images_mpp)

    learnt = {"train_images": ["a"]}
    assert "give --mpp" in note(None, mpp=0.5, **learnt)
    assert "0.25 of their size" in note(None, mpp=0.5, **learnt)
    assert note(0.5, mpp=0.5, **learnt) == ""
    unknown = Scaling(factor=0.5)
    assert "taken at 0.5 of their size whatever their own 1" in note(1.0, mpp=None, scaling=unknown, **learnt)
    assert note(None, mpp=None, scaling=unknown, **learnt) == ""
    assert note(1.0) == ""  # nothing is known of the training
    assert note(None, mpp="0.5", **learnt) == ""  # a strange card is no crash
    assert note(None, mpp=0.5, scaling=Scaling(fit_px=(512, 512))) == ""
    assert note(None, mpp=0.5, scaling=Scaling(factor=0.5)) == ""


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_likeliest_class_is_that_of_argmax_and_the_first_of_equal_ones(n_classes, memory_format):
    logits = torch.randint(0, 3, (2, n_classes, 5, 7)).float().contiguous(memory_format=memory_format)  # many are equal
    found = most_likely_classes(logits, threshold=None)
    assert found.dtype == torch.uint8
    assert np.array_equal(found, logits.numpy().argmax(axis=1))
