"""Whole training runs on a tiny data set."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from glomseg.data.dataset import open_dataset
from glomseg.errors import InvalidInputError, MissingInputError, NonFiniteLossError, OutputError
from glomseg.files import sha256_of
from glomseg.models.model_files import load_model
from glomseg.recipes import load_recipe
from glomseg.runs import RunFolder, read_metrics, read_settings
from glomseg.stain import ReinhardLook
from glomseg.steps.train import repeat_training, resume_training, train_model
from glomseg.training import hardware
from glomseg.training.hardware import Hardware

TINY = [
    "model.architecture=pspnet_r18",
    "model.options={base_channels=8, stem_channels=8, head_channels=8, auxiliary_channels=8}",
    "crop.size_px=32",
    "run.batch_size=2",
    "run.workers=0",
    "run.steps=8",
    "run.val_every=4",
    "run.save_every=2",
    "run.log_every=1",
    "schedule.warmup_steps=2",
    "scaling.factor=1.0",
]
CPU = Hardware(device="cpu", precision="32-true")
COMMAND = [sys.executable, "-m", "glomseg", "train", "--device", "cpu", "--precision", "32-true"]


def set_flags(*overrides: str) -> list[str]:
    return [word for item in [*TINY, *overrides] for word in ("--set", item)]


def settings(*overrides: str):
    return load_recipe("default", [*TINY, *overrides])


def train(data: Path, out: Path, *overrides: str, **keywords):
    return train_model(open_dataset(data), settings(*overrides), out=out, hardware=CPU, **keywords)


def without_times(run: Path) -> list[dict]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_metrics(RunFolder(run))]


def assert_same_models(one: Path, other: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        first, second = load_file(one / name), load_file(other / name)
        assert first.keys() == second.keys()
        for key in first:
            assert torch.equal(first[key], second[key]), f"{name} {key}"


def test_a_run_leaves_everything_it_promises(tiny_dataset, tmp_path):
    lines: list[str] = []
    result = train(tiny_dataset, tmp_path / "run", message=lines.append)
    run = RunFolder(tmp_path / "run")
    assert result.finished
    assert result.step == 8
    assert set(result.validation["iou"]) == {"background", "glomerulus"}
    assert any("by group" in line for line in lines)
    for path in (run.settings, run.split, run.dataset, run.best_model, run.last_model, run.curves):
        assert path.is_file(), path
    assert list(run.tensorboard.iterdir())
    assert run.checkpoint_steps() == [6, 8]  # the newest two
    rows = read_metrics(run)
    assert [row["step"] for row in rows if row["event"] == "train"] == list(range(1, 9))
    assert [row["step"] for row in rows if row["event"] == "val"] == [4, 8]
    options = load_model(run.best_model)[1].options
    assert options["base_channels"] == 8
    assert options["contract_dilation"] is True  # a default: a later one must not change this model
    manifest = json.loads(run.manifest.read_text())
    assert manifest["finished"] is True
    assert manifest["versions"]["torch"] == torch.__version__
    assert len(manifest["data"]["sha256"]) == 64
    assert manifest["seed"] == 0
    split = json.loads(run.split.read_text())
    groups = [{name[:8] for name in split[part]} for part in ("train", "val")]
    assert not groups[0] & groups[1]


def test_tiles_of_unknown_mpp_give_a_model_without_a_working_mpp(tiny_dataset, tmp_path):
    recipe = settings("run.steps=2", "scaling.mpp=2")
    for mpp, working in ((None, None), (1.0, 2.0)):
        out = tmp_path / str(mpp)
        train_model(open_dataset(tiny_dataset, mpp=mpp), recipe, out=out, hardware=CPU)
        assert load_model(out / "best.safetensors")[1].scaling.mpp == working


def test_what_the_recipe_leaves_to_the_tiles_is_chosen_said_and_written_down(tiny_dataset, tmp_path):
    lines: list[str] = []
    numbers = [item for item in TINY if item.split("=")[0] in ("model.architecture", "model.options", "run.workers")]
    recipe = load_recipe("default", [*numbers, "run.steps=2"])
    train_model(open_dataset(tiny_dataset, mpp=5.0), recipe, out=tmp_path / "run", hardware=CPU, message=lines.append)
    chosen = read_settings(RunFolder(tmp_path / "run"))
    assert (chosen.scaling.mpp, chosen.scaling.factor, chosen.crop.size_px) == (5.0, 1.0, 64)
    assert (chosen.run.steps, chosen.run.batch_size, chosen.run.val_every) == (2, 8, 150)
    assert "auto" not in (tmp_path / "run" / "settings.json").read_text()
    for key in ("scaling.mpp=5: ", "crop.size_px=64: ", "run.batch_size=8: ", "run.val_every=150: "):
        assert any(line.startswith(key) for line in lines), key
    assert not any(line.startswith("run.steps=") for line in lines)
    assert "working at 5 um per pixel: tiles are used at 1 of their size" in lines


def test_a_resumed_run_computes_as_it_began(tiny_dataset, tmp_path, monkeypatch):
    train(tiny_dataset, tmp_path / "run")
    asked = []
    monkeypatch.setattr(hardware, "choose_precision", lambda precision, device: asked.append(precision) or precision)
    resume_training(tmp_path / "run")
    assert asked == ["32-true"]


def test_a_failed_start_leaves_no_run_and_a_record_tells_of_the_weights(tiny_dataset, tmp_path):
    for wrong in ("model.architecture=nonesuch", "model.weights=nothing.pth", "model.options={depth=3}"):
        with pytest.raises((InvalidInputError, MissingInputError)):
            train(tiny_dataset, tmp_path / "run", wrong)
    assert not (tmp_path / "run").exists()
    train(tiny_dataset, tmp_path / "run", "run.steps=2")
    assert not (tmp_path / "run" / "weights.json").exists()
    train(tiny_dataset, tmp_path / "next", "run.steps=2", f"model.weights={tmp_path / 'run' / 'best.safetensors'}")
    report = json.loads((tmp_path / "next" / "weights.json").read_text())
    assert len(report["loaded"]) > 50
    assert (report["skipped"], report["missing"]) == ([], [])


def test_a_run_goes_on_from_any_folder(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_dataset.parent)
    train(Path(tiny_dataset.name), tmp_path / "run", "run.steps=2")
    monkeypatch.chdir("/")
    assert resume_training(tmp_path / "run", hardware=CPU).finished
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["split_sha256"] == sha256_of(tmp_path / "run" / "split.json")


def test_tiles_coarser_than_the_working_scale_are_enlarged_with_and_without_their_mpp(tiny_dataset, tmp_path):
    overrides = [item for item in TINY if not item.startswith("scaling")]
    recipe = load_recipe("default", [*overrides, "scaling.mpp=2", "run.steps=1"])
    train_model(open_dataset(tiny_dataset, mpp=4.0), recipe, out=tmp_path / "run", hardware=CPU)
    scaling = load_model(tmp_path / "run" / "last.safetensors")[1].scaling
    assert scaling.working_size(height=64, width=64, mpp=4.0) == scaling.working_size(height=64, width=64, mpp=None)


def test_stains_are_brought_to_a_reference_that_the_run_settles_and_the_card_keeps(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "run", "run.steps=2", "colors.normalise=reinhard")
    card = load_model(tmp_path / "run" / "best.safetensors")[1]
    assert isinstance(card.stain, ReinhardLook)
    assert read_settings(RunFolder(tmp_path / "run")).colors.reference == card.stain
    plain = train(tiny_dataset, tmp_path / "plain", "run.steps=2")
    assert load_model(plain.run / "best.safetensors")[1].stain is None
    losses = [read_metrics(RunFolder(tmp_path / name))[0]["loss"] for name in ("run", "plain")]
    assert losses[0] != losses[1]
    repeat_training(tmp_path / "run", out=tmp_path / "again", hardware=CPU)
    assert_same_models(tmp_path / "run", tmp_path / "again")
    with pytest.raises(InvalidInputError, match="reference is one of reinhard, but normalise says macenko"):
        settings("colors.normalise=macenko", "colors.reference={mean=[50, 0, 0], std=[1, 1, 1]}")


@pytest.mark.parametrize(("library", "error"), [("torch.save", RuntimeError), ("safetensors", SafetensorError)])
def test_a_full_disk_is_told_whichever_library_meets_it(tiny_dataset, tmp_path, monkeypatch, library, error):
    def full(*arguments, **keywords):
        raise error("no space")

    if library == "torch.save":
        monkeypatch.setattr("glomseg.training.checkpoint.torch.save", full)
    else:
        monkeypatch.setattr("glomseg.models.model_files.save_file", full)
    with pytest.raises(OutputError, match=r"cannot write .*the disk is full"):
        train(tiny_dataset, tmp_path / "run", "run.steps=2")


def test_the_loss_falls_on_an_easy_set(tiny_dataset, tmp_path):
    plain = ["augment.stain=0", "augment.gamma=0", "augment.grey_share=0", "augment.blur_px=0"]
    train(tiny_dataset, tmp_path / "run", "run.steps=40", "run.batch_size=4", "optimizer.lr=0.01", *plain)
    losses = [row["loss"] for row in read_metrics(RunFolder(tmp_path / "run")) if row["event"] == "train"]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_same_seed_gives_the_same_run_and_like_repeats_it(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "one")
    repeat_training(tmp_path / "one", out=tmp_path / "two", hardware=CPU)
    assert_same_models(tmp_path / "one", tmp_path / "two")
    assert without_times(tmp_path / "one") == without_times(tmp_path / "two")
    train(tiny_dataset, tmp_path / "three", "run.seed=1")
    assert without_times(tmp_path / "one") != without_times(tmp_path / "three")


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tiny_dataset, tmp_path):
    steps = "run.steps=200"
    process = subprocess.Popen(
        [*COMMAND, str(tiny_dataset), "--out", str(tmp_path / "killed"), *set_flags(steps)],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    run = RunFolder(tmp_path / "killed")
    deadline = time.monotonic() + 120
    while len(run.checkpoint_steps()) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    steps_done = run.checkpoint_steps()
    assert steps_done, "killed before the first checkpoint"
    assert steps_done[-1] < 200, "ended before it was killed"

    resumed = resume_training(tmp_path / "killed", hardware=CPU)
    assert resumed.finished
    train(tiny_dataset, tmp_path / "whole", steps)
    assert_same_models(tmp_path / "killed", tmp_path / "whole")
    assert without_times(tmp_path / "killed") == without_times(tmp_path / "whole")


def test_ctrl_c_saves_and_resuming_ends_the_run(tiny_dataset, tmp_path):
    previous = signal.getsignal(signal.SIGINT)

    class Bar:
        def __init__(self, description: str, *, unit: str) -> None:
            self.unit = unit

        def __enter__(self):
            return self.advance

        def __exit__(self, *error: object) -> None:
            pass

        def advance(self, done: int, total: int, note: str = "") -> None:
            if self.unit == "step" and done == 3:
                signal.raise_signal(signal.SIGINT)

    result = train(tiny_dataset, tmp_path / "run", progress=Bar)
    assert not result.finished
    assert result.step == 4  # the step under way is finished first
    assert signal.getsignal(signal.SIGINT) is previous
    assert resume_training(tmp_path / "run", hardware=CPU).finished
    train(tiny_dataset, tmp_path / "whole")
    assert_same_models(tmp_path / "run", tmp_path / "whole")


def test_training_works_outside_the_main_thread(tiny_dataset, tmp_path):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(train(tiny_dataset, tmp_path / "run", "run.steps=1", "run.val_every=1"))
    )
    thread.start()
    thread.join()
    assert results[0].finished


def test_a_loss_that_is_no_number_stops_the_run_between_known_steps(tiny_dataset, tmp_path):
    overrides = ["optimizer.name=sgd", "optimizer.lr=1e30", "optimizer.clip_grad_norm=none", "schedule.warmup_steps=0"]
    with pytest.raises(NonFiniteLossError, match=r"between step \d+ and step \d+.*--set optimizer.lr"):
        train(tiny_dataset, tmp_path / "run", *overrides, "run.save_every=1")
    for step in RunFolder(tmp_path / "run").checkpoint_steps():
        state = torch.load(RunFolder(tmp_path / "run").checkpoint(step), weights_only=True)
        assert all(value.isfinite().all() for value in state["model"].values() if value.is_floating_point())


def test_an_existing_run_is_not_written_over(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "run", "run.steps=1")
    with pytest.raises(OutputError, match=r"already holds a run.*--resume"):
        train(tiny_dataset, tmp_path / "run", "run.steps=1")


def test_resuming_what_has_changed_or_is_damaged(tiny_dataset, tmp_path):
    with pytest.raises(MissingInputError, match="not a run folder"):
        resume_training(tmp_path / "none", hardware=CPU)
    train(tiny_dataset, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    newest = run.checkpoint(run.checkpoint_steps()[-1])
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInputError, match=r"step_00000008\.ckpt.*damaged.*delete it"):
        resume_training(tmp_path / "run", hardware=CPU)
    image = next((tiny_dataset / "images").iterdir())
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(InvalidInputError, match="not the ones the run was started on"):
        resume_training(tmp_path / "run", hardware=CPU)


def test_nothing_to_learn_from(tiny_dataset, tmp_path):
    for path in sorted((tiny_dataset / "masks").glob("*_T01.png")):
        path.write_bytes((tiny_dataset / "masks" / path.name.replace("_T01", "_T02")).read_bytes())
    with pytest.raises(InvalidInputError, match="there is nothing to learn"):
        train(tiny_dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.class_weights=[1, 2, 3]"], "3 values but the data have 2 classes"),
        (["model.architecture=pspnet_r99"], "no architecture 'pspnet_r99'"),
    ],
)
def test_settings_that_do_not_fit(tiny_dataset, tmp_path, overrides, message):
    with pytest.raises(InvalidInputError, match=message):
        train(tiny_dataset, tmp_path / "run", *overrides)


def test_a_batch_that_cannot_be_shared_evenly(tiny_dataset, tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be shared evenly by 3 processes"):
        train_model(
            open_dataset(tiny_dataset), settings(), out=tmp_path / "run", hardware=Hardware(device="cpu", devices=3)
        )


def test_a_leaking_split_is_said(tiny_dataset, tmp_path):
    from glomseg.data.split import make_split

    lines: list[str] = []
    split = make_split(open_dataset(tiny_dataset), by="tile", val=0.5)
    train(tiny_dataset, tmp_path / "run", "run.steps=1", split=split, message=lines.append)
    assert any("groups have tiles in more than one part" in line for line in lines)


def test_without_validation_tiles_the_last_model_is_kept(tiny_dataset, tmp_path):
    from glomseg.types import Split

    names = tuple(sample.name for sample in open_dataset(tiny_dataset).samples)
    result = train(tiny_dataset, tmp_path / "run", "run.steps=2", split=Split(train=names, val=()))
    assert result.validation == {}
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_tiles_that_do_not_fit_in_memory_are_read_as_they_are_used(tiny_dataset, tmp_path):
    lines: list[str] = []
    train(tiny_dataset, tmp_path / "held")
    train(tiny_dataset, tmp_path / "read", "run.cache_share=0", message=lines.append)
    assert any("decoded as they are used" in line for line in lines)
    assert_same_models(tmp_path / "held", tmp_path / "read")


def test_the_homework_recipe_runs(tiny_dataset, tmp_path):
    homework = load_recipe(
        "homework",
        [item for item in TINY if not item.startswith(("schedule", "scaling"))]
        + ["run.steps=2", "scaling.fit_px=[64, 64]"],
    )
    assert train_model(open_dataset(tiny_dataset), homework, out=tmp_path / "run", hardware=CPU).finished


@pytest.mark.slow
def test_two_processes_train_like_one(tiny_dataset, tmp_path):
    """The same command with --devices 2 takes the same steps, up to the order of additions."""
    overrides = ["run.steps=3", "run.val_every=3", "optimizer.name=sgd", "optimizer.lr=0.01", "run.seed=3"]
    for devices in ("1", "2"):
        subprocess.run(
            [
                *COMMAND,
                str(tiny_dataset),
                "--out",
                str(tmp_path / devices),
                "--devices",
                devices,
                *set_flags(*overrides),
            ],
            check=True,
            timeout=240,
        )
    one, two = (read_metrics(RunFolder(tmp_path / devices)) for devices in ("1", "2"))
    assert [row["step"] for row in one] == [row["step"] for row in two]
    first = [next(row["loss"] for row in rows if row["event"] == "train") for rows in (one, two)]
    assert first[0] == pytest.approx(first[1], rel=0.2)  # dropout differs between processes
