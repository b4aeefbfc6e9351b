"""One slide in glomseg, in TIAToolbox and in WSInfer: the same network, scale, windows and overlap, in turns.

Every side runs the network as glomseg prepares it, so what differs is all the rest: finding the windows, reading,
preparing, blending and writing. The slide is tissue all over and its windows fit it exactly, so that all
predict the same ones. TIAToolbox gives a mask; glomseg also objects, their outlines and a picture; WSInfer is made for
classes of patches, so of it only finding and reading the windows and running the network is measured.
"""

import argparse
import contextlib
import io
import multiprocessing
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import slides_absent  # noqa: E402

from glomseg.data.synthetic.slide import write_synthetic_slide  # noqa: E402
from glomseg.inference.loading import load_predictor  # noqa: E402
from glomseg.inference.predictor import Predictor  # noqa: E402
from glomseg.inference.slide import window_probabilities  # noqa: E402
from glomseg.steps.predict_slides import SlideSettings, predict_slides  # noqa: E402
from slides import random_model  # noqa: E402
from timing import print_machine, print_torch, ratio, spread, take_turns_apart  # noqa: E402

WINDOW_PX, STRIDE_PX, WORKING_MPP, MPP = 512, 384, 2.0, 0.25
N_WORKERS = 2
MASK_STAGES = ("open", "wait", "prepare", "model", "blend", "save")
Case = Callable[[], object]


def glomseg_side(model: Path, slide: Path, out: Path) -> Case:
    """Return a call that predicts the slide from file to files and gives the seconds that its masks took so far."""
    mask_s: list[float] = []

    def predict() -> object:
        shutil.rmtree(out, ignore_errors=True)
        settings = SlideSettings(tissue_only=False, n_threads=N_WORKERS)
        result = predict_slides(model, [slide], out=out, settings=settings, device="cpu")
        seconds = result.slides[0].record["seconds"]
        mask_s.append(sum(seconds.get(stage, 0.0) for stage in MASK_STAGES))
        return mask_s

    return predict


def network_side(model: Path, n_windows: int) -> Case:
    """Return a call that runs the network alone on as many windows."""
    predictor = load_predictor(model, device="cpu")
    window = np.random.default_rng(0).integers(0, 256, (WINDOW_PX, WINDOW_PX, 3), dtype=np.uint8)
    batch = predictor.prepare([window])

    def predict() -> None:
        with torch.inference_mode():
            for _ in range(n_windows):
                window_probabilities(predictor, batch)

    return predict


def probabilities_of(predictor: Predictor, batch: torch.Tensor) -> NDArray[np.float32]:
    """Return (B, h, w, C) probabilities of (B, h, w, 3) uint8 windows."""
    with torch.inference_mode():
        prepared = predictor.prepare([window.numpy() for window in batch])
        return window_probabilities(predictor, prepared).permute(0, 2, 3, 1).contiguous().numpy()


def begin_peer() -> None:
    """Let the peers be imported, and their loaders' workers be forked as on Linux they are."""
    slides_absent.stand_in()
    multiprocessing.set_start_method("fork", force=True)


def tiatoolbox_side(model: Path, slide: Path, out: Path, n_workers: int) -> Case:
    """Return a call that predicts the slide with TIAToolbox's SemanticSegmentor and gives where the mask is."""
    begin_peer()
    from tiatoolbox import rcParam
    from tiatoolbox.models.engine.io_config import IOSegmentorConfig
    from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
    from tiatoolbox.models.models_abc import ModelABC

    rcParam["torch_compile_mode"] = "disable"
    predictor = load_predictor(model, device="cpu")
    n_windows = 0

    class Wrapped(ModelABC):
        def forward(self, *args: Any, **options: Any) -> Any:
            raise NotImplementedError

        @staticmethod
        def infer_batch(model: Any, batch_data: torch.Tensor, *, device: str) -> NDArray[np.float32]:
            nonlocal n_windows
            n_windows += len(batch_data)
            return probabilities_of(predictor, batch_data)

        @staticmethod
        def postproc(image: Any) -> Any:
            return image.argmax(-1)

    engine = SemanticSegmentor(model=Wrapped(), batch_size=1, num_workers=n_workers, device="cpu", verbose=False)
    scale = [{"units": "mpp", "resolution": WORKING_MPP}]
    config = IOSegmentorConfig(
        input_resolutions=scale,
        output_resolutions=scale,
        patch_input_shape=(WINDOW_PX, WINDOW_PX),
        patch_output_shape=(WINDOW_PX, WINDOW_PX),
        stride_shape=(STRIDE_PX, STRIDE_PX),
        save_resolution=scale[0],
    )

    def predict() -> object:
        nonlocal n_windows
        n_windows = 0
        shutil.rmtree(out, ignore_errors=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            written = engine.run(
                [slide],
                patch_mode=False,
                ioconfig=config,
                save_dir=out,
                output_type="zarr",
                auto_get_mask=False,
                overwrite=True,
            )
        (path,) = written.values()
        return {"mask": str(path), "n_windows": n_windows}

    return predict


def wsinfer_side(model: Path, slide: Path, out: Path, n_workers: int) -> Case:
    """Return a call that finds WSInfer's patches, reads them as it does and runs the network; gives their number."""
    begin_peer()
    import zarr
    from PIL import Image

    zarr.storage.KVStore = type(
        "KVStore", (), {}
    )  # of zarr 2, patched on import for TiffSlide; TIAToolbox wants zarr 3
    from wsinfer.modellib.data import WholeSlideImagePatches
    from wsinfer.patchlib import segment_and_patch_directory_of_slides
    from wsinfer.wsi import set_backend

    set_backend("openslide")
    predictor = load_predictor(model, device="cpu")

    def shrunk(patch: Image.Image) -> torch.Tensor:  # as its transform "Resize" does
        return torch.from_numpy(np.array(patch.resize((WINDOW_PX, WINDOW_PX), Image.Resampling.BILINEAR)))

    def predict() -> object:
        shutil.rmtree(out, ignore_errors=True)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            segment_and_patch_directory_of_slides(
                slide.parent, out, WINDOW_PX, WORKING_MPP, overlap=1 - STRIDE_PX / WINDOW_PX
            )
        patches = WholeSlideImagePatches(slide, out / "patches" / f"{slide.stem}.h5", transform=shrunk)
        patches.worker_init()
        loader = torch.utils.data.DataLoader(
            patches, batch_size=1, num_workers=n_workers, worker_init_fn=patches.worker_init
        )
        for windows, _ in loader:
            probabilities_of(predictor, windows)
        return {"n_windows": len(patches)}

    return predict


def works(builder: Callable[[], Case]) -> str:
    """Return why a side cannot be set up, or nothing."""
    try:
        builder()
    except Exception as error:  # whatever a package of others raises
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return ""


def main(*, quick: bool, n_rounds: int) -> None:
    n_across = 2 if quick else 4
    side_px = round((WINDOW_PX + (n_across - 1) * STRIDE_PX) * WORKING_MPP / MPP)
    with tempfile.TemporaryDirectory(prefix="glomseg-peers-") as name:
        folder = Path(name)
        (folder / "slides").mkdir()
        slide = folder / "slides" / "synthetic.tif"
        n_cells = -(-side_px // (512 * 16))
        write_synthetic_slide(slide, tissue=np.ones((n_cells, n_cells), np.bool_), size_px=(side_px, side_px), mpp=MPP)
        model = random_model(folder / "model.safetensors", working_mpp=WORKING_MPP)
        builders: dict[str, Callable[[], Case]] = {
            "glomseg": partial(glomseg_side, model, slide, folder / "ours"),
            "network alone": partial(network_side, model, n_across**2),
            "TIAToolbox": partial(tiatoolbox_side, model, slide, folder / "tia", 0),
            "TIAToolbox, 2 workers": partial(tiatoolbox_side, model, slide, folder / "tia-2", N_WORKERS),
            "WSInfer": partial(wsinfer_side, model, slide, folder / "wsinfer", 0),
            "WSInfer, 2 workers": partial(wsinfer_side, model, slide, folder / "wsinfer-2", N_WORKERS),
        }
        for side in list(builders)[2:]:  # the peers
            if reason := works(builders[side]):
                print(f"{side}: left out, {reason}")
                del builders[side]
        seconds, results = take_turns_apart(builders, n_rounds=n_rounds)
        print(f"\n{side_px} x {side_px} pixels at {MPP} um, worked on at {WORKING_MPP} um: {n_across**2} windows of")
        print(f"{WINDOW_PX} pixels, {WINDOW_PX - STRIDE_PX} shared; {n_rounds} rounds")
        report(seconds, results, folder=folder, n_windows=n_across**2)


def report(seconds: dict[str, list[float]], results: dict[str, Any], *, folder: Path, n_windows: int) -> None:
    """Print the ratio of every side to the network alone and to glomseg, and how far the masks agree."""
    for side, values in seconds.items():
        n = n_windows if side in ("glomseg", "network alone") else results[side]["n_windows"]
        print(f"  {side:<24}{spread(values)} for {n} windows, ratio to the network alone: ", end="")
        print(ratio(values, seconds["network alone"]))
    mask_s = results["glomseg"][-len(seconds["glomseg"]) :]
    print(f"  glomseg, the mask alone: {spread(mask_s)}, ratio to the network alone: ", end="")
    print(ratio(mask_s, seconds["network alone"]))
    for side in seconds:
        if side not in ("glomseg", "network alone"):
            print(f"  ratio: glomseg is {ratio(seconds[side], seconds['glomseg'])} as fast as {side}, ", end="")
            print(f"its mask alone {ratio(seconds[side], mask_s)}")
    ours = read_mask(folder / "ours" / "synthetic" / "mask.tif")
    for side in seconds:
        if side.startswith("TIAToolbox"):
            print_agreement(ours, tiatoolbox_mask(results[side]["mask"]), side=side)


def print_agreement(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], *, side: str) -> None:
    """Print how many pixels have the same class: of all, and of those that only one window covers."""
    if ours.shape != theirs.shape:
        print(f"  the mask of {side} has {theirs.shape} pixels, that of glomseg {ours.shape}")
        return
    rows, columns = (np.arange(side_px) for side_px in ours.shape)
    shared_px = WINDOW_PX - STRIDE_PX
    alone = [(place % STRIDE_PX >= shared_px) & (place < len(place) - shared_px) for place in (rows, columns)]
    same = ours == theirs
    print(
        f"  glomseg and {side} give {100 * same.mean():.2f} % of the pixels the same class, where only one window ",
        end="",
    )
    print(f"looks {100 * same[np.ix_(*alone)].mean():.2f} %; foreground {100 * (ours > 0).mean():.2f} and ", end="")
    print(f"{100 * (theirs > 0).mean():.2f} %")


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Return the values of a mask's finest level."""
    import tifffile

    return np.asarray(tifffile.imread(path, level=0), np.uint8)


def tiatoolbox_mask(path: str) -> NDArray[np.uint8]:
    """Return the class of every pixel from the Zarr group that TIAToolbox wrote."""
    import zarr

    return np.asarray(zarr.open(path, mode="r")["predictions"]).squeeze().astype(np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four windows, once: whether it runs, not how fast")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is timed")
    options = parser.parse_args()
    print_machine("torch", "glomseg", "tiatoolbox", "wsinfer", "openslide-python")
    print_torch()
    main(quick=options.quick, n_rounds=1 if options.quick else options.rounds)
