"""The whole of glomseg in a few minutes, on synthetic kidney tissue: ``python examples/demo.py [FOLDER]``.

Each step is a command that you can type yourself; it is printed before it runs.
"""

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

SLIDES, TILES = 24, 7
SEED = 1
"""The model in the box, from which training starts, has learnt on the tissue of seed 0."""


def run(*words: object) -> None:
    """Print a command and run it."""
    command = ["glomseg", *map(str, words)]
    print(f"\n$ {shlex.join(command)}", flush=True)
    subprocess.run([sys.executable, "-m", *command], check=True)


def main(folder: Path) -> None:
    """Draw, inspect, split, train, evaluate, predict and measure speed, into `folder`."""
    started = time.monotonic()
    data, model = folder / "data", folder / "run"
    if model.exists():
        shutil.rmtree(model)
    run("doctor")
    run("synth", data, "--slides", SLIDES, "--tiles", TILES, "--seed", SEED)
    run("inspect", data, "--mpp", 1.0, "--out", folder / "inspection")
    run("split", data, "--val", 0.13, "--test", 0.25, "--out", folder / "splits")
    split = folder / "splits" / "split.json"
    run("train", data, "--mpp", 1.0, "--split", split, "--out", model)
    run("evaluate", model, data, "--mpp", 1.0, "--part", "test", "--out", folder / "evaluation")
    test_tiles = json.loads(split.read_text())["test"]
    slides = sorted({name.rpartition("_")[0] for name in test_tiles})
    run(
        "predict",
        model,
        *(data / "images" / f"{slide}_*.png" for slide in slides),
        "--mpp",
        1.0,
        "--out",
        folder / "predictions",
    )
    run("benchmark", model, data / "images", "--mpp", 1.0)

    figures = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    iou, (low, high) = figures["figures"]["iou"]["glomerulus"], figures["intervals"]["iou"]["glomerulus"]
    print(
        f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes.\n"
        f"Glomerulus IoU on {figures['n_groups']} slides that were never trained on: "
        f"{iou:.3f} (95 % interval {low:.3f} to {high:.3f})\n"
        f"Look at:\n"
        f"  {folder / 'inspection' / 'sheet_foreground.png'}   tiles with their truth\n"
        f"  {folder / 'run' / 'curves.png'}                    how training went\n"
        f"  {folder / 'evaluation' / 'confusion_matrix.pdf'}   where pixels went\n"
        f"  {folder / 'evaluation' / 'maps'}                   the worst tiles: found, missed, invented\n"
        f"  {folder / 'predictions' / 'overlays'}              predictions on unseen slides\n"
        f"  {folder / 'predictions' / 'components.csv'}        every object with area, box and centroid"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
