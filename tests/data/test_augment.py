import numpy as np
import pytest

from glomseg.config import AugmentSettings
from glomseg.data.augment import add_noise, augment_colors, change_gamma, distort, jitter_stain

TISSUE = np.random.default_rng(0).integers(60, 220, (64, 64, 3), dtype=np.uint8)


def test_nothing_is_changed_by_default():
    assert augment_colors(TISSUE, AugmentSettings(), rng=np.random.default_rng(0)) is TISSUE


@pytest.mark.parametrize("name", ["stain", "gamma", "blur_px", "noise", "grey_share"])
def test_every_change_changes_and_is_seeded(name):
    settings = AugmentSettings(**{name: 1.0})
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
