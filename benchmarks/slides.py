"""How long whole slides take, against the floor: decoding alone, and the network alone on the same windows.

Reading and predicting overlap, so the larger of the two is what nobody could do without; the ratio to it is what all
the rest costs.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from glomseg.data.synthetic.tile import draw_tile
from glomseg.inference.loading import load_predictor
from glomseg.inference.slide import TILE_PX, window_probabilities
from glomseg.inference.slide_grid import SlideGrid, slide_grid, tiles_of_band, working_downsample
from glomseg.inference.slide_reading import read_ahead
from glomseg.inference.stage_times import StageTimes
from glomseg.models.build import build_model
from glomseg.models.model_files import save_model
from glomseg.slides.opening import open_slide
from glomseg.slides.slide import Slide
from glomseg.slides.tissue import find_tissue
from glomseg.steps.predict_slides import SlideSettings, predict_slides
from glomseg.types import GLOMERULUS, ModelCard, Scaling
from timing import print_machine, print_torch, ratio, spread, take_turns

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "slides"
NAMES = ("aidpath_D.tif", "aidpath_E.tif", "CMU-1-Small-Region.svs")
N_THREADS = 2


def random_model(path: Path, *, working_mpp: float) -> Path:
    """Write the small network with random weights: its speed is that of a trained one.

    Its bias makes a twentieth of the tissue foreground, about what glomeruli take, for objects cost time too. They are
    torn and winding, though: a trained model's cost less.
    """
    torch.manual_seed(0)
    network = build_model("fpn_resnet_small", n_classes=2).eval()
    card = ModelCard(architecture="fpn_resnet_small", classes=GLOMERULUS, scaling=Scaling(mpp=working_mpp))
    save_model(path, network, card)
    tile, _ = draw_tile(seed=0, size_px=512, mpp=working_mpp, n_glomeruli=1)
    (classifier,) = (part for part in network.modules() if isinstance(part, torch.nn.Conv2d) and part.out_channels == 2)
    with torch.no_grad():
        background, glomerulus = network(load_predictor(path, device="cpu").prepare([tile])).main[0]
        classifier.bias[1] -= torch.quantile(glomerulus - background, 0.95)
    save_model(path, network, card)
    return path


def grid_of(slide: Slide, *, working_mpp: float, model: Path) -> SlideGrid:
    """Return the windows that `predict_slides` predicts."""
    card = load_predictor(model, device="cpu").card
    tissue = find_tissue(slide)
    return slide_grid(
        slide.size_px,
        downsample=working_downsample(card, slide_mpp=slide.mpp, working_mpp=working_mpp),
        inference=card.inference,
        tissue=tissue.mask,
        tissue_downsample=tissue.downsample,
    )


def decoding(path: Path, grid: SlideGrid, *, mpp: float | None) -> Callable[[], None]:
    """Return a call that reads every pixel that the windows need, once, and does nothing with it."""

    def read() -> None:
        slide = open_slide(path, mpp=mpp)
        tiles = chain.from_iterable(tiles_of_band(grid, band, tile_px=TILE_PX) for band in range(len(grid.rows)))
        for _ in read_ahead(
            slide, tiles, downsample=grid.downsample, tile_px=TILE_PX, n_threads=N_THREADS, times=StageTimes()
        ):
            pass
        slide.close()

    return read


def network(model: Path, grid: SlideGrid) -> Callable[[], None]:
    """Return a call that predicts as many windows of noise as the slide has."""
    predictor = load_predictor(model, device="cpu")
    window = np.random.default_rng(0).integers(0, 256, (*grid.window_px, 3), dtype=np.uint8)
    batch = predictor.prepare([window])

    def predict() -> None:
        with torch.inference_mode():
            for _ in range(int(grid.chosen.sum())):
                window_probabilities(predictor, batch)

    return predict


def compare(path: Path, *, working_mpp: float, mpp: float | None, n_rounds: int) -> None:
    """Print the seconds of one slide, stage by stage, and the ratio to the floor."""
    with tempfile.TemporaryDirectory(prefix="glomseg-benchmark-") as folder:
        model = random_model(Path(folder) / "model.safetensors", working_mpp=working_mpp)
        slide = open_slide(path, mpp=mpp)
        grid = grid_of(slide, working_mpp=working_mpp, model=model)
        slide.close()
        records = []

        def everything() -> None:
            out = Path(folder) / str(len(records))
            settings = SlideSettings(mpp=mpp, n_threads=N_THREADS)
            result = predict_slides(model, [path], out=out, settings=settings, device="cpu")
            records.append(result.slides[0].record)

        seconds = take_turns(
            {
                "all": everything,
                "decoding": decoding(path, grid, mpp=mpp),
                "network": network(model, grid),
            },
            n_rounds=n_rounds,
        )
    report(path, records[1:], seconds, working_mpp=working_mpp, n_windows=int(grid.chosen.sum()))


def report(path: Path, records: list[dict], seconds: dict, *, working_mpp: float, n_windows: int) -> None:
    floor = "network" if statistics.median(seconds["network"]) > statistics.median(seconds["decoding"]) else "decoding"
    # Loading the model belongs to the command, not to the slide: the record leaves it out.
    whole = [record["seconds"]["total"] for record in records]
    stages = ("wait", "prepare", "model", "blend", "save")
    predicting = [sum(record["seconds"].get(stage, 0.0) for stage in stages) for record in records]
    print(f"\n{path.name} at {working_mpp:g} um per pixel, {n_windows} windows, {len(records)} rounds")
    print(f"  decoding alone {spread(seconds['decoding'])}, the network alone {spread(seconds['network'])}")
    print(f"  predicting {spread(predicting)}, ratio to the {floor}: {ratio(predicting, seconds[floor])}")
    print(f"  the slide from file to files {spread(whole)}, ratio to the {floor}: {ratio(whole, seconds[floor])}")
    speeds = [record["speed"] for record in records]
    for unit in ("megapixels_per_s", "tissue_mm2_per_s"):
        print(f"  {unit}: {statistics.median(speed[unit] for speed in speeds):.3g}")
    medians = {
        stage: round(statistics.median(record["seconds"].get(stage, 0.0) for record in records), 3)
        for stage in records[0]["seconds"]
    }
    print(f"  seconds by stage (read is that of all threads): {json.dumps(medians)}")


def main(*, quick: bool, n_rounds: int) -> None:
    from glomseg.data.synthetic.slide import write_synthetic_slide

    with tempfile.TemporaryDirectory(prefix="glomseg-benchmark-") as folder:
        path = Path(folder) / "synthetic.tif"
        tissue = np.zeros((2, 3), np.bool_) if quick else np.zeros((6, 6), np.bool_)
        tissue[1, 1:3] = True
        write_synthetic_slide(path, tissue=tissue, mpp=0.25)
        compare(path, working_mpp=8.0 if quick else 2.0, mpp=None, n_rounds=n_rounds)
        side_px, working_mpp = (3000, 8.0) if quick else (30_000, 2.0)
        for name, downsamples in (("full.tif", (1, 4, 16)), ("full-without-levels.tif", (1,))):
            n_cells = -(-side_px // (512 * downsamples[-1]))
            path, tissue = Path(folder) / name, np.ones((n_cells, n_cells), np.bool_)
            write_synthetic_slide(path, tissue=tissue, size_px=(side_px, side_px), mpp=0.25, downsamples=downsamples)
            compare(path, working_mpp=working_mpp, mpp=None, n_rounds=n_rounds)
    if not REAL.is_dir():
        print(f"\nreal slides: skipped, {REAL} is not there")
        return
    for name in NAMES[:1] if quick else NAMES:
        compare(REAL / name, working_mpp=2.0, mpp=None, n_rounds=n_rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: whether it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is timed")
    options = parser.parse_args()
    print_machine("torch", "numpy", "opencv-python-headless", "tifffile", "openslide-python", "glomseg")
    print_torch()
    main(quick=options.quick, n_rounds=1 if options.quick else options.rounds)
