"""glomseg benchmark."""

from typing import TYPE_CHECKING

from glomseg.cli.console import progress_bar, say, say_warning, show_table

if TYPE_CHECKING:
    from glomseg.steps.benchmark import BenchmarkResult


def benchmark(
    model: str,
    *images: str,
    size: int = 1024,
    n: int = 20,
    warmup: int = 3,
    mpp: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    engines: str | None = None,
) -> None:
    """Measure how fast a model is on this machine.

    Parameters
    ----------
    model
        A model file, a run folder, whose best model is taken, or box.
    images
        Files, folders or patterns to take in turn; none draws synthetic tissue.
    size
        Side of the synthetic tile in pixels.
    n
        Images to time.
    warmup
        Images before them that are not timed.
    mpp
        Micrometres per pixel of the images.
    device
        auto, cpu, cuda, cuda:1 or mps.
    precision
        auto, 32-true, bf16-mixed or 16-mixed.
    engines
        What to compare: torch,onnx,openvino, the first being what the others are compared with; by default all that are
        installed, or on a GPU PyTorch alone.
    """
    from glomseg.steps.benchmark import benchmark_model

    result = benchmark_model(
        model,
        images=images,
        size_px=size,
        n_images=n,
        n_warmup=warmup,
        mpp=mpp,
        device=device,
        precision=precision,
        engines=None if engines is None else [name.strip() for name in engines.split(",")],
        progress=progress_bar,
    )
    rows = [
        [name, f"{t.fps:.2f}", f"{1000 * t.median_s:.1f}", f"{1000 * t.low_s:.1f} to {1000 * t.high_s:.1f}", t.n_images]
        for name, t in (
            ("model alone (batch 1, as MMSegmentation times it)", result.model),
            ("end to end (read, resize, predict, write)", result.end_to_end),
        )
    ]
    show_table("speed", ["", "FPS", "median (ms)", "5 to 95 % (ms)", "images"], rows)
    if len(result.engines) > 1:
        _show_engines(result)
    for engine, reason in result.left_out.items():
        say_warning(f"{engine} left out: {reason}")
    height, width = result.working_size
    say(
        f"working size {width} x {height} px on {result.device} in {result.precision}; "
        f"peak memory {result.peak_memory_bytes / 2**20:,.0f} MB"
    )


def _show_engines(result: "BenchmarkResult") -> None:
    first, fastest = result.engines[0], result.fastest
    rows = [
        [
            item.engine,
            item.precision,
            f"{1000 * item.model.median_s:.1f}",
            "" if item is first else f"{item.ratio:.2f} ({item.ratio_low:.2f} to {item.ratio_high:.2f})",
        ]
        for item in result.engines
    ]
    head = ["engine", "precision", "median (ms)", f"times as fast as {first.engine} (5 to 95 %)"]
    show_table("the model alone, engines in turns", head, rows, n_left=2)
    if result.fastest_is_clear:
        say(f"fastest here: {fastest.engine}")
    else:
        say(f"fastest here: {fastest.engine}, but not by more than the times vary: try more images with --n")
