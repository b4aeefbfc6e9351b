"""What another stain or scanner costs a model: held-out tiles rendered anew, and the loss against them as they are.

    python benchmarks/stain_shift.py MODEL DATA --mpp 0.5 [--split FILE --part test] [--sheet shifts.png]
    python benchmarks/stain_shift.py recipes/default DATA --mpp 0.5

The second takes a recipe's folder of benchmarks/recipes.py: every group is predicted by the model of seed 0 that never
saw it.

Stains are changed in optical density: each tile is taken apart into its own two stains (Macenko), which get other
vectors and amounts; the glass stays what it is. So the tissue, its truth and its sharpness are the same, and only the
colour differs. A rendering is no real slide of the other stain: it shows what colour costs, and not what the other
stain would show of the tissue. Prints the IoU, precision and recall of the first class after the background, and the
difference to the unshifted tiles with its 95 % interval over groups (slides, regions), paired.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from glomseg import Split, load_predictor, open_dataset, read_split, write_png
from glomseg.data.augment import compress
from glomseg.data.crops import resize
from glomseg.data.tiles import read_tile
from glomseg.export.pictures import sheet
from glomseg.inference.predictor import Predictor
from glomseg.metrics.comparison import Difference, compare_counts
from glomseg.metrics.pixel_intervals import pixel_figures
from glomseg.metrics.pixels import count_pixels
from glomseg.slides.colors import glass_color
from glomseg.stain import MacenkoLook, change_densities, densities, look_of, stain_basis
from glomseg.types import Dataset, Sample
from timing import print_machine

Image = NDArray[np.uint8]
Shift = Callable[[Image, MacenkoLook], Image]

UNSHIFTED = "as it is"

# Optical densities in red, green and blue, by Ruifrok and Johnston (2001) and the deconvolution plugin of G. Landini;
# the length does not matter.
_HAEMATOXYLIN, _EOSIN = (0.64, 0.72, 0.27), (0.09, 0.95, 0.28)
_FUCHSIN, _METHYL_BLUE = (0.28, 0.80, 0.53), (0.80, 0.59, 0.11)

_JUDGED_PX = 256
"""A tile's stains are judged at about this many pixels a side."""


def restain(
    image: Image,
    look: MacenkoLook,
    *,
    stains: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None,
    amounts: tuple[float, float] = (1.0, 1.0),
) -> Image:
    """Return an image whose two stains have other vectors, or their own, and their amounts times these.

    The colour of the glass, and what is neither stain (pigment, ink), stay.
    """
    own = stain_basis(look.stains)
    new = own if stains is None else stain_basis(stains)
    red, green, blue = densities(np.array(glass_color(image.reshape(-1, 3)), np.uint8)).tolist()
    change = np.linalg.inv(own) @ np.diag((*amounts, 1.0)) @ new
    return change_densities(image, change, white=(red, green, blue))


def turned(look: MacenkoLook, *, degrees: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the two stain vectors turned about grey; positive degrees make tissue redder, negative ones bluer."""
    axis = np.ones(3) / np.sqrt(3)
    angle = np.radians(degrees)
    cross = np.cross(np.eye(3), axis)
    rotation = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
    first, second = (tuple(np.clip(rotation @ stain, 0.01, None).tolist()) for stain in look.stains)
    return first, second  # type: ignore[return-value]


def blurred(image: Image, *, sigma_px: float) -> Image:
    """Return an image out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), dtype=np.uint8)


SHIFTS: Mapping[str, Shift] = {
    UNSHIFTED: lambda image, look: image,
    "redder": lambda image, look: restain(image, look, stains=turned(look, degrees=12)),
    "bluer": lambda image, look: restain(image, look, stains=turned(look, degrees=-12)),
    "like H&E": lambda image, look: restain(image, look, stains=(_HAEMATOXYLIN, _EOSIN), amounts=(1.0, 0.7)),
    "like trichrome": lambda image, look: restain(image, look, stains=(_FUCHSIN, _METHYL_BLUE)),
    "pale": lambda image, look: restain(image, look, amounts=(0.5, 0.5)),
    "dark": lambda image, look: restain(image, look, amounts=(1.7, 1.7)),
    "pale PAS": lambda image, look: restain(image, look, amounts=(1.1, 0.5)),
    "out of focus": lambda image, look: blurred(image, sigma_px=4.0),
    "JPEG 15": lambda image, look: compress(image, quality=15),
}
"""What is done to a tile at its own resolution, given its own look, by name."""


def shifted(image: Image, name: str) -> Image:
    """Return an image as the shift of this name renders it; as it is where a shift needs two stains and it has none."""
    side = max(image.shape[:2])
    height, width = (max(1, round(length * min(1.0, _JUDGED_PX / side))) for length in image.shape[:2])
    look = look_of(resize(image, height=height, width=width, interpolation="area"), method="macenko")
    if isinstance(look, MacenkoLook):
        return SHIFTS[name](image, look)
    anything = MacenkoLook(stains=(_HAEMATOXYLIN, _EOSIN), amounts=(1.0, 1.0))
    return SHIFTS[name](image, anything) if name in ("out of focus", "JPEG 15") else image


def count_shifts(
    predictor: Predictor, dataset: Dataset, samples: tuple[Sample, ...], names: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """Return for each shift the (G, C * C) confusion counts of every group, groups in the order of their names."""
    groups = sorted({sample.group for sample in samples})
    n_classes = len(dataset.classes)
    counts = {name: np.zeros((len(groups), n_classes**2)) for name in names}
    for sample in samples:
        image, target = read_tile(dataset, sample)
        for name in names:
            found = predictor.predict(shifted(image, name), mpp=dataset.mpp).mask
            matrix = count_pixels(target=target, prediction=found, n_classes=n_classes).matrix
            counts[name][groups.index(sample.group)] += matrix.ravel()
    return counts


def held_out_runs(folder: Path) -> list[tuple[Path, Split]]:
    """Return model and split of each run in a recipe's folder of benchmarks/recipes.py, of one seed; none elsewhere."""
    splits = sorted(folder.glob("*/seed0/split.json"))
    return [(path.parent / "run" / "last.safetensors", read_split(path)) for path in splits]


def losses(counts: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, Difference]]:
    """Return for each shift how its figures differ from those of the unshifted tiles, paired by group."""
    return {name: compare_counts(counts[UNSHIFTED], shift, figures=pixel_figures) for name, shift in counts.items()}


def _row(name: str, found: Mapping[str, Difference]) -> str:
    iou, precision, recall = (found[f"{figure} 1"] for figure in ("iou", "precision", "recall"))
    line = f"{name:<16} {iou.b:6.3f}     {precision.b:6.3f}  {recall.b:6.3f}"
    if name == UNSHIFTED:
        return line
    return f"{line}    {iou.difference:+.3f} [{iou.interval.low:+.3f}, {iou.interval.high:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--split", type=Path, help="a split file; without it all tiles are taken")
    parser.add_argument("--part", default="test")
    parser.add_argument("--sheet", type=Path, help="also write the first tile in every rendering to this PNG")
    options = parser.parse_args()

    dataset = open_dataset(options.data, mpp=options.mpp)
    runs = held_out_runs(options.model)
    if runs and options.split is not None:
        parser.error("--split is for one model: a recipe's folder knows what each of its models never saw")
    samples = dataset.samples
    if options.split is not None:
        samples = dataset.select(read_split(options.split).part(options.part))
    if options.sheet is not None:
        image, _ = read_tile(dataset, samples[0])
        renderings = [shifted(image, name) for name in SHIFTS]
        write_png(options.sheet, sheet(renderings, columns=5, tile_px=384, captions=tuple(SHIFTS)))
    print_machine("torch", "glomseg")
    parts = [(model, dataset.select(split.test)) for model, split in runs] or [(options.model, samples)]
    judged = [sample for _, part in parts for sample in part]
    print(f"{options.model} on {len(judged)} tiles of {len({sample.group for sample in judged})} groups")
    counted = [count_shifts(load_predictor(model), dataset, part, tuple(SHIFTS)) for model, part in parts]
    found = losses({name: np.concatenate([counts[name] for counts in counted]) for name in SHIFTS})
    print("shift               IoU  precision  recall    IoU against the tiles as they are [95 % interval]")
    for name, differences in found.items():
        print(_row(name, differences))


if __name__ == "__main__":
    main()
