"""Compares glomseg with the real MMSegmentation, network by network, with random weights in float64.

MMSegmentation writes checkpoints and logits; glomseg imports the checkpoints, computes, and exports them again;
MMSegmentation loads those and computes once more. Then glomseg builds its own named networks and exports them, and
MMSegmentation loads those, every entry of them, and computes. At last test-time augmentation is compared, from a
picture's file to the mask, in float32. Run by ``make parity``; names of cases and of networks choose some of them:
``compare.py --peer-python PYTHON segformer_b0 segformer_mit_b3``.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from peer import CASES, SIZE, randomize

from glomseg.errors import InvalidInputError
from glomseg.images import read_image
from glomseg.inference.predictor import Predictor
from glomseg.models.build import ARCHITECTURES, build_model
from glomseg.models.openmmlab.exporting import save_openmmlab
from glomseg.models.openmmlab.importing import load_openmmlab
from glomseg.models.segmentor import Segmentor
from glomseg.types import GLOMERULUS, ModelCard

LARGEST_DIFFERENCE = 1e-9
"""Allowed, as a share of the largest logit: what float64 leaves of another order of sums."""

LARGEST_OF_MASK2FORMER = 1e-7
"""The same for Mask2Former, whose positions MMSegmentation computes in float32."""

NAMED = {
    **{f"{family}_r18": {} for family in ("fcn", "pspnet", "deeplabv3", "deeplabv3plus")},
    **{f"{family}_unet": {} for family in ("fcn", "pspnet", "deeplabv3")},
    "fcn_r50": {"variant": "v1d", "output_stride": 32, "zero_init_residual": False},
    "pspnet_r50": {"variant": "v1", "output_stride": 16, "contract_dilation": False},
    "fast_scnn": {},
    "deeplabv3plus_mobilenet_v2": {},
    "segformer_mit_b0": {},
    "upernet_r50": {},
    "upernet_swin_t": {"window_size": 12},
    "upernet_convnext_t": {},
    "upernet_vit_b16": {"image_side_px": 64, "multilevel_neck": False, "final_norm": True, "patch_bias": True},
    "segmenter_vit_t": {},
    "segmenter_vit_s": {"head": "linear"},
    "segnext_mscan_t": {},
    "mask2former_r50": {},
    "mask2former_swin_t": {},
}
"""The smallest network of each family, and options that change how it is written."""


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


def logits_of(network: Segmentor, images: torch.Tensor, *, align_corners: bool) -> np.ndarray:
    """Return the logits of a network in float64, enlarged to the images."""
    with torch.no_grad():
        logits = network.double().eval()(images).main
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=align_corners).numpy()


def import_and_export(folder: Path, name: str) -> np.ndarray:
    """Return glomseg's logits of one of MMSegmentation's checkpoints, after exporting it again."""
    model = load_openmmlab(folder / f"{name}.pth")
    images = torch.from_numpy(np.load(folder / f"{name}.npz")["images"])
    save_openmmlab(folder / "exported", model.network, model.card, name=name)
    return logits_of(model.network, images, align_corners=model.card.inference.align_corners)


def export_named(folder: Path, name: str) -> None:
    """Write images, glomseg's logits of a named network with random weights, and the network for MMSegmentation."""
    options = NAMED.get(name, {})
    network = build_model(name, n_classes=2, **options)
    randomize(network)
    card = ModelCard(architecture=name, options=options, classes=GLOMERULUS)
    save_openmmlab(folder / "exported", network, card, name=name)
    images = torch.randn(1, 3, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.savez(folder / f"{name}.npz", images=images.numpy(), logits=logits_of(network, images, align_corners=False))


def differs(name: str, logits: np.ndarray, theirs: np.ndarray) -> bool:
    """Return whether logits differ by more than their order of sums explains."""
    allowed = LARGEST_OF_MASK2FORMER if name.startswith("mask2former") else LARGEST_DIFFERENCE
    return not np.abs(logits - theirs).max() <= allowed * np.abs(theirs).max()


def compare_cases(folder: Path, peer: list[str], cases: list[str]) -> bool:
    """Compare MMSegmentation's networks, imported and exported again; return whether anything differs."""
    subprocess.run([*peer, "make", str(folder), *cases], check=True)
    own, problems = {}, {}
    for name in cases:
        try:
            own[name] = import_and_export(folder, name)
        except InvalidInputError as error:
            problems[name] = str(error)
    subprocess.run([*peer, "check", str(folder)], check=True)
    failed = bool(problems)
    print(f"{'network':22} {'largest logit':>14} {'import differs':>15} {'export differs':>15}")
    for name in own:
        theirs = np.load(folder / f"{name}.npz")["logits"]
        found = [own[name], np.load(folder / "exported" / f"{name}.npz")["logits"]]
        failed |= any(differs(name, logits, theirs) for logits in found)
        cells = "".join(f"{np.abs(logits - theirs).max():>16.1e}" for logits in found)
        print(f"{name:22} {np.abs(theirs).max():14.3g}{cells}")
    for name, problem in problems.items():
        print(f"{name:22} {problem}")
    return failed


def compare_named(folder: Path, peer: list[str], names: list[str]) -> bool:
    """Compare glomseg's named networks with what MMSegmentation makes of their exports; return whether any differs."""
    for name in names:
        export_named(folder, name)
    subprocess.run([*peer, "check", str(folder)], check=True)
    failed = False
    print(f"{'exported by name':22} {'largest logit':>14} {'differs':>15}")
    for name in names:
        own = np.load(folder / f"{name}.npz")["logits"]
        theirs = np.load(folder / "exported" / f"{name}.npz")["logits"]
        failed |= differs(name, own, theirs)
        print(f"{name:22} {np.abs(theirs).max():14.3g}{np.abs(own - theirs).max():>16.1e}")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", required=True, help="Python of the environment with MMSegmentation")
    parser.add_argument("--folder", type=Path, default=Path("build/parity"))
    parser.add_argument("names", nargs="*", choices=[[], *CASES, *ARCHITECTURES], metavar="NAME")
    arguments = parser.parse_args()
    peer = [arguments.peer_python, str(Path(__file__).with_name("peer.py"))]
    for part in ("cases", "named"):
        shutil.rmtree(arguments.folder / part, ignore_errors=True)
    cases = [name for name in CASES if name in (arguments.names or CASES)]
    named = [name for name in ARCHITECTURES if name in (arguments.names or NAMED)]
    failed = bool(cases) and compare_cases(arguments.folder / "cases", peer, cases)
    failed |= bool(named) and compare_named(arguments.folder / "named", peer, named)
    if not arguments.names:
        failed |= compare_tta(peer, arguments.folder / "tta")
    sys.exit(failed)


if __name__ == "__main__":
    main()
