import dataclasses
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.split import write_split
from glomseg.errors import InvalidInputError
from glomseg.inference.predictor import Predictor
from glomseg.models.model_files import load_model, save_model
from glomseg.stain import look_of
from glomseg.types import GLOMERULUS, ModelCard, Split

from .inference.array_slide import Blur
from .test_stain import HAEMATOXYLIN, PAS, stained

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )


def test_the_metrics_benchmark_prints_a_ratio():
    done = run("metrics.py", "--quick")
    assert done.returncode == 0, done.stderr
    assert re.search(r"ratio: glomseg is [\d.]+ times \([\d.]+ to [\d.]+\) as fast as scikit-learn", done.stdout)
    assert "Python" in done.stdout


def test_the_benchmark_of_the_loader_prints_ratios():
    done = run("loading.py", "--quick")
    assert done.returncode == 0, done.stderr
    for recipe in ("default", "homework"):
        assert (
            len(re.findall(rf"^  {recipe}, tiles .* ratio to the appetite: [\d.]+ times", done.stdout, re.MULTILINE))
            == 6
        )


@pytest.mark.slow
def test_the_engines_benchmark_prints_ratios():
    done = run("engines.py", "--quick")
    assert done.returncode == 0, done.stderr
    for engine in ("onnx", "openvino"):
        assert re.search(rf"{engine} +.*[\d.]+ times \([\d.]+ to [\d.]+\) as fast as torch", done.stdout)
    assert "fastest: " in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_the_benchmark_of_compiling_prints_ratios():
    done = run("compiled.py", "--quick")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"ratio: compiled is [\d.]+ times \([\d.]+ to [\d.]+\) as fast as plain", done.stdout)) == 2
    assert len(re.findall(r"compiled in \d+ s", done.stdout)) == 2


def test_renderings_keep_the_glass_and_have_the_stains_they_are_named_after(benchmark):
    module = benchmark("stain_shift")
    image = stained()
    for name in module.SHIFTS:
        rendered = module.shifted(image, name)
        assert rendered.shape == image.shape
        assert rendered.dtype == np.uint8
        assert np.abs(rendered[:16].astype(int) - 245).max() <= (8 if name == "JPEG 15" else 3), name
        assert np.array_equal(rendered, image) is (name == module.UNSHIFTED), name
    haematoxylin, eosin = look_of(module.shifted(image, "like H&E"), method="macenko").stains
    for found, true in ((haematoxylin, module._HAEMATOXYLIN), (eosin, module._EOSIN)):
        assert np.dot(found, true) / np.linalg.norm(true) > 0.99
    # where PAS was, methyl blue is: red is absorbed, blue is not
    pure = stained(HAEMATOXYLIN, PAS, amounts=(0.0, 0.8), glass=0.0)
    image[60:] = pure[60:]
    red, _, blue = module.shifted(image, "like trichrome")[60:].mean(axis=(0, 1))
    assert blue > red + 40
    means = {name: float(module.shifted(image, name)[40:].mean()) for name in ("pale", module.UNSHIFTED, "dark")}
    assert means["pale"] > means[module.UNSHIFTED] + 10
    assert means["dark"] < means[module.UNSHIFTED] - 10
    colour = {name: module.shifted(image, name)[40:].mean(axis=(0, 1)) for name in ("redder", "bluer")}
    assert colour["redder"][0] - colour["redder"][2] > 20 + colour["bluer"][0] - colour["bluer"][2]


def test_an_image_without_two_stains_is_only_blurred_and_compressed(benchmark):
    module = benchmark("stain_shift")
    grey = np.full((40, 40, 3), 120, np.uint8)
    grey[10:20] = 60
    changed = {name for name in module.SHIFTS if not np.array_equal(module.shifted(grey, name), grey)}
    assert changed <= {"out of focus", "JPEG 15"}
    assert "out of focus" in changed


def test_losses_are_against_the_unshifted_tiles_by_group(benchmark, tiny_dataset):
    module = benchmark("stain_shift")
    dataset = open_dataset(tiny_dataset)
    card = ModelCard(architecture="none", classes=GLOMERULUS)
    predictor = Predictor(Blur(), card, device="cpu", precision="32-true")
    names = (module.UNSHIFTED, "dark")
    counts = module.count_shifts(predictor, dataset, dataset.samples, names)
    assert {name: item.shape for name, item in counts.items()} == dict.fromkeys(names, (6, 4))
    assert all(item.sum() == 12 * 64 * 64 for item in counts.values())
    found = module.losses(counts)
    assert found[module.UNSHIFTED]["iou 1"].difference == 0
    difference = found["dark"]["iou 1"]
    assert difference.interval.low <= difference.difference <= difference.interval.high
    assert "[" in module._row("dark", found["dark"])


def test_the_script_of_shifts_prints_every_one_and_draws_the_sheet(tiny_model, tiny_dataset, tmp_path):
    split = Split(train=(), val=(), test=("SITE_S01_T01", "SITE_S02_T01"))
    write_split(tmp_path / "split.json", split)
    done = run("stain_shift.py", tiny_model, tiny_dataset, "--mpp", 2, "--split", tmp_path / "split.json",
               "--part", "test", "--sheet", tmp_path / "sheet.png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "on 2 tiles of 2 groups" in done.stdout
    assert re.search(r"^like trichrome .*\[", done.stdout, re.MULTILINE)
    assert (tmp_path / "sheet.png").is_file()


TINY = """
[first]
set = ["model.architecture=pspnet_r18", "model.options={base_channels=8, stem_channels=8, head_channels=8}",
       "crop.size_px=32", "run.batch_size=2", "run.workers=0", "scaling.factor=1.0"]

[dice]
recipe = "default"
set = ["model.architecture=pspnet_r18", "model.options={base_channels=8, stem_channels=8, head_channels=8}",
       "crop.size_px=32", "run.batch_size=2", "run.workers=0", "scaling.factor=1.0", "loss.dice=1.0"]
"""


def test_recipes_are_compared_on_held_out_groups_and_done_once(tiny_dataset, tmp_path):
    table = tmp_path / "table.toml"
    table.write_text(TINY, encoding="utf-8")
    words = ["recipes.py", tiny_dataset, table, "--steps", 2, "--groups", "SITE_S01,SITE_S02", "--seeds", "0",
             "--out", tmp_path / "out", "--device", "cpu", "--precision", "32-true"]  # fmt: skip
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "as the image is; 1 seeds, 2 groups held out" in done.stdout
    assert re.search(r"^dice +0$", done.stdout, re.MULTILINE)  # 2 steps of 2 windows of 32 x 32 pixels
    assert re.search(r"^dice .*[+-]0\.\d{3} \[", done.stdout, re.MULTILINE)
    assert re.search(r"^recipe +S01 +S02$", done.stdout, re.MULTILINE)
    assert done.stderr.count("done:") == 4
    models = sorted((tmp_path / "out").rglob("last.safetensors"))
    assert len(models) == 4
    made_at = [path.stat().st_mtime_ns for path in models]
    (tmp_path / "out" / "dice" / "SITE_S02" / "seed0" / "counts.json").unlink()  # stopped before its evaluation
    again = run(*words)
    assert (
        again.stdout.partition("\nas the image")[2] == done.stdout.partition("\nas the image")[2]
    )  # but for the machine's load
    assert [path.stat().st_mtime_ns for path in models] == made_at
    shifts = run("stain_shift.py", tmp_path / "out" / "dice", tiny_dataset, "--mpp", 2)
    assert shifts.returncode == 0, shifts.stderr
    assert "on 4 tiles of 2 groups" in shifts.stdout  # those of the two held-out groups, not all 12
    split = tmp_path / "out" / "dice" / "SITE_S02" / "seed0" / "split.json"
    both = run("stain_shift.py", tmp_path / "out" / "dice", tiny_dataset, "--mpp", 2, "--split", split)
    assert both.returncode == 2
    assert "--split is for one model" in both.stderr
    other = run(*words, "--steps", 3)
    assert other.returncode == 1
    assert "holds a run of other settings: give the recipe another name" in other.stderr


def test_a_start_that_saw_the_held_out_group_is_refused(benchmark, tiny_dataset, tiny_model, tmp_path):
    module = benchmark("training")
    dataset = open_dataset(tiny_dataset)
    hashes = module.image_hashes(dataset)
    network, card = load_model(tiny_model)
    last = dataset.samples[-1]
    path = tmp_path / "went-on.safetensors"
    save_model(path, network, dataclasses.replace(card, trained_on={"start_images": [hashes[last.name]]}))
    with pytest.raises(InvalidInputError, match=f"was trained on '{last.name}', which is of the held-out 'SITE_S06'"):
        module.refuse_seen(path, dataset, hashes, held_out="SITE_S06")
    module.refuse_seen(path, dataset, hashes, held_out="SITE_S01")


def test_groups_that_are_always_trained_on_are_not_held_out(tiny_dataset, tmp_path):
    table = tmp_path / "table.toml"
    table.write_text(TINY.partition("[dice]")[0], encoding="utf-8")
    done = run("recipes.py", tiny_dataset, table, "--steps", 1, "--always", "*S0[1-5]", "--out", tmp_path / "out",
               "--device", "cpu", "--precision", "32-true")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out" / "first").iterdir()] == ["SITE_S06"]


def test_tables_of_recipes(benchmark, tmp_path):
    module = benchmark("recipes")
    table = tmp_path / "table.toml"
    for text, words in {
        "[a": "not valid TOML",
        "[a]\nsteps = 3": "nothing but recipe and set",
        '["a/b"]': "letters, digits and hyphens",
        "": "has no recipe",
    }.items():
        table.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidInputError, match=words):
            module.read_table(table, steps=None)
    table.write_text('[a]\n[b]\nset = ["run.steps=7"]', encoding="utf-8")
    assert [item.run.steps for item in module.read_table(table, steps=5).values()] == [5, 5]
    table.write_text("[a]\n[b]", encoding="utf-8")
    assert [item.run.steps for item in module.read_table(table, steps=None).values()] == ["auto", "auto"]


def test_the_table_of_factors_is_valid_and_each_differs_from_the_default(benchmark):
    recipes = benchmark("recipes").read_table(BENCHMARKS / "factors.toml", steps=None)
    assert next(iter(recipes)) == "default"
    assert len({recipe.model_dump_json() for recipe in recipes.values()}) == len(recipes)


def test_each_group_is_held_out_and_all_others_are_trained_on(benchmark, tiny_dataset):
    dataset = open_dataset(tiny_dataset)
    split = benchmark("recipes").hold_out(dataset, "SITE_S06", seed=0)
    assert {name[:8] for name in split.test} == {"SITE_S06"}
    assert split.val == ()
    assert len(split.train) == 10


def test_the_memory_benchmark_prints_what_a_slide_needs():
    done = run("slide_memory.py", "--side", 5000)
    assert done.returncode == 0, done.stderr
    assert re.search(r"5,000 x 5,000 pixels, [\d,]+ windows, .* MB beyond the [\d,]+ MB with the model", done.stdout)
