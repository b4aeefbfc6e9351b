import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.export.pictures import (
    color_mask,
    error_codes,
    error_map,
    in_a_row,
    overlay,
    sheet,
    side_by_side,
)
from glomseg.images import read_image, read_mask
from glomseg.types import GLOMERULUS, Classes

THREE = Classes.of(("background", "glomerulus", "肾小管"))
GREEN = np.array(GLOMERULUS.colors[1], np.uint8)


def tissue(height=300, width=400, value=200):
    return np.full((height, width, 3), value, np.uint8)


def disc(height=300, width=400):
    rows, columns = np.ogrid[:height, :width]
    return ((rows - 150) ** 2 + (columns - 200) ** 2 < 80**2).astype(np.uint8)


@pytest.mark.parametrize("opacity", [0, 0.25, 0.5, 1])
def test_tint_is_a_blend_inside_and_nothing_outside(opacity):
    image, mask = tissue(), disc()
    picture = overlay(image, mask, classes=GLOMERULUS, opacity=opacity, outline=False, legend=False)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture[mask == 0], image[mask == 0])
    expected = (1 - opacity) * 200 + opacity * GREEN.astype(float)
    assert np.abs(picture[150, 200] - expected).max() <= 0.5


def test_outline_is_drawn_in_the_class_colour_along_the_border_of_the_object():
    mask = disc()
    picture = overlay(tissue(), mask, classes=GLOMERULUS, opacity=0, legend=False)
    drawn = np.argwhere((picture == GREEN).all(axis=-1))
    distances = np.hypot(drawn[:, 0] - 150, drawn[:, 1] - 200)
    assert len(drawn) > 300
    assert distances.min() > 77
    assert distances.max() < 83


def test_outline_gets_thicker_with_the_picture():
    def thickness(side):
        mask = np.zeros((side, side), np.uint8)
        mask[:, : side // 2] = 1
        picture = overlay(tissue(side, side), mask, classes=GLOMERULUS, opacity=0, legend=False)
        return int((picture[side // 2] == GREEN).all(axis=-1).sum())

    assert thickness(100) == 1
    assert thickness(2000) >= 5


def test_no_outline_where_the_picture_cuts_an_object():
    mask = np.zeros((300, 400), np.uint8)
    mask[100:200, :100] = 1  # goes on to the left
    picture = overlay(tissue(), mask, classes=GLOMERULUS, opacity=0, legend=False)
    assert (picture[120:180, :20] == 200).all()
    assert (picture[120:180, 99] == GREEN).all()


def test_holes_are_outlined_too():
    mask = np.zeros((300, 400), np.uint8)
    mask[50:250, 50:350] = 1
    mask[120:180, 150:250] = 0
    picture = overlay(tissue(), mask, classes=GLOMERULUS, opacity=0, legend=False)
    assert (picture[110:130, 200] == GREEN).all(axis=-1).any()


def test_legend_names_the_classes_that_are_there_and_hides_none():
    mask = np.zeros((600, 800), np.uint8)
    mask[50:550, 50:500] = 2
    picture = overlay(tissue(600, 800), mask, classes=THREE, opacity=1)
    swatches = (picture == THREE.colors[2]).all(axis=-1) & (mask == 0)
    assert swatches.sum() > 50
    assert not (picture == THREE.colors[1]).all(axis=-1).any()
    assert (picture[mask == 2] == THREE.colors[2]).all(axis=-1).mean() > 0.97


def test_legend_of_an_empty_mask_names_all_classes():
    picture = overlay(tissue(600, 800), np.zeros((600, 800), np.uint8), classes=THREE)
    for color in THREE.colors[1:]:
        assert (picture == color).all(axis=-1).any()


def test_ignored_pixels_are_hatched_and_named():
    mask = np.zeros((600, 800), np.uint8)
    mask[:100, :100] = 255
    picture = overlay(tissue(600, 800), mask, classes=GLOMERULUS)
    changed = (picture[:100, :100] != 200).any(axis=-1)
    assert 0.4 < changed.mean() < 0.6
    assert (picture == (150, 150, 150)).all(axis=-1).any()


def test_inputs_are_not_changed():
    image, mask = tissue(), disc()
    image_before, mask_before = image.copy(), mask.copy()
    overlay(image, mask, classes=GLOMERULUS)
    assert np.array_equal(image, image_before)
    assert np.array_equal(mask, mask_before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 3)])
def test_tiny_pictures(shape):
    mask = np.ones(shape, np.uint8)
    assert overlay(tissue(*shape), mask, classes=GLOMERULUS).shape == (*shape, 3)
    side_by_side(tissue(*shape), mask, classes=GLOMERULUS)
    error_map(target=mask, prediction=mask, class_index=1, image=tissue(*shape))


def test_color_mask():
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    assert color_mask(mask, classes=THREE).tolist() == [
        [list(THREE.colors[0]), list(THREE.colors[1])],
        [list(THREE.colors[2]), [150, 150, 150]],
    ]


def test_side_by_side_shows_three_panels_under_titles():
    image, mask = tissue(), disc()
    picture = side_by_side(image, mask, classes=GLOMERULUS)
    assert picture.shape[1] > 3 * 400
    row = picture[picture.shape[0] - 160]  # through the disc's middle
    assert (row == 200).all(axis=-1).sum() >= 400 + 230  # image and overlay beside the disc
    assert (row == GREEN).all(axis=-1).sum() >= 158  # mask panel
    head = picture[:20]
    for third in np.array_split(head, 3, axis=1):
        assert (third < 128).any()


def test_a_row_keeps_every_picture_whole():
    pictures = [np.full((50, width, 3), width, np.uint8) for width in (60, 70, 80)]
    row = in_a_row(pictures, titles=["a", "b", "肾"])
    for width in (60, 70, 80):
        assert (row == width).all(axis=-1).sum() == 50 * width


def test_sheet_has_equal_cells_for_pictures_of_any_size():
    tiles = [
        np.full((size[0], size[1], 3), value, np.uint8)
        for value, size in [(10, (100, 100)), (20, (50, 200)), (30, (300, 20)), (40, (7, 7)), (50, (64, 64))]
    ]
    picture = sheet(tiles, columns=3, tile_px=64)
    gap = 4
    assert picture.shape == (2 * (64 + gap) + gap, 3 * (64 + gap) + gap, 3)
    for value, n_pixels in [(10, 64 * 64), (20, 16 * 64), (30, 64 * 4), (40, 64 * 64), (50, 64 * 64)]:
        assert (picture == value).all(axis=-1).sum() == n_pixels
    assert picture[gap, gap].tolist() == [10] * 3
    assert picture[gap + 32, 2 * gap + 64].tolist() == [20] * 3  # centred in the second cell
    assert picture[-gap - 1, gap].tolist() == [40] * 3


def test_captions_stand_below_their_pictures():
    tiles = [tissue(64, 64), tissue(64, 64)]
    with_captions = sheet(tiles, columns=2, tile_px=64, captions=["first", ""])
    without = sheet(tiles, columns=2, tile_px=64)
    assert with_captions.shape[0] > without.shape[0]
    below = with_captions[4 + 64 :]
    assert (below[:, : 4 + 64] < 128).any()
    assert not (below[:, 4 + 64 :] < 128).any()


def test_fewer_tiles_than_columns():
    assert sheet([tissue()], columns=5, tile_px=64).shape[1] == 64 + 8


TARGET = np.array([[1, 1, 0, 0, 255]], np.uint8)
PREDICTION = np.array([[1, 0, 1, 0, 1]], np.uint8)


def test_codes_are_those_of_the_usual_confusion_map():
    assert error_codes(target=TARGET, prediction=PREDICTION, class_index=1).tolist() == [[255, 80, 150, 10, 0]]
    assert error_codes(target=TARGET, prediction=PREDICTION, class_index=0).tolist() == [[10, 150, 80, 255, 0]]


def test_other_classes_are_negative():
    target, prediction = np.array([[2, 2, 1]], np.uint8), np.array([[2, 1, 2]], np.uint8)
    assert error_codes(target=target, prediction=prediction, class_index=1).tolist() == [[10, 150, 80]]


def big(mask):
    return np.kron(mask, np.ones((100, 100), np.uint8))


def test_error_map_has_a_colour_an_outcome_and_a_legend_of_all():
    picture = error_map(target=big(TARGET), prediction=big(PREDICTION), class_index=1)
    assert picture.shape[1] == 500
    colors = [picture[50, x].tolist() for x in (50, 150, 250, 350, 450)]
    assert len({tuple(color) for color in colors}) == 5
    legend = picture[100:]
    for color in colors:
        assert (legend == color).all(axis=-1).any()
    red, green, blue = colors[0]
    assert green > red and green > blue


def test_error_map_over_tissue_keeps_the_tissue_visible():
    image = tissue(100, 500, 90)
    image[::2] = 170
    picture = error_map(target=big(TARGET), prediction=big(PREDICTION), class_index=1, image=image)
    assert (picture[50, 350] == picture[50, 350, 0]).all()  # grey where nothing is wrong
    assert (picture[50, 350] == 170).all()
    for x in (50, 150, 250):
        assert (picture[50, x] > picture[51, x]).all()


def test_the_legend_over_tissue_names_true_negatives_too():
    legends = [
        error_map(target=big(TARGET), prediction=big(PREDICTION), class_index=1, image=image)[100:]
        for image in (None, tissue(100, 500, 90))
    ]
    swatch = error_map(target=big(TARGET), prediction=big(PREDICTION), class_index=1)[50, 350]
    assert all((legend == swatch).all(axis=-1).sum() > 40 for legend in legends)


def test_nothing_right_and_nothing_wrong():
    empty = np.zeros((60, 200), np.uint8)
    picture = error_map(target=empty, prediction=empty, class_index=1)
    assert len(np.unique(picture[:60].reshape(-1, 3), axis=0)) == 1


def test_what_cannot_be_drawn():
    image, mask = tissue(), disc()
    with pytest.raises(InvalidInputError, match="mask is 200x300 but the image 400x300"):
        overlay(image, mask[:, :200], classes=GLOMERULUS)
    with pytest.raises(InvalidInputError, match=r"opacity is 50; it goes from 0"):
        overlay(image, mask, classes=GLOMERULUS, opacity=50)
    with pytest.raises(InvalidInputError, match=r"value 3, but the 2 classes \(background, glomerulus\) have 0 to 1"):
        overlay(image, mask * 3, classes=GLOMERULUS)
    with pytest.raises(InvalidInputError, match=r"picture has the shape \(H, W, 3\).*not \(300, 400\) uint8"):
        overlay(mask, mask, classes=GLOMERULUS)
    with pytest.raises(InvalidInputError, match=r"not \(0, 5, 3\)"):
        overlay(tissue(0, 5), np.zeros((0, 5), np.uint8), classes=GLOMERULUS)
    with pytest.raises(InvalidInputError, match=r"mask has the shape \(H, W\).*not \(300, 400\) int64"):
        overlay(image, mask.astype(np.int64), classes=GLOMERULUS)
    with pytest.raises(InvalidInputError, match="at least one picture"):
        sheet([], columns=2)
    with pytest.raises(InvalidInputError, match="sheet of 0 columns"):
        sheet([image], columns=0)
    with pytest.raises(InvalidInputError, match="2 captions do not fit 1 pictures"):
        sheet([image], columns=1, captions=["a", "b"])
    with pytest.raises(InvalidInputError, match="a title for each, not 1 and 0"):
        in_a_row([image], titles=[])
    with pytest.raises(InvalidInputError, match=r"one height, not \[100, 300\]"):
        in_a_row([image, tissue(100, 100)], titles=["a", "b"])
    with pytest.raises(InvalidInputError, match="masks of one size"):
        error_codes(target=mask, prediction=mask[:-1], class_index=1)
    with pytest.raises(InvalidInputError, match="mask is 400x300 but the image 400x200"):
        error_map(target=mask, prediction=mask, class_index=1, image=image[:200])


@pytest.mark.real
def test_real_tissue(shared_data):
    folder = shared_data / "aidpath_pas"
    image = read_image(folder / "images" / "AIDPATH_E_2.png")
    mask = read_mask(folder / "masks" / "AIDPATH_E_2.png", classes=GLOMERULUS)
    picture = overlay(image, mask, classes=GLOMERULUS)
    inside = mask == 1
    greener = (picture[..., 1].astype(int) - picture[..., 0])[inside] > (image[..., 1].astype(int) - image[..., 0])[
        inside
    ]
    assert greener.mean() > 0.99
    assert (picture[~inside] == image[~inside]).all(axis=-1).mean() > 0.95  # only outline and legend
