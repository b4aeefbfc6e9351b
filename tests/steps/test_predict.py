"""Prediction of a batch of images, most of them hostile."""

import csv
import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glomseg import files
from glomseg.errors import InvalidInputError, MissingInputError, OutputError
from glomseg.images import encode_png, read_image, read_mask_values, write_png
from glomseg.inference.loading import load_predictor
from glomseg.measure import connected_components
from glomseg.steps.inputs import find_images
from glomseg.steps.predict import predict_images

CPU = {"device": "cpu", "precision": "32-true"}
NOISE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def table(out):
    with open(out / "components.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_masks_overlays_and_table_under_the_images_own_names(tmp_path, tiny_model, tiny_dataset):
    out = tmp_path / "out"
    reports = []

    class Bars:
        def __call__(self, description, *, unit):
            return self

        def __enter__(self):
            return lambda done, total, note="": reports.append((done, total))

        def __exit__(self, *raised):
            pass

    result = predict_images(tiny_model, [tiny_dataset / "images"], out=out, mpp=0.5, progress=Bars(), **CPU)
    names = sorted(path.name for path in (tiny_dataset / "images").iterdir())
    assert [item.image.name for item in result.images] == names
    assert files_below(out) == sorted(
        ["components.csv", *(f"masks/{name}" for name in names), *(f"overlays/{name}" for name in names)]
    )
    assert reports == [(done, 12) for done in range(1, 13)]

    predictor = load_predictor(tiny_model, **CPU)
    rows = iter(table(out))
    for item in result.images:
        found = predictor.predict(read_image(item.image), mpp=0.5, keep_probabilities=True)
        assert np.array_equal(read_mask_values(item.mask), found.mask)
        assert read_image(item.overlay).shape == (64, 64, 3)
        assert item.foreground_share == np.mean(found.mask == 1)
        for piece in connected_components(found.mask, n_classes=2, mpp=0.5, probabilities=found.probabilities):
            row = next(rows)
            assert (row["image"], row["mask"]) == (str(item.image), item.mask.name)
            assert int(row["area_px"]) == piece.area_px
            assert float(row["area_um2"]) == pytest.approx(piece.area_px * 0.25)
            assert float(row["mean_probability"]) == pytest.approx(piece.mean_probability, abs=1e-4)
    assert next(rows, None) is None
    assert sum(len(item.components) for item in result.images) > 0
    assert not result.failed


def test_without_mpp_nothing_is_in_micrometres(tmp_path, tiny_model):
    write_png(tmp_path / "a.png", NOISE)
    predict_images(tiny_model, [tmp_path / "a.png"], out=tmp_path / "out", **CPU)
    rows = table(tmp_path / "out")
    assert rows
    assert {row["area_um2"] for row in rows} == {""}
    assert all(int(row["area_px"]) > 0 for row in rows)


def test_min_area_leaves_pieces_out_of_the_table_only(tmp_path, tiny_model):
    write_png(tmp_path / "a.png", NOISE)
    every = predict_images(tiny_model, [tmp_path / "a.png"], out=tmp_path / "1", **CPU).images[0]
    largest = max(piece.area_px for piece in every.components)
    some = predict_images(
        tiny_model, [tmp_path / "a.png"], out=tmp_path / "2", min_area_px=largest, overlays=False, **CPU
    ).images[0]
    assert [piece.area_px for piece in some.components] == [largest]
    assert some.mask.read_bytes() == every.mask.read_bytes()
    assert some.overlay is None
    assert files_below(tmp_path / "2") == ["components.csv", "masks/a.png"]


def test_opacity_changes_the_overlay(tmp_path, tiny_model):
    write_png(tmp_path / "a.png", NOISE)
    kept = predict_images(tiny_model, [tmp_path / "a.png"], out=tmp_path / "0", opacity=0, **CPU).images[0]
    covered = predict_images(tiny_model, [tmp_path / "a.png"], out=tmp_path / "1", opacity=1, **CPU).images[0]
    assert kept.overlay.read_bytes() != covered.overlay.read_bytes()


def test_one_name_in_two_folders_gives_two_masks(tmp_path, tiny_model):
    write_png(tmp_path / "1" / "a.png", NOISE)
    write_png(tmp_path / "2" / "a.png", np.ascontiguousarray(NOISE[::-1, :32]))
    Image.fromarray(NOISE).save(tmp_path / "2" / "A.bmp")
    result = predict_images(tiny_model, [tmp_path / "1", tmp_path / "2"], out=tmp_path / "out", **CPU)
    assert [item.mask.name for item in result.images] == ["a.png", "A_2.png", "a_3.png"]
    assert [item.overlay.name for item in result.images] == ["a.png", "A_2.png", "a_3.png"]
    assert [read_mask_values(item.mask).shape for item in result.images] == [(48, 64), (48, 64), (48, 32)]
    assert {(row["image"], row["mask"]) for row in table(tmp_path / "out")} <= {
        (str(item.image), item.mask.name) for item in result.images
    }
    assert len({row["mask"] for row in table(tmp_path / "out")}) == 3


@pytest.fixture
def hostile(tmp_path, png_claiming):
    """A folder of good and bad images, and what the reasons for the bad ones say."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("a b.png", "肾脏.png", "line\nbreak.png", "[red]<b>.png", "z.png"):
        write_png(folder / name, NOISE)
    picture = Image.fromarray(NOISE)
    picture.convert("L").save(folder / "grey.png")
    picture.convert("RGBA").save(folder / "rgba.png")
    picture.convert("CMYK").save(folder / "cmyk.tif")
    picture.convert("P").save(folder / "palette.png")
    bad = {
        "bomb.png": (png_claiming(60_000, 60_000), "decompression bomb"),
        "cut.png": (encode_png(NOISE)[:2000], "damaged"),
        "deep.png": (None, "more than 8 bits"),
        "empty.png": (b"", "0 bytes"),
        "text.png": (b"I am a text file", "not an image"),
    }
    for name, (content, _) in bad.items():
        if content is not None:
            (folder / name).write_bytes(content)
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(folder / "deep.png")
    return folder, {name: reason for name, (_, reason) in bad.items()}


def test_a_batch_goes_on_past_bad_files_and_names_them(hostile, tmp_path, tiny_model):
    folder, reasons = hostile
    out = tmp_path / "out"
    result = predict_images(tiny_model, [folder, folder / "none.png"], out=out, **CPU)
    assert {path.name for path in result.failed} == {*reasons, "none.png"}
    for path, told in result.failed.items():
        assert reasons.get(path.name, "does not exist") in told
        assert path.name in told
        assert "\n" not in told
    good = [item.image.stem for item in result.images]
    assert good == ["[red]<b>", "a b", "cmyk", "grey", "line\nbreak", "palette", "rgba", "z", "肾脏"]
    assert files_below(out / "masks") == sorted(f"{name}.png" for name in good)
    assert files_below(out / "overlays") == sorted(f"{name}.png" for name in good)
    assert {row["image"] for row in table(out)} <= {str(item.image) for item in result.images}


def test_a_batch_of_nothing_but_bad_files_has_an_empty_table(tmp_path, tiny_model):
    (tmp_path / "empty.png").write_bytes(b"")
    result = predict_images(tiny_model, [tmp_path / "empty.png"], out=tmp_path / "out", **CPU)
    assert not result.images
    assert table(tmp_path / "out") == []
    assert files_below(tmp_path / "out") == ["components.csv"]


def test_inputs_are_files_folders_and_patterns_each_once(tmp_path, monkeypatch):
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "deep/c.png", "x[1].png"):
        write_png(tmp_path / name, NOISE)
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)

    def found(*inputs):
        return [str(path) for path in find_images(inputs)]

    assert found(".") == ["a.JPG", "b.png", "x[1].png"]
    assert found("*.png", "b.png", "./b.png", tmp_path / "b.png") == ["b.png", "x[1].png"]
    assert found("x[1].png") == ["x[1].png"]  # a file whose name looks like a pattern
    assert found("**/*.png") == ["b.png", "deep/c.png", "x[1].png"]
    assert found("none.png", "b.png") == ["none.png", "b.png"]


def test_inputs_that_stand_for_nothing(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(MissingInputError, match="no image was named"):
        find_images([])
    with pytest.raises(MissingInputError, match=r"holds no image \(\.bmp, "):
        find_images([tmp_path])
    with pytest.raises(MissingInputError, match=r"none\*\.png' fits no file"):
        find_images([tmp_path / "none*.png"])
    with pytest.raises(InvalidInputError, match="cannot be read: File name too long"):
        find_images(["x" * 300])


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InvalidInputError, match="cannot be read: Permission denied"):
        find_images([tmp_path])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opacity": 1.1}, "--opacity 1.1"),
        ({"opacity": float("nan")}, "--opacity nan"),
        ({"mpp": 0}, "--mpp 0"),
        ({"mpp": -0.5}, "--mpp -0.5"),
        ({"mpp": float("nan")}, "--mpp nan"),
        ({"min_area_px": -1}, "--min-area -1"),
    ],
)
def test_options_that_make_no_sense(tmp_path, tiny_model, options, message):
    with pytest.raises(InvalidInputError, match=message):
        predict_images(tiny_model, [tmp_path / "a.png"], out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_somebodys_masks_are_not_overwritten(tiny_dataset, tiny_model):
    before = {path: path.read_bytes() for path in (tiny_dataset / "masks").iterdir()}
    with pytest.raises(OutputError, match=r"masks' holds files already.*your own masks.*--out"):
        predict_images(tiny_model, [tiny_dataset / "images"], out=tiny_dataset, **CPU)
    assert {path: path.read_bytes() for path in (tiny_dataset / "masks").iterdir()} == before


def test_an_earlier_prediction_is_replaced_but_never_its_own_input(tmp_path, tiny_model):
    write_png(tmp_path / "a.png", NOISE)
    out = tmp_path / "out"
    for _ in range(2):
        predict_images(tiny_model, [tmp_path / "a.png"], out=out, **CPU)
    assert files_below(out) == ["components.csv", "masks/a.png", "overlays/a.png"]
    with pytest.raises(OutputError, match="lies where predictions would be written"):
        predict_images(tiny_model, [out / "overlays"], out=out, **CPU)


def test_a_file_in_the_way_of_the_folder(tmp_path, tiny_model):
    write_png(tmp_path / "a.png", NOISE)
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*out'.*choose another output folder"):
        predict_images(tiny_model, [tmp_path / "a.png"], out=tmp_path / "out", **CPU)


def test_a_full_disk_stops_the_batch_and_leaves_nothing_half_written(tmp_path, tiny_model, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        write_png(tmp_path / "images" / name, NOISE)
    sync, calls = files.os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        predict_images(tiny_model, [tmp_path / "images"], out=tmp_path / "out", **CPU)
    assert files_below(tmp_path / "out") == ["masks/a.png", "overlays/a.png"]


def test_ctrl_c_keeps_what_is_done(tmp_path, tiny_model, monkeypatch):
    for name in ("a.png", "b.png"):
        write_png(tmp_path / "images" / name, NOISE)

    def interrupted(path):
        if path.name == "b.png":
            raise KeyboardInterrupt
        return read_image(path)

    monkeypatch.setattr("glomseg.steps.predict.read_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_images(tiny_model, [tmp_path / "images"], out=tmp_path / "out", **CPU)
    assert files_below(tmp_path / "out") == ["components.csv", "masks/a.png", "overlays/a.png"]
    assert {row["mask"] for row in table(tmp_path / "out")} == {"a.png"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.", "PyTorch checkpoint"),
        (b"garbage, and quite a lot of it", "is not a glomseg model file"),
        (None, "damaged"),
    ],
)
def test_models_that_are_none(tmp_path, tiny_model, content, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_model.read_bytes()[:5000] if content is None else content)
    write_png(tmp_path / "a.png", NOISE)
    with pytest.raises(InvalidInputError, match=message):
        predict_images(path, [tmp_path / "a.png"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_folder_without_a_model(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(MissingInputError, match="holds no model yet"):
        predict_images(tmp_path, ["a.png"], out=tmp_path / "out")


def test_a_name_that_is_no_utf_8_is_written_down(tmp_path, tiny_model):
    name = b"\xff.png".decode("utf-8", errors="surrogateescape")
    try:
        write_png(tmp_path / name, NOISE)
    except OutputError:
        pytest.skip("this file system takes only UTF-8 names")
    result = predict_images(tiny_model, [tmp_path / name], out=tmp_path / "out", **CPU)
    assert result.images[0].mask.name == name
    assert table(tmp_path / "out")[0]["mask"] == r"\udcff.png"


@pytest.mark.real
def test_real_tissue(shared_data, tmp_path, tiny_model):
    tile = shared_data / "aidpath_pas" / "images" / "AIDPATH_B_1.png"
    item = predict_images(tiny_model, [tile], out=tmp_path / "out", mpp=0.5, **CPU).images[0]
    assert read_mask_values(item.mask).shape == read_image(item.overlay).shape[:2] == (1024, 1024)


def test_masks_of_an_earlier_prediction_stay_and_are_named(tmp_path, tiny_model):
    out = tmp_path / "out"
    for name in "abc":
        write_png(tmp_path / "images" / f"{name}.png", NOISE)
    assert predict_images(tiny_model, [tmp_path / "images"], out=out, **CPU).notes == ()
    corrected = (out / "masks" / "b.png").read_bytes() + b"corrected by hand"
    (out / "masks" / "b.png").write_bytes(corrected)
    (out / "masks" / "notes.txt").write_text("mine")
    (note,) = predict_images(tiny_model, [tmp_path / "images" / "a.png"], out=out, overlays=False, **CPU).notes
    assert note.startswith(
        f"5 files in {str(out)!r} are not of this prediction, and components.csv does not cover them"
    )
    assert "masks/b.png, masks/c.png, overlays/a.png, ...; remove what" in note
    assert (out / "masks" / "b.png").read_bytes() == corrected
    assert {row["mask"] for row in table(out)} <= {"a.png"}
