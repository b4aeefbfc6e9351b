import warnings

import numpy as np
import pytest

from glomseg.images import read_image
from glomseg.stain import METHODS, MacenkoLook, ReinhardLook, look_of, median_look, normalise

HAEMATOXYLIN, PAS = (np.array(v) / np.linalg.norm(v) for v in [(0.65, 0.70, 0.29), (0.18, 0.95, 0.20)])


def stained(first=HAEMATOXYLIN, second=PAS, *, amounts=(1.0, 0.8), seed=0, glass=0.3) -> np.ndarray:
    """A picture of two stains in known amounts, whose pure pixels exist, and some glass of 245."""
    rng = np.random.default_rng(seed)
    share = np.clip(rng.uniform(-0.2, 1.2, (96, 96)), 0, 1)
    depth = rng.uniform(0.4, 1.0, (96, 96))
    density = (depth * share)[..., None] * amounts[0] * first + (depth * (1 - share))[..., None] * amounts[1] * second
    image = np.clip(np.round(256 * np.exp(-density) - 1), 0, 255).astype(np.uint8)
    image[: round(96 * glass)] = 245
    return image


def test_macenko_finds_the_stains_that_a_picture_was_made_of():
    look = look_of(stained(), method="macenko")
    assert isinstance(look, MacenkoLook)
    for found, true in zip(look.stains, (HAEMATOXYLIN, PAS), strict=True):
        assert np.degrees(np.arccos(np.clip(np.dot(found, true), -1, 1))) < 1.0
    assert look.amounts == pytest.approx((0.98, 0.78), abs=0.03)  # the 99th percentiles


def test_the_stain_that_absorbs_red_comes_first_whatever_there_is_more_of():
    for amounts in ((1.0, 0.3), (0.3, 1.0)):
        look = look_of(stained(amounts=amounts), method="macenko")
        assert look.stains[0][0] > look.stains[1][0]


def macenko_by_hand(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The published steps one by one, with a full SVD and least squares pixel by pixel."""
    density = -np.log((pixels.reshape(-1, 3).astype(float) + 1) / 256)
    density = np.array([row for row in density if row.mean() > 0.15])
    _, _, axes = np.linalg.svd(density, full_matrices=False)
    plane = axes[:2] * np.sign(axes[0].sum())
    projected = density @ plane.T
    angles = np.array([np.arctan2(y, x) for x, y in projected])
    ends = [np.percentile(angles, q) for q in (1, 99)]
    stains = [np.cos(end) * plane[0] + np.sin(end) * plane[1] for end in ends]
    stains = np.array(sorted(stains, key=lambda vector: -vector[0]))
    amounts = np.array([np.linalg.lstsq(stains.T, row, rcond=None)[0] for row in density])
    return stains, np.percentile(amounts, 99, axis=0)


def test_macenko_agrees_with_the_published_steps():
    image = stained(amounts=(0.9, 1.3), seed=3)
    stains, amounts = macenko_by_hand(image)
    look = look_of(image, method="macenko")
    assert np.allclose(look.stains, stains, atol=1e-5)
    assert np.allclose(look.amounts, amounts, atol=1e-5)


def lab_by_hand(color: np.ndarray) -> np.ndarray:
    """CIELAB of one sRGB colour, from the definitions of the CIE and of IEC 61966-2-1."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in color / 255]
    matrix = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    xyz = np.array(matrix) @ linear / (0.950456, 1.0, 1.088754)
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_reinhard_agrees_with_the_definition_of_cielab():
    image = stained(glass=0.5)
    tissue = np.array([c for c in image.reshape(-1, 3) if np.mean(-np.log((c + 1.0) / 256)) > 0.15])
    lab = np.array([lab_by_hand(color) for color in tissue])
    look = look_of(image, method="reinhard")
    assert isinstance(look, ReinhardLook)
    assert np.allclose(look.mean, lab.mean(axis=0), atol=0.15)  # OpenCV interpolates in a table
    assert np.allclose(look.std, lab.std(axis=0), atol=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_an_image_brought_to_another_look_has_it(method):
    image = stained(amounts=(0.6, 0.5), seed=1)
    bluer, redder = (np.array(v) / np.linalg.norm(v) for v in [(0.6, 0.75, 0.3), (0.1, 0.9, 0.35)])
    other = stained(bluer, redder, seed=2)
    reference = look_of(other, method=method)
    changed = normalise(image, look=look_of(image, method=method), reference=reference)
    found = look_of(changed, method=method)
    if isinstance(reference, MacenkoLook):
        assert np.allclose(found.stains, reference.stains, atol=0.03)
        assert found.amounts == pytest.approx(reference.amounts, rel=0.05)
    else:
        assert np.allclose(found.mean, reference.mean, atol=1.5)
        assert np.allclose(found.std, reference.std, atol=1.5)
    assert changed.dtype == np.uint8
    assert changed.shape == image.shape


@pytest.mark.parametrize("method", METHODS)
def test_an_image_brought_to_its_own_look_stays(method):
    image = stained()
    look = look_of(image, method=method)
    changed = normalise(image, look=look, reference=look)
    assert np.abs(changed[40:].astype(int) - image[40:]).max() <= 2


@pytest.mark.parametrize("method", METHODS)
def test_glass_stays_light(method):
    image = stained(amounts=(0.5, 0.4))
    reference = look_of(stained(amounts=(1.4, 1.2)), method=method)
    changed = normalise(image, look=look_of(image, method=method), reference=reference)
    assert np.abs(changed[:20].astype(int) - image[:20]).max() <= 10
    assert changed[40:].mean() < image[40:].mean() - 20


DEGENERATE = {
    "glass": np.full((40, 40, 3), 245, np.uint8),
    "white": np.full((40, 40, 3), 255, np.uint8),
    "black": np.zeros((40, 40, 3), np.uint8),
    "grey": np.repeat(np.random.default_rng(0).integers(20, 200, (40, 40, 1), dtype=np.uint8), 3, axis=2),
    "one stain": stained(second=HAEMATOXYLIN, glass=0),
    "one colour": np.full((40, 40, 3), (150, 90, 140), np.uint8),
    "few pixels": stained()[40:42, :10],
    "no pixels": np.zeros((0, 0, 3), np.uint8),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DEGENERATE)
def test_pictures_without_two_stains_have_a_defined_result(name, method):
    image = DEGENERATE[name]
    reference = look_of(stained(seed=5), method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        look = look_of(image, method=method)
        if method == "macenko" or name in ("glass", "white", "few pixels", "no pixels"):
            assert look is None
        changed = normalise(image, look=look, reference=reference)
    if look is None:
        assert changed is image
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8


def test_the_median_of_looks_leaves_an_outlier_aside():
    looks = [look_of(stained(seed=seed), method="macenko") for seed in range(4)]
    odd = MacenkoLook(stains=((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)), amounts=(9.0, 9.0))
    middle = median_look([*looks, odd])
    assert np.allclose(middle.stains, looks[0].stains, atol=0.02)
    assert np.allclose(np.linalg.norm(middle.stains, axis=1), 1)
    assert median_look([]) is None
    two = [ReinhardLook(mean=(m, 0.0, 0.0), std=(s, 1.0, 1.0)) for m, s in ((10.0, 1.0), (20.0, 3.0))]
    assert median_look(two) == ReinhardLook(mean=(15.0, 0.0, 0.0), std=(2.0, 1.0, 1.0))


@pytest.mark.real
def test_stains_of_real_tissue_are_those_of_haematoxylin_and_pas(shared_data):
    image = read_image(shared_data / "aidpath_pas" / "images" / "AIDPATH_D_1.png")[::4, ::4]
    look = look_of(image, method="macenko")
    red, green, _ = look.stains[1]
    assert green > 0.75 > red
    assert look.stains[0][0] > 0.4
