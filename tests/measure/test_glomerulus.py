import math

import numpy as np
import pytest

from glomseg.errors import InvalidInputError
from glomseg.files import write_csv
from glomseg.measure import (
    OBJECT_COLUMNS,
    ObjectSettings,
    glomerulus_rows,
    measure_glomeruli,
    summarize_glomeruli,
)
from glomseg.types import GLOMERULUS, Classes, Region

from .drawing import disc

TWO = Classes.of(("background", "glomerulus", "sclerotic"))
ALL = ObjectSettings(min_diameter_um=0, min_diameter_px=0)


def measured(mask, *, mpp=None, settings=ALL, classes=GLOMERULUS, **options):
    return measure_glomeruli(mask, classes=classes, mpp=mpp, settings=settings, **options)


def test_one_square_by_hand():
    mask = np.zeros((10, 12), np.uint8)
    mask[2:5, 4:8] = 1
    (item,) = measured(mask, mpp=0.5, downsample=4)
    assert (item.label, item.class_index) == (1, 1)
    assert item.area_px == 12 * 16
    assert item.area_um2 == 12 * 16 * 0.25
    assert item.equivalent_diameter_um == pytest.approx(math.sqrt(4 / math.pi * 48))
    assert item.centroid_px == (24, 14)
    assert item.box == Region(x=16, y=8, width=16, height=12)
    assert item.outline.bounds == (16, 8, 32, 20)
    assert item.outline.area == item.area_px
    assert not item.touches_slide_border
    assert item.touches_tissue_border is None
    assert item.mean_probability is None


@pytest.mark.parametrize(("mpp", "downsample"), [(0.25, 8), (0.25, 4), (0.5, 2), (2.0, 1)])
def test_a_disc_of_200_um_is_200_um_across_at_any_scale(mpp, downsample):
    radius = 100 / mpp / downsample
    size = int(2 * radius + 8)
    mask = disc(size, centre=(size / 2 + 0.2, size / 2), radius=radius).astype(np.uint8)
    (item,) = measured(mask, mpp=mpp, downsample=downsample, settings=ObjectSettings())
    assert item.equivalent_diameter_um == pytest.approx(200, rel=0.01)
    assert item.max_diameter_um == pytest.approx(200, rel=0.01)
    assert item.min_diameter_um == pytest.approx(200, rel=0.01)
    assert item.bounding_circle_diameter_um == pytest.approx(200, rel=0.01)
    assert item.perimeter_um == pytest.approx(200 * math.pi, rel=0.01)
    assert item.area_um2 == pytest.approx(math.pi * 1e4, rel=0.01)


def test_without_a_scale_nothing_is_in_micrometres():
    (item,) = measured(np.ones((5, 5), np.uint8))
    names = [name for name in dir(item) if name[0] != "_" and name.endswith(("_um", "_um2"))]
    assert len(names) == 6
    assert all(getattr(item, name) is None for name in names)
    (row,) = glomerulus_rows([item], image="a.png", classes=GLOMERULUS)
    assert all(row[name] is None for name in row if name.endswith(("_um", "_um2")))


@pytest.mark.parametrize(
    ("place", "touches"), [((0, 3), True), ((3, 0), True), ((9, 3), True), ((3, 9), True), ((1, 8), False)]
)
def test_the_slide_border(place, touches):
    mask = np.zeros((10, 10), np.uint8)
    mask[place] = 1
    assert measured(mask)[0].touches_slide_border is touches


@pytest.mark.parametrize(
    ("column", "touches"), [(8, False), (15, False), (16, True), (19, True), (20, True), (30, True), (2, False)]
)
def test_the_tissue_border_in_a_coarser_mask(column, touches):
    mask = np.zeros((24, 40), np.uint8)
    mask[12, column] = 1
    tissue = np.ones((6, 10), bool)
    tissue[:, 5:] = False  # columns 20 and up of the mask; the tissue pixel of columns 16 to 19 lies next to it
    (item,) = measured(mask, downsample=2, tissue=tissue, tissue_downsample=8)
    assert item.touches_tissue_border is touches


def test_the_tissue_border_in_a_finer_mask_and_beyond_its_end():
    mask = np.zeros((10, 10), np.uint8)
    mask[4:7, 4:7] = 1
    tissue = np.ones((40, 40), bool)
    assert measured(mask, downsample=4, tissue=tissue)[0].touches_tissue_border is False
    tissue[22, 22] = False  # in the object's middle, where no pixel centre of the mask falls
    assert measured(mask, downsample=4, tissue=tissue)[0].touches_tissue_border is True
    mask[8:, :] = 1
    assert not measured(mask, downsample=4, tissue=np.ones((40, 40), bool))[0].touches_tissue_border


def test_the_mean_probability_is_from_0_to_1_in_both_types():
    mask = np.zeros((4, 4), np.uint8)
    mask[1, 1:3] = 1
    levels = np.zeros((4, 4), np.uint8)
    levels[1, 1:3] = (255, 51)
    assert measured(mask, probabilities=levels)[0].mean_probability == pytest.approx(0.6)
    shares = (levels / 255).astype(np.float16)
    assert measured(mask, probabilities=shares)[0].mean_probability == pytest.approx(0.6, abs=1e-3)


def test_classes_are_apart_and_the_order_is_by_class_then_from_the_top():
    mask = np.zeros((30, 30), np.uint8)
    mask[20:25, 20:25] = 1
    mask[2:6, 25:28] = 1
    mask[2:6, 2:6] = 2
    mask[2:6, 6:10] = 1
    found = measured(mask, classes=TWO)
    assert [(item.label, item.class_index, item.box.x, item.box.y) for item in found] == [
        (1, 1, 6, 2),
        (2, 1, 25, 2),
        (3, 1, 20, 20),
        (4, 2, 2, 2),
    ]


def test_rows_are_a_table(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 2:4] = 2
    rows = glomerulus_rows(measured(mask, classes=TWO, mpp=0.5), image="肾.svs", classes=TWO)
    assert [tuple(row) for row in rows] == [OBJECT_COLUMNS]
    assert (rows[0]["class"], rows[0]["area_um2"], rows[0]["image"]) == ("sclerotic", 1.0, "肾.svs")
    write_csv(tmp_path / "objects.csv", rows, columns=OBJECT_COLUMNS)


def test_the_mask_is_not_changed():
    mask = (disc(60, centre=(30, 30), radius=20) & ~disc(60, centre=(30, 30), radius=5)).astype(np.uint8)
    before = mask.copy()
    mask.setflags(write=False)
    measured(mask)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.zeros((2, 2))}, r"not \(2, 2\) float64"),
        ({"mpp": 0}, "mpp is 0"),
        ({"downsample": math.nan}, "downsample is nan"),
        ({"tissue_downsample": -1}, "tissue_downsample is -1"),
        ({"probabilities": np.zeros((2, 2, 2), np.uint8)}, r"shape \(2, 2, 2\), but the mask \(2, 2\)"),
        ({"probabilities": np.zeros((2, 2), np.int64)}, "probabilities are int64"),
        ({"tissue": np.zeros((2, 2), np.uint8)}, r"type bool, not \(2, 2\) uint8"),
    ],
)
def test_what_cannot_be_measured(change, message):
    arguments = {"mask": np.zeros((2, 2), np.uint8), **change}
    with pytest.raises(InvalidInputError, match=message):
        measured(arguments.pop("mask"), **arguments)


def test_a_summary_by_hand():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:12, 10:12] = 1
    mask[20:24, 20:24] = 1
    mask[0:3, 0:3] = 1  # cut by the slide's border
    mask[30:32, 30:31] = 2
    first, second, both = summarize_glomeruli(
        measured(mask, classes=TWO, mpp=10.0), classes=TWO, mpp=10.0, tissue_area_px=1e4
    )
    assert (first.class_name, first.n_objects, first.n_cut) == ("glomerulus", 3, 1)
    assert first.tissue_area_mm2 == pytest.approx(1.0)
    assert first.density_per_mm2 == pytest.approx(3.0)
    assert first.area_quantiles_px == pytest.approx((4.6, 7, 10, 13, 15.4))
    assert first.area_quantiles_um2 == pytest.approx((460, 700, 1000, 1300, 1540))
    assert (second.n_objects, second.area_quantiles_px) == (1, (2.0,) * 5)
    assert (both.class_name, both.n_objects) == (None, 4)


def test_a_summary_of_nothing_and_without_a_scale():
    (none,) = summarize_glomeruli([], classes=GLOMERULUS, mpp=0.5, tissue_area_px=0)
    assert (none.n_objects, none.tissue_area_mm2, none.density_per_mm2, none.area_quantiles_px) == (0, 0.0, None, None)
    (unscaled,) = summarize_glomeruli([], classes=GLOMERULUS, mpp=None, tissue_area_px=100)
    assert (unscaled.tissue_area_mm2, unscaled.area_quantiles_um2) == (None, None)
    with pytest.raises(InvalidInputError, match="tissue_area_px is -1"):
        summarize_glomeruli([], classes=GLOMERULUS, mpp=None, tissue_area_px=-1)
