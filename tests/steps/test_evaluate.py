"""Evaluation: figures, files, and what a reader is told."""

import csv
import dataclasses
import errno
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from glomseg import files
from glomseg.data.dataset import open_dataset
from glomseg.data.predictions import read_predictions
from glomseg.data.split import write_split
from glomseg.data.tiles import read_tile
from glomseg.errors import InvalidInputError, MissingInputError, OutputError
from glomseg.files import sha256_of
from glomseg.images import read_image, read_mask, write_png
from glomseg.inference.loading import load_predictor
from glomseg.inference.predictor import Predictor
from glomseg.metrics.evaluation import evaluate_counts
from glomseg.metrics.pixels import PixelCounts, count_pixels, pixel_metrics
from glomseg.models.model_files import load_model, save_model
from glomseg.runs import RunFolder
from glomseg.steps.evaluate import evaluate_model
from glomseg.steps.evaluation.part import default_part
from glomseg.types import GLOMERULUS, Classes, Prediction, Scaling, Split, TestTimeAugmentation

CPU = {"device": "cpu", "precision": "32-true"}


@pytest.fixture
def dataset(tiny_dataset):
    return open_dataset(tiny_dataset)


@pytest.fixture
def model_with(tmp_path, tiny_model):
    """Writes the tiny model with another card, as the best model of a run if a split is given."""

    def write(*, split=None, **card_fields):
        model, card = load_model(tiny_model)
        run = RunFolder(tmp_path / "run")
        save_model(run.best_model, model, dataclasses.replace(card, **card_fields))
        run.manifest.write_text("{}")
        if split is not None:
            write_split(run.split, split)
        return run.path

    return write


def digest(sample):
    return sha256_of(sample.image_path)[:16]


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_figures_are_those_of_the_counted_masks(dataset, tiny_model, tmp_path):
    out = tmp_path / "out"
    result = evaluate_model(tiny_model, dataset, out=out, n_worst=0, **CPU)
    predictor = load_predictor(tiny_model, **CPU)
    expected = PixelCounts.zero(2)
    for sample, row in zip(dataset.samples, table(out / "tiles.csv"), strict=True):
        image, target = read_tile(dataset, sample)
        counts = count_pixels(target=target, prediction=predictor.predict(image).mask, n_classes=2)
        expected += counts
        assert (row["tile"], row["group"], row["n_pixels"]) == (sample.name, sample.group, "4096")
        iou = pixel_metrics(counts).iou[1]
        assert row["iou glomerulus"] == ("" if iou != iou else str(round(iou, 6)))
    assert result.evaluation.counts == expected
    assert result.part == "all"

    written = json.loads((out / "evaluation.json").read_text())
    assert written["confusion_matrix"] == expected.matrix.tolist()
    metrics = pixel_metrics(expected)
    assert written["figures"]["iou"] == pytest.approx({"background": metrics.iou[0], "glomerulus": metrics.iou[1]})
    assert written["figures"]["mean_dice"] == pytest.approx(metrics.mean_dice)
    assert (written["n_tiles"], written["n_groups"], written["n_pixels"]) == (12, 6, 12 * 4096)
    low, high = written["intervals"]["iou"]["background"]
    assert low <= metrics.iou[0] <= high
    assert written["interval_level"] == 0.95
    assert written["model"]["architecture"] == "pspnet_r18"
    assert written["model"]["file"] == str(tiny_model)
    assert written["model"]["sha256"] == sha256_of(tiny_model)
    assert (written["part"], written["split"], written["data"]) == ("all", None, str(dataset.root))
    assert (written["device"], written["precision"], written["failed"]) == ("cpu", "32-true", {})
    assert np.sum([tile["confusion_matrix"] for tile in written["tiles"].values()], axis=0).tolist() == (
        expected.matrix.tolist()
    )
    assert written["classes"]["names"] == ["background", "glomerulus"]


def test_a_known_prediction_gives_the_figures_worked_out_by_hand(tiny_model, tmp_path, monkeypatch):
    truth = np.zeros((8, 8), np.uint8)
    truth[:4, :4] = 1  # 16 pixels
    ignored = truth.copy()
    ignored[7] = 255
    for name, mask in {"S_1_1": truth, "S_1_2": np.zeros_like(truth), "S_2_1": ignored}.items():
        write_png(tmp_path / "data" / "images" / f"{name}.png", np.full((8, 8, 3), 200, np.uint8))
        write_png(tmp_path / "data" / "masks" / f"{name}.png", mask)
    found = np.zeros((8, 8), np.uint8)
    found[2:6, :4] = 1  # the lower half of the object and 8 pixels below it
    probabilities = np.full((2, 8, 8), 0.1, np.float32)
    np.put_along_axis(probabilities, found[None].astype(int), 0.9, axis=0)
    monkeypatch.setattr(
        Predictor,
        "predict",
        lambda self, image, *, mpp=None, look=None, keep_probabilities=False: Prediction(
            mask=found, probabilities=probabilities, classes=GLOMERULUS, mpp=mpp
        ),
    )
    dataset = open_dataset(tmp_path / "data", group_pattern="^(S_.)")
    result = evaluate_model(tiny_model, dataset, out=tmp_path / "out", n_worst=1, **CPU)

    matrices = [tile.counts.matrix.tolist() for tile in result.evaluation.tiles]
    assert matrices == [[[40, 8], [8, 8]], [[48, 16], [0, 0]], [[32, 8], [8, 8]]]
    assert result.evaluation.counts.matrix.tolist() == [[120, 32], [16, 16]]
    first, empty, _ = table(tmp_path / "out" / "tiles.csv")
    assert (first["iou glomerulus"], first["dice glomerulus"]) == ("0.333333", "0.5")  # 8 / 24, 16 / 32
    assert (first["precision glomerulus"], first["recall glomerulus"]) == ("0.5", "0.5")
    assert (first["pixel_accuracy"], first["iou background"]) == ("0.75", "0.714286")  # 48 / 64, 40 / 56
    assert (empty["iou glomerulus"], empty["recall glomerulus"], empty["iou background"]) == ("0.0", "", "0.75")
    groups = {row["group"]: row for row in table(tmp_path / "out" / "groups.csv")}
    assert groups["S_1"]["iou glomerulus"] == "0.2"  # (8 + 0) / (24 + 16)
    assert (groups["S_2"]["n_tiles"], groups["S_2"]["n_pixels"]) == ("1", "56")  # a row of 8 is ignored
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["figures"]["iou"]["glomerulus"] == pytest.approx(16 / 64)
    assert written["groups"]["S_1"]["figures"]["recall"]["glomerulus"] == pytest.approx(0.5)
    assert written["maps"][0] == "maps/S_1_1_overlay.png"  # 16 wrong of each; the first of equals
    tiles, kept = read_predictions(tmp_path / "out")
    assert tiles.samples == dataset.samples
    assert [item.doubt for item in kept] == pytest.approx([0.1] * 3)  # the model is 90 % sure everywhere
    assert all(np.array_equal(read_mask(tmp_path / "out" / item.file, classes=GLOMERULUS), found) for item in kept)

    # IoU is 8 / 24: what lies there is not the object
    counts = written["objects"]["classes"]["glomerulus"]["counts"]
    assert (counts["n_targets"], counts["n_predictions"], counts["n_found"]) == (2, 3, 0)
    assert (counts["n_missed"], counts["n_invented"], counts["n_cut"]) == (2, 3, 2)
    assert (first["objects true glomerulus"], first["objects found glomerulus"]) == ("1", "0")
    assert (empty["objects invented glomerulus"], empty["objects f1 glomerulus"]) == ("1", "0.0")
    # 90 % sure of every pixel; of the 184 that are not ignored 136 are right
    calibration = written["calibration"]
    assert calibration["figures"]["ece"] == pytest.approx(0.9 - 136 / 184)
    assert calibration["figures"]["overconfidence"] == pytest.approx(0.9 - 136 / 184)
    assert calibration["figures"]["brier"] == pytest.approx((136 * 0.01 + 48 * 0.81) / 184)
    assert calibration["intervals"]["ece"][0] < calibration["figures"]["ece"] < calibration["intervals"]["ece"][1]
    assert "mce" not in calibration["intervals"]
    dots = {index: (dot["n"], dot["share_true"]) for index, dot in enumerate(calibration["foreground"]) if dot["n"]}
    assert dots == {1: (136, pytest.approx(16 / 136)), 13: (48, pytest.approx(16 / 48))}
    assert calibration["foreground"][13]["mean_probability"] == pytest.approx(0.9)
    counts = [group["calibration"]["counts"]["foreground"]["n_true"] for group in written["groups"].values()]
    assert np.sum(counts) == 32
    assert written["groups"]["S_2"]["calibration"]["figures"]["ece"] == pytest.approx(0.9 - 40 / 56)
    assert written["tiles"]["S_1_1"]["calibration"]["ece"] == pytest.approx(0.9 - 48 / 64)
    assert written["tiles"]["S_1_1"]["doubt"]["expected_error"] == pytest.approx(0.1)
    assert (first["ece"], groups["S_1"]["ece"]) == ("0.15", "0.15")  # 96 of 128 pixels are right in both tiles
    assert (first["expected_error"], first["disagreement"]) == ("0.1", "")
    assert written["doubt"]["expected_error"]["value"] is None  # all doubts are equal
    assert list(written["doubt"]) == ["expected_error", "entropy"]

    rows = table(tmp_path / "out" / "objects.csv")
    assert {(row["outcome"], row["mean_probability"]) for row in rows} == {("missed", ""), ("invented", "0.9")}
    assert [(row["tile"], row["outcome"]) for row in rows] == [
        *(("S_1_1", "missed"), ("S_1_1", "invented"), ("S_1_2", "invented"), ("S_2_1", "missed"), ("S_2_1", "invented"))
    ]


def test_objects_are_counted_by_tile_group_and_overall(tiny_model, dataset, tmp_path, monkeypatch):
    truths = iter([read_tile(dataset, sample)[1] for sample in dataset.samples])
    monkeypatch.setattr(
        Predictor,
        "predict",
        lambda self, image, *, mpp=None, look=None, keep_probabilities=False: Prediction(
            mask=next(truths), probabilities=np.full((2, 64, 64), 0.5, np.float32), classes=GLOMERULUS, mpp=mpp
        ),
    )
    dataset = dataclasses.replace(dataset, mpp=0.5)
    evaluate_model(tiny_model, dataset, out=tmp_path / "out", n_worst=0, **CPU)
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    objects = written["objects"]
    assert (objects["unit"], objects["match_iou"], objects["min_area_px"], objects["tolerance"]) == ("um", 0.5, 0, 5.0)
    found = objects["classes"]["glomerulus"]
    assert found["counts"]["n_found"] == found["counts"]["n_targets"] == 6
    assert (found["figures"]["f1"], found["figures"]["surface_dice"], found["figures"]["hausdorff_95"]) == (1, 1, 0)
    assert 0.5 < found["intervals"]["recall"][0] < found["intervals"]["recall"][1] == 1
    assert found["intervals"]["hausdorff_95"] == [0, 0]
    assert found["n_groups"]["recall"] == 6
    assert found["size_limits_um2"] == pytest.approx([limit / 4 for limit in found["size_limits_px"]])
    for name, tile in written["tiles"].items():
        (sample,) = dataset.select([name])
        assert tile["sha256"] == f"{sha256_of(sample.image_path)}:{sha256_of(sample.mask_path)}"
        assert tile["objects"]["glomerulus"]["n_found"] == (1 if name.endswith("T01") else 0)
    assert {group["objects"]["glomerulus"]["counts"]["n_found"] for group in written["groups"].values()} == {1}
    assert {group["objects"]["glomerulus"]["figures"]["recall"] for group in written["groups"].values()} == {1}
    rows = table(tmp_path / "out" / "objects.csv")
    assert len(rows) == 6
    for row in rows:
        assert (row["outcome"], row["iou"], row["class"]) == ("found", "1.0", "glomerulus")
        assert float(row["true_area_um2"]) == float(row["predicted_area_um2"]) == int(row["true_area_px"]) / 4
        assert (row["touches_border"], row["merges"], row["splits"]) == ("False", "False", "False")


def test_doubt_and_error_of_several_views(dataset, tiny_model, tmp_path):
    views = TestTimeAugmentation(flips=("none", "horizontal"))
    result = evaluate_model(tiny_model, dataset, out=tmp_path / "out", n_worst=0, tta=views, **CPU)
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert list(written["doubt"]) == ["expected_error", "entropy", "disagreement"]
    rows = table(tmp_path / "out" / "tiles.csv")
    for name in written["doubt"]:
        doubts = [tile["doubt"][name] for tile in written["tiles"].values()]
        assert [float(row[name]) for row in rows] == pytest.approx(doubts, abs=1e-6)
        errors = [tile.error for tile in result.evaluation.tiles]
        assert written["doubt"][name]["value"] == pytest.approx(spearmanr(doubts, errors).statistic)
        assert (written["doubt"][name]["n"], written["doubt"][name]["n_groups"]) == (12, 6)
    _, kept = read_predictions(tmp_path / "out")
    assert [item.doubt for item in kept] == pytest.approx([float(row["expected_error"]) for row in rows], abs=1e-6)


def test_groups_have_a_table(dataset, tiny_model, tmp_path):
    result = evaluate_model(tiny_model, dataset, out=tmp_path / "out", n_worst=0, **CPU)
    rows = table(tmp_path / "out" / "groups.csv")
    assert [row["group"] for row in rows] == sorted({sample.group for sample in dataset.samples})
    assert {row["n_tiles"] for row in rows} == {"2"}
    for row in rows:
        assert float(row["recall glomerulus"]) == pytest.approx(
            pixel_metrics(result.evaluation.groups[row["group"]]).recall[1], abs=1e-6
        )


def test_pictures_are_there_and_not_empty(dataset, tiny_model, tmp_path):
    out = tmp_path / "out"
    evaluate_model(tiny_model, dataset, out=out, n_worst=1, maps=["SITE_S02_T01"], **CPU)
    pdf, png = out / "confusion_matrix.pdf", read_image(out / "confusion_matrix.png")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert min(png.shape[:2]) > 200
    assert len(np.unique(png.reshape(-1, 3), axis=0)) > 20
    maps = json.loads((out / "evaluation.json").read_text())["maps"]
    assert maps[:2] == ["maps/SITE_S02_T01_overlay.png", "maps/SITE_S02_T01_glomerulus_errors.png"]
    assert sorted(maps) == [name for name in files_below(out) if name.startswith("maps/")]
    assert len(maps) in (2, 4)  # the worst may be the one asked for
    for name in maps:
        assert read_image(out / name).std() > 5


def test_the_overlay_map_shows_the_truth_in_the_middle_and_the_prediction_on_the_right(dataset, tiny_model, tmp_path):
    sample = dataset.samples[0]
    pictures = []
    for truth in (0, 1):
        write_png(sample.mask_path, np.full((64, 64), truth, np.uint8))
        evaluate_model(tiny_model, dataset, out=tmp_path / "out", n_worst=0, maps=[sample.name], **CPU)
        pictures.append(read_image(tmp_path / "out" / "maps" / f"{sample.name}_overlay.png"))
    differs = (pictures[0] != pictures[1]).any(axis=(0, 2))
    left, middle, right = np.array_split(differs, 3)
    assert middle.mean() > 0.8
    assert not left.any()
    assert not right.any()


def test_the_worst_tiles_are_those_with_most_wrong_pixels(dataset, tiny_model, tmp_path):
    result = evaluate_model(tiny_model, dataset, out=tmp_path / "out", n_worst=3, **CPU)
    wrong = {tile.name: 4096 - int(np.trace(tile.counts.matrix)) for tile in result.evaluation.tiles}
    drawn = {path.name.removesuffix("_overlay.png") for path in (tmp_path / "out" / "maps").glob("*_overlay.png")}
    assert len(drawn) == 3
    assert min(wrong[name] for name in drawn) >= max(wrong[name] for name in wrong.keys() - drawn)


def test_names_that_lead_elsewhere_stay_in_the_maps_folder(dataset, tiny_model, tmp_path):
    names = ["../../x", "a/b", "a_b", "肾" * 100]
    samples = tuple(
        dataclasses.replace(sample, name=name) for sample, name in zip(dataset.samples, names, strict=False)
    )
    hostile = dataclasses.replace(dataset, samples=samples)
    evaluate_model(tiny_model, hostile, out=tmp_path / "out", maps=names, n_worst=0, **CPU)
    assert len(files_below(tmp_path / "out" / "maps")) == 8
    assert (tmp_path / "out" / "maps" / "a_b_2_overlay.png").is_file()


def test_an_absent_class_is_null_and_blank(tiny_model, tmp_path):
    write_png(tmp_path / "data" / "images" / "S_1_1.png", np.full((32, 32, 3), 200, np.uint8))
    write_png(tmp_path / "data" / "masks" / "S_1_1.png", np.full((32, 32), 255, np.uint8))
    dataset = open_dataset(tmp_path / "data")
    evaluate_model(tiny_model, dataset, out=tmp_path / "out", **CPU)
    text = (tmp_path / "out" / "evaluation.json").read_text()
    assert "NaN" not in text
    written = json.loads(text)
    assert written["n_pixels"] == 0
    assert written["figures"]["pixel_accuracy"] is None
    assert written["figures"]["iou"] == {"background": None, "glomerulus": None}
    assert written["intervals"]["iou"]["glomerulus"] is None
    assert table(tmp_path / "out" / "tiles.csv")[0]["mean_iou"] == ""


def test_a_tile_that_cannot_be_read_is_left_out_and_named(dataset, tiny_model, tmp_path, png_claiming):
    broken = [dataset.samples[0], dataset.samples[1], dataset.samples[2]]
    broken[0].image_path.write_bytes(b"")
    broken[1].image_path.write_bytes(png_claiming(60_000, 60_000))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(broken[2].mask_path)
    result = evaluate_model(tiny_model, dataset, out=tmp_path / "out", maps=[broken[0].name], n_worst=0, **CPU)
    assert list(result.failed) == [sample.name for sample in broken]
    for told, reason in zip(result.failed.values(), ("0 bytes", "decompression bomb", "9x9"), strict=True):
        assert reason in told
    assert len(table(tmp_path / "out" / "tiles.csv")) == 9
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["failed"] == result.failed
    assert not (tmp_path / "out" / "maps").exists()


def test_a_truncated_image_is_left_out_and_named(dataset, tiny_model, tmp_path):
    path = dataset.samples[4].image_path
    path.write_bytes(path.read_bytes()[:-2000])
    result = evaluate_model(tiny_model, dataset, out=tmp_path / "out", n_worst=12, **CPU)
    assert list(result.failed) == [dataset.samples[4].name]
    assert path.name in result.failed[dataset.samples[4].name]
    assert len(result.evaluation.tiles) == 11


def test_a_file_that_breaks_before_its_map_costs_the_map_only(dataset, tiny_model, tmp_path, monkeypatch):
    fragile, sound = dataset.samples[0], dataset.samples[1]

    def evaluate_and_break(*args, **kwargs):
        fragile.image_path.write_bytes(b"")
        return evaluate_counts(*args, **kwargs)

    monkeypatch.setattr("glomseg.steps.evaluate.evaluate_counts", evaluate_and_break)
    out = tmp_path / "out"
    result = evaluate_model(tiny_model, dataset, out=out, maps=[fragile.name, sound.name], n_worst=0, **CPU)
    assert (len(result.evaluation.tiles), result.failed) == (12, {})
    assert list(result.undrawn) == [fragile.name]
    assert "0 bytes" in result.undrawn[fragile.name]
    written = json.loads((out / "evaluation.json").read_text())
    assert written["undrawn"] == result.undrawn
    assert [f"maps/{path.name}" for path in sorted((out / "maps").iterdir())] == sorted(written["maps"])
    assert all(sound.name in name for name in written["maps"])
    assert len(written["maps"]) == 2


def test_markup_and_line_breaks_in_names_are_only_letters(tiny_model, tiny_dataset, tmp_path):
    name = '[bold]S[red]\n1,"2"_1'
    for folder in ("images", "masks"):
        (tiny_dataset / folder / "SITE_S01_T01.png").rename(tiny_dataset / folder / f"{name}.png")
    dataset = open_dataset(tiny_dataset)
    out = tmp_path / "out"
    evaluate_model(tiny_model, dataset, out=out, maps=[name], n_worst=0, **CPU)
    assert name in [row["tile"] for row in table(out / "tiles.csv")]
    written = json.loads((out / "evaluation.json").read_text())
    assert name in written["tiles"]
    assert len(written["maps"]) == 2
    assert all((out / place).is_file() for place in written["maps"])


def test_nothing_that_can_be_read_is_an_error(dataset, tiny_model, tmp_path):
    for sample in dataset.samples:
        sample.mask_path.write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"none of the 12 tiles could be read; the first: mask .*0 bytes"):
        evaluate_model(tiny_model, dataset, out=tmp_path / "out", **CPU)


def test_a_part_of_a_split(dataset, tiny_model, model_with, tmp_path):
    names = [sample.name for sample in dataset.samples]
    split = Split(train=tuple(names[:8]), val=tuple(names[8:10]), test=tuple(names[10:]))
    run = model_with(split=split)
    result = evaluate_model(run, dataset, part="val", out=tmp_path / "out", **CPU)
    assert [tile.name for tile in result.evaluation.tiles] == names[8:10]
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["split"] == str(run / "split.json")
    assert default_part(run, dataset) == "test"
    assert default_part(tiny_model, dataset) == "all"

    other = tmp_path / "other.json"
    write_split(other, Split(train=tuple(names[:11]), val=(names[11],)))
    assert default_part(run, dataset, split=other) == "val"
    write_split(other, Split(train=tuple(names), val=()))
    assert default_part(run, dataset, split=other) == "all"
    with pytest.raises(InvalidInputError, match=r"part 'val' of the split .* is empty; choose another --part"):
        evaluate_model(run, dataset, part="val", split=other, out=tmp_path / "out", **CPU)


def test_a_split_that_was_named_but_is_not_there_is_never_passed_over(dataset, tiny_model, tmp_path):
    with pytest.raises(MissingInputError, match=r"typo\.json"):
        default_part(tiny_model, dataset, split=tmp_path / "typo.json")
    with pytest.raises(InvalidInputError, match=r"--part test needs a split.*--split.*--part all"):
        evaluate_model(tiny_model, dataset, part="test", out=tmp_path / "out", **CPU)


def test_a_split_of_other_tiles(dataset, model_with, tmp_path):
    run = model_with(split=Split(train=("x",), val=("y",), test=("z",)))
    assert default_part(run, dataset) == "all"  # another data set: nothing of it was trained on
    with pytest.raises(InvalidInputError, match=r"1 of the 1 tiles of the part 'test' .* 'z'; .*--part all"):
        evaluate_model(run, dataset, part="test", out=tmp_path / "out", **CPU)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "both"}, "--part 'both' is none of train, val, test, all"),
        ({"n_worst": -1}, "--worst -1"),
        ({"min_area_px": -1}, "--min-area -1 is below zero"),
        ({"tolerance": -1.0}, "--tolerance -1.0 is no distance"),
        ({"tolerance": float("nan")}, "--tolerance nan is no distance"),
        ({"maps": ["nope"]}, "--map 'nope' is not a tile of the part 'all'; its tiles are called 'SITE_S01_T01'"),
    ],
)
def test_options_that_make_no_sense(dataset, tiny_model, tmp_path, options, message):
    with pytest.raises(InvalidInputError, match=message):
        evaluate_model(tiny_model, dataset, out=tmp_path / "out", **options, **CPU)
    assert not (tmp_path / "out").exists()


def test_other_classes_are_an_error(tiny_dataset, tiny_model, tmp_path):
    three = open_dataset(tiny_dataset, classes=["background", "glomerulus", "tubule"])
    with pytest.raises(InvalidInputError, match=r"the model knows the classes background, glomerulus, but .*tubule"):
        evaluate_model(tiny_model, three, out=tmp_path / "out", **CPU)


def test_the_part_is_by_default_what_default_part_says(dataset, tiny_model, tmp_path):
    names = [sample.name for sample in dataset.samples]
    write_split(tmp_path / "split.json", Split(train=names[:8], val=names[8:10], test=names[10:]))
    result = evaluate_model(tiny_model, dataset, out=tmp_path / "out", split=tmp_path / "split.json", n_worst=0, **CPU)
    assert result.part == "test"
    assert [tile.name for tile in result.evaluation.tiles] == names[10:]


def notes_on(model, dataset, tmp_path):
    return " ".join(evaluate_model(model, dataset, out=tmp_path / "out", n_worst=0, **CPU).notes)


def test_tiles_that_were_trained_on_are_known_whatever_their_name(dataset, model_with, tmp_path):
    seen = [digest(sample) for sample in dataset.samples[:3]]
    run = model_with(trained_on={"train_images": seen, "val_images": [digest(dataset.samples[5])]})
    samples = [dataclasses.replace(sample, name=f"renamed {i}") for i, sample in enumerate(dataset.samples)]
    told = notes_on(run, dataclasses.replace(dataset, samples=tuple(samples)), tmp_path)
    assert "3 of the 12 tiles were trained on" in told
    assert "1 of the 12 tiles chose the step" in told
    assert "does not say" not in told
    assert told in " ".join(json.loads((tmp_path / "out" / "evaluation.json").read_text())["notes"])


def test_copies_of_a_trained_tile_are_counted_each(dataset, model_with, tmp_path):
    shutil.copy(dataset.samples[0].image_path, dataset.samples[1].image_path)
    told = notes_on(model_with(trained_on={"train_images": [digest(dataset.samples[0])]}), dataset, tmp_path)
    assert "2 of the 12 tiles were trained on" in told


def test_neighbours_of_trained_tiles_leak(dataset, model_with, tmp_path):
    first = dataset.samples[0]
    trained_on = {"train_images": [digest(first)], "train_groups": [first.group, "elsewhere"]}
    rest = dataclasses.replace(dataset, samples=dataset.samples[1:])
    told = notes_on(model_with(trained_on=trained_on), rest, tmp_path)
    assert f"1 of the 6 groups have the names of groups that were trained on ({first.group})" in told
    assert "tiles were trained on:" not in told
    only = dataclasses.replace(dataset, samples=(first, *dataset.samples[2:]))
    assert "leak" not in notes_on(model_with(trained_on=trained_on), only, tmp_path)  # said already, and worse


def test_an_untouched_test_part_has_no_note(dataset, model_with, tmp_path):
    assert notes_on(model_with(trained_on={"train_images": ["0" * 16], "train_groups": ["x"]}), dataset, tmp_path) == ""


def test_few_groups_are_noted(dataset, model_with, tmp_path):
    run = model_with(trained_on={"train_images": ["0" * 16]})
    few = dataclasses.replace(dataset, samples=dataset.samples[:4])
    assert "2 groups bear these figures: so few cannot tell" in notes_on(run, few, tmp_path)
    one = dataclasses.replace(dataset, samples=dataset.samples[:1])
    assert "1 group bears these figures" in notes_on(run, one, tmp_path)


def test_an_unknown_origin_and_scale_are_noted(dataset, model_with, tmp_path):
    assert "does not say which tiles it was trained on" in notes_on(model_with(), dataset, tmp_path)
    scaled = model_with(scaling=Scaling(mpp=2.0, factor=0.5), trained_on={"mpp": 1.0, "train_images": ["0" * 16]})
    told = notes_on(scaled, dataset, tmp_path)
    assert told.startswith("The micrometres per pixel of the images are not known")
    assert told.endswith("give --mpp.")
    assert notes_on(scaled, dataclasses.replace(dataset, mpp=1.0), tmp_path) == ""


def test_a_strange_card_is_no_crash(dataset, model_with, tmp_path):
    run = model_with(trained_on={"train_images": 5, "val_images": "abc", "train_groups": None, "mpp": [1]})
    assert "does not say" in notes_on(run, dataset, tmp_path)


def test_more_classes_have_a_map_each(tmp_path, tiny_model, tiny_dataset):
    classes = Classes.of(("background", "glo/merulus"))
    model, card = load_model(tiny_model)
    save_model(tmp_path / "m.safetensors", model, dataclasses.replace(card, classes=classes))
    dataset = open_dataset(tiny_dataset, classes=classes.names)
    evaluate_model(tmp_path / "m.safetensors", dataset, out=tmp_path / "out", maps=["SITE_S01_T01"], n_worst=0, **CPU)
    assert files_below(tmp_path / "out" / "maps") == [
        "SITE_S01_T01_glo_merulus_errors.png",
        "SITE_S01_T01_overlay.png",
    ]


def test_a_folder_that_cannot_be_written_is_told_before_the_work(dataset, tiny_model, tmp_path, monkeypatch):
    (tmp_path / "out").write_text("in the way")
    monkeypatch.setattr("glomseg.steps.evaluate.predict_tile", lambda *_: pytest.fail("worked first"))
    with pytest.raises(OutputError, match="choose another output folder"):
        evaluate_model(tiny_model, dataset, out=tmp_path / "out", **CPU)


def test_a_full_disk_leaves_nothing_half_written(dataset, tiny_model, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        evaluate_model(tiny_model, dataset, out=tmp_path / "out", **CPU)
    assert files_below(tmp_path / "out") == []


@pytest.mark.parametrize("content", [b"", b"\x80\x04c", b"PK\x03\x04 a checkpoint", b"garbage garbage"])
def test_models_that_are_none(dataset, tmp_path, content):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(InvalidInputError, match="model"):
        evaluate_model(tmp_path / "model", dataset, out=tmp_path / "out")
