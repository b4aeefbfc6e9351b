"""Several models as one: their mean probabilities, what they must have in common, and what was chosen for them."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import sha256_of
from glomseg.inference.ensemble import Ensemble, Member, SmallestObject, read_ensemble, write_ensemble
from glomseg.inference.loading import load_predictor
from glomseg.inference.slide import window_probabilities
from glomseg.models.build import build_model
from glomseg.models.model_files import load_model, save_model
from glomseg.types import GLOMERULUS, Classes, ModelCard, Scaling, TestTimeAugmentation

CPU = {"device": "cpu", "precision": "32-true"}
OPTIONS = {"base_channels": 8, "stem_channels": 8, "head_channels": 8, "auxiliary_channels": 8}


@pytest.fixture
def member(tmp_path):
    """Writes a tiny model with its own random weights, and gives it as a member."""

    def write(seed, *, classes=GLOMERULUS, **card):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = build_model("pspnet_r18", n_classes=len(classes), **OPTIONS)
            for parameter in model.decode_head.parameters():
                parameter.data.mul_(20)  # decided, so that members disagree
        path = tmp_path / f"model-{seed}.safetensors"
        save_model(path, model, ModelCard(architecture="pspnet_r18", classes=classes, options=OPTIONS, **card))
        return Member(name=path.name, file=path, sha256=sha256_of(path))

    return write


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def written(tmp_path, *members, **chosen):
    write_ensemble(tmp_path / "ensemble.json", Ensemble(members=members, **chosen))
    return tmp_path


def test_the_prediction_is_the_mean_of_the_members(member, image, tmp_path):
    members = [member(seed) for seed in (1, 2, 3)]
    ensemble = load_predictor(written(tmp_path, *members), **CPU)
    alone = [load_predictor(item.file, **CPU).predict(image, keep_probabilities=True) for item in members]
    mean = np.mean([item.probabilities for item in alone], axis=0)
    predicted = ensemble.predict(image, keep_probabilities=True)
    assert np.abs(predicted.probabilities - mean).max() < 1e-6
    assert np.array_equal(predicted.mask, predicted.probabilities.argmax(axis=0))
    assert any(not np.array_equal(predicted.mask, item.mask) for item in alone)
    assert ensemble.notes == ("ensemble: the mean of the probabilities of 3 models",)


def test_flips_are_inside_and_windows_of_slides_are_the_same_mean(member, image, tmp_path):
    members = [member(seed) for seed in (1, 2)]
    tta = TestTimeAugmentation(flips=("none", "vertical"))
    ensemble = load_predictor(written(tmp_path, *members), tta=tta, **CPU)
    alone = [load_predictor(item.file, tta=tta, **CPU) for item in members]
    mean = np.mean([one.predict(image, keep_probabilities=True).probabilities for one in alone], axis=0)
    assert np.abs(ensemble.predict(image, keep_probabilities=True).probabilities - mean).max() < 1e-6
    windows = ensemble.prepare([image, image[:, ::-1]])
    mean = torch.stack([window_probabilities(one, windows) for one in alone]).mean(dim=0)
    assert torch.allclose(window_probabilities(ensemble, windows), mean, atol=1e-6)


def test_what_was_chosen_is_used_and_said(member, image, tmp_path):
    members = [member(seed) for seed in (1, 2)]
    plain = load_predictor(written(tmp_path, *members), **CPU).predict(image, keep_probabilities=True)
    tta = TestTimeAugmentation(flips=("none", "horizontal"))
    smallest = SmallestObject(diameter=10, unit="um")
    ensemble = load_predictor(written(tmp_path, *members, threshold=0.3, smallest=smallest), **CPU)
    assert np.array_equal(ensemble.predict(image).mask, plain.probabilities[1] > 0.3)
    assert "a pixel is foreground above a probability of 0.3" in ensemble.notes[1]
    assert "do not count below a diameter of 10 um" in ensemble.notes[1]
    assert ensemble.min_area_px(None, mpp=2.0) == 20  # pi / 4 * 5 * 5 is 19.6
    assert ensemble.min_area_px(None, mpp=None) == 0
    assert ensemble.min_area_px(7, mpp=2.0) == 7
    ensemble = load_predictor(written(tmp_path, *members, tta=tta), **CPU)
    assert ensemble.tta == tta
    one_view = TestTimeAugmentation(flips=("none",))
    again = load_predictor(tmp_path, tta=one_view, **CPU).predict(image, keep_probabilities=True)
    assert np.array_equal(again.probabilities, plain.probabilities)


def test_an_area_in_pixels_is_the_same_at_any_mpp():
    assert SmallestObject(diameter=4, unit="px").area_px(None) == 13
    assert SmallestObject(diameter=4, unit="px").area_px(0.5) == 13


def test_the_card_knows_what_any_member_saw(member, tmp_path):
    seen = [{"train_images": ["a", "b"], "val_images": ["c"], "train_groups": ["S1"], "mpp": 0.5}]
    seen += [{"train_images": ["b", "c"], "val_images": ["a"], "train_groups": ["S2"], "mpp": 0.5}]
    members = [member(seed, trained_on=item) for seed, item in enumerate(seen)]
    card = load_predictor(written(tmp_path, *members), **CPU).card
    assert card.trained_on == {
        "mpp": 0.5,
        "train_images": ["a", "b", "c"],
        "val_images": ["a", "c"],
        "train_groups": ["S1", "S2"],
    }
    assert card.provenance["members"] == {item.name: item.sha256 for item in members}
    notes = load_predictor(written(tmp_path, *members, member(5)), **CPU).notes
    assert "model-5.safetensors of the ensemble: nobody knows which tiles it was trained on" in notes


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"classes": Classes.of(["background", "tubule"])}, "classes"),
        ({"scaling": Scaling(factor=0.5)}, "scaling"),
        ({"mean": (0.0, 0.0, 0.0)}, "mean"),
        ({"std": (1.0, 1.0, 1.0)}, "std"),
    ],
)
def test_members_that_do_not_belong_together(member, tmp_path, other, what):
    folder = written(tmp_path, member(1), member(2, **other))
    message = f"'model-2.safetensors' and 'model-1.safetensors' cannot be one ensemble: they differ in {what}, "
    with pytest.raises(InvalidInputError, match=message):
        load_predictor(folder, **CPU)


def test_a_threshold_is_for_two_classes(member, tmp_path):
    three = Classes.of(["background", "a", "b"])
    folder = written(tmp_path, member(1, classes=three), member(2, classes=three), threshold=0.4)
    with pytest.raises(InvalidInputError, match="its models know 3 classes; a threshold is for two"):
        load_predictor(folder, **CPU)


def test_a_member_that_was_changed_or_is_gone(member, tmp_path):
    members = [member(1), member(2)]
    folder = written(tmp_path, *members)
    model, card = load_model(members[0].file)
    save_model(members[1].file, model, dataclasses.replace(card, metrics={"new": 1}))
    with pytest.raises(InvalidInputError, match=r"model-2.safetensors' is not the model that .* was made with"):
        load_predictor(folder, **CPU)
    members[1].file.unlink()
    with pytest.raises(MissingInputError, match="model-2"):
        load_predictor(folder, **CPU)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "is not an ensemble"),
        ({"format": "other"}, "is not an ensemble"),
        ({"members": [], "treshold": 0.4}, "has the key 'treshold': did you mean 'threshold'"),
        ({"members": 3}, "is damaged: members"),
        ({"members": [{"file": 3}, {"file": "b"}]}, "is damaged: members.0.file"),
        ({"members": [{"file": "a"}]}, "names 1 models; it needs two or more"),
        ({"members": [{"file": "a"}, {"file": "a"}]}, "names one of its models twice"),
        ({"members": [{"file": "a"}, {"file": "b"}], "threshold": 1.0}, "the threshold 1.0 is not between 0 and 1"),
        ({"members": [{"file": "a"}, {"file": "b"}], "tta": {"flips": ["sideways"]}}, "is damaged.*sideways"),
        ({"members": [], "smallest": {"diameter": -1, "unit": "um"}}, "is damaged.*-1 um"),
        ({"members": [], "smallest": {"diameter": 1, "unit": "mile"}}, "is damaged: smallest.unit"),
    ],
)
def test_damaged_records(tmp_path, values, message):
    path = tmp_path / "mine.json"
    content = {"format": "glomseg ensemble 1", **values} if isinstance(values, dict) else values
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidInputError, match=message) as error:
        load_predictor(path, **CPU)
    assert "mine.json" in str(error.value)


def test_a_record_is_read_as_it_was_written(member, tmp_path):
    tta = TestTimeAugmentation(scales=(1.0, Scaling(factor=0.5)))
    smallest = SmallestObject(diameter=3, unit="px")
    made = Ensemble(members=(member(1), member(2)), threshold=0.25, tta=tta, smallest=smallest)
    write_ensemble(tmp_path / "ensemble.json", made)
    assert read_ensemble(tmp_path / "ensemble.json") == made


def test_an_ensemble_has_no_logits(member, image, tmp_path):
    ensemble = load_predictor(written(tmp_path, member(1), member(2)), **CPU)
    with pytest.raises(ValueError, match="an ensemble has no logits"):
        ensemble.logits(image)
