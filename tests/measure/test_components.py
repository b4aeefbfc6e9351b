import csv
import math

import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.files import write_csv
from glomseg.measure import COMPONENT_COLUMNS, component_rows, connected_components
from glomseg.types import GLOMERULUS, Classes


def mask_of(*rows):
    return np.array([[int(digit) for digit in row] for row in rows], np.uint8)


def test_one_piece_by_hand():
    mask = mask_of(
        "000000",
        "001100",
        "001000",
        "000000",
    )
    (piece,) = connected_components(mask, n_classes=2)
    assert (piece.label, piece.class_index, piece.area_px) == (1, 1, 3)
    assert piece.centroid_px == pytest.approx((4 / 3, 7 / 3))  # (row, column)
    assert (piece.x_px, piece.y_px, piece.width_px, piece.height_px) == (2, 1, 2, 2)
    assert not piece.touches_border


def test_corners_connect_but_classes_do_not():
    mask = mask_of(
        "100",
        "010",
        "002",
    )
    pieces = connected_components(mask, n_classes=3)
    assert [(piece.class_index, piece.area_px) for piece in pieces] == [(1, 2), (2, 1)]


def test_order_is_by_class_then_from_the_top_left():
    mask = mask_of(
        "2020001",
        "0000000",
        "1000200",
    )
    pieces = connected_components(mask, n_classes=3)
    assert [(p.label, p.class_index, p.y_px, p.x_px) for p in pieces] == [
        (1, 1, 0, 6),
        (2, 1, 2, 0),
        (3, 2, 0, 0),
        (4, 2, 0, 2),
        (5, 2, 2, 4),
    ]


@pytest.mark.parametrize(
    ("row", "column", "touches"), [(0, 2, True), (4, 2, True), (2, 0, True), (2, 4, True), (1, 1, False), (3, 3, False)]
)
def test_touching_the_border(row, column, touches):
    mask = np.zeros((5, 5), np.uint8)
    mask[row, column] = 1
    (piece,) = connected_components(mask, n_classes=2)
    assert piece.touches_border is touches


def test_micrometres_only_where_the_scale_is_known():
    mask = mask_of("011", "011")
    assert connected_components(mask, n_classes=2)[0].area_um2 is None
    assert connected_components(mask, n_classes=2, mpp=0.5)[0].area_um2 == 1.0


def test_small_pieces_are_left_out_and_labels_have_no_gaps():
    mask = mask_of("1000011", "0000011", "1100000")
    pieces = connected_components(mask, n_classes=2, min_area_px=2)
    assert [(piece.label, piece.area_px) for piece in pieces] == [(1, 4), (2, 2)]
    assert len(connected_components(mask, n_classes=2, min_area_px=4)) == 1


def test_mean_probability_is_of_the_own_class_over_the_own_pixels():
    mask = mask_of("1102")
    probabilities = np.array([[[0.1, 0.3, 0.9, 0.2]], [[0.8, 0.6, 0.1, 0.1]], [[0.1, 0.1, 0.0, 0.7]]], np.float32)
    first, second = connected_components(mask, n_classes=3, probabilities=probabilities)
    assert first.mean_probability == pytest.approx(0.7)
    assert second.mean_probability == pytest.approx(0.7)
    assert connected_components(mask, n_classes=3)[0].mean_probability is None


def test_ignored_pixels_are_no_component():
    mask = np.full((3, 3), 255, np.uint8)
    mask[1, 1] = 1
    (piece,) = connected_components(mask, n_classes=2)
    assert piece.area_px == 1


@pytest.mark.parametrize("shape", [(4, 4), (0, 0), (0, 7)])
def test_nothing_gives_nothing(shape):
    assert connected_components(np.zeros(shape, np.uint8), n_classes=2) == []


def test_areas_add_up_to_the_mask():
    generator = np.random.default_rng(1)
    mask = generator.integers(0, 3, size=(60, 50), dtype=np.uint8)
    pieces = connected_components(mask, n_classes=3)
    for class_index in (1, 2):
        assert sum(p.area_px for p in pieces if p.class_index == class_index) == (mask == class_index).sum()


def test_the_mask_is_not_changed():
    mask = mask_of("0110")
    before = mask.copy()
    connected_components(mask, n_classes=2)
    assert np.array_equal(mask, before)


def test_rows_become_a_csv_file(tmp_path):
    mask = mask_of("0000", "0110", "0000")
    probabilities = np.full((2, 3, 4), 0.123456, np.float32)
    pieces = connected_components(mask, n_classes=2, mpp=0.25, probabilities=probabilities)
    rows = component_rows(pieces, image="tile, 肾.png", classes=GLOMERULUS)
    write_csv(tmp_path / "components.csv", rows, columns=COMPONENT_COLUMNS)
    with open(tmp_path / "components.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "image": "tile, 肾.png",
        "label": "1",
        "class": "glomerulus",
        "area_px": "2",
        "area_um2": "0.12",
        "centroid_x_px": "1.5",
        "centroid_y_px": "1.0",
        "x_px": "1",
        "y_px": "1",
        "width_px": "2",
        "height_px": "1",
        "touches_border": "False",
        "mean_probability": "0.1235",
    }


def test_unknown_values_stay_empty_in_rows():
    (row,) = component_rows(
        connected_components(mask_of("0020"), n_classes=3),
        image="a.png",
        classes=Classes.of(("background", "glomerulus", "tubule")),
    )
    assert row["area_um2"] is None
    assert row["mean_probability"] is None
    assert row["class"] == "tubule"
    assert tuple(row) == COMPONENT_COLUMNS


def test_what_cannot_be_measured():
    mask = np.zeros((2, 3), np.uint8)
    with pytest.raises(InvalidInputError, match=r"not \(2, 3\) float64"):
        connected_components(mask.astype(float), n_classes=2)
    with pytest.raises(InvalidInputError, match=r"not \(2, 3, 1\) uint8"):
        connected_components(mask[..., None], n_classes=2)
    with pytest.raises(InvalidInputError, match="n_classes is 1"):
        connected_components(mask, n_classes=1)
    with pytest.raises(InvalidInputError, match=r"shape \(2, 3\), but a mask of \(2, 3\).*needs \(2, 2, 3\)"):
        connected_components(mask, n_classes=2, probabilities=np.zeros((2, 3), np.float32))
    for mpp in (0, -1, math.nan, math.inf):
        with pytest.raises(InvalidInputError, match="mpp is"):
            connected_components(mask, n_classes=2, mpp=mpp)
