"""Calibrating a model: the file that is written, the figures that are told, and what is refused."""

import dataclasses
import shutil

import numpy as np
import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.split import write_split
from glomseg.data.tiles import read_tile
from glomseg.errors import InvalidInputError
from glomseg.files import sha256_of
from glomseg.inference.loading import load_predictor
from glomseg.inference.predictor import Predictor
from glomseg.models.model_files import load_model, save_model
from glomseg.runs import RunFolder
from glomseg.steps import calibrate
from glomseg.steps.calibrate import calibrate_model
from glomseg.steps.evaluate import evaluate_model
from glomseg.types import GLOMERULUS, Prediction, Split

CPU = {"device": "cpu", "precision": "32-true"}


@pytest.fixture
def dataset(tiny_dataset):
    return open_dataset(tiny_dataset)


@pytest.fixture
def run(tmp_path, tiny_model, dataset):
    """A run whose validation part is four of the six slides."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    shutil.copy(tiny_model, folder.best_model)
    folder.manifest.write_text("{}")
    names = [sample.name for sample in dataset.samples]
    write_split(folder.split, Split(train=tuple(names[:2]), val=tuple(names[2:10]), test=tuple(names[10:])))
    return folder


@pytest.fixture
def boastful(dataset, monkeypatch):
    """Lets the predictor see the truth through noise, and boast: its log-odds are three times the honest ones."""
    tiles = [read_tile(dataset, sample) for sample in dataset.samples]
    share = np.mean([target for _, target in tiles])
    rng = np.random.default_rng(0)

    def predict(self, image, *, mpp=None, look=None, keep_probabilities=False):
        target = next(target for own, target in tiles if np.array_equal(own, image))
        seen = rng.normal(2.0 * target - 1, 1.2)
        honest = 2 * seen / 1.2**2 + np.log(share / (1 - share))
        foreground = (1 / (1 + np.exp(-3 * honest))).astype(np.float32)
        mask = (foreground > 0.5).astype(np.uint8)
        return Prediction(mask=mask, probabilities=np.stack([1 - foreground, foreground]), classes=GLOMERULUS)

    monkeypatch.setattr(Predictor, "predict", predict)


def test_a_new_model_beside_the_old_has_the_temperature(run, dataset, boastful):
    old = sha256_of(run.best_model)
    result = calibrate_model(run.path, dataset, **CPU)
    assert result.path == run.path / "best-calibrated.safetensors"
    assert sha256_of(run.best_model) == old
    assert result.temperature == pytest.approx(3, rel=0.1)
    assert result.interval.low < result.temperature < result.interval.high
    assert (result.n_tiles, result.n_groups, result.n_pixels) == (8, 4, 8 * 4096)
    assert result.after.figures["ece"] < result.before.figures["ece"] / 3
    assert result.before.figures["overconfidence"] > 0.02
    assert result.after.figures["log_loss"] < result.before.figures["log_loss"]
    assert result.after.intervals["ece"].n_groups == 4
    assert (result.notes, result.failed) == ((), {})

    (network, card), (old_network, old_card) = load_model(result.path), load_model(run.best_model)
    assert card.inference.temperature == result.temperature
    fitted = card.provenance["calibration"]
    assert (fitted["part"], fitted["n_tiles"], fitted["n_groups"], fitted["tta"]) == ("val", 8, 4, None)
    assert len(fitted["images"]) == 8
    inference = dataclasses.replace(card.inference, temperature=1.0)
    provenance = {key: value for key, value in card.provenance.items() if key != "calibration"}
    assert dataclasses.replace(card, inference=inference, provenance=provenance) == old_card
    for name, value in network.state_dict().items():
        assert value.equal(old_network.state_dict()[name])


def test_masks_are_the_same_and_probabilities_are_not(tiny_model, dataset, tmp_path):
    model, card = load_model(tiny_model)
    warm = dataclasses.replace(card, inference=dataclasses.replace(card.inference, temperature=2.0))
    save_model(tmp_path / "warm.safetensors", model, warm)
    image, _ = read_tile(dataset, dataset.samples[0])
    plain, softer = (
        load_predictor(path, **CPU).predict(image, keep_probabilities=True)
        for path in (tiny_model, tmp_path / "warm.safetensors")
    )
    np.testing.assert_array_equal(plain.mask, softer.mask)
    assert softer.probabilities.max(axis=0).mean() < plain.probabilities.max(axis=0).mean()


def test_a_temperature_that_is_there_is_built_upon(run, dataset, boastful):
    first = calibrate_model(run.path, dataset, **CPU)
    model, card = load_model(run.best_model)
    warm = dataclasses.replace(card, inference=dataclasses.replace(card.inference, temperature=2.0))
    save_model(run.best_model, model, warm)
    # The stand-in knows no temperature: it is as sure as before.
    assert calibrate_model(run.path, dataset, **CPU).temperature == pytest.approx(2 * first.temperature, rel=0.05)


def test_memory_is_bounded_by_drawing_pixels(run, dataset, boastful, monkeypatch):
    monkeypatch.setattr(calibrate, "MAX_PIXELS", 8 * 1000)
    result = calibrate_model(run.path, dataset, **CPU)
    assert result.n_pixels == 8000
    assert result.temperature == pytest.approx(3, rel=0.3)


def test_one_group_has_no_interval_and_is_noted(run, dataset, boastful):
    one = dataclasses.replace(
        dataset, samples=tuple(dataclasses.replace(sample, group="S") for sample in dataset.samples)
    )
    result = calibrate_model(run.path, one, **CPU)
    assert np.isnan(result.interval.low)
    assert "1 group bears the temperature" in result.notes[0]


def test_a_temperature_that_helps_no_other_slide_is_noted(run, dataset, monkeypatch):
    def predict(self, image, *, mpp=None, look=None, keep_probabilities=False):
        # In one of the slides the model is right, in the others it is wrong in turn of 10 and 45 % of its pixels.
        position = next(i for i, one in enumerate(images) if np.array_equal(one, image))
        wrong = np.random.default_rng(position).random((64, 64)) < (0.02 if position // 2 == 1 else 0.4)
        mask = np.where(wrong, 1 - targets[position], targets[position]).astype(np.uint8)
        foreground = np.where(mask == 1, 0.8, 0.2).astype(np.float32)
        return Prediction(mask=mask, probabilities=np.stack([1 - foreground, foreground]), classes=GLOMERULUS)

    images, targets = zip(*(read_tile(dataset, sample) for sample in dataset.samples), strict=True)
    monkeypatch.setattr(Predictor, "predict", predict)
    two = Split(train=(), val=tuple(sample.name for sample in dataset.samples[2:6]))
    write_split(run.split, two)
    result = calibrate_model(run.path, dataset, **CPU)
    assert any("does not carry over from slide to slide" in note for note in result.notes)


def test_evaluations_of_the_tiles_that_it_was_fitted_to_say_so(run, dataset, boastful, tmp_path):
    path = calibrate_model(run.path, dataset, **CPU).path
    told = evaluate_model(path, dataset, part="val", out=tmp_path / "val", n_worst=0, **CPU).notes
    assert any("temperature of the probabilities was fitted to 8 of the 8 tiles" in note for note in told)
    told = evaluate_model(path, dataset, part="test", out=tmp_path / "test", n_worst=0, **CPU).notes
    assert not any("temperature" in note for note in told)


def test_tiles_that_cannot_be_read_are_left_out_and_named(run, dataset, boastful):
    broken = dataset.samples[2]
    broken.mask_path.write_bytes(b"")
    result = calibrate_model(run.path, dataset, **CPU)
    assert list(result.failed) == [broken.name]
    assert result.n_tiles == 7
    for sample in dataset.samples:
        sample.mask_path.write_bytes(b"")
    with pytest.raises(InvalidInputError, match="none of the 8 tiles could be read; the first: mask"):
        calibrate_model(run.path, dataset, **CPU)


def test_what_must_not_be_calibrated_with_is_refused(run, dataset, tmp_path, tiny_model):
    with pytest.raises(InvalidInputError, match="--part test is not for calibration: a figure of the test part means"):
        calibrate_model(run.path, dataset, part="test", **CPU)
    with pytest.raises(InvalidInputError, match="--part train is not for calibration: a model is surer"):
        calibrate_model(run.path, dataset, part="train", **CPU)
    with pytest.raises(InvalidInputError, match=r"4 of the 12 tiles are of the training or test part.*use --part val"):
        calibrate_model(run.path, dataset, part="all", **CPU)
    with pytest.raises(InvalidInputError, match="--part 'best' is none of"):
        calibrate_model(run.path, dataset, part="best", **CPU)
    with pytest.raises(InvalidInputError, match="is the model itself, which is kept"):
        calibrate_model(run.path, dataset, out=run.best_model, **CPU)
    with pytest.raises(InvalidInputError, match=r"has to end in \.safetensors"):
        calibrate_model(run.path, dataset, out=tmp_path / "m.pth", **CPU)
    with pytest.raises(InvalidInputError, match="the model knows the classes"):
        calibrate_model(run.path, open_dataset(dataset.root, classes=("a", "b")), **CPU)

    model, card = load_model(tiny_model)
    seen = [sha256_of(dataset.samples[3].image_path)[:16]]
    path = tmp_path / "elsewhere" / "m.safetensors"
    path.parent.mkdir()
    save_model(path, model, dataclasses.replace(card, trained_on={"train_images": seen}))
    with pytest.raises(InvalidInputError, match=r"1 of the 12 tiles were trained on, the first is 'SITE_S02_T02'"):
        calibrate_model(path, dataset, part="all", **CPU)
    assert [file.name for file in path.parent.iterdir()] == ["m.safetensors"]
