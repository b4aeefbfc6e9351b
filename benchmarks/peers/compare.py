"""PSPNet R50-D8 in glomseg and in MMSegmentation 1.2.2: the same weights and images, processes in turns."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from pspnet import pspnet  # noqa: E402
from timing import print_comparison, print_machine, print_torch  # noqa: E402

PEER, OURS = "MMSegmentation", "glomseg"


def write_inputs(folder: Path, *, size_px: int, crop_px: int, batch_size: int) -> None:
    """Write the weights, one image to predict and one batch to train on, normalised as both sides expect them."""
    generator = torch.Generator().manual_seed(3)
    torch.save(pspnet().state_dict(), folder / "weights.pth")
    inputs = {
        "image": torch.randn(1, 3, size_px, size_px, generator=generator),
        "images": torch.randn(batch_size, 3, crop_px, crop_px, generator=generator),
        "masks": torch.randint(0, 2, (batch_size, crop_px, crop_px), generator=generator),
    }
    torch.save(inputs, folder / "inputs.pth")


def run_side(python: str, script: str, folder: Path, *, what: str, n_times: int) -> dict[str, list[float]]:
    """Return what one process measured."""
    command = [python, str(HERE / script), "--folder", str(folder), "--what", what, "--times", str(n_times)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{script} failed; its error is above")
    result: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(python: str, folder: Path, *, what: str, n_processes: int, n_times: int) -> dict[str, list[float]]:
    """Return the seconds of both sides and what they computed; one process of each in turn."""
    seconds: dict[str, list[float]] = {PEER: [], OURS: []}
    for _ in range(n_processes):
        for side, interpreter, script in ((PEER, python, "mmseg_speed.py"), (OURS, sys.executable, "glomseg_speed.py")):
            result = run_side(interpreter, script, folder, what=what, n_times=n_times)
            seconds[side] += result["seconds"]
            if "losses" in result:
                print(f"  losses of the first steps, {side}: {', '.join(f'{loss:.6f}' for loss in result['losses'])}")
    return seconds


def print_agreement(folder: Path) -> None:
    """Print how far the two sides' logits lie apart."""
    peer, ours = np.load(folder / "mmseg_logits.npy"), np.load(folder / "glomseg_logits.npy")
    difference = float(np.abs(peer - ours).max())
    n_differing = int((peer.argmax(1) != ours.argmax(1)).sum())
    print(
        f"  same weights, same image: logits up to {np.abs(peer).max():.3g} differ by at most {difference:.1e}; "
        f"{n_differing} of {peer[0, 0].size} pixels get another class"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", required=True, help="the interpreter of MMSegmentation's environment")
    parser.add_argument("--quick", action="store_true", help="small images, one process each: whether it runs")
    options = parser.parse_args()
    size_px, crop_px, batch_size = (128, 64, 2) if options.quick else (1024, 256, 8)
    n_processes, n_times = (1, 1) if options.quick else (2, 2)

    print_machine("torch", "glomseg")
    print_torch()
    with tempfile.TemporaryDirectory(prefix="glomseg-peers-") as name:
        folder = Path(name)
        write_inputs(folder, size_px=size_px, crop_px=crop_px, batch_size=batch_size)
        for what, title in (
            ("predict", f"prediction of one {size_px} x {size_px} image"),
            ("train", f"training step, crop {crop_px}, batch {batch_size}"),
        ):
            seconds = compare(options.peer_python, folder, what=what, n_processes=n_processes, n_times=n_times)
            print_comparison(f"PSPNet R50-D8, {title}", seconds)
            if what == "predict":
                print_agreement(folder)


if __name__ == "__main__":
    main()
