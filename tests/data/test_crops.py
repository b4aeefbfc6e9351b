import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glomseg.data.crops import (
    centered_crop,
    deform,
    pad,
    place_in_object,
    random_box,
    random_flip,
    resize,
    resize_mask,
    resize_then_crop,
    shows_glass,
    turn,
)

WINDOW = (256, 256)


def homework_window(image, mask, *, seed, window_px=WINDOW, scale_range=(0.5, 2.0), cat_max_ratio=0.75):
    """A window as the homework's recipe cuts it, before it is flipped."""
    rng = np.random.default_rng(seed)
    box_px = random_box((320, 240), scale_range=scale_range, choices_px=None, rng=rng)
    return resize_then_crop(image, mask, window_px=window_px, box_px=box_px, cat_max_ratio=cat_max_ratio, rng=rng)


def labelled(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red channel is its mask, so that any misalignment shows."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 2, width // 4 : width // 2] = 1
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = 255 * mask
    return image, mask


def misaligned_share(image: np.ndarray, mask: np.ndarray) -> float:
    return float(np.mean((image[..., 0] > 127) != (mask == 1)))


@given(seed=st.integers(0, 10**6), height=st.integers(40, 700), width=st.integers(40, 700))
def test_homework_windows_stay_aligned_and_within_size(seed, height, width):
    image, mask = labelled(height, width)
    window, labels = homework_window(image, mask, seed=seed)
    assert window.shape[:2] == labels.shape
    assert max(labels.shape) <= 256
    # cv2's nearest neighbour lies up to half a pixel off the bilinear image, along the object's outline
    outline = 4 * sum(labels.shape) / labels.size
    assert misaligned_share(window, labels) <= outline


def test_a_homework_tile_shrinks_to_between_120_and_480_pixels():
    image, mask = labelled(1024, 1024)
    sizes = {homework_window(image, mask, seed=seed, window_px=(1000, 1000))[1].shape[0] for seed in range(60)}
    assert 119 <= min(sizes) < 160
    assert 440 < max(sizes) <= 480


def test_the_crop_rule_redraws_until_two_classes_share_the_window():
    mask = np.zeros((240, 240), np.uint8)
    mask[:60, :60] = 1
    image = np.zeros((240, 240, 3), np.uint8)
    settings = {"window_px": (80, 80), "scale_range": (1.0, 1.0)}

    def share_with_foreground(cat_max_ratio: float) -> float:
        windows = (
            homework_window(image, mask, seed=seed, cat_max_ratio=cat_max_ratio, **settings)[1] for seed in range(300)
        )
        return float(np.mean([0.25 < np.mean(labels) < 0.75 for labels in windows]))

    assert share_with_foreground(0.75) > 3 * share_with_foreground(1.0) > 0


def test_a_background_tile_burns_its_redraws_and_is_kept():
    image, mask = np.zeros((300, 300, 3), np.uint8), np.zeros((300, 300), np.uint8)
    window, labels = homework_window(image, mask, seed=0)
    assert labels.size > 0
    assert not labels.any()
    assert window.shape[:2] == labels.shape


@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0.5, 2),
    angle=st.floats(0, 6.3),
    row=st.floats(0, 199),
    column=st.floats(0, 149),
)
def test_centered_windows_stay_aligned(seed, scale, angle, row, column):
    image, mask = labelled(200, 150)
    window, labels = centered_crop(image, mask, center=(row, column), window_px=(96, 96), scale=scale, angle_rad=angle)
    assert window.shape == (96, 96, 3)
    assert labels.shape == (96, 96)
    # only pixels on the outline may differ, where the image is interpolated and the mask is not
    edges = np.abs(np.diff(labels.astype(int), axis=0)).sum() + np.abs(np.diff(labels.astype(int), axis=1)).sum()
    assert misaligned_share(window, labels) <= (2 * edges + 8) / labels.size


def test_a_centered_window_without_change_is_the_tile():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), rng.integers(0, 3, (32, 32), dtype=np.uint8)
    window, labels = centered_crop(image, mask, center=(15.5, 15.5), window_px=(32, 32), scale=1.0, angle_rad=0.0)
    assert np.array_equal(window, image)
    assert np.array_equal(labels, mask)


def test_a_quarter_turn_is_exact():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), rng.integers(0, 3, (16, 16), dtype=np.uint8)
    _, labels = centered_crop(image, mask, center=(7.5, 7.5), window_px=(16, 16), scale=1.0, angle_rad=np.pi / 2)
    assert np.array_equal(labels, np.rot90(mask))


def test_beyond_the_border_the_tile_is_mirrored():
    image, mask = labelled(64, 64)
    _, labels = centered_crop(image, mask, center=(0, 31.5), window_px=(64, 64), scale=1.0, angle_rad=0.0)
    assert set(np.unique(labels)) <= {0, 1}
    assert labels.any()


def test_resizing_a_mask_takes_the_pixel_at_the_centre():
    mask = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8]], np.uint8)
    assert resize_mask(mask, height=1, width=1).tolist() == [[4]]
    assert resize_mask(mask, height=1, width=1, exact=False).tolist() == [[0]]  # OpenCV's corner
    assert resize_mask(mask, height=3, width=3) is mask


def test_area_resizing_averages():
    image = np.array([[0, 100], [100, 200]], np.uint8)[..., None].repeat(3, axis=2)
    assert resize(image, height=1, width=1, interpolation="area").tolist() == [[[100, 100, 100]]]
    assert resize(image, height=4, width=4, interpolation="area").shape == (4, 4, 3)
    assert resize(image, height=2, width=2, interpolation="area") is image


@pytest.mark.parametrize(("flip", "expected"), [("none", 1), ("horizontal", 2), ("both", 4)])
def test_flips_turn_image_and_mask_alike(flip, expected):
    mask = np.array([[1, 2], [3, 4]], np.uint8)
    image = mask[..., None].repeat(3, axis=2)
    seen = set()
    for seed in range(40):
        window, labels = random_flip(image, mask, flip=flip, rng=np.random.default_rng(seed))
        assert np.array_equal(window[..., 0], labels)
        seen.add(labels.tobytes())
    assert len(seen) == expected


def test_padding_is_the_mean_colour_and_ignored():
    image, mask = np.ones((2, 3, 3), np.float32), np.ones((2, 3), np.uint8)
    padded, labels = pad(image, mask, size_px=(4, 4))
    assert padded.shape == (4, 4, 3)
    assert labels.tolist() == [[1, 1, 1, 255], [1, 1, 1, 255], [255] * 4, [255] * 4]
    assert padded[:2, :3].min() == 1
    assert not padded[2:].any()


def test_windows_need_not_be_square():
    image, mask = labelled(300, 700)
    window, labels = resize_then_crop(
        image, mask, window_px=(100, 200), box_px=(700, 300), cat_max_ratio=1.0, rng=np.random.default_rng(0)
    )
    assert window.shape == (100, 200, 3)
    assert labels.shape == (100, 200)
    window, labels = centered_crop(image, mask, center=(149.5, 349.5), window_px=(300, 700), scale=1.0, angle_rad=0.0)
    assert np.array_equal(labels, mask)
    assert pad(window.astype(np.float32), labels, size_px=(320, 700))[1][300:].tolist() == [[255] * 700] * 20


def test_the_box_is_one_of_the_choices_where_there_are_any():
    choices = ((64, 32), (128, 48))
    rng = np.random.default_rng(0)
    boxes = [random_box((9, 9), scale_range=(1, 1), choices_px=choices, rng=rng) for _ in range(200)]
    assert set(boxes) == set(choices)
    assert 70 < boxes.count(choices[0]) < 130


def test_a_turned_window_has_black_ignored_corners():
    image, mask = np.full((40, 60, 3), 200, np.uint8), np.ones((40, 60), np.uint8)
    turned, labels = turn(image, mask, angle_deg=10)
    assert (labels[20, 30], labels[0, 0]) == (1, 255)
    assert set(np.unique(labels)) == {1, 255}
    assert turned[0, 0].max() == 0
    around, labels = turn(*labelled(40, 60), angle_deg=180)
    assert np.array_equal(labels, labelled(40, 60)[1][::-1, ::-1])
    assert misaligned_share(around, labels) == 0


def test_a_turn_is_clockwise():
    mask = np.zeros((41, 41), np.uint8)
    mask[20, 40] = 1  # at the right
    assert np.argwhere(turn(np.zeros((41, 41, 3), np.uint8), mask, angle_deg=90)[1] == 1).tolist() == [[40, 20]]


def test_shares_of_flips_are_kept():
    mask = np.array([[1, 2], [3, 4]], np.uint8)
    image, rng = mask[..., None].repeat(3, axis=2), np.random.default_rng(0)
    corners = [int(random_flip(image, mask, flip=(0.2, 0.3, 0.1), rng=rng)[1][0, 0]) for _ in range(4000)]
    shares = [corners.count(value) / 4000 for value in (2, 3, 4, 1)]  # left to right, upside down, both, none
    assert shares == pytest.approx([0.2, 0.3, 0.1, 0.4], abs=0.03)


def test_a_bent_window_keeps_its_mask_on_its_image():
    image, mask = labelled(128, 160)
    bent, labels = deform(image, mask, std_px=4.0, rng=np.random.default_rng(0))
    assert bent.shape == image.shape
    assert not np.array_equal(labels, mask)
    assert set(np.unique(labels)) <= set(np.unique(mask))
    assert misaligned_share(bent, labels) < 0.02
    again = deform(image, mask, std_px=4.0, rng=np.random.default_rng(0))
    assert np.array_equal(bent, again[0])
    assert np.array_equal(labels, again[1])
    same, unbent = deform(image, mask, std_px=0.0, rng=np.random.default_rng(0))
    assert np.array_equal(same, image)
    assert np.array_equal(unbent, mask)
    assert deform(image[:5, :3], mask[:5, :3], std_px=4.0, rng=np.random.default_rng(0))[1].shape == (5, 3)


def test_glass_is_told_from_tissue_by_what_absorbs():
    rng = np.random.default_rng(0)
    glass = rng.normal((228, 226, 230), 2, (128, 128, 3)).clip(0, 255).astype(np.uint8)
    assert shows_glass(glass)
    assert shows_glass(np.full((64, 64, 3), 255, np.uint8))
    pale = glass.copy()
    pale[:, :20] = (225, 190, 215)  # a strip of pale tissue
    assert not shows_glass(pale)
    dust = glass.copy()
    dust[60:66, 60:66] = 60
    assert shows_glass(dust)
    assert not shows_glass(np.full((64, 64, 3), (210, 160, 200), np.uint8))
    assert not shows_glass(np.zeros((64, 64, 3), np.uint8))


def test_each_object_is_equally_likely_whatever_its_size():
    mask = np.zeros((60, 60), np.uint8)
    mask[:40, :40] = 1
    mask[50:53, 50:53] = 1
    mask[40:42, :2] = 2  # touches the first, but is of another class
    mask[55:, :5] = 255
    rng = np.random.default_rng(0)
    places = [place_in_object(mask, rng) for _ in range(900)]
    assert all(mask[place] in (1, 2) for place in places)
    shares = [np.mean([is_in(*place) for place in places]) for is_in in (
        lambda row, column: row < 40 and column < 40, lambda row, column: row >= 50, lambda row, column: 40 <= row < 42
    )]  # fmt: skip
    assert shares == pytest.approx([1 / 3] * 3, abs=0.05)
    assert place_in_object(np.full((4, 4), 255, np.uint8), rng) is None
