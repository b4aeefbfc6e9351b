"""How much memory a slide of 100,000 x 100,000 pixels needs beyond the model, all of it tissue.

It takes some minutes: a thousand windows are predicted. ``tests/inference/test_slide_memory.py`` does the same with a
slide that is mostly glass.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from glomseg.data.synthetic.slide import write_synthetic_slide
from glomseg.inference.loading import load_predictor
from glomseg.steps.predict_slides import SlideSettings, predict_slides
from slides import random_model
from timing import print_machine, print_torch

SIDE_PX, MPP, WORKING_MPP = 100_000, 0.25, 2.0


def peak_mb() -> int:
    """Return the largest resident size that the process had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(*, side_px: int) -> None:
    with tempfile.TemporaryDirectory(prefix="glomseg-benchmark-") as folder:
        slide, model = Path(folder) / "tissue.tif", Path(folder) / "model.safetensors"
        n_cells = -(-side_px // (512 * 16))
        write_synthetic_slide(slide, tissue=np.ones((n_cells, n_cells), np.bool_), size_px=(side_px, side_px), mpp=MPP)
        random_model(model, working_mpp=WORKING_MPP)
        load_predictor(model, device="cpu").predict(np.zeros((512, 512, 3), np.uint8))
        with_model_mb, start = peak_mb(), time.perf_counter()
        settings = SlideSettings(probabilities=True)
        result = predict_slides(model, [slide], out=Path(folder) / "out", settings=settings, device="cpu")
        record = result.slides[0].record
        print(
            f"{side_px:,} x {side_px:,} pixels, {record['working']['n_windows']:,} windows, "
            f"{record['summary'][-1]['n_objects']:,} objects, {time.perf_counter() - start:.0f} s: "
            f"{peak_mb() - with_model_mb:,} MB beyond the {with_model_mb:,} MB with the model alone"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=SIDE_PX, help="side of the slide in pixels")
    options = parser.parse_args()
    print_machine("torch", "numpy", "tifffile", "glomseg")
    print_torch()
    main(side_px=options.side)
