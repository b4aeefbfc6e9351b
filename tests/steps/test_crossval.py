"""Cross-validation: out-of-fold figures, resuming, the ensemble, and what is chosen."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tests.data.test_slide_dataset import draw_slide, square, write_annotations

from glomseg.data.dataset import open_dataset
from glomseg.data.folds import sites_of
from glomseg.data.slide_dataset import open_slides
from glomseg.data.split import make_split, read_split
from glomseg.errors import InvalidInputError, MissingInputError, OutputError
from glomseg.files import sha256_of
from glomseg.inference.ensemble import Ensemble, Member, SmallestObject, write_ensemble
from glomseg.inference.loading import load_predictor
from glomseg.measure import ObjectSettings
from glomseg.recipes import load_recipe
from glomseg.runs import RunFolder
from glomseg.steps import crossval as steps_crossval
from glomseg.steps.compare import compare_evaluations
from glomseg.steps.crossval import cross_validate, resume_crossval
from glomseg.steps.evaluate import evaluate_model
from glomseg.steps.evaluation.recorded import read_evaluation
from glomseg.steps.predict import predict_images
from glomseg.steps.predict_slides import SlideSettings, predict_slides
from glomseg.steps.report import write_report
from glomseg.training.hardware import Hardware

TINY = [
    "model.architecture=pspnet_r18",
    "model.options={base_channels=8, stem_channels=8, head_channels=8, auxiliary_channels=8}",
    "crop.size_px=32",
    "run.batch_size=2",
    "run.workers=0",
    "run.steps=2",
    "run.val_every=2",
    "run.save_every=1",
    "run.log_every=1",
    "schedule.warmup_steps=1",
]
CPU = Hardware(device="cpu", precision="32-true")
COMMAND = [sys.executable, "-m", "glomseg", "crossval"]


def settings(*overrides):
    return load_recipe("default", [*TINY, *overrides])


def validated(data, out, *overrides, **keywords):
    return cross_validate(data, settings(*overrides), out=out, hardware=CPU, **{"folds": 2, **keywords})


def content(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def dataset(tiny_dataset):
    return open_dataset(tiny_dataset)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, draw_tiny_dataset):
    """A finished cross-validation of the tiny data set, with a choice and a test part; not to be changed."""
    root = tmp_path_factory.mktemp("crossval")
    dataset = open_dataset(draw_tiny_dataset(root / "tiny"))
    split = make_split(dataset, val=0.2, test=0.2)
    said = []
    result = validated(
        dataset, root / "out", choices=["threshold", "min-size", "tta"], split=split, message=said.append
    )
    return dataset, split, result, said


def test_a_folder_holds_everything_it_promises(finished):
    _dataset, _split, result, said = finished
    out = result.out
    assert result.finished
    assert {path.name for path in out.iterdir()} == {
        *("crossval.json", "dataset.json", "split.json", "fold-1", "fold-2", "folds.csv", "evaluation-folds"),
        *("ensemble.json", "evaluation-test"),
    }
    assert any(line.startswith("fold 2 of 2: holding out SITE_S") for line in said)
    rows = (out / "folds.csv").read_text().splitlines()
    assert rows[0].startswith("fold,held_out,n_tiles,n_groups,n_train_tiles,n_val_tiles,step,mean_iou,iou glomerulus")
    assert len(rows) == 3
    record = content(out / "crossval.json")
    assert record["finished"] is True
    assert record["made_of"]["settings"]["scaling"]["factor"] > 0
    assert any("was chosen on the masks of all" in note for note in record["notes"])


def test_every_tile_was_predicted_by_the_model_that_never_saw_its_group(finished):
    dataset, split, result, _ = finished
    pooled = content(result.out / "evaluation-folds" / "evaluation.json")
    assert set(pooled["tiles"]) == {*split.train, *split.val}
    groups = {sample.name: sample.group for sample in dataset.samples}
    for number in (1, 2):
        run = RunFolder(result.out / f"fold-{number}")
        parts = read_split(run.split)
        held_out = {groups[name] for name in parts.test}
        assert held_out.isdisjoint(groups[name] for name in (*parts.train, *parts.val))
        assert {groups[name] for name in parts.train}.isdisjoint(groups[name] for name in parts.val)
        fold = content(run.path / "evaluation-test" / "evaluation.json")
        assert set(fold["tiles"]) == set(parts.test)
        assert not any("were trained on" in note or "chose the step" in note for note in fold["notes"])
        for name, tile in fold["tiles"].items():
            assert pooled["tiles"][name]["confusion_matrix"] == tile["confusion_matrix"]
            assert pooled["tiles"][name]["sha256"] == tile["sha256"]
    assert pooled["n_groups"] == len({groups[name] for name in pooled["tiles"]})
    assert pooled["part"] == "out-of-fold"


def test_compare_and_report_take_it(finished, tmp_path):
    _, _, result, _ = finished
    pooled = result.out / "evaluation-folds"
    assert len(read_evaluation(pooled).tiles) == len(result.evaluation.tiles)
    compared = compare_evaluations([pooled, pooled], out=tmp_path / "comparison")
    assert compared.out.is_dir()
    page = write_report(pooled, out=tmp_path / "page.html")
    assert page.n_pictures == page.n_tiles == len(result.evaluation.tiles)
    assert "Out of fold: every tile was predicted by the one of 2 models" in page.path.read_text(encoding="utf-8")


def test_the_folder_is_an_ensemble_that_knows_what_its_members_saw(finished, tmp_path):
    dataset, _split, result, _ = finished
    predictor = load_predictor(result.out, device="cpu", precision="32-true")
    assert len(predictor.networks) == 2
    everything = evaluate_model(
        result.out, dataset, out=tmp_path / "all", part="all", device="cpu", precision="32-true", n_worst=0
    )
    n_seen = len({name for number in (1, 2) for name in read_split(result.out / f"fold-{number}/split.json").train})
    assert f"{n_seen} of the 12 tiles were trained on" in " ".join(everything.notes)
    assert predictor.notes[0] in everything.notes
    record = content(tmp_path / "all" / "evaluation.json")
    assert record["model"]["sha256"] == sha256_of(result.out / "ensemble.json")
    assert set(record["model"]["provenance"]["members"]) == {"fold-1/best.safetensors", "fold-2/best.safetensors"}


def test_the_test_part_is_opened_once_and_the_record_and_the_page_say_when(finished, tmp_path):
    _, split, result, _ = finished
    record = content(result.out / "crossval.json")
    (opened,) = record["test"]["opened_at"]
    tested = content(result.out / "evaluation-test" / "evaluation.json")
    assert set(tested["tiles"]) == set(split.test)
    assert tested["notes"][0] == f"The test data were opened on {opened}, after everything was chosen."
    assert not any("were trained on" in note for note in tested["notes"])
    assert any("chose" in note.lower() for note in tested["notes"][1:])
    page = write_report(result.out / "evaluation-test", out=tmp_path / "page.html")
    assert f"The test data were opened on {opened}" in page.path.read_text(encoding="utf-8")
    tiles = {sample.image_path.name for sample in read_dataset(result.out / "fold-1")}
    assert tiles.isdisjoint(f"{name}.png" for name in split.test)  # no training ever had them


def read_dataset(run):
    from glomseg.data.record import read_dataset_record

    return read_dataset_record(RunFolder(run).dataset)[0].samples


def test_what_was_chosen_is_written_with_what_was_tried_and_used(finished):
    _, _, result, _ = finished
    chosen = content(result.out / "crossval.json")["chosen"]
    ensemble = content(result.out / "ensemble.json")
    for key in ("threshold", "tta", "smallest"):
        assert ensemble[key] == chosen[key]
    assert len(chosen["pixels"]["tried"]) == 2 * 13
    assert len(chosen["objects"]["tried"]) == 6
    figure = chosen["pixels"]["figure"]
    assert chosen["pixels"]["best"] == max(item[figure] for item in chosen["pixels"]["tried"])
    if chosen["pixels"]["nested"] <= chosen["pixels"]["default"]:
        assert (chosen["tta"], chosen["threshold"]) == (None, 0.5)
    assert chosen["pixels"]["tried"][0] == {"tta": False, "threshold": 0.5, figure: chosen["pixels"]["default"]}
    pooled = result.evaluation.metrics
    assert chosen["pixels"]["default"] == pytest.approx(
        pooled.iou[1] if figure == "foreground_iou" else pooled.mean_iou
    )
    assert sum("chosen for each fold on the other folds" in note for note in result.notes) == 2
    notes = load_predictor(result.out, device="cpu", precision="32-true").notes
    assert f"a pixel is foreground above a probability of {chosen['threshold']:g}" in notes[1]


def test_run_again_everything_is_kept(finished, monkeypatch):
    _, _, result, _ = finished
    before = {path: sha256_of(path) for path in result.out.rglob("*") if path.is_file() and path.suffix != ".json"}
    for name in ("train_model", "resume_training", "evaluate_model", "choose"):
        monkeypatch.setattr(steps_crossval, name, lambda *_, name=name, **__: pytest.fail(f"{name} was called"))
    again = resume_crossval(result.out, device="cpu")
    assert again.folds == result.folds
    assert again.notes == result.notes
    assert again.test is None
    assert all(sha256_of(path) == digest for path, digest in before.items() if path.suffix not in (".pdf", ".png"))


def test_killed_anywhere_it_goes_on(dataset, tmp_path):
    words = [*COMMAND, str(dataset.root), "--folds", "2", "--device", "cpu", "--precision", "32-true"]
    words += ["--out", str(tmp_path / "killed")]
    words += [word for item in [*TINY, "run.steps=6"] for word in ("--set", item)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    second = RunFolder(tmp_path / "killed" / "fold-2")
    deadline = time.monotonic() + 120
    while not second.checkpoint_steps() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = sha256_of(tmp_path / "killed" / "fold-1" / "best.safetensors")
    assert not (tmp_path / "killed" / "ensemble.json").exists()
    said = []
    result = validated(dataset, tmp_path / "killed", "run.steps=6", message=said.append)
    assert result.finished
    assert any(line.startswith("fold 2 of 2: resuming after step") for line in said)
    assert sha256_of(tmp_path / "killed" / "fold-1" / "best.safetensors") == first
    whole = validated(dataset, tmp_path / "whole", "run.steps=6")
    tensors = [load_file(one / "fold-2" / "last.safetensors") for one in (whole.out, result.out)]
    assert all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())
    assert list(whole.folds) == list(result.folds)
    figures = [content(one / "evaluation-folds/evaluation.json")["figures"] for one in (whole.out, result.out)]
    assert figures[0] == figures[1]


def test_interrupted_at_every_stage_it_goes_on(dataset, tmp_path, monkeypatch):
    out, calls = tmp_path / "out", []
    split = make_split(dataset, val=0.2, test=0.2)

    def counting(name, work, *, interrupted_at=None):
        def call(*words, **options):
            calls.append(name)
            if calls.count(name) == interrupted_at:
                raise KeyboardInterrupt
            return work(*words, **options)

        return call

    real = {name: getattr(steps_crossval, name) for name in ("train_model", "evaluate_model", "choose")}
    real["write_pooled_evaluation"] = steps_crossval.write_pooled_evaluation
    stages = [("evaluate_model", 1), ("train_model", 1), ("choose", 1), ("write_pooled_evaluation", 1)]
    stages += [("evaluate_model", 1)]  # on the test part
    for stage, at in stages:
        calls.clear()
        with monkeypatch.context() as patch:
            for name, work in real.items():
                patch.setattr(steps_crossval, name, counting(name, work, interrupted_at=at if name == stage else None))
            with pytest.raises(KeyboardInterrupt):
                validated(dataset, out, split=split, choices=["min-size"])
        assert content(out / "crossval.json")["finished"] is False
    assert calls == ["write_pooled_evaluation", "evaluate_model"]
    result = resume_crossval(out, device="cpu")
    assert result.test is not None
    first, second = content(out / "crossval.json")["test"]["opened_at"]
    assert result.test.notes[0].startswith(f"The test data were opened on {first}, after everything was chosen, and 1 ")
    assert result.test.notes[0].endswith(f"time more since, last on {second}.")


def test_ctrl_c_stops_after_the_step_and_it_can_be_gone_on_with(dataset, tmp_path):
    def interrupt():
        while not list((tmp_path / "out").glob("fold-1/metrics.jsonl")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    result = validated(dataset, tmp_path / "out", "run.steps=400")
    assert not result.finished
    assert result.evaluation is None
    assert result.folds == ()
    assert content(tmp_path / "out" / "crossval.json")["finished"] is False


@pytest.fixture
def begun(dataset, tmp_path, monkeypatch):
    """A cross-validation that was killed before its first training."""
    with monkeypatch.context() as patch:
        patch.setattr(steps_crossval, "train_model", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            validated(dataset, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("overrides", "keywords", "message"),
    [
        (["run.steps=3"], {}, "begun with another run.steps: 2 then, 3 now"),
        ([], {"folds": 3}, "begun with another division.folds: 2 then, 3 now"),
        ([], {"val": 0.5}, "begun with another division.val: 0.2 then, 0.5 now"),
        ([], {"seed": 4}, "begun with another division.seed: 0 then, 4 now"),
        ([], {"choices": ["tta"]}, r'begun with another choose: \[\] then, \["tta"\] now'),
        (["optimizer.lr=0.5", "run.steps=3"], {}, r"1 more: "),
    ],
)
def test_other_settings_are_refused_by_name(dataset, begun, overrides, keywords, message):
    with pytest.raises(InvalidInputError, match=message) as error:
        validated(dataset, begun, *overrides, **keywords)
    assert f"--resume {begun}" in str(error.value)


def test_other_data_are_refused_by_name(dataset, begun):
    with pytest.raises(InvalidInputError, match=r"begun with another data.mpp: null then, 0.5 now"):
        validated(replace(dataset, mpp=0.5), begun, "scaling.mpp=none", "scaling.factor=1.0")
    grouped = replace(dataset, samples=tuple(replace(item, group=f"{item.group}x") for item in dataset.samples))
    with pytest.raises(InvalidInputError, match=r"begun with another data.groups_sha256"):
        validated(grouped, begun)
    path = dataset.samples[3].image_path
    path.write_bytes(dataset.samples[2].image_path.read_bytes())
    for go_on in (lambda: validated(dataset, begun), lambda: resume_crossval(begun)):
        with pytest.raises(InvalidInputError, match=r"1 tiles of .* the first is 'SITE_S02_T02'"):
            go_on()


def test_what_cannot_be_gone_on_with(dataset, tmp_path):
    with pytest.raises(MissingInputError, match=r"is no cross-validation: it has no crossval.json"):
        resume_crossval(tmp_path)
    (tmp_path / "crossval.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="is not the record of a cross-validation"):
        resume_crossval(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    with pytest.raises(OutputError, match="holds a training run"):
        validated(dataset, tmp_path / "run")


def test_a_damaged_record(begun):
    record = content(begun / "crossval.json")
    del record["made_of"]["precision"]
    (begun / "crossval.json").write_text(json.dumps(record))
    with pytest.raises(InvalidInputError, match=r"is damaged \(KeyError: 'precision'\)"):
        resume_crossval(begun)


def test_a_split_without_a_test_part_and_a_fold_with_nothing_to_learn(dataset, tmp_path):
    with pytest.raises(InvalidInputError, match="--split has no test part to set aside"):
        validated(dataset, tmp_path / "out", split=make_split(dataset))
    for sample in dataset.samples:
        if sample.group != "SITE_S01":
            sample.mask_path.write_bytes(dataset.samples[1].mask_path.read_bytes())
    with pytest.raises(InvalidInputError, match="there is nothing to learn"):
        validated(dataset, tmp_path / "out", folds=6)
    assert not (tmp_path / "out").exists()


def test_tiles_of_no_part_are_left_out_and_leaks_into_the_test_part_are_said(dataset, tmp_path, begun):
    names = [sample.name for sample in dataset.samples]
    split = replace(make_split(dataset), train=tuple(names[:7]), val=(), test=tuple(names[7:10]))
    from glomseg.steps.crossvalidation.plan import make_plan

    options = {"folds": 2, "sites": None, "val": 0.2, "seed": 0, "choices": [], "precision": "32-true"}
    options["device"] = torch.device("cpu")
    plan = make_plan(dataset, settings(), split=split, **options)
    assert len(plan.dataset) == 10
    assert [sample.name for sample in plan.development.samples] == names[:7]
    assert "2 tiles of no part of the split are left out." in plan.notes
    assert any("1 group of the test part have tiles in the folds too (SITE_S04)" in note for note in plan.notes)


def test_annotated_slides_site_by_site(tmp_path):
    for number in (1, 2, 3):
        site = "north" if number < 3 else "south"
        draw_slide(tmp_path / "slides" / f"{site}-{number}.tif", seed=number)
        write_annotations(tmp_path / "drawn" / f"{site}-{number}.geojson", square(200, 100, 200))
    slides = open_slides(tmp_path / "slides", annotations=tmp_path / "drawn", mpp=1.0, tile_px=128)
    sites = sites_of(slides, pattern="^([a-z]+)-")
    result = validated(slides, tmp_path / "out", sites=sites)
    assert [row["held_out"] for row in result.folds] == ["site north", "site south"]
    assert [row["n_groups"] for row in result.folds] == [2, 1]
    assert result.folds[0]["n_val_tiles"] == 0  # of the one slide that is left
    assert any(note.startswith("Fold 1: one group is left to train on") for note in result.notes)
    assert len(result.evaluation.tiles) == len(slides)
    assert result.unit == "um"
    found = predict_slides(
        result.out, [tmp_path / "slides" / "south-3.tif"], out=tmp_path / "found", device="cpu", precision="32-true"
    )
    assert not found.failed
    assert found.notes[0] == "ensemble: the mean of the probabilities of 2 models"
    assert found.slides[0].record["model"]["sha256"] == sha256_of(result.out / "ensemble.json")


def test_the_smallest_size_that_was_chosen_is_used_everywhere(tiny_model, dataset, tmp_path):
    members = []
    for name in ("a", "b"):
        shutil.copy(tiny_model, tmp_path / f"{name}.safetensors")
        members.append(Member(name=name, file=tmp_path / f"{name}.safetensors"))
    smallest = SmallestObject(diameter=40, unit="um")
    write_ensemble(tmp_path / "ensemble.json", Ensemble(members=tuple(members), smallest=smallest))
    on = {"device": "cpu", "precision": "32-true"}
    for mpp, given, used in ((2.0, None, 315), (2.0, 3, 3), (None, None, 0)):  # pi / 4 * 20 * 20 is 314.2
        out = tmp_path / f"{mpp}-{given}"
        scaled = replace(dataset, mpp=mpp)
        evaluate_model(tmp_path, scaled, out=out, n_worst=0, min_area_px=given, **on)
        assert content(out / "evaluation.json")["objects"]["min_area_px"] == used
        predicted = predict_images(
            tmp_path, [dataset.root / "images"], out=out, mpp=mpp, min_area_px=given, overlays=False, **on
        )
        areas = [component.area_px for image in predicted.images for component in image.components]
        assert all(area >= used for area in areas)
    draw_slide(tmp_path / "slides" / "case.tif")
    for given, used in (({}, 40), ({"min_diameter_um": 7.0}, 7)):
        found = predict_slides(
            tmp_path,
            [tmp_path / "slides" / "case.tif"],
            out=tmp_path / f"slides-{used}",
            settings=SlideSettings(objects=ObjectSettings(**given), working_mpp=1.0),
            **on,
        )
        assert found.slides[0].record["settings"]["objects"]["min_diameter_um"] == used
