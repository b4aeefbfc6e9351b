"""The command `glomseg synth`."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say


def synth(
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    *,
    slides: int = 12,
    tiles: int = 16,
    size: int = 512,
    mpp: float = 1.0,
    foreground_share: float = 0.3,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Draw a synthetic kidney data set to try things on.

    It looks like PAS-stained cortex, its masks are exact, and every slide has its own stain and blur. A
    run that was cut off goes on when the same command is given again.

    Parameters
    ----------
    out
        Folder to write: new, empty, or begun by the same command.
    slides
        Number of slides; they are the groups that a split keeps together.
    tiles
        Number of tiles a slide.
    size
        Height and width of a tile in pixels.
    mpp
        Micrometres per pixel.
    foreground_share
        Share of the tiles that show a glomerulus, 0 to 1.
    seed
        The same seed and settings draw the same bytes.
    workers
        Number of processes; by default one a processor core, at most 4.
    """
    from glomseg.data.synthetic import write_synthetic_dataset

    with progress_bar("drawing tiles", unit="tile") as advance:
        folder = write_synthetic_dataset(
            out,
            n_slides=slides,
            tiles_per_slide=tiles,
            size_px=size,
            mpp=mpp,
            foreground_share=foreground_share,
            seed=seed,
            workers=workers,
            progress=lambda done, total: advance(done, total, ""),
        )
    say(
        f"{slides * tiles} tiles of {size} x {size} pixels at {mpp:g} um per pixel, {tiles} a slide: {folder}",
        f"next: glomseg inspect {shlex.quote(str(folder))}",
    )
