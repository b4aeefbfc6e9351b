"""The page on a data set: its tiles with their masks, and everything that the inspection found."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from glomseg.data.findings import Finding, relative_names
from glomseg.data.survey import TileSurvey
from glomseg.data.tiles import read_tile, read_tile_image
from glomseg.errors import GlomsegError
from glomseg.progress import ProgressBars
from glomseg.report.dataset import DatasetContents, write_dataset_page
from glomseg.report.embedding import TilePicture, picture_side_px, tile_picture
from glomseg.types import Dataset

if TYPE_CHECKING:
    from glomseg.steps.inspect import Inspection

MAX_PICTURES = 400
"""Most tiles that a page shows."""


def write_inspection_page(
    path: str | os.PathLike[str],
    dataset: Dataset,
    inspection: "Inspection",
    *,
    surveys: Sequence[TileSurvey],
    seed: int,
    progress: ProgressBars,
) -> None:
    """Write one HTML file on a data set; of a large one the tiles with findings are shown, and others at random.

    Parameters
    ----------
    path
        The file.
    dataset, inspection, surveys
        The data set, and what was found in it.
    seed
        The same seed shows the same tiles.
    progress
        Where to report.
    """
    codes = _findings_of_tiles(dataset, inspection.findings)
    copies = {name for names in (*inspection.duplicates, *inspection.near_duplicates) for name in names}
    readable = [item for item in surveys if item.image.fault is None]
    order = np.random.default_rng(seed).permutation(len(readable)).tolist()
    order.sort(key=lambda index: readable[index].sample.name not in copies and readable[index].sample.name not in codes)
    chosen = [readable[index] for index in order[:MAX_PICTURES]]
    pictures = _pictures(dataset, chosen, progress=progress)
    n_hidden = len(surveys) - len(pictures)
    notes = [f"Listed without a picture: {n_hidden:,} of the {len(surveys):,} tiles."] if n_hidden else []
    contents = DatasetContents(
        name=dataset.root.resolve().name,
        classes=dataset.classes,
        mpp=dataset.mpp,
        tiles=inspection.tiles,
        groups=inspection.groups,
        class_summaries=inspection.classes,
        objects=inspection.objects,
        overview=tuple(_overview(dataset, inspection)),
        findings=inspection.findings,
        findings_of_tiles=codes,
        duplicates=inspection.duplicates,
        near_duplicates=inspection.near_duplicates,
    )
    write_dataset_page(
        path,
        contents,
        key=hashlib.sha256("".join(item.image.digest for item in surveys).encode()).hexdigest()[:16],
        pictures=pictures,
        notes=notes,
    )


def _pictures(dataset: Dataset, surveys: Sequence[TileSurvey], *, progress: ProgressBars) -> dict[str, TilePicture]:
    side_px = picture_side_px(len(surveys))

    def shown(item: TileSurvey) -> TilePicture | None:
        try:
            if item.is_sound:
                image, mask = read_tile(dataset, item.sample)
                return tile_picture(image, [mask], side_px=side_px)
            return tile_picture(read_tile_image(dataset, item.sample), [], side_px=side_px)
        except GlomsegError:  # changed since it was looked at; listed without a picture
            return None

    pictures: dict[str, TilePicture] = {}
    with progress("shrinking tiles", unit="tile") as bar, ThreadPoolExecutor() as pool:
        for done, (item, picture) in enumerate(zip(surveys, pool.map(shown, surveys), strict=True), start=1):
            if picture is not None:
                pictures[item.sample.name] = picture
            bar(done, len(surveys))
    return pictures


def _findings_of_tiles(dataset: Dataset, findings: Sequence[Finding]) -> Mapping[str, list[str]]:
    """Return for each tile that a finding names a file of the codes of these findings."""
    tile_of: dict[str, str] = {}
    for sample in dataset.samples:
        paths = [path for path in (sample.image_path, sample.mask_path) if path is not None]
        tile_of.update(dict.fromkeys(relative_names(paths, dataset.root), sample.name))
    codes: dict[str, list[str]] = {}
    for finding in findings:
        for name in dict.fromkeys(tile_of[file] for file in finding.files if file in tile_of):
            codes.setdefault(name, []).append(finding.code)
    return codes


def _overview(dataset: Dataset, inspection: "Inspection") -> list[tuple[str, str]]:
    sizes = [f"{width} x {height} ({count})" for width, height, count in inspection.image_sizes]
    values = [str(value) for value in inspection.mask_value_pixels]
    lines = {
        "folder": str(dataset.root),
        "images": f"{inspection.n_images:,}",
        "masks": f"{inspection.n_masks:,}",
        "groups": inspection.grouping,
        "µm per pixel": "-" if dataset.mpp is None else f"{dataset.mpp:g}",
        "sizes in pixels": ", ".join(sizes[:12]) + (f" and {len(sizes) - 12} more" if len(sizes) > 12 else ""),
        "image kinds": ", ".join(f"{mode} ({count})" for mode, count in inspection.image_modes.items()),
        "values in the masks": ", ".join(values[:20]) + (f" and {len(values) - 20} more" if len(values) > 20 else ""),
    }
    return [(word, value or "-") for word, value in lines.items()]
