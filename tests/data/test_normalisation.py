"""Stains brought to a reference: slides and tiles judged as a whole, in training as in prediction."""

import dataclasses

import numpy as np
import pytest

from glomseg.data.crops import resize
from glomseg.data.dataset import open_dataset
from glomseg.data.normalisation import TileNormaliser, look_of_region, look_of_slide, reference_look
from glomseg.data.slide_dataset import open_slides
from glomseg.data.store import TileStore
from glomseg.errors import InvalidInputError
from glomseg.export.pyramid import write_pyramid
from glomseg.images import read_image, write_png
from glomseg.inference.predictor import Predictor
from glomseg.slides.opening import open_slide
from glomseg.slides.tissue import find_tissue
from glomseg.stain import look_of, normalise
from glomseg.types import GLOMERULUS, ModelCard, Scaling

from ..inference.array_slide import Blur
from ..test_stain import HAEMATOXYLIN, PAS, stained
from .test_slide_dataset import square, write_annotations


@pytest.fixture
def tiles(tmp_path):
    """Four tiles in three strengths of the same stains; masks are empty."""
    for number, amounts in enumerate([(0.6, 0.5), (1.0, 0.8), (1.0, 0.8), (1.4, 1.2)]):
        write_png(tmp_path / "images" / f"S{number}_1.png", stained(amounts=amounts, seed=number))
        write_png(tmp_path / "masks" / f"S{number}_1.png", np.zeros((96, 96), np.uint8))
    return open_dataset(tmp_path)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_the_reference_is_the_look_in_the_middle(tiles, method):
    reports = []
    reference = reference_look(
        tiles,
        tiles.samples,
        method=method,
        scaling=Scaling(),
        progress=lambda done, total, note="": reports.append((done, total)),
    )
    middle = look_of(read_image(tiles.samples[1].image_path), method=method)
    first = dataclasses.astuple(reference)[-1]
    assert np.allclose(first, dataclasses.astuple(middle)[-1], rtol=0.1)
    assert reports[-1] == (4, 4)


@pytest.mark.parametrize("stored_at", [None, Scaling(factor=0.5)])
def test_training_and_prediction_see_the_same_colours(tiles, stored_at):
    scaling = Scaling(factor=0.5)
    reference = reference_look(tiles, tiles.samples, method="macenko", scaling=scaling)
    normaliser = TileNormaliser(dataset=tiles, reference=reference, scaling=scaling)
    store = TileStore(tiles, tiles.samples, scaling=stored_at, memory_bytes=10**9, normaliser=normaliser)
    card = ModelCard(architecture="none", classes=GLOMERULUS, scaling=scaling, stain=reference)
    predictor = Predictor(Blur(), card, device="cpu", precision="32-true")
    pale = read_image(tiles.samples[0].image_path)
    seen = store[0][0]
    if stored_at is None:  # the tile as it is, judged at the working size
        half = resize(pale, height=48, width=48, interpolation="area")
        expected = normalise(pale, look=look_of(half, method="macenko"), reference=reference)
        assert np.array_equal(seen, expected)
    else:
        plain = TileStore(tiles, tiles.samples, scaling=stored_at, memory_bytes=10**9)
        assert np.array_equal(seen, predictor.restained(plain[0][0]))
        assert seen.mean() < plain[0][0].mean() - 5  # the pale tile became darker


def test_a_model_without_a_reference_leaves_colours(tiles):
    card = ModelCard(architecture="none", classes=GLOMERULUS)
    image = read_image(tiles.samples[0].image_path)
    assert Predictor(Blur(), card, device="cpu").restained(image) is image


def test_tiles_without_stain_give_no_reference(tmp_path):
    write_png(tmp_path / "images" / "S1_1.png", np.full((64, 64, 3), 240, np.uint8))
    write_png(tmp_path / "masks" / "S1_1.png", np.zeros((64, 64), np.uint8))
    dataset = open_dataset(tmp_path)
    for method, what in (("macenko", "two stains"), ("reinhard", "tissue")):
        with pytest.raises(InvalidInputError, match=f"none of 1 training tiles .* shows {what}, so colors.normalise"):
            reference_look(dataset, dataset.samples, method=method, scaling=Scaling())


@pytest.fixture
def slides(tmp_path):
    """A slide whose left half has haematoxylin alone, and whose right half both stains; glass around."""
    picture = np.full((1024, 1024, 3), 245, np.uint8)
    picture[200:800, 100:500] = np.tile(stained(second=HAEMATOXYLIN, glass=0), (7, 5, 1))[:600, :400]
    picture[200:800, 500:900] = np.tile(stained(glass=0), (7, 5, 1))[:600, :400]
    (tmp_path / "slides").mkdir()
    write_pyramid(tmp_path / "slides" / "case1.tif", picture, mpp=1.0, compression="deflate")
    write_annotations(tmp_path / "drawn" / "case1.geojson", square(600, 300, 100))
    return open_slides(tmp_path / "slides", annotations=tmp_path / "drawn", mpp=1.0, tile_px=256)


def test_a_slide_is_judged_as_a_whole_by_its_tissue(slides):
    with open_slide(slides.samples[0].image_path) as slide:
        look = look_of_slide(slide, find_tissue(slide), method="macenko", downsample=1.0)
        empty = dataclasses.replace(find_tissue(slide), mask=np.zeros((128, 128), bool))
        assert look_of_slide(slide, empty, method="macenko", downsample=1.0) is None
    for found, true in zip(look.stains, (HAEMATOXYLIN, PAS), strict=True):
        assert np.dot(found, true) > 0.999


def test_every_region_of_a_slide_has_the_slides_look(slides):
    scaling = Scaling(mpp=1.0)
    reference = reference_look(slides, slides.samples, method="macenko", scaling=scaling)
    card = ModelCard(architecture="none", classes=GLOMERULUS, scaling=scaling, stain=reference)
    looks = [look_of_region(slides, sample, card) for sample in slides.samples]
    assert all(look == reference for look in looks)  # of one slide, which therefore is the median
    assert look_of_region(slides, slides.samples[0], dataclasses.replace(card, stain=None)) is None
    normaliser = TileNormaliser(dataset=slides, reference=reference, scaling=scaling)
    one_stain = slides.samples[0]
    image = TileStore(slides, [one_stain], scaling=None, memory_bytes=0)[0][0]
    assert look_of(image, method="macenko") is None
    expected = normalise(image, look=looks[0], reference=reference)
    assert np.array_equal(normaliser(one_stain, image), expected)
