"""How images are prepared and what classes are called, as the config says it."""

import pytest

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.network import describe_network
from glomseg.models.openmmlab.preparation import describe_classes, describe_preparation
from glomseg.types import Scaling

from .small import config


def prepared(**changes):
    values = config(**changes)
    return describe_preparation(values, describe_network(values["model"]))


def with_pipeline(*steps):
    return prepared(test_dataloader__dataset__pipeline=list(steps))


def test_the_scale_of_the_test_pipeline():
    assert with_pipeline({"type": "LoadImageFromFile"}).scaling.working_size(height=30, width=40, mpp=None) == (30, 40)
    halved = with_pipeline({"type": "Resize", "scale_factor": 0.5, "keep_ratio": True})
    assert halved.scaling.working_size(height=30, width=40, mpp=0.2) == (15, 20)
    fitted = with_pipeline({"type": "Resize", "scale": (320, 240), "keep_ratio": True})
    assert fitted.scaling.working_size(height=1024, width=1024, mpp=None) == (240, 240)
    assert fitted.notes == ()
    squeezed = with_pipeline({"type": "Resize", "scale": (320, 240)})
    assert "whatever its shape" in squeezed.notes[0]
    with pytest.raises(InvalidInputError, match="Resize in the test pipeline"):
        with_pipeline({"type": "Resize", "scale": 320})
    both = with_pipeline({"type": "Resize", "scale": (320, 240), "scale_factor": 0.5, "keep_ratio": True})
    assert both.scaling == fitted.scaling  # as MMCV has it


def test_how_a_scale_factor_rounds_depends_on_keep_ratio():
    for keeps in (True, False):
        found = with_pipeline({"type": "Resize", "scale_factor": 0.5, "keep_ratio": keeps})
        assert found.scaling == Scaling(factor=0.5, interpolation="bilinear", boxed=keeps)


def test_the_interpolation_of_the_test_pipeline():
    area = with_pipeline({"type": "Resize", "scale_factor": 0.5, "interpolation": "area"})
    assert area.scaling.interpolation == "area"
    cubic = with_pipeline({"type": "Resize", "scale_factor": 0.5, "interpolation": "bicubic"})
    assert cubic.scaling.interpolation == "bilinear"
    assert cubic.notes == ("Resize in the test pipeline has interpolation='bicubic'; here it is bilinear",)


def test_steps_that_are_not_carried_over_are_named():
    assert with_pipeline({"type": "CLAHE"}).notes == ("the step CLAHE of the test pipeline is not carried over",)


@pytest.mark.parametrize(
    ("test_cfg", "window", "stride"),
    [
        ({}, None, None),
        ({"mode": "whole"}, None, None),
        ({"mode": "slide", "crop_size": 256, "stride": 170}, (256, 256), (170, 170)),
        ({"mode": "slide", "crop_size": (512, 1024), "stride": (341, 700)}, (512, 1024), (341, 700)),
    ],
)
def test_the_test_mode(test_cfg, window, stride):
    inference = prepared(model__test_cfg=test_cfg).inference
    assert (inference.window_px, inference.stride_px) == (window, stride)


def test_a_test_mode_that_is_not_known():
    with pytest.raises(InvalidInputError, match="'nearly'"):
        prepared(model__test_cfg={"mode": "nearly"})
    with pytest.raises(InvalidInputError, match=r"stride is None; slide mode needs"):
        prepared(model__test_cfg={"mode": "slide", "crop_size": 256})


def test_padding_of_test_images():
    found = prepared(model__data_preprocessor__test_cfg={"size_divisor": 32})
    assert found.size_divisor == 32
    assert any("each window is padded" in note for note in found.notes)  # the config slides
    assert any("size is not carried" in note for note in prepared(
        model__data_preprocessor__test_cfg={"size": (64, 64)}
    ).notes)  # fmt: skip


def test_colours_of_a_config_without_normalisation():
    values = config()
    del values["model"]["data_preprocessor"]
    found = describe_preparation(values, describe_network(values["model"]))
    assert (found.mean, found.std, found.is_bgr) == ((0, 0, 0), (1, 1, 1), False)
    assert "taken as they are" in found.notes[0]
    with pytest.raises(InvalidInputError, match="mean of the colours"):
        prepared(model__data_preprocessor__mean=[1.0])


@pytest.mark.parametrize("place", ["test_dataloader__dataset__reduce_zero_label", "pipeline"])
def test_reduce_zero_label_is_told(place):
    if place == "pipeline":
        found = with_pipeline({"type": "LoadAnnotations", "reduce_zero_label": True})
    else:
        found = prepared(**{place: True})
    assert found.reduce_zero_label
    assert "one less than MMSegmentation's files" in found.notes[0]
    assert not prepared().reduce_zero_label


def test_a_data_set_inside_its_wrappers():
    values = config()
    inner = values["test_dataloader"]["dataset"]
    for wrapped in ({"type": "RepeatDataset", "dataset": inner}, {"type": "ConcatDataset", "datasets": [inner]}):
        values["test_dataloader"]["dataset"] = wrapped
        assert describe_classes(values, {}, n_classes=2)[0].names == ("background", "glomerulus")


def test_classes_without_names_are_numbered():
    classes, notes = describe_classes({}, {}, n_classes=3)
    assert classes.names == ("class 0", "class 1", "class 2")
    assert "neither config nor checkpoint names" in notes[0]
    assert describe_classes({}, {"dataset_meta": {"classes": ["a"]}}, n_classes=2)[0].names[0] == "class 0"
    odd = {"dataset_meta": {"classes": ["a", "b"], "palette": [[1, 2], [3, 4]]}}
    assert describe_classes({}, odd, n_classes=2)[0].names == ("a", "b")


def test_images_of_0x_are_padded_after_they_are_normalised():
    normalise = {"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6], "to_rgb": True}
    pad = {"type": "Pad", "size_divisor": 32}
    padded = prepared(test_dataloader__dataset__pipeline=[normalise, pad], model__test_cfg={"mode": "whole"})
    assert (padded.size_divisor, padded.notes) == (32, ())
    before = with_pipeline(pad, normalise)
    assert before.size_divisor == 1
    assert before.notes == ("the step Pad of the test pipeline is not carried over",)


def test_the_oldest_configs_say_the_test_mode_beside_the_model():
    found = prepared(model__test_cfg=None, test_cfg={"mode": "slide", "crop_size": 64, "stride": 48})
    assert found.inference.window_px == (64, 64)
    assert prepared(model__test_cfg=None, test_cfg={"type": "TestLoop"}).inference.window_px is None
