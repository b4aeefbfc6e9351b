"""Telling models, slides and tiles apart."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from glomseg.box import BOX, box_model
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.export.pyramid import write_pyramid
from glomseg.images import write_png
from glomseg.steps.prediction_inputs import find_inputs, is_slide, split_model

PICTURE = np.full((300, 400, 3), 200, np.uint8)


@pytest.fixture
def mixed(tmp_path):
    """A folder of tiles and slides; the names of the slides begin with s."""
    write_png(tmp_path / "tile.png", PICTURE)
    Image.fromarray(PICTURE).save(tmp_path / "tile.jpg")
    Image.fromarray(PICTURE).save(tmp_path / "tile.tif")
    write_pyramid(tmp_path / "s pyramid.tif", PICTURE, mpp=0.5)
    tifffile.imwrite(tmp_path / "s tiled.tiff", PICTURE, tile=(256, 256), photometric="rgb")
    tifffile.imwrite(tmp_path / "s image.ome.tif", PICTURE, photometric="rgb")
    for name in ("s.svs", "s.NDPI", "s.mrxs"):
        (tmp_path / name).write_bytes(b"whatever is in it")
    (tmp_path / "tile of text.png").write_bytes(b"I am text")
    (tmp_path / "notes.txt").write_bytes(b"I am text")
    (tmp_path / "tile cut.tif").write_bytes(b"II*\0\1")
    return tmp_path


def test_files_of_a_folder_are_told_apart(mixed):
    found = find_inputs([mixed])
    assert all(path.name.startswith("s") for path in found.slides)
    assert all(path.name.startswith("tile") for path in found.tiles)
    assert (len(found.tiles), len(found.slides)) == (5, 6)


def test_a_picture_larger_than_a_tile_is_a_slide(tmp_path, png_claiming):
    (tmp_path / "large.png").write_bytes(png_claiming(20_000, 20_000))
    assert is_slide(tmp_path / "large.png")


def test_the_kind_can_be_forced(mixed):
    assert find_inputs([mixed / "tile.png"], kind="slide").slides == (mixed / "tile.png",)
    tiles = find_inputs([mixed], kind="tile").tiles
    assert mixed / "s pyramid.tif" in tiles
    assert mixed / "s.svs" not in tiles  # no tile has such a suffix
    with pytest.raises(InvalidInputError, match="--as 'slides' is no kind of input: did you mean 'slide'"):
        find_inputs([mixed], kind="slides")


def test_the_dicom_files_of_a_folder_are_one_slide(tmp_path):
    for name in ("level 1.dcm", "level 2.dcm", "level 3.dcm"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_inputs([tmp_path]).slides] == ["level 1.dcm"]
    named = [tmp_path / "level 2.dcm", tmp_path / "level 3.dcm"]
    assert find_inputs(named).slides == tuple(named)


def test_a_missing_file_is_left_to_the_reader_and_an_empty_folder_is_an_error(tmp_path):
    found = find_inputs([tmp_path / "none.svs", tmp_path / "none.png"])
    assert (found.slides, found.tiles) == ((tmp_path / "none.svs",), (tmp_path / "none.png",))
    with pytest.raises(MissingInputError, match=r"holds no image \(.*\.svs"):
        find_inputs([tmp_path])


def test_a_first_word_that_is_a_model_is_the_model(tmp_path, tiny_model):
    run, folds = tmp_path / "run", tmp_path / "folds"
    for folder, files in ((run, ("manifest.json", "settings.json", "curves.png")), (folds, ("ensemble.json",))):
        folder.mkdir()
        for name in files:
            (folder / name).touch()
    renamed = tmp_path / "weights without a suffix"
    renamed.write_bytes(tiny_model.read_bytes())
    for model in (BOX, run, folds, tiny_model, renamed, "gone.safetensors", "old.pth", "old.PT", "folds/ensemble.json"):
        assert split_model([str(model), "a.png", "b.png"]) == (str(model), ("a.png", "b.png"))
        assert split_model([str(model)]) == (str(model), ())


def test_without_a_model_it_is_the_box_and_every_word_is_an_image(mixed, monkeypatch):
    (mixed / "manifest.json").write_text("{}")  # a folder of tiles may have one of its own
    monkeypatch.chdir(mixed)
    for word in ("tile.png", "tile.jpg", "s.svs", "s.NDPI", "gone.png", "*.png", str(mixed)):
        assert split_model([word, "tile.tif"]) == (str(box_model()), (word, "tile.tif"))


def test_what_may_be_a_mistyped_model_is_never_an_image(mixed, monkeypatch, tiny_model):
    monkeypatch.chdir(mixed)
    with pytest.raises(MissingInputError, match="'runs/my-rnu' is neither a model nor an image: it does not exist"):
        split_model(["runs/my-rnu", "tile.png"])
    with pytest.raises(InvalidInputError, match=r"'notes.txt' is neither a model nor an image by its name"):
        split_model(["notes.txt", "tile.png"])
    (mixed / "run").mkdir()
    (mixed / "run" / "manifest.json").touch()
    (mixed / "run" / "settings.json").touch()
    for model in (BOX, "run", str(tiny_model)):
        for first in ("tile.png", "other.safetensors"):
            with pytest.raises(InvalidInputError, match="is a model: name one model, before the files"):
                split_model([first, "tile.jpg", model])
