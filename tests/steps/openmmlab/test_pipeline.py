"""Steps of a training pipeline as windows and colours."""

import pytest

from glomseg.errors import InvalidInputError
from glomseg.recipes import parse_settings
from glomseg.steps.openmmlab.account import Account
from glomseg.steps.openmmlab.pipeline import describe_pipeline

CROP = {"type": "RandomCrop", "crop_size": (64, 128), "cat_max_ratio": 0.75}


def described(*steps, **before):
    """The sections as checked settings, and what was written down."""
    account = Account()
    sections = describe_pipeline(steps, before, account)
    return parse_settings(sections, origin="test"), account


def crop_of(*steps, **before):
    return described(CROP, *steps, **before)[0].crop


def test_windows_need_not_be_square_and_are_padded_as_the_preprocessor_says():
    assert crop_of().window_px == (64, 128)
    assert crop_of(size=(64, 128)).padded_px is None
    assert crop_of(size=(96, 100)).input_px == (96, 128)
    assert crop_of(size_divisor=48).input_px == (96, 144)
    assert crop_of({"type": "Pad", "size": (80, 160)}).input_px == (80, 160)
    assert crop_of({"type": "Pad", "size_divisor": 100}).input_px == (100, 200)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"type": "Resize", "scale": (320, 240), "keep_ratio": True}, {"fit_px": (320, 240), "scale_range": (1, 1)}),
        ({"type": "Resize", "scale_factor": 0.5}, {"fit_px": None, "scale_range": (0.5, 0.5)}),
        (
            {"type": "RandomResize", "scale": (320, 240), "ratio_range": (0.5, 2.0), "keep_ratio": True},
            {"fit_px": (320, 240), "scale_range": (0.5, 2)},
        ),
        (
            {"type": "RandomResize", "scale": None, "ratio_range": (0.5, 2.0), "keep_ratio": True},
            {"fit_px": None, "scale_range": (0.5, 2)},
        ),
        (
            {"type": "RandomChoiceResize", "scales": [(40, 30), (80, 60)], "keep_ratio": True},
            {"fit_choices_px": ((40, 30), (80, 60))},
        ),
        (
            {
                "type": "RandomChoiceResize",
                "scales": [32, 64],
                "resize_type": "ResizeShortestEdge",
                "max_size": 100,
            },
            {"fit_choices_px": ((100, 32), (100, 64))},
        ),
        ({"type": "ResizeShortestEdge", "scale": (70, 60), "max_size": 90}, {"fit_choices_px": ((90, 60),)}),
    ],
)
def test_ways_to_resize(step, expected):
    settings, account = described(CROP, step)
    assert {name: getattr(settings.crop, name) for name in expected} == expected
    assert len(account.notes) == 1  # of cat_max_ratio


@pytest.mark.parametrize(
    ("steps", "flip"),
    [
        ([], "none"),
        ([{"type": "RandomFlip", "prob": 0.5}], "horizontal"),
        ([{"type": "RandomFlip", "prob": 0.5}, {"type": "RandomFlip", "prob": 0.5, "direction": "vertical"}], "both"),
        ([{"type": "RandomFlip", "prob": 0.75, "direction": ["horizontal", "vertical", "diagonal"]}], "both"),
        ([{"type": "RandomFlip", "prob": [0.3, 0.1], "direction": ["vertical", "diagonal"]}], (0, 0.3, 0.1)),
        ([{"type": "RandomFlip", "prob": 0.2}, {"type": "RandomFlip", "prob": 0.2}], (0.32, 0, 0)),
    ],
)
def test_flips(steps, flip):
    assert crop_of(*steps).flip == flip


def test_turns_and_colours():
    settings, account = described(CROP, {"type": "RandomRotate", "prob": 0.3, "degree": 15})
    assert (settings.crop.turn_share, settings.crop.turn_range_deg) == (0.3, (-15, 15))
    assert not any("RandomRotate" in note for note in account.notes)
    published = described(CROP, {"type": "PhotoMetricDistortion"})[0].augment
    assert (published.brightness_delta, published.hue_delta) == (32, 18)
    assert published.contrast_range == published.saturation_range == (0.5, 1.5)
    changed = described(CROP, {"type": "PhotoMetricDistortion", "hue_delta": 5, "contrast_range": (0.9, 1.1)})[
        0
    ].augment
    assert (changed.hue_delta, changed.contrast_range) == (5, (0.9, 1.1))


def test_without_a_crop_windows_are_whole_tiles():
    settings, account = described({"type": "Resize", "scale": (96, 64), "keep_ratio": True})
    assert settings.crop.window_px == (64, 96)
    assert any("windows are the tiles themselves" in note for note in account.notes)
    assert described(size=(48, 40))[0].crop.window_px == (48, 40)


@pytest.mark.parametrize(
    ("step", "note"),
    [
        ({"type": "CLAHE"}, "CLAHE of the training pipeline is not carried over"),
        ({"type": "Resize", "scale": (9, 9)}, "no keep_ratio=True"),
        ({"type": "RandomRotate", "prob": 1.0, "degree": 9, "auto_bound": True}, "windows keep their size"),
        ({"type": "RandomRotate", "prob": 1.0, "degree": 9, "pad_val": 7}, "black and ignored"),
        ({"type": "RandomFlip"}, "has no prob"),
        ({"type": "Pad", "size": (99, 99)}, "not black"),
        ({"type": "Pad"}, "neither size nor size_divisor"),
    ],
)
def test_what_is_otherwise_is_told(step, note):
    assert any(note in item for item in described(CROP, step)[1].notes)


def test_a_turn_before_the_crop_is_told():
    account = described({"type": "RandomRotate", "prob": 1.0, "degree": 9}, CROP)[1]
    assert any("comes before RandomCrop there" in note for note in account.notes)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"type": "RandomResize", "scale": [(9, 9), (99, 99)], "keep_ratio": True}], "write scale="),
        ([{"type": "RandomResize", "scale": 9, "keep_ratio": True}], "two numbers"),
        ([{"type": "RandomChoiceResize", "scales": [9], "resize_type": "Other"}], "by Other is not known"),
        ([{"type": "RandomFlip", "prob": 0.5, "direction": "sideways"}], "sideways"),
        ([{"type": "LoadAnnotations"}], "size of the windows is unknown"),
    ],
)
def test_what_cannot_be_done_is_refused(steps, message):
    with pytest.raises(InvalidInputError, match=message):
        described(*steps)
