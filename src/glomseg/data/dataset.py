"""Opening a data set: pairs of images and masks, their classes and their groups."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg.data.groups import groups_by_pattern, groups_of_names
from glomseg.data.layout import Layout, find_files
from glomseg.errors import GlomsegError, InvalidInputError
from glomseg.images import LOSSY_FORMATS, image_header, read_mask_values
from glomseg.progress import Progress
from glomseg.types import GLOMERULUS, IGNORE_INDEX, Classes, Dataset, Sample

MAX_INFERRED_CLASSES = 16
"""More indices than this are not believed to be classes: they may be numbered objects."""


def open_dataset(
    root: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    mask_values: Sequence[int] | None = None,
    mpp: float | None = None,
    group_pattern: str | None = None,
    group_column: str | None = None,
    need_masks: bool = True,
) -> Dataset:
    """Return the tiles of a folder (or of a CSV of pairs), with their masks, classes and groups.

    No picture is decoded. Known layouts are ``images/`` and ``masks/`` (and other common names),
    ``<case>/img`` and ``<case>/mask``, nnU-Net's, and a CSV with the columns image and mask.

    Parameters
    ----------
    root
        The folder, or the CSV file.
    classes
        Names, background first; None takes those of nnU-Net's dataset.json, else background and glomerulus.
    mask_values
        For each class its value in the mask files; None where they hold class indices.
    mpp
        Micrometres per pixel of the tiles, where known.
    group_pattern
        Regular expression with one group, or a group named "group", searched in a tile's name. None
        takes the case folder of nested layouts, else what `groups_of_names` finds in the names.
    group_column
        Column that names the group: of the CSV of pairs, or of ``tiles.csv`` in the folder.
    need_masks
        Whether every image must have a mask.

    Raises
    ------
    MissingInputError
        If there is no such folder.
    InvalidInputError
        If there are no images, masks are missing, or the groups cannot be found.
    """
    root = Path(root)
    if mpp is not None and not 0.01 <= mpp <= 100:
        raise InvalidInputError(
            f"--mpp {mpp:g} is not a plausible number of micrometres per pixel (0.25 to 2 is usual)"
        )
    layout = find_files(root, group_column=group_column)
    if need_masks:
        _check_masks(root, layout)
    names = classes or layout.class_names
    found = GLOMERULUS if names is None else Classes.of(names)
    values = _checked_values(mask_values, found)
    taken = range(len(found)) if values is None else values
    groups, grouping = _groups(layout, group_pattern=group_pattern, group_column=group_column)
    return Dataset(
        root=root,
        samples=tuple(
            Sample(name=pair.name, image_path=pair.image, mask_path=pair.mask, group=groups[pair.name])
            for pair in layout.pairs
        ),
        classes=found,
        mask_values=values,
        ignore_value=None if layout.ignore_value in taken else layout.ignore_value,
        mpp=mpp,
        grouping=grouping,
    )


def infer_classes(dataset: Dataset, *, progress: Progress | None = None) -> Dataset:
    """Return the data set with one class for every index that its masks hold: background, class 1, class 2 and so on.

    Only masks that hold the indices 0 to n - 1, all of them and more than the two of the default, give other
    classes. Classes that were named stay; so does a data set whose masks hold other values (0 and 255,
    grey levels), for which the steps that read masks have their own words. Masks that cannot be read, or that
    are stored in a format that smears labels, tell nothing.

    Parameters
    ----------
    dataset
        As `open_dataset` gives it. Each mask is decoded once.
    progress
        Called as masks are read.
    """
    paths = [sample.mask_path for sample in dataset.samples if sample.mask_path is not None]
    if dataset.mask_values is not None or dataset.classes != GLOMERULUS or not paths:
        return dataset
    present = np.zeros(256, dtype=bool)
    with ThreadPoolExecutor() as pool:
        for done, values in enumerate(pool.map(_values_of, paths), start=1):
            present[values] = True
            if progress is not None:
                progress(done, len(paths))
    present[[IGNORE_INDEX, dataset.ignore_value or IGNORE_INDEX]] = False
    n_classes = int(np.count_nonzero(present))
    if not len(GLOMERULUS) < n_classes <= MAX_INFERRED_CLASSES or not present[:n_classes].all():
        return dataset
    return replace(dataset, classes=Classes.of(("background", *(f"class {index}" for index in range(1, n_classes)))))


def _values_of(path: Path) -> NDArray[np.intp]:
    """Return the values in a mask; none where it cannot be read or its format smears them."""
    try:
        if image_header(path, what="mask").file_format in LOSSY_FORMATS:
            return np.empty(0, np.intp)
        return np.flatnonzero(np.bincount(read_mask_values(path).ravel(), minlength=256))
    except GlomsegError:
        return np.empty(0, np.intp)


def _check_masks(root: Path, layout: Layout) -> None:
    without = layout.images_without_mask
    if len(without) == len(layout.pairs):
        raise InvalidInputError(
            f"data set {str(root)!r} has {len(without)} images but no masks; a mask has its image's name and lies in "
            "masks/ beside images/, or ends in _mask. `glomseg predict` needs none"
        )
    if without:
        raise InvalidInputError(
            f"{len(without)} of {len(layout.pairs)} images of {str(root)!r} have no mask, the first is "
            f"{without[0].name!r}; "
            "add an all-zero mask where there is truly no glomerulus, or take the image out. "
            f"`glomseg inspect {root}` lists them"
        )


def _checked_values(mask_values: Sequence[int] | None, classes: Classes) -> tuple[int, ...] | None:
    if mask_values is None:
        return None
    if len(mask_values) != len(classes):
        raise InvalidInputError(
            f"--mask-values {','.join(map(str, mask_values))} has {len(mask_values)} values for {len(classes)} classes "
            f"({', '.join(classes.names)})"
        )
    if len(set(mask_values)) < len(mask_values) or not all(0 <= value <= 255 for value in mask_values):
        raise InvalidInputError(f"--mask-values {','.join(map(str, mask_values))} must be different, from 0 to 255")
    return tuple(mask_values)


def _groups(layout: Layout, *, group_pattern: str | None, group_column: str | None) -> tuple[dict[str, str], str]:
    """Return the group of each name, and how it was found."""
    if group_pattern is not None:
        return groups_by_pattern((pair.name for pair in layout.pairs), group_pattern), f"pattern {group_pattern}"
    if any(pair.case is not None for pair in layout.pairs):
        source = f"column {group_column}" if group_column else "case folder" if layout.kind != "CSV" else "column group"
        return {pair.name: pair.case or pair.name for pair in layout.pairs}, source
    return groups_of_names([pair.name for pair in layout.pairs])
