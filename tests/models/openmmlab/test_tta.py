"""The views of a config's test-time augmentation."""

import cv2
import numpy as np
import pytest
import torch

from glomseg.inference.loading import load_predictor
from glomseg.models.build import build_model
from glomseg.models.openmmlab.tta import describe_tta
from glomseg.steps.openmmlab.explaining import explain_config
from glomseg.types import Scaling, TestTimeAugmentation

from ..goldens import fill, hashed_uniform
from .small import OPTIONS, config, write_config

LOAD, REST = (
    {"type": "LoadImageFromFile", "backend_args": None},
    [[{"type": "LoadAnnotations"}], [{"type": "PackSegInputs"}]],
)
NO_FLIP = {"type": "RandomFlip", "prob": 0.0, "direction": "horizontal"}
FLIP = {"type": "RandomFlip", "prob": 1.0, "direction": "horizontal"}


def factor(ratio):
    return {"type": "Resize", "scale_factor": ratio, "keep_ratio": True}


def augmented(*choices):
    return describe_tta({"tta_pipeline": [LOAD, {"type": "TestTimeAug", "transforms": [*choices, *REST]}]})


def boxed(ratio):
    return Scaling(factor=ratio, interpolation="bilinear", boxed=True)


def test_the_usual_pipeline_of_mmsegmentation():
    views, notes = augmented([factor(0.5), factor(1.0), factor(1.75)], [NO_FLIP, FLIP])
    assert views == TestTimeAugmentation(scales=(boxed(0.5), boxed(1.0), boxed(1.75)), flips=("none", "horizontal"))
    assert notes == ()


def test_what_is_left_out_is_the_image_as_it_is():
    assert augmented([NO_FLIP, {"type": "RandomFlip", "prob": 1, "direction": "vertical"}])[0] == TestTimeAugmentation(
        scales=(Scaling(interpolation="bilinear"),), flips=("none", "vertical")
    )
    assert augmented([factor(2.0)])[0] == TestTimeAugmentation(scales=(boxed(2.0),), flips=("none",))
    assert augmented([{"type": "RandomFlip", "prob": 1.0}])[0].flips == ("horizontal",)


def test_a_resize_before_the_views_is_that_of_every_view():
    fit = {"type": "Resize", "scale": (320, 240), "keep_ratio": True}
    pipeline = [LOAD, fit, {"type": "TestTimeAug", "transforms": [[NO_FLIP, FLIP], *REST]}]
    views, _ = describe_tta({"tta_pipeline": pipeline})
    assert views.scales == (Scaling(fit_px=(320, 240), interpolation="bilinear"),)
    assert views.flips == ("none", "horizontal")


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ([[{"type": "RandomFlip", "prob": 0.5}]], "prob=0.5 and direction='horizontal' is no view"),
        ([[{"type": "RandomFlip", "prob": 1.0, "direction": "diagonal"}]], "direction='diagonal'"),
        ([[factor(1.0)], [factor(0.5)]], "Resize where glomseg knows one Resize"),
        ([[factor(1.0), FLIP]], "RandomFlip or Resize where"),
        ([[{"type": "CLAHE"}]], "CLAHE where"),
        ([[factor(-1.0)]], "scale_factor=-1.0, which is not a positive number"),
        ([[factor(1.0), factor(1.0)]], "are not all different"),
        ([[{"type": "Resize", "scale": ("a", 3)}]], "tta_pipeline has scale="),
        ([7], "has 7 where a list of steps belongs"),
    ],
)
def test_views_that_cannot_be_had_are_noted(choices, reason):
    views, notes = augmented(*choices)
    assert views is None
    assert "test-time augmentation is not carried over" in notes[-1]
    assert reason in notes[-1]


def old(**step):
    step = {"type": "MultiScaleFlipAug", "transforms": [{"type": "Resize", "keep_ratio": True}], **step}
    return describe_tta({"data": {"test": {"pipeline": [LOAD, step]}}})


def fit(*size):
    return Scaling(fit_px=size, interpolation="bilinear")


def test_configs_of_0_x():
    assert describe_tta({}) == (None, ())
    assert old(img_scale=(2048, 512), flip=False) == (None, ())
    assert old(img_scale=(2048, 511), img_ratios=[0.5, 1.0], flip=True)[0] == TestTimeAugmentation(
        scales=(fit(1024, 255), fit(2048, 511)), flips=("none", "horizontal")
    )
    assert old(img_scale=[(8, 4), (16, 8)], flip=False)[0] == TestTimeAugmentation(
        scales=(fit(8, 4), fit(16, 8)), flips=("none",)
    )
    assert old(img_scale=None, img_ratios=0.5, flip=True, flip_direction=["vertical"])[0] == TestTimeAugmentation(
        scales=(boxed(0.5),), flips=("none", "vertical")
    )
    assert "unequal weight" in old(img_scale=(8, 4), flip=True, flip_direction=["horizontal", "vertical"])[1][0]
    assert "img_ratios=['a'" in old(img_scale=(8, 4), img_ratios=["a"])[1][0]


def test_it_is_explained(tmp_path):
    values = config() | {
        "tta_model": {"type": "SegTTAModel"},
        "tta_pipeline": [LOAD, {"type": "TestTimeAug", "transforms": [[factor(0.5)], [NO_FLIP, FLIP], *REST]}],
    }
    explanation = explain_config(write_config(tmp_path / "c.py", values))
    assert dict(explanation.rows)["test-time augmentation"] == (
        "with --tta: 2 views (scales 0.5 of the image's own size; flips none, horizontal)"
    )
    assert not {"tta_model", "tta_pipeline"} & set(explanation.not_carried)


def test_probabilities_and_mask_are_mmsegmentations(tmp_path):
    """Figures of MMSegmentation 1.2.2's ``SegTTAModel`` in float32, with windows, for weights filled by the rule.

    The test pipeline shrinks the image, its test-time augmentation does not; and two of the six scales round twice.
    """
    values = config() | {
        "tta_pipeline": [
            LOAD,
            {
                "type": "TestTimeAug",
                "transforms": [[factor(ratio) for ratio in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)], [NO_FLIP, FLIP], *REST],
            },
        ]
    }
    network = build_model("pspnet_r18", n_classes=2, **OPTIONS)
    fill(network)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "m.pth")
    small = ((hashed_uniform(9 * 12 * 3, 7) + 0.5) * 256).astype(np.uint8).reshape(9, 12, 3)
    image = np.asarray(cv2.resize(small, (138, 83)))
    predictor = load_predictor(
        write_config(tmp_path / "c.py", values), weights=tmp_path / "m.pth", device="cpu", precision="32-true", tta=True
    )
    found = predictor.predict(image, keep_probabilities=True)
    assert predictor.tta.n_views == 12
    glomerulus = found.probabilities[1]
    assert found.mask.sum() == 630
    assert glomerulus.mean() == pytest.approx(0.07687864, abs=1e-6)
    assert glomerulus.std() == pytest.approx(0.18188488, abs=1e-6)
    corners_and_middle = [glomerulus[y, x] for y, x in ((0, 0), (0, 137), (82, 0), (82, 137), (41, 70))]
    expected = [
        0.9876754879951477,
        0.9969168305397034,
        0.20457570254802704,
        0.19180245697498322,
        0.00015478947898373008,
    ]
    np.testing.assert_allclose(corners_and_middle, expected, atol=1e-5)
