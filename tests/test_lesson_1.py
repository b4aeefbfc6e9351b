"""Lesson 1 is run as it is written: every command in order, and every file that it names is there."""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from glomseg import load_recipe, open_dataset, read_split
from glomseg.data.loader import WindowDataset
from glomseg.data.store import TileStore

DOCS = Path(__file__).resolve().parents[1] / "docs"
LESSON, CHINESE = DOCS / "lesson-1.md", DOCS / "lesson-1.zh-CN.md"

WHOLE_TRAINING = "run.steps=400"
SHORT_TRAINING = "run.steps=6"


def commands_of(page: Path) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def files_in_table(page: Path) -> list[str]:
    return re.findall(r"^\| `([^`|]+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)


def paths_in_text(page: Path) -> list[str]:
    lines = page.read_text(encoding="utf-8").splitlines()
    glomseg = "\n".join(line for line in lines if not line.startswith("*"))  # *what people do today*
    return re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)`", glomseg)


def follow(commands: list[str], folder: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    results = {}
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "glomseg", command
        result = subprocess.run(
            [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        results[" ".join(words[:2])] = result
    return results


def n_windows_with_foreground(data: Path, *, recipe: str, n_windows: int) -> int:
    settings, dataset = load_recipe(recipe), open_dataset(data, mpp=2.0)
    samples = dataset.select(read_split(data / "splits/split.json").train)
    windows = WindowDataset(
        TileStore(dataset, samples, scaling=None, memory_bytes=2**30),
        foreground=[True] * len(samples),
        crop=settings.crop,
        augment=settings.augment,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        seed=settings.run.seed,
        fit_px=settings.scaling.fit_px,
    )
    return sum(bool((windows[number][1] == 1).any()) for number in range(n_windows))


def check_what_the_lesson_says(folder: Path, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    named = [*files_in_table(LESSON), *paths_in_text(LESSON)]
    assert len(named) > 30
    missing = [name for name in named if not (folder / name).is_file()]
    assert not missing

    inspection = json.loads((folder / "kidney-inspection/inspection.json").read_text(encoding="utf-8"))
    assert (inspection["n_images"], inspection["n_masks"], inspection["findings"]) == (60, 60, [])
    assert list(inspection["mask_value_pixels"]) == ["0", "1"]
    assert sum(tile["foreground_share"] > 0 for tile in inspection["tiles"]) == 18

    split = json.loads((folder / "kidney/splits/split.json").read_text(encoding="utf-8"))
    slides = {part: {name.rpartition("_")[0] for name in split[part]} for part in ("train", "val", "test")}
    assert [len(slides[part]) for part in ("train", "val", "test")] == [6, 2, 2]
    assert "SYN_S06_T03" in split["test"]
    leaking = json.loads((folder / "tile-split/split.json").read_text(encoding="utf-8"))["leaking_groups"]
    assert len(leaking) == 8
    assert "8 of 10 groups" in results["glomseg split"].stderr
    assert n_windows_with_foreground(folder / "kidney", recipe="homework", n_windows=400) == 119

    evaluation = json.loads((folder / "run/evaluation-test/evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["part"] == "test"
    assert any("2 groups" in note for note in evaluation["notes"])
    with open(folder / "predictions/components.csv", newline="", encoding="utf-8") as file:
        assert {"area_px", "area_um2", "centroid_x_px", "touches_border"} <= set(csv.DictReader(file).fieldnames or ())


@pytest.mark.timeout(900)
def test_every_step_runs_with_a_short_training(tmp_path):
    commands = commands_of(LESSON)
    assert sum(WHOLE_TRAINING in command for command in commands) == 1
    results = follow([command.replace(WHOLE_TRAINING, SHORT_TRAINING) for command in commands], tmp_path)
    check_what_the_lesson_says(tmp_path, results)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_lesson_as_it_stands(tmp_path):
    results = follow(commands_of(LESSON), tmp_path)
    check_what_the_lesson_says(tmp_path, results)
    losses = [
        row["loss"]
        for row in map(json.loads, (tmp_path / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines())
        if row["event"] == "train"
    ]
    assert losses[-1] < 0.8 * losses[0]


def test_the_chinese_lesson_has_the_same_steps():
    assert commands_of(CHINESE) == commands_of(LESSON)
    assert files_in_table(CHINESE) == files_in_table(LESSON)
    assert sorted(set(paths_in_text(CHINESE))) == sorted(set(paths_in_text(LESSON)))
    headings = [len(re.findall(r"^## ", page.read_text(encoding="utf-8"), re.MULTILINE)) for page in (LESSON, CHINESE)]
    assert headings[0] == headings[1]
