import numpy as np
import pytest

from glomseg.config import AugmentSettings
from glomseg.data.augment import add_noise, augment_colors, change_gamma, compress, distort, jitter_stain, tilt_light
from glomseg.stain import look_of

from ..test_stain import HAEMATOXYLIN, PAS, stained

TISSUE = np.random.default_rng(0).integers(60, 220, (64, 64, 3), dtype=np.uint8)


def test_nothing_is_changed_by_default():
    assert augment_colors(TISSUE, AugmentSettings(), rng=np.random.default_rng(0)) is TISSUE


CHANGES = {
    "stain": 1.0,
    "stain_hue": 0.5,
    "gamma": 1.0,
    "blur_px": 1.0,
    "noise": 1.0,
    "grey_share": 1.0,
    "light": 0.5,
    "jpeg_quality": 30,
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_changes_and_is_seeded(name):
    settings = AugmentSettings(**{name: CHANGES[name]})
    changed = [augment_colors(TISSUE, settings, rng=np.random.default_rng(seed)) for seed in range(6)]
    again = augment_colors(TISSUE, settings, rng=np.random.default_rng(0))
    assert np.array_equal(changed[0], again)
    assert any(not np.array_equal(item, TISSUE) for item in changed)
    assert all(item.shape == TISSUE.shape and item.dtype == np.uint8 for item in changed)


def test_no_strength_leaves_the_stain_within_rounding():
    changed = jitter_stain(TISSUE, strength=0.0, rng=np.random.default_rng(0))
    assert np.abs(changed.astype(int) - TISSUE).max() <= 1


def test_the_empty_slide_keeps_its_white():
    image = np.full((64, 64, 3), (243, 242, 244), np.uint8)
    image[:20] = TISSUE[:20]
    for seed in range(10):
        changed = jitter_stain(image, strength=0.5, rng=np.random.default_rng(seed))
        assert np.abs(changed[30:].astype(int) - image[30:]).max() <= 3


def test_stain_jitter_moves_hue_and_density():
    means = np.array(
        [jitter_stain(TISSUE, strength=0.3, rng=np.random.default_rng(seed)).mean(axis=(0, 1)) for seed in range(20)]
    )
    assert means.std(axis=0).min() > 2


def test_the_windows_own_stains_are_what_is_changed():
    green_stain = np.array((0.5, 0.3, 0.8)) / np.linalg.norm((0.5, 0.3, 0.8))
    image = stained(HAEMATOXYLIN, green_stain, amounts=(1.0, 1.0))
    rng = np.random.default_rng(3)
    changed = jitter_stain(image, strength=0.4, hue=0.0, vectors="estimated", rng=rng)
    own, found = look_of(image, method="macenko"), look_of(changed, method="macenko")
    assert np.allclose(found.stains, own.stains, atol=0.03)  # amounts alone were changed: each stain keeps its hue
    rng = np.random.default_rng(3)
    rng.normal(size=6)
    factors = np.exp(rng.normal(0, 0.4, 3))
    assert np.divide(found.amounts, own.amounts) == pytest.approx(factors[:2], rel=0.1)


def test_where_there_are_not_two_stains_the_published_ones_are_changed():
    image = stained(second=HAEMATOXYLIN)
    own, published = (
        jitter_stain(image, strength=0.3, vectors=vectors, rng=np.random.default_rng(0))
        for vectors in ("estimated", "published")
    )
    assert np.array_equal(own, published)


def test_amounts_and_hues_are_changed_by_themselves():
    image = stained(HAEMATOXYLIN, PAS)
    own = look_of(image, method="macenko")
    turned = [
        look_of(
            jitter_stain(image, strength=0.0, hue=0.1, vectors="estimated", rng=np.random.default_rng(seed)),
            method="macenko",
        )
        for seed in range(12)
    ]
    assert np.std([look.stains[1] for look in turned], axis=0).mean() > 0.03
    assert np.std([look.amounts for look in turned], axis=0).mean() < 0.15 * np.mean(own.amounts)


def test_light_tilts_about_the_middle():
    grey = np.full((101, 101, 3), 100, np.uint8)
    tilted = tilt_light(grey, share=0.5, angle_rad=0.0)
    assert tilted[:, 0, 0].tolist() == [50] * 101
    assert tilted[50, 50, 0] == 100
    assert tilted[:, 100, 0].tolist() == [150] * 101
    down = tilt_light(grey, share=0.5, angle_rad=np.pi / 2)
    assert np.array_equal(down, tilted.transpose(1, 0, 2))
    assert np.array_equal(tilt_light(grey, share=0.0, angle_rad=1.0), grey)
    assert tilt_light(grey, share=0.5, angle_rad=0.7).max() <= 150


def test_jpeg_keeps_colours_and_loses_more_at_lower_quality():
    image = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    assert np.abs(compress(image, quality=90).astype(int) - image).max() <= 3  # and red is not blue
    errors = [np.abs(compress(TISSUE, quality=quality).astype(int) - TISSUE).mean() for quality in (20, 60, 95)]
    assert errors[0] > errors[1] > errors[2]


def test_gamma_one_is_identity_and_ends_stay():
    assert np.array_equal(change_gamma(TISSUE, exponent=1.0), TISSUE)
    ends = np.array([[[0, 255, 0]]], np.uint8)
    assert np.array_equal(change_gamma(ends, exponent=2.0), ends)
    assert change_gamma(np.array([[[128] * 3]], np.uint8), exponent=2.0)[0, 0, 0] == 64


def test_noise_has_the_size_that_is_asked_for():
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = add_noise(grey, sigma=8.0, rng=np.random.default_rng(0)).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    assert noisy.std() == pytest.approx(8, rel=0.05)


class Scripted:
    """A generator whose coins and draws are given, in the order in which they are asked for."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def integers(self, low, high=None):
        value = self.draws.pop(0)
        assert value in ((0, 1) if high is None else range(low, high))
        return value

    def uniform(self, low, high):
        value = self.draws.pop(0)
        assert low <= value <= high
        return value


PUBLISHED = AugmentSettings(brightness_delta=32, contrast_range=(0.5, 1.5), saturation_range=(0.5, 1.5), hue_delta=18)
GREY = np.array([[[10, 10, 10], [101, 101, 101], [250, 250, 250]]], np.uint8)


def test_distortion_adds_before_and_multiplies_after_and_drops_fractions():
    first = Scripted(1, 20.0, 1, 1, 1.5, 0, 0)  # brightness; contrast second; no saturation, no hue
    assert distort(GREY, PUBLISHED, rng=first)[0, :, 0].tolist() == [45, 181, 255]
    last = Scripted(0, 0, 0, 0, 1, 0.75)  # contrast last
    assert distort(GREY, PUBLISHED, rng=last)[0, :, 0].tolist() == [7, 75, 187]
    assert not first.draws
    assert not last.draws


def test_distortion_leaves_grey_grey_and_turns_hues():
    grey = distort(GREY, PUBLISHED, rng=Scripted(0, 0, 1, 1.3, 1, 17, 0))
    assert np.array_equal(grey, GREY)
    red = np.array([[[200, 0, 0]]], np.uint8)
    turned = distort(red, AugmentSettings(hue_delta=61), rng=Scripted(0, 1, 60))  # 120 degrees
    assert turned[0, 0].tolist() == [0, 200, 0]
    pale = np.array([[[200, 100, 100]]], np.uint8)
    paler = distort(pale, AugmentSettings(saturation_range=(0.5, 1)), rng=Scripted(0, 1, 0.5))
    assert paler[0, 0].tolist() == pytest.approx([200, 150, 150], abs=1)


def test_half_of_the_images_are_left_by_each_distortion():
    rng = np.random.default_rng(0)
    for change in ({"brightness_delta": 32}, {"contrast_range": (0.5, 0.6)}, {"hue_delta": 18}):
        kept = [distort(TISSUE, AugmentSettings(**change), rng=rng) is TISSUE for _ in range(400)]
        assert np.mean(kept) == pytest.approx(0.5, abs=0.08)
