"""What is wrong with what masks say: values of no class, nothing marked, specks."""

from collections.abc import Iterator, Sequence

import numpy as np

from glomseg.data.findings import Finding, counted, relative_names
from glomseg.data.statistics import holds_only_ignored
from glomseg.data.survey import MaskSurvey, TileSurvey, statistics_of
from glomseg.images import LOSSY_FORMATS
from glomseg.types import IGNORE_INDEX, Dataset

SPECK_SHARE = 0.01
"""A speck is smaller than this share of the size of object that half of the class's pixels lie in."""

_MAX_CLASSES = 32  # more distinct values are no classes


def check_labels(dataset: Dataset, surveys: Sequence[TileSurvey]) -> Iterator[Finding]:
    """Yield what is wrong with the values of the masks that can be read."""
    masks = [item.mask for item in surveys if item.mask is not None and item.mask.fault is None]
    statistics = statistics_of(surveys)
    strange = [item for item in masks if item.unknown_values and not _is_lossy(item)]
    if strange:
        yield _unknown_values(dataset, masks, strange)
    holding_255 = [item for item in masks if IGNORE_INDEX in dict(item.value_pixels)]
    if holds_only_ignored(statistics) and holding_255:
        yield _zero_and_255(dataset, holding_255)
    elif statistics and not any(item.foreground_pixels for item in statistics):
        if not strange:
            yield Finding(
                code="no-foreground",
                severity="error",
                message=f"none of the {counted(len(statistics), 'mask')} has a pixel of "
                f"{', '.join(dataset.classes.names[1:])}: there is nothing to learn or to measure",
                files=relative_names((item.path for item in masks), dataset.root),
                fix="draw the masks, or check that the right folder was exported",
            )
    elif not strange:
        yield from _absent_classes(dataset, surveys)
    yield from _specks(dataset, surveys)


def _is_lossy(mask: MaskSurvey) -> bool:
    return mask.header is not None and mask.header.file_format in LOSSY_FORMATS


def _zero_and_255(dataset: Dataset, holding: Sequence[MaskSurvey]) -> Finding:
    renamed = "" if len(dataset.classes) == 2 else " --classes background,glomerulus"
    return Finding(
        code="mask-0-255",
        severity="error",
        message="the masks hold only 0 and 255, and 255 means 'ignored': nothing is marked as "
        f"{', '.join(dataset.classes.names[1:])}",
        files=relative_names((item.path for item in holding), dataset.root),
        fix=f"--mask-values 0,255{renamed}",
    )


def _unknown_values(dataset: Dataset, masks: Sequence[MaskSurvey], strange: Sequence[MaskSurvey]) -> Finding:
    names = dataset.classes.names
    known = range(len(names)) if dataset.mask_values is None else dataset.mask_values
    unknown = sorted({value for item in strange for value in item.unknown_values})
    present = sorted({value for item in masks if not _is_lossy(item) for value, _ in item.value_pixels})
    shown = ", ".join(map(str, unknown[:8])) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
    return Finding(
        code="unknown-labels",
        severity="error",
        message=f"{counted(len(strange), 'mask')} {'holds' if len(strange) == 1 else 'hold'} the values {shown}, which "
        f"stand for no class: {', '.join(names)} are {', '.join(map(str, known))}",
        files=relative_names((item.path for item in strange), dataset.root),
        fix=_options_for(present, dataset),
    )


def _options_for(present: Sequence[int], dataset: Dataset) -> str:
    """Return the options under which all values that are present stand for a class."""
    if len(present) > _MAX_CLASSES:
        return (
            f"the masks hold {len(present)} different values, so they are grey levels or numbered objects: "
            "export class indices (0, 1, ...)"
        )
    indices = [value for value in present if value != IGNORE_INDEX]
    highest = max(indices, default=0)
    if highest < 2 * max(len(indices), 2):  # small numbers, perhaps with a gap: class indices as they are
        n_classes, options = highest + 1, []
    else:
        n_classes, options = len(present), [f"--mask-values {','.join(map(str, present))}"]
    if n_classes != len(dataset.classes):
        names = [*dataset.classes.names, *(f"class_{index}" for index in range(len(dataset.classes), n_classes))]
        options.append(f"--classes {','.join(names[:n_classes])}")
    return " ".join(options) or "leave --mask-values out: the files hold class indices"


def _absent_classes(dataset: Dataset, surveys: Sequence[TileSurvey]) -> Iterator[Finding]:
    counts = np.array([item.class_pixels for item in statistics_of(surveys)]).reshape(-1, len(dataset.classes))
    absent = [name for name, total in zip(dataset.classes.names, counts.sum(axis=0), strict=True) if total == 0]
    if absent and len(counts):
        yield Finding(
            code="absent-class",
            severity="warning",
            message=f"no mask has a pixel of {', '.join(absent)}",
            files=(),
            fix=f"--classes {','.join(name for name in dataset.classes.names if name not in absent)}"
            if absent == list(dataset.classes.names[-len(absent) :]) and len(dataset.classes) - len(absent) > 1
            else "check --classes and --mask-values",
        )


def _specks(dataset: Dataset, surveys: Sequence[TileSurvey]) -> Iterator[Finding]:
    for class_index, name in list(enumerate(dataset.classes.names))[1:]:
        threshold = speck_threshold_px(surveys, class_index=class_index)
        found = {
            item.sample.name: (item.mask.path, n_specks)
            for item in surveys
            if item.mask is not None
            and (
                n_specks := sum(
                    piece.class_index == class_index and piece.area_px < threshold and not piece.touches_border
                    for piece in item.mask.objects
                )
            )
        }
        if found:
            total, first = sum(n for _, n in found.values()), next(iter(found))
            yield Finding(
                code="specks",
                severity="warning",
                message=f"{counted(total, 'speck')} of {name} on {counted(len(found), 'mask')}: pieces below "
                f"{threshold:.3g} px, {SPECK_SHARE:.0%} of the size of object that half of the {name} lies in; they "
                "count as objects of their own",
                files=relative_names((path for path, _ in found.values()), dataset.root),
                fix=f"erase them in the annotation; look at a tile with --tile {first}",
            )


def speck_threshold_px(surveys: Sequence[TileSurvey], *, class_index: int) -> float:
    """Return the area below which a piece of a class is a speck.

    It is `SPECK_SHARE` of the area such that half of the class's pixels lie in objects at least that
    large; unlike the median object, that size does not sink with the number of specks.
    """
    areas = np.sort(
        [
            piece.area_px
            for item in surveys
            if item.mask is not None
            for piece in item.mask.objects
            if piece.class_index == class_index
        ]
    )[::-1]
    if not areas.size:
        return 0.0
    half = int(np.searchsorted(areas.cumsum(), areas.sum() / 2))
    return SPECK_SHARE * float(areas[half])
