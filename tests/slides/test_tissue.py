import cv2
import numpy as np
import pytest

from glomseg.data.synthetic import write_synthetic_slide
from glomseg.export.pyramid import write_pyramid
from glomseg.slides.opening import open_slide
from glomseg.slides.tissue import Tissue, find_tissue, tissue_mask

MPP = 8.0
STAINS = {
    "PAS": (190, 110, 170),
    "H&E": (205, 130, 185),
    "silver": (120, 115, 110),
    "pale": (228, 214, 226),
    "trichrome": (90, 150, 190),
}


def glass(height=256, width=256, color=(243, 242, 243)):
    rng = np.random.default_rng(0)
    return np.clip(np.array(color) + rng.normal(0, 1.5, (height, width, 3)), 0, 255).astype(np.uint8)


def section(color, *, noise=12):
    """A picture with a disc of tissue of radius 60 pixels, and its truth."""
    picture, truth = glass(), np.zeros((256, 256), np.uint8)
    cv2.circle(truth, (128, 128), 60, 1, -1)
    texture = np.random.default_rng(1).normal(0, noise, (256, 256, 1))
    stained = np.clip(np.array(color) + cv2.GaussianBlur(texture, (0, 0), 1)[..., None], 0, 255)
    picture[truth == 1] = stained[truth == 1]
    return picture, truth == 1


def overlap(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize("stain", STAINS)
def test_tissue_of_every_stain_is_found(stain):
    picture, truth = section(STAINS[stain])
    assert overlap(tissue_mask(picture, mpp=MPP), truth) > 0.93


@pytest.mark.parametrize("color", [(255, 255, 255), (243, 242, 243), (225, 224, 218)])
def test_an_empty_slide_has_no_tissue(color):
    shade = 1 + 0.03 * np.linspace(-1, 1, 256)[None, :, None]  # the lamp is brighter on one side
    picture = np.clip(glass(color=color) * shade, 0, 255).astype(np.uint8)
    assert not tissue_mask(picture, mpp=MPP).any()


def test_a_picture_full_of_tissue_is_all_tissue():
    texture = np.random.default_rng(1).normal(0, 20, (256, 256, 3))
    picture = np.clip(np.array(STAINS["PAS"]) + texture, 0, 255).astype(np.uint8)
    assert tissue_mask(picture, mpp=MPP).all()


def test_ink_and_dark_edges_are_no_tissue():
    picture, truth = section(STAINS["PAS"])
    cv2.line(picture, (10, 20), (240, 30), (40, 60, 170), 12)  # blue, green and black felt-tip pens
    cv2.line(picture, (20, 60), (30, 240), (30, 140, 80), 12)
    cv2.line(picture, (235, 60), (225, 240), (20, 20, 20), 12)
    picture[:, :9] = 10  # the edge of the slide
    assert overlap(tissue_mask(picture, mpp=MPP), truth) > 0.93


def test_pen_on_a_slide_without_tissue_leaves_none():
    picture = glass()
    cv2.line(picture, (20, 60), (230, 200), (20, 20, 20), 14)
    assert not tissue_mask(picture, mpp=MPP).any()


def test_small_holes_are_filled_and_large_ones_are_not():
    picture, _ = section(STAINS["PAS"])
    cv2.circle(picture, (90, 128), 10, (243, 242, 243), -1)  # 0.02 mm2
    cv2.circle(picture, (150, 128), 34, (243, 242, 243), -1)  # 0.23 mm2
    mask = tissue_mask(picture, mpp=MPP)
    assert mask[128, 90]
    assert not mask[128, 150]


def test_specks_and_hairs_are_dropped():
    picture = glass()
    for i in range(6):
        cv2.circle(picture, (30 + 35 * i, 60), 2, (90, 80, 90), -1)
    cv2.line(picture, (10, 100), (240, 220), (120, 110, 100), 1)
    assert not tissue_mask(picture, mpp=MPP).any()


def test_what_scanners_fill_in_is_not_taken_for_glass():
    picture, truth = section(STAINS["pale"])
    picture[:60] = 255
    assert overlap(tissue_mask(picture, mpp=MPP), truth & (np.arange(256)[:, None] >= 60)) > 0.9


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (5, 5)])
def test_tiny_pictures_do_not_fail(shape):
    assert tissue_mask(glass(*shape), mpp=MPP).shape == shape


def test_the_area_is_in_square_millimetres_where_the_mpp_is_known():
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    assert Tissue(mask=mask, downsample=20.0, mpp=0.5).area_px == 50 * 400
    assert Tissue(mask=mask, downsample=20.0, mpp=0.5).area_mm2 == pytest.approx(50 * 100 / 1e6)
    assert Tissue(mask=mask, downsample=20.0, mpp=None).area_mm2 is None


@pytest.mark.parametrize("mpp", [0.5, None])
def test_the_tissue_of_a_slide(tmp_path, mpp):
    picture = np.full((2000, 3000, 3), 243, np.uint8)
    cv2.circle(picture, (1000, 1000), 600, STAINS["PAS"], -1)
    write_pyramid(tmp_path / "slide.tif", picture, mpp=mpp)
    with open_slide(tmp_path / "slide.tif") as slide:
        tissue = find_tissue(slide)
    assert tissue.downsample == 16
    assert tissue.mask.shape == (125, 188)
    assert tissue.area_px == pytest.approx(np.pi * 600**2, rel=0.05)
    assert tissue.area_mm2 == (None if mpp is None else pytest.approx(np.pi * 0.3**2, rel=0.05))


def test_a_huge_slide_is_found_with_a_small_mask(tmp_path):
    cells = np.zeros((4, 4), bool)
    cells[1:3, 2:] = True
    write_synthetic_slide(tmp_path / "huge.tif", tissue=cells, size_px=(30_000, 32_000))
    with open_slide(tmp_path / "huge.tif") as slide:
        tissue = find_tissue(slide)
    assert tissue.mask.shape == (1000, 938)
    expected = cells.repeat(256, axis=0).repeat(256, axis=1)[:1000, :938]
    assert overlap(tissue.mask, expected) > 0.93


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "mpp", "share"),
    [("CMU-1-Small-Region.svs", None, 0.40), ("tcga-cr-7395-01a-01-ts1.svs", 0.5, 0.64), ("aidpath_E.tif", None, 0.33)],
)
def test_real_tissue_is_found(shared_data, name, mpp, share):
    # Shares looked at on pictures of the outline.
    with open_slide(shared_data / "slides" / name, mpp=mpp) as slide:
        assert find_tissue(slide).mask.mean() == pytest.approx(share, abs=0.02)


@pytest.mark.real
def test_hardly_any_glomerulus_lies_outside_of_the_tissue(shared_data):
    for name in ("aidpath_D", "aidpath_E"):
        truth = cv2.imread(str(shared_data / "slides" / f"{name}_mask.png"), cv2.IMREAD_GRAYSCALE)
        with open_slide(shared_data / "slides" / f"{name}.tif") as slide:
            mask = find_tissue(slide).mask
        small = cv2.resize(truth, mask.shape[::-1], interpolation=cv2.INTER_AREA) > 0
        assert (small & ~mask).sum() < 0.01 * small.sum()
