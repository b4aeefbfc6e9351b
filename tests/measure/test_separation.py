import math

import cv2
import numpy as np
import pytest

from glomseg.images import read_mask_values
from glomseg.measure.separation import _connected, separate_touching

from .drawing import cropped, disc, ellipse


def parts_of(piece, *, ratio=0.8, min_diameter_px=20):
    return separate_touching(piece, max_neck_ratio=ratio, min_diameter_px=min_diameter_px)


def two_discs(radii, *, distance, size=240, angle=0.6):
    middle = size / 2
    first = (middle - distance / 2 * math.cos(angle), middle - distance / 2 * math.sin(angle))
    second = (middle + distance / 2 * math.cos(angle), middle + distance / 2 * math.sin(angle))
    return disc(size, centre=first, radius=radii[0]), disc(size, centre=second, radius=radii[1])


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(("radii", "distance"), [((40, 40), 72), ((40, 40), 60), ((45, 30), 68), ((30, 18), 46)])
@pytest.mark.parametrize("angle", [0.0, 0.6, 2.0])
def test_two_overlapping_discs_are_parted_at_their_neck(radii, distance, angle):
    one, other = two_discs(radii, distance=distance, angle=angle)
    parts, n_parts = parts_of(one | other)
    assert n_parts == 2
    assert np.array_equal(parts > 0, one | other)
    best = [max(iou(parts == number, truth) for number in (1, 2)) for truth in (one, other)]
    assert min(best) > 0.9


def test_the_cut_is_the_common_chord():
    one, other = two_discs((40, 40), distance=70, angle=0.0)
    parts, _ = parts_of(one | other)
    columns = np.flatnonzero((parts == parts[120, 80]).any(axis=0))
    assert columns[-1] == pytest.approx(120, abs=2)
    assert abs(int((parts == 1).sum()) - int((parts == 2).sum())) < 0.01 * (parts > 0).sum()


def test_three_in_a_row():
    discs = [disc(260, centre=(x, 100), radius=40) for x in (50, 120, 190)]
    assert parts_of(discs[0] | discs[1] | discs[2])[1] == 3


@pytest.mark.parametrize("semi", [(60, 60), (60, 40), (60, 24), (60, 15)])
def test_one_ellipse_is_one(semi):
    for angle in (0.0, 0.5, 1.1):
        piece = ellipse(130, centre=(65, 65), semi=semi, angle=angle)
        assert parts_of(piece)[1] == 1


@pytest.mark.parametrize("depth", [0.2, 0.4, 0.6])
def test_a_notch_does_not_cut(depth):
    piece = disc(120, centre=(60, 60), radius=45) & ~disc(120, centre=(60, 15), radius=45 * depth)
    assert parts_of(piece)[1] == 1


def test_a_ragged_outline_does_not_cut():
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(140, 140)).astype(np.float32), (0, 0), 3)
    distance = 50 - np.hypot(*(np.mgrid[:140, :140] - 70))
    ragged = distance + 4 * noise / noise.std() > 0
    n_labels, labels = cv2.connectedComponents(ragged.view(np.uint8))
    piece = labels == labels[70, 70]
    assert n_labels > 1 and parts_of(piece)[1] == 1


def test_a_bud_smaller_than_a_glomerulus_is_not_cut_off():
    one, bud = two_discs((40, 10), distance=49)
    assert parts_of(one | bud, min_diameter_px=20)[1] == 1
    assert parts_of(one | bud, min_diameter_px=10)[1] == 2


@pytest.mark.parametrize("ratio", [0.0, 0.3])
def test_the_ratio_says_how_narrow_a_neck_must_be(ratio):
    one, other = two_discs((40, 40), distance=60)
    assert parts_of(one | other, ratio=ratio)[1] == 1
    barely = two_discs((40, 40), distance=79)
    assert parts_of(barely[0] | barely[1], ratio=0.3)[1] == 2


def test_scale_does_not_matter():
    for scale in (1, 3, 8):
        one, other = two_discs((20 * scale, 20 * scale), distance=34 * scale, size=100 * scale)
        assert parts_of(one | other, min_diameter_px=15 * scale)[1] == 2
        lone = ellipse(100 * scale, centre=(50 * scale, 50 * scale), semi=(40 * scale, 20 * scale), angle=0.3)
        assert parts_of(lone, min_diameter_px=15 * scale)[1] == 1


def test_every_part_is_connected_and_numbered_without_gaps():
    rng = np.random.default_rng(5)
    for _ in range(10):
        piece = np.zeros((200, 200), bool)
        for _ in range(6):
            piece |= disc(200, centre=rng.uniform(40, 160, 2), radius=rng.uniform(12, 35))
        labels = cv2.connectedComponents(piece.view(np.uint8), connectivity=8)[1]
        piece = cropped(labels == 1)
        parts, n_parts = parts_of(piece, ratio=0.95, min_diameter_px=8)
        assert np.array_equal(parts > 0, piece)
        assert np.unique(parts[parts > 0]).tolist() == list(range(1, n_parts + 1))
        for number in range(1, n_parts + 1):
            assert cv2.connectedComponents((parts == number).view(np.uint8), connectivity=8)[0] == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 2)])
def test_the_smallest_pieces_stay_whole(shape):
    assert parts_of(np.ones(shape, bool), min_diameter_px=1)[1] == 1


@pytest.mark.real
def test_real_glomeruli_are_not_cut(shared_data):
    n_pieces = 0
    for path in sorted((shared_data / "aidpath_pas" / "masks").glob("*.png")):
        mask = (read_mask_values(path) == 1).view(np.uint8)
        n_labels, labels = cv2.connectedComponents(mask, connectivity=8)
        for label in range(1, n_labels):
            piece = cropped(labels == label)
            n_pieces += 1
            assert parts_of(piece, min_diameter_px=100)[1] == 1, path.name
    assert n_pieces > 20


@pytest.mark.parametrize("lower", [1, 2])
def test_parts_without_a_pixel_are_not_counted(lower):
    parts = np.full((4, 6), lower, np.int32)  # no background, and one of three parts lost all to its neighbours
    parts[:, 3:] = 3
    found, n_parts = _connected(parts, n_parts=3)
    assert n_parts == 2
    assert np.array_equal(found, np.where(parts == 3, 2, 1))
