"""glomseg benchmark."""

from glomseg.cli.console import progress_bar, say, show_table


def benchmark(
    model: str,
    *images: str,
    size: int = 1024,
    n: int = 20,
    warmup: int = 3,
    mpp: float | None = None,
    device: str = "auto",
    precision: str = "auto",
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
    height, width = result.working_size
    say(
        f"working size {width} x {height} px on {result.device} in {result.precision}; "
        f"peak memory {result.peak_memory_bytes / 2**20:,.0f} MB"
    )
