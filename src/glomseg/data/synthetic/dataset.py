"""Writing a synthetic data set: slides as groups, most tiles without a glomerulus."""

import contextlib
import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glomseg.data.synthetic.look import draw_slide_look
from glomseg.data.synthetic.tile import check_tile_settings, draw_glomerulus_count, draw_tile
from glomseg.errors import InvalidInputError, OutputError
from glomseg.files import make_folder, output_error, read_json, write_csv, write_json, write_text
from glomseg.images import read_mask_values, write_png

GENERATOR_VERSION = 2
"""Raised whenever the same seed gives other pictures."""

_SETTINGS_FILE = "synthetic.json"
_COLUMNS = ("file", "slide", "mpp", "n_glomeruli", "foreground_share")
_PLAN, _SLIDE, _TILE = range(3)  # keep the random streams of one seed apart

_README = """Synthetic PAS-stained kidney cortex, drawn by glomseg (generator version {generator_version}).

seed              {seed}
slides            {n_slides}, each with its own stain and scanner
tiles             {tiles_per_slide} a slide, {size_px} x {size_px} pixels, {mpp:g} um per pixel
with a glomerulus {foreground_share:g} of the tiles

images/  8-bit RGB PNG, named SYN_<slide>_<tile>.png
masks/   the truth under the same names: 0 background, 1 glomerulus (Bowman's capsule and all it holds)
tiles.csv  one row a tile; n_glomeruli counts those that show at least in part

No patient is shown here: everything is computed. Good for trying out software and for tests; a model
trained on it knows nothing about real tissue.

Licence: CC0 1.0 (public domain), https://creativecommons.org/publicdomain/zero/1.0/
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """All that decides what is drawn; recorded in the folder, so that a later call can continue it."""

    generator_version: int
    seed: int
    n_slides: int
    tiles_per_slide: int
    size_px: int
    mpp: float
    foreground_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    name: str
    slide: int
    tile: int
    n_glomeruli: int


def write_synthetic_dataset(
    out: str | os.PathLike[str],
    *,
    n_slides: int = 12,
    tiles_per_slide: int = 16,
    size_px: int = 512,
    mpp: float = 1.0,
    foreground_share: float = 0.3,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a synthetic data set to a folder and return that folder.

    `out` gets ``images/SYN_S01_T01.png`` and so on, ``masks/`` with the truth under the same names (0
    background, 1 glomerulus), ``tiles.csv``, ``README.txt``, and the settings in ``synthetic.json``. The
    same settings give the same bytes, with any number of workers. A call that was cut off leaves no half
    file; called again with the same settings it draws what is missing.

    Parameters
    ----------
    out
        A new or empty folder, or one that an earlier call with the same settings began.
    n_slides, tiles_per_slide
        How many slides, each with its own stain and scanner, and how many tiles of each.
    size_px, mpp
        Height and width of a tile in pixels, and micrometres per pixel.
    foreground_share
        Share of the tiles, 0 to 1, that show a glomerulus; met exactly, to the nearest tile.
    seed
        Not negative.
    workers
        Processes; None takes one a processor core, at most 4. A script that asks for more than one needs
        ``if __name__ == "__main__":`` around its own code, since each process imports the script again.
    progress
        Called as ``progress(done, total)`` after each tile.

    Raises
    ------
    InvalidInputError
        If a setting is out of range, or the folder holds a synthetic data set with other settings.
    OutputError
        If the folder holds something else, or cannot be written.
    """
    out = Path(out)
    settings = _Settings(
        generator_version=GENERATOR_VERSION,
        seed=seed,
        n_slides=n_slides,
        tiles_per_slide=tiles_per_slide,
        size_px=size_px,
        mpp=float(mpp),
        foreground_share=float(foreground_share),
    )
    _check(settings, workers=workers)
    _claim_folder(out, settings)
    tiles = _plan_tiles(settings)
    missing = [tile for tile in tiles if not all(path.is_file() for path in _paths(out, tile))]
    done = len(tiles) - len(missing)
    for _ in _drawn(missing, out, settings, n_workers=min(workers or _default_workers(), len(missing))):
        done += 1
        if progress is not None:
            progress(done, len(tiles))
    write_csv(out / "tiles.csv", [_row(out, tile, settings) for tile in tiles], columns=_COLUMNS)
    return out


def _check(settings: _Settings, *, workers: int | None) -> None:
    check_tile_settings(size_px=settings.size_px, mpp=settings.mpp, n_glomeruli=None)
    for name, value, least in (
        ("the number of slides", settings.n_slides, 1),
        ("the number of tiles of a slide", settings.tiles_per_slide, 1),
        ("the seed", settings.seed, 0),
        ("the number of workers", 1 if workers is None else workers, 1),
    ):
        if value < least:
            raise InvalidInputError(f"{name} is {value}; it must be {least} or more")
    if not 0 <= settings.foreground_share <= 1:
        raise InvalidInputError(
            f"the share of tiles with a glomerulus is {settings.foreground_share:g}; give a share from 0 to 1, "
            "for example 0.3 for 30 %"
        )


def _claim_folder(out: Path, settings: _Settings) -> None:
    """Record the settings in a new folder, or make sure that the folder holds the same ones."""
    make_folder(out)
    try:
        content = [path.name for path in out.iterdir() if not path.name.startswith(".glomseg-")]
    except OSError as error:
        raise output_error(out, error) from error
    wanted = asdict(settings)
    if _SETTINGS_FILE in content:
        _check_same(
            out, recorded=read_json(out / _SETTINGS_FILE, what="settings of a synthetic data set"), wanted=wanted
        )
        _remove_leftovers(out)
    elif content:
        raise OutputError(
            f"the folder {str(out)!r} is not empty and holds no synthetic data set (it has {sorted(content)[0]!r}, "
            f"but no {_SETTINGS_FILE!r}); nothing was written: choose a new folder"
        )
    else:
        write_json(out / _SETTINGS_FILE, wanted)
    write_text(out / "README.txt", _README.format(**wanted))


def _check_same(out: Path, *, recorded: Any, wanted: dict[str, Any]) -> None:
    found = recorded if isinstance(recorded, dict) else {}
    differing = [
        f"{name} {found.get(name)} there, {value} asked" for name, value in wanted.items() if found.get(name) != value
    ]
    if differing:
        raise InvalidInputError(
            f"the folder {str(out)!r} holds a synthetic data set with other settings ({'; '.join(differing)}); "
            "to continue it give the same settings, else choose a new folder"
        )


def _remove_leftovers(out: Path) -> None:
    """Remove the temporary files of a call that was killed."""
    for folder in (out, out / "images", out / "masks"):
        for leftover in folder.glob(".glomseg-*"):
            with contextlib.suppress(OSError):
                leftover.unlink()


def _plan_tiles(settings: _Settings) -> list[_Tile]:
    """Return all tiles; those with a glomerulus are spread evenly over the slides."""
    rng = np.random.default_rng((settings.seed, _PLAN))
    n_total = settings.n_slides * settings.tiles_per_slide
    n_foreground = math.floor(settings.foreground_share * n_total + 0.5)
    quota = np.full(settings.n_slides, n_foreground // settings.n_slides)
    quota[rng.permutation(settings.n_slides)[: n_foreground % settings.n_slides]] += 1
    extent_um = settings.size_px * settings.mpp
    digits = max(2, len(str(max(settings.n_slides, settings.tiles_per_slide))))
    tiles = []
    for slide in range(settings.n_slides):
        foreground = set(rng.permutation(settings.tiles_per_slide)[: quota[slide]].tolist())
        for tile in range(settings.tiles_per_slide):
            n_glomeruli = draw_glomerulus_count(rng, extent_um=extent_um) if tile in foreground else 0
            name = f"SYN_S{slide + 1:0{digits}d}_T{tile + 1:0{digits}d}.png"
            tiles.append(_Tile(name=name, slide=slide, tile=tile, n_glomeruli=n_glomeruli))
    return tiles


def _paths(out: Path, tile: _Tile) -> tuple[Path, Path]:
    return out / "images" / tile.name, out / "masks" / tile.name


def _default_workers() -> int:
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(n_cores, 4)


def _drawn(tiles: Sequence[_Tile], out: Path, settings: _Settings, *, n_workers: int) -> Iterator[None]:
    """Draw and write tiles, and yield after each."""
    if n_workers <= 1:
        for tile in tiles:
            _write_tile(tile, out, settings)
            yield
        return
    context = multiprocessing.get_context("spawn")  # safe beside the threads of the caller
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        jobs = [pool.submit(_write_tile, tile, out, settings) for tile in tiles]
        try:
            for job in as_completed(jobs):
                job.result()  # raises what the worker raised
                yield
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _write_tile(tile: _Tile, out: Path, settings: _Settings) -> None:
    image, mask = draw_tile(
        seed=(settings.seed, _TILE, tile.slide, tile.tile),
        size_px=settings.size_px,
        mpp=settings.mpp,
        n_glomeruli=tile.n_glomeruli,
        slide=draw_slide_look((settings.seed, _SLIDE, tile.slide)),
    )
    image_path, mask_path = _paths(out, tile)
    write_png(image_path, image)
    write_png(mask_path, mask)


def _row(out: Path, tile: _Tile, settings: _Settings) -> dict[str, object]:
    mask = read_mask_values(_paths(out, tile)[1])
    return {
        "file": tile.name,
        "slide": tile.name.rsplit("_", 1)[0],
        "mpp": f"{settings.mpp:g}",
        "n_glomeruli": tile.n_glomeruli,
        "foreground_share": f"{float((mask == 1).mean()):.5f}",
    }
