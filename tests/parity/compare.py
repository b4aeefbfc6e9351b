"""Compares glomseg with the real MMSegmentation, network by network, with random weights in float64.

MMSegmentation writes checkpoints and logits; glomseg imports the checkpoints, computes, and exports them again;
MMSegmentation loads those and computes once more. Then test-time augmentation is compared, from a picture's file to the
mask, in float32. Run by ``make parity``.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from glomseg.errors import InvalidInputError
from glomseg.images import read_image
from glomseg.inference.predictor import Predictor
from glomseg.models.openmmlab.exporting import save_openmmlab
from glomseg.models.openmmlab.importing import load_openmmlab

LARGEST_DIFFERENCE = 1e-9
"""Allowed, as a share of the largest logit: what float64 leaves of another order of sums."""

LARGEST_OF_MASK2FORMER = 1e-7
"""The same for Mask2Former, whose positions MMSegmentation computes in float32."""


LARGEST_OF_TTA = 1e-4
"""Allowed between mean probabilities in float32; masks may differ only where two classes are as near as that."""


def tta_differences(folder: Path, name: str) -> tuple[int, float, int]:
    """Return the number of views, the largest difference of probabilities, and how many pixels have another class."""
    theirs = np.load(folder / f"{name}.npz")
    model = load_openmmlab(folder / f"{name}.pth")
    assert model.card.tta is not None, model.notes
    assert model.card.tta.n_views == int(theirs["n_views"]), model.card.tta
    predictor = Predictor(model.network, model.card, device="cpu", precision="32-true", tta=model.card.tta)
    found = predictor.predict(read_image(folder / "picture.png"), keep_probabilities=True)
    assert found.probabilities is not None
    difference = np.abs(found.probabilities - theirs["probabilities"]).max()
    first, second = np.sort(theirs["probabilities"], axis=0)[:-3:-1]
    wrong = (found.mask != theirs["mask"]) & (first - second > LARGEST_OF_TTA)
    return model.card.tta.n_views, float(difference), int(wrong.sum())


def compare_tta(peer: list[str], folder: Path) -> bool:
    """Print how predictions with test-time augmentation differ, and return whether any differs too much."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([*peer, "tta", str(folder)], check=True)
    failed = False
    print(f"{'test-time augmentation':22} {'views':>14} {'probabilities':>15} {'wrong pixels':>15}")
    for path in sorted(folder.glob("*.npz")):
        n_views, difference, n_wrong = tta_differences(folder, path.stem)
        failed |= not difference <= LARGEST_OF_TTA or n_wrong > 0
        print(f"{path.stem:22} {n_views:14} {difference:15.1e} {n_wrong:15}")
    return failed


def ours(folder: Path, name: str) -> tuple[np.ndarray, str]:
    """Return glomseg's logits of one checkpoint, and why it could not be exported, or ""."""
    model = load_openmmlab(folder / f"{name}.pth")
    images = torch.from_numpy(np.load(folder / f"{name}.npz")["images"])
    problem = ""
    try:
        save_openmmlab(folder / "exported", model.network, model.card, name=name)
    except InvalidInputError as error:
        problem = str(error)
    with torch.no_grad():
        logits = model.network.double()(images).main
        corners = model.card.inference.align_corners
        logits = F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=corners)
    return logits.numpy(), problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", required=True, help="Python of the environment with MMSegmentation")
    parser.add_argument("--folder", type=Path, default=Path("build/parity"))
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    peer = [arguments.peer_python, str(Path(__file__).with_name("peer.py"))]
    subprocess.run([*peer, "make", str(arguments.folder), *arguments.cases], check=True)
    names = sorted(path.stem for path in arguments.folder.glob("*.npz"))
    own, problems = {}, {}
    for name in names:
        try:
            own[name], problems[name] = ours(arguments.folder, name)
        except InvalidInputError as error:
            problems[name] = f"not imported: {error}"
    subprocess.run([*peer, "check", str(arguments.folder)], check=True)
    failed = False
    print(f"{'network':22} {'largest logit':>14} {'import differs':>15} {'export differs':>15}")
    for name in names:
        theirs = np.load(arguments.folder / f"{name}.npz")["logits"]
        largest = np.abs(theirs).max()
        cells = []
        exported = arguments.folder / "exported" / f"{name}.npz"
        for logits in (own.get(name), np.load(exported)["logits"] if exported.exists() else None):
            difference = None if logits is None else np.abs(logits - theirs).max()
            allowed = LARGEST_OF_MASK2FORMER if name.startswith("mask2former") else LARGEST_DIFFERENCE
            failed |= difference is not None and not difference <= allowed * largest
            cells.append("-" if difference is None else f"{difference:.1e}")
        failed |= name not in own
        print(f"{name:22} {largest:14.3g} {cells[0]:>15} {cells[1]:>15}  {problems[name]}")
    failed |= compare_tta(peer, arguments.folder / "tta")
    sys.exit(failed)


if __name__ == "__main__":
    main()
