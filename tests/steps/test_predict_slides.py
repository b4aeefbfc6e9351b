"""Slides from file to files: what is written, what is not done twice, and what a kill leaves."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest
import tifffile
import torch

from glomseg.errors import InvalidInputError, OutputError
from glomseg.export.pyramid import write_pyramid
from glomseg.images import read_image
from glomseg.measure import ObjectSettings
from glomseg.models.build import build_model
from glomseg.models.model_files import load_model, save_model
from glomseg.stain import ReinhardLook
from glomseg.steps import predict_slides as module
from glomseg.steps.predict_slides import SlideSettings, predict_slides
from glomseg.types import GLOMERULUS, Classes, Inference, ModelCard, Scaling, TestTimeAugmentation

from ..inference.array_slide import blobs

CPU = {"device": "cpu", "precision": "32-true"}
NARROW = {"base_channels": 8, "stem_channels": 8, "head_channels": 8, "auxiliary_channels": 8}
ALL = SlideSettings(mpp=1.0, tissue_only=False, objects=ObjectSettings(min_diameter_um=5))
FILES = ["mask.tif", "objects.csv", "objects.geojson", "overlay.png", "slide.json"]


def write_model(path, *, seed=0, classes=GLOMERULUS):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model("pspnet_r18", n_classes=len(classes), **NARROW)
    card = ModelCard(
        architecture="pspnet_r18",
        classes=classes,
        options=NARROW,
        scaling=Scaling(mpp=2.0, factor=0.5),
        inference=Inference(window_px=(64, 64), stride_px=(48, 48)),
    )
    save_model(path, model, card)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "small.safetensors")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "a slide.tif"
    write_pyramid(path, blobs(300, 400), mpp=1.0)
    return path


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def record(folder):
    return json.loads((folder / "slide.json").read_text(encoding="utf-8"))


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES if name != "slide.json"}


def test_everything_is_written_and_fits_together(tmp_path, model, slide):
    settings = SlideSettings(tissue_only=False, probabilities=True, objects=ObjectSettings(min_diameter_um=5))
    result = predict_slides(model, [slide], out=tmp_path, settings=settings, **CPU)
    (item,) = result.slides
    assert not result.failed and item.is_new
    folder = tmp_path / "a slide"
    assert names(tmp_path) == sorted(["slides.csv", *(f"a slide/{name}" for name in [*FILES, "probability.tif"])])

    mask, foreground = tifffile.imread(folder / "mask.tif"), tifffile.imread(folder / "probability.tif")
    assert mask.shape == foreground.shape == (150, 200)  # 2 um per pixel
    assert np.array_equal(mask == 1, foreground > 127.5)
    with tifffile.TiffFile(folder / "mask.tif") as file:
        resolution, unit = file.pages.first.tags["XResolution"].value, file.pages.first.tags["ResolutionUnit"].value
    assert resolution[0] / resolution[1] == pytest.approx(5000 if unit == 3 else 12700, rel=1e-4)

    objects = table(folder / "objects.csv")
    features = json.loads((folder / "objects.geojson").read_text(encoding="utf-8"))["features"]
    assert len(objects) == len(features) > 1
    assert read_image(folder / "overlay.png").shape[1] == 400

    made = record(folder)
    assert made["slide"]["mpp"] == pytest.approx(1.0)
    assert made["slide"]["mpp_is_from"] == "the file"
    assert made["working"]["downsample"] == pytest.approx(2.0)
    assert made["working"]["n_windows"] == 3 * 4
    assert made["summary"][0]["n_objects"] == len(objects)
    stages = {"open", "tissue", "read", "wait", "prepare", "model", "blend", "save", "objects", "write", "total"}
    assert set(made["seconds"]) == stages
    assert made["speed"]["megapixels_per_s"] == pytest.approx(0.12 / made["seconds"]["total"], rel=0.01)
    (row,) = table(tmp_path / "slides.csv")
    assert (row["slide"], row["folder"], row["n_objects"]) == (str(slide), "a slide", str(len(objects)))
    areas = [float(line["area_um2"]) for line in objects if line["touches_slide_border"] == "False"]
    assert float(row["area_p50_um2"]) == pytest.approx(np.median(areas), abs=0.1)


def test_tissue_decides_what_is_predicted_and_the_density(tmp_path, model):
    picture = np.full((600, 600, 3), 245, np.uint8)
    picture[50:200, 60:260] = blobs(150, 200) // 2 + np.array([90, 20, 80], np.uint8)
    write_pyramid(tmp_path / "s.tif", picture, mpp=1.0)
    settings = SlideSettings(objects=ObjectSettings(min_diameter_um=5))
    (item,) = predict_slides(model, [tmp_path / "s.tif"], out=tmp_path / "out", settings=settings, **CPU).slides
    summary = item.record["summary"][0]
    assert summary["tissue_area_mm2"] == pytest.approx(0.03, rel=0.25)
    assert summary["density_per_mm2"] == pytest.approx(summary["n_objects"] / summary["tissue_area_mm2"])
    assert 0 < item.record["working"]["n_windows"] < item.record["working"]["n_windows_without_tissue"]
    mask = tifffile.imread(item.folder / "mask.tif")
    assert not mask[200:].any()


def test_several_classes_are_counted_one_by_one(tmp_path, slide):
    several = write_model(tmp_path / "m.safetensors", classes=Classes.of(["background", "healthy", "sclerosed"]))
    predict_slides(several, [slide], out=tmp_path / "out", settings=ALL, **CPU)
    (row,) = table(tmp_path / "out" / "slides.csv")
    assert int(row["n_healthy"]) + int(row["n_sclerosed"]) == int(row["n_objects"])


def test_a_finished_slide_is_not_predicted_again_unless_something_changed(tmp_path, model, slide, monkeypatch):
    out = tmp_path / "out"
    predict_slides(model, [slide], out=out, settings=ALL, **CPU)
    first = record(out / "a slide")

    def again(used=model, settings=ALL):
        result = predict_slides(used, [slide], out=out, settings=settings, **CPU)
        return result.slides[0].is_new, " ".join(result.notes)

    with monkeypatch.context() as patch:
        patch.setattr(module, "predict_slide", None)  # whoever calls it fails
        assert again() == (False, "")
        faster = SlideSettings(**{**_fields(ALL), "batch_size": 3, "n_threads": 1, "tile_px": 64})
        assert again(settings=faster) == (False, "")
    assert record(out / "a slide") == first
    assert len(table(out / "slides.csv")) == 1

    is_new, notes = again(settings=SlideSettings(**{**_fields(ALL), "probabilities": True}))
    assert is_new and "probability.tif of the earlier prediction is not there" in notes
    assert (out / "a slide" / "probability.tif").exists()
    assert again() == (False, "")  # more files than are wanted do no harm
    is_new, notes = again(settings=SlideSettings(**{**_fields(ALL), "tissue_only": not ALL.tissue_only}))
    assert is_new and "since the earlier prediction the settings changed" in notes
    assert not (out / "a slide" / "probability.tif").exists()  # it was of another prediction
    is_new, notes = again(used=write_model(tmp_path / "other.safetensors", seed=1))
    assert is_new and "the model and the settings changed" in notes

    (out / "a slide" / "slide.json").write_text("{")
    is_new, notes = again()
    assert is_new and "cannot be read" in notes

    write_pyramid(slide.with_name("changed.tif"), blobs(300, 400, seed=1), mpp=1.0)
    before = slide.read_bytes()
    slide.write_bytes(slide.with_name("changed.tif").read_bytes())
    try:
        is_new, notes = again()
    finally:
        slide.write_bytes(before)
    assert is_new and "the slide changed" in notes


def _fields(settings):
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def test_a_batch_goes_on_past_a_bad_slide(tmp_path, model, slide):
    (tmp_path / "broken.svs").write_bytes(slide.read_bytes()[:500])
    no_scale = tmp_path / "no scale.tif"
    write_pyramid(no_scale, blobs(80, 80), mpp=None)
    inputs = [tmp_path / "broken.svs", tmp_path / "none.svs", no_scale, slide]
    result = predict_slides(model, inputs, out=tmp_path / "out", settings=SlideSettings(tissue_only=False), **CPU)
    assert [item.slide for item in result.slides] == [slide]
    assert list(result.failed) == inputs[:3]
    assert "does not exist" in result.failed[inputs[1]]
    assert "--mpp" in result.failed[no_scale]
    assert all("\n" not in reason for reason in result.failed.values())
    assert [row["folder"] for row in table(tmp_path / "out" / "slides.csv")] == ["a slide"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a slide", "slides.csv"]


def test_equal_names_and_those_of_tile_folders_give_folders_of_their_own(tmp_path, model):
    for name in ("1/a.tif", "2/a.tif", "1/masks.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_pyramid(tmp_path / name, blobs(70, 70), mpp=2.0)
    paths = [tmp_path / "1" / "a.tif", tmp_path / "2" / "a.tif", tmp_path / "1" / "masks.tif"]
    settings = SlideSettings(tissue_only=False)
    result = predict_slides(model, paths, out=tmp_path / "out", settings=settings, **CPU)
    assert [item.folder.name for item in result.slides] == ["a", "a_2", "masks_2"]


def test_somebodys_own_files_are_not_written_over(tmp_path, model, slide):
    own = tmp_path / "a slide" / "mask.tif"
    own.parent.mkdir()
    own.write_bytes(b"years of work")
    with pytest.raises(OutputError, match=r"it may be your own. Choose another folder with --out"):
        predict_slides(model, [slide], out=tmp_path, settings=ALL, **CPU)
    assert own.read_bytes() == b"years of work"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"mpp": 0}, "--mpp 0"),
        ({"working_mpp": -1}, "--working-mpp -1"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"tile_px": 5}, "--tile-size 5"),
        ({"n_threads": 0}, "--workers 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong, reason):
    with pytest.raises(InvalidInputError, match=reason):
        SlideSettings(**wrong)


def test_progress_counts_windows_and_an_interrupt_leaves_what_was_done(tmp_path, model, slide):
    straight = predict_slides(model, [slide], out=tmp_path / "straight", settings=ALL, **CPU).slides[0]
    reports = []

    class Bars:
        limit = 7

        def __call__(self, description, *, unit):
            reports.append((description, unit))
            return self

        def __enter__(self):
            return self.report

        def __exit__(self, *raised):
            pass

        def report(self, done, total, note=""):
            reports.append((done, total))
            if done == self.limit:
                raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict_slides(model, [slide], out=out, settings=ALL, progress=Bars(), **CPU)
    assert reports == [("a slide", "window"), *((number, 12) for number in range(1, 8))]
    assert (out / "a slide.partial").is_dir()
    assert not (out / "a slide").exists()
    assert table(out / "slides.csv") == []
    Bars.limit = None
    reports.clear()
    result = predict_slides(model, [slide], out=out, settings=ALL, progress=Bars(), **CPU)
    assert reports[1][0] > 1  # the first band was done
    assert "went on" in " ".join(result.notes)
    assert result.slides[0].record["resumed"]
    assert contents(result.slides[0].folder) == contents(straight.folder)
    assert not (out / "a slide.partial").exists()


def test_a_killed_prediction_goes_on_with_the_same_bytes(tmp_path, model):
    slide = tmp_path / "long.tif"
    write_pyramid(slide, blobs(3000, 260), mpp=1.0)
    words = [sys.executable, "-m", "glomseg", "predict", model, slide, "--no-tissue", "--min-diameter", 5]
    words += ["--device", "cpu", "--precision", "32-true", "--out"]

    def command(out):
        return [str(word) for word in [*words, out]]

    killed = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = tmp_path / "killed" / "long.partial" / "state.json"
    deadline = time.monotonic() + 120
    while not state.exists() or json.loads(state.read_text())["n_bands_done"] < 3:
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "long").exists()

    for out in ("killed", "straight"):
        subprocess.run(command(tmp_path / out), check=True, capture_output=True)
    assert contents(tmp_path / "killed" / "long") == contents(tmp_path / "straight" / "long")
    assert record(tmp_path / "killed" / "long")["resumed"]
    assert not record(tmp_path / "straight" / "long")["resumed"]
    assert names(tmp_path / "killed") == names(tmp_path / "straight")


def test_flips_are_averaged_and_written_down_and_other_scales_refused(tmp_path, model, slide):
    settings = SlideSettings(probabilities=True)
    views = TestTimeAugmentation(flips=("none", "horizontal"))
    found = {}
    for name, tta in (("plain", False), ("mean", views)):
        predict_slides(model, [slide], out=tmp_path / name, settings=settings, device="cpu", tta=tta)
        folder = tmp_path / name / slide.stem
        found[name] = tifffile.imread(folder / "probability.tif", level=0).astype(float)
        assert record(folder)["model"]["tta"] == (json.loads(json.dumps(asdict(views))) if tta else None)
    assert np.abs(found["plain"] - found["mean"]).max() > 0
    again = predict_slides(model, [slide], out=tmp_path / "plain", settings=settings, device="cpu", tta=views)
    assert again.slides[0].is_new
    with pytest.raises(InvalidInputError, match="at the working size alone"):
        predict_slides(model, [slide], out=tmp_path / "out", device="cpu", tta=TestTimeAugmentation(scales=(0.5, 1.0)))


@pytest.mark.parametrize("tissue_only", [True, False])
def test_the_stains_of_a_slide_are_judged_once_and_recorded(model, slide, tmp_path, tissue_only):
    network, card = load_model(model)
    reference = ReinhardLook(mean=(60.0, 20.0, -10.0), std=(15.0, 10.0, 10.0))
    save_model(tmp_path / "m.safetensors", network, dataclasses.replace(card, stain=reference))
    settings = dataclasses.replace(ALL, tissue_only=tissue_only)
    records = {}
    for name, path in (("with", tmp_path / "m.safetensors"), ("without", model)):
        found = predict_slides(path, [slide], out=tmp_path / name, settings=settings, **CPU)
        records[name] = found.slides[0].record
    assert records["without"]["stain"] is None
    assert set(records["with"]["stain"]) == {"mean", "std"}
    masks = [(tmp_path / name / "a slide" / "mask.tif").read_bytes() for name in records]
    assert masks[0] != masks[1]


def test_files_that_were_deleted_or_changed_are_written_again(tmp_path, model, slide):
    predict_slides(model, [slide], out=tmp_path, **CPU)
    folder = tmp_path / slide.stem
    expected = contents(folder)
    (folder / "mask.tif").unlink()
    (folder / "objects.csv").write_text("")
    again = predict_slides(model, [slide], out=tmp_path, **CPU)
    assert again.slides[0].is_new
    assert "mask.tif and objects.csv of the earlier prediction" in " ".join(again.notes)
    assert contents(folder) == expected


def test_the_table_has_the_slides_of_earlier_calls(tmp_path, model, slide):
    other = tmp_path / "other.tif"
    other.write_bytes(slide.read_bytes())
    out = tmp_path / "out"
    for path in (slide, other):
        predict_slides(model, [path], out=out, **CPU)
    assert [row["folder"] for row in table(out / "slides.csv")] == sorted([slide.stem, "other"])
    (out / "other" / "slide.json").write_text("[]")
    predict_slides(model, [slide], out=out, **CPU)
    assert [row["folder"] for row in table(out / "slides.csv")] == [slide.stem]


def test_somebodys_own_table_is_not_written_over(tmp_path, model, slide):
    (tmp_path / "slides.csv").write_text("name,stain\na,PAS\n")
    with pytest.raises(OutputError, match=r"slides\.csv' is no table of predicted slides"):
        predict_slides(model, [slide], out=tmp_path, **CPU)
    assert (tmp_path / "slides.csv").read_text().startswith("name,stain")
