"""The model in the box: that it is there, what it says of itself, and every place that takes its name."""

import dataclasses
import fnmatch
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import glomseg as api
from glomseg.box import BOX, box_model, is_box
from glomseg.data.dataset import open_dataset
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.export.pyramid import write_pyramid
from glomseg.files import sha256_of
from glomseg.images import read_image, write_png
from glomseg.models.build import build_model
from glomseg.models.model_files import load_model, read_card
from glomseg.models.starting_weights import load_starting_weights
from glomseg.runs import model_path
from glomseg.steps.evaluate import evaluate_model
from glomseg.steps.predict import predict_images

ROOT = Path(__file__).resolve().parents[1]
CPU = ("--device", "cpu", "--precision", "32-true")
MAX_BYTES = 15_000_000


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, with no way out to a network."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tile(tmp_path):
    path = tmp_path / "tiles" / "tile.png"
    write_png(path, api.draw_tile(seed=0, size_px=256, mpp=1.0)[0])
    return path


def test_its_page_is_of_this_very_file():
    page = (ROOT / "docs" / "model-in-the-box.md").read_text(encoding="utf-8")
    assert f"`{sha256_of(box_model())}`" in page
    assert f"{box_model().stat().st_size / 1e6:.1f} MB" in page
    figures = read_card(box_model()).publication.figures
    for name, row in {"IoU": "IoU of glomerulus", "Dice": "Dice", "precision": "precision, pixels"}.items():
        value, low, high = (f"{100 * number:.1f}" for number in figures[name])
        assert f"| {row} | {value} | {low} to {high} |" in page


def test_it_is_small_and_loads_whole():
    path = box_model()
    assert path.stat().st_size <= MAX_BYTES
    network, card = load_model(path)
    assert card.architecture == "fpn_resnet_small"
    assert card.classes.names == ("background", "glomerulus")
    assert card.scaling.mpp == 2.0
    assert all(value.dtype == torch.float32 for value in network.parameters())
    assert read_card(path) == card


def test_the_package_has_its_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["glomseg"]
    name = box_model().relative_to(ROOT / "src" / "glomseg").as_posix()
    assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def test_its_card_says_what_has_to_be_known_and_nothing_of_a_machine():
    card = read_card(box_model())
    about = card.publication
    assert about is not None
    assert (ROOT / about.page).is_file()
    assert any("k7nvtgn2x6" in source.citation and source.licence == "CC-BY-4.0" for source in about.sources)
    words = " ".join(about.not_for)
    for subject in ("Diagnosis", "stains", "scanners", "Sclerosed", "glomseg evaluate"):
        assert subject in words
    assert about.figures
    assert all(low <= value <= high for value, low, high in about.figures.values())
    assert "never saw the region" in about.measured
    assert len(card.trained_on["train_images"]) == card.trained_on["n_train_tiles"]
    text = json.dumps(dataclasses.asdict(card))
    assert '"/' not in text  # no absolute path
    assert "\\\\" not in text


def test_its_name_is_a_text_and_never_a_path(tmp_path):
    assert is_box(BOX)
    assert not is_box(Path(BOX))
    assert not is_box("./box")
    assert not is_box("Box")
    assert model_path(BOX) == box_model() == api.box_model()
    assert model_path("./box") == Path("box")


def test_a_name_that_could_be_two_things_is_refused(tmp_path, tile, glomseg):
    (tmp_path / "box").mkdir()
    with pytest.raises(InvalidInputError, match=r"holds something of that name too: write \./box"):
        model_path(BOX)
    shutil.copy(box_model(), tmp_path / "box" / "mine.safetensors")
    assert model_path("box/mine.safetensors") == Path("box/mine.safetensors")
    code, said, complained = glomseg("predict", "box", tile, "--mpp", 1)
    assert (code, said) == (1, "")
    assert "write ./box if you mean that" in complained
    code, _, complained = glomseg("predict", tile, "--mpp", 1, *CPU)  # no name, nothing to confuse
    assert code == 0, complained


def test_an_installation_without_it_says_so(monkeypatch):
    monkeypatch.setattr("glomseg.box._FILE", "models/box/none.safetensors")
    with pytest.raises(MissingInputError, match="missing from this installation"):
        box_model()


def test_predict_needs_no_model(tile, tmp_path, glomseg):
    for words in ([tile], [tile.parent], ["tiles/*.png"], ["box", tile], ["--model", "box", tile]):
        code, said, complained = glomseg("predict", *words, "--mpp", 1, "-o", tmp_path / "out", *CPU)
        assert code == 0, complained
        lines = said.splitlines()
        assert lines[0].startswith(
            "model: glomeruli, for finding glomeruli in PAS-stained kidney tissue, trained on 18"
        )
        assert lines[0].endswith("what it must not be used for: glomseg models box")
        assert "on 1 image." in said
        assert read_image(tmp_path / "out" / "masks" / "tile.png").shape[:2] == (256, 256)


def test_predict_needs_no_model_for_slides(tmp_path, glomseg):
    picture = np.full((300, 420, 3), 240, np.uint8)
    picture[60:240, 60:360] = np.random.default_rng(0).integers(60, 200, (180, 300, 3), dtype=np.uint8)
    write_pyramid(tmp_path / "slide.tif", picture, mpp=0.5)
    code, said, complained = glomseg("predict", "slide.tif", "-o", tmp_path / "out", *CPU)
    assert code == 0, complained
    assert said.startswith("model: glomeruli")
    assert "on 1 slide." in said


def test_tiles_need_their_scale(tile, glomseg):
    code, _, complained = glomseg("predict", tile)
    assert code == 1
    assert "'glomeruli' works at 2 um per pixel" in complained
    assert "give --mpp; scans at 20x have about 0.5 um per pixel" in complained
    with pytest.raises(InvalidInputError, match="give --mpp"):
        predict_images(BOX, [tile], out="out")
    assert not Path("out").exists()


def test_a_model_of_ones_own_is_not_announced(tile, tiny_model, glomseg):
    code, said, _ = glomseg("predict", tiny_model, tile, *CPU)
    assert code == 0
    assert "model:" not in said


def test_training_starts_from_it():
    network = build_model("fpn_resnet_small", n_classes=2)
    report = load_starting_weights(network, BOX)
    assert report.missing == ()
    assert report.skipped == ()
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), load_model(box_model())[0].parameters(), strict=True)
    )


def test_every_command_takes_its_name_and_writes_nothing_into_the_package(tiny_dataset, tmp_path, glomseg):
    before = sorted(box_model().parent.iterdir())
    code, _, complained = glomseg("evaluate", "box", tiny_dataset, "--mpp", 2, "--worst", 0, *CPU)
    assert code == 0, complained
    assert (tmp_path / "evaluation-all" / "evaluation.json").is_file()
    code, _, complained = glomseg("export", "box", "--format", "mmseg", "-o", tmp_path / "exported")
    assert "MMSegmentation" in complained  # which has no such network
    code, said, complained = glomseg("benchmark", "box", "--size", 64, "--n", 1, "--warmup", 1, *CPU)
    assert code == 0, complained
    assert "end to end" in said
    code, _, complained = glomseg("calibrate", "box", tiny_dataset, "--mpp", 2, "--part", "all", *CPU)
    assert (code == 0) is (tmp_path / "glomeruli-calibrated.safetensors").is_file(), complained
    tiny = ["crop.size_px=32", "run.batch_size=2", "run.workers=0", "run.steps=1", "schedule.warmup_steps=0"]
    flags = [word for item in tiny for word in ("--set", item)]
    code, _, complained = glomseg("train", tiny_dataset, "--mpp", 2, "--weights", "box", "--out", "run", *flags, *CPU)
    assert code == 0, complained
    assert read_card("run/last.safetensors").provenance["weights"] == "box"
    assert read_card("run/last.safetensors").publication is None  # it is another model now
    assert sorted(box_model().parent.iterdir()) == before


def test_tiles_that_the_start_saw_are_not_new_to_what_it_became(tiny_dataset, tiny_model, tmp_path):
    dataset = open_dataset(tiny_dataset)
    names = [sample.name for sample in dataset.samples]
    options = read_card(tiny_model).options
    tiny = ["model.architecture=pspnet_r18", f"model.options={{{', '.join(f'{k}={v}' for k, v in options.items())}}}"]
    tiny += ["crop.size_px=32", "run.batch_size=2", "run.workers=0", "run.steps=1", "scaling.factor=1.0"]
    cpu = api.Hardware(device="cpu", precision="32-true")

    def train(train_on: list[str], out: str, *overrides: str) -> None:
        split = api.Split(train=tuple(train_on), val=())
        api.train_model(dataset, api.load_recipe("default", [*tiny, *overrides]), out=out, split=split, hardware=cpu)

    train(names[:4], "first")
    train(names[4:8], "second", "model.weights=first")
    train(names[4:6], "third", "model.weights=second")
    assert len(read_card("first/last.safetensors").trained_on["train_images"]) == 4
    assert "start_images" not in read_card("first/last.safetensors").trained_on
    assert len(read_card("third/last.safetensors").trained_on["start_images"]) == 8  # through both
    result = evaluate_model("third/last.safetensors", dataset, out="out", part="all", n_worst=0, device="cpu")
    notes = " ".join(result.notes)
    assert "2 of the 12 tiles were trained on" in notes
    assert "6 of the 12 tiles were seen by the weights that the training started from" in notes


@pytest.mark.real
def test_it_finds_glomeruli_that_it_learnt_from(shared_data):
    dataset = open_dataset(shared_data / "aidpath_pas", mpp=0.5)
    dataset = dataclasses.replace(dataset, samples=dataset.select(["AIDPATH_C_1", "AIDPATH_D_1", "AIDPATH_G_1"]))
    found = evaluate_model(BOX, dataset, out="evaluation", n_worst=0, device="cpu").evaluation
    assert found.metrics.iou[1] > 0.5
