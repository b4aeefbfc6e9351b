"""glomseg measure."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say, say_warning, show_table
from glomseg.data.findings import counted

if TYPE_CHECKING:
    from glomseg.measure import SlideSummary

_MAX_ROWS = 20


def measure(
    *masks: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("measurements"),
    mpp: float | None = None,
    downsample: float = 1.0,
    classes: str | None = None,
    mask_values: str | None = None,
    min_diameter: float = 50.0,
    min_diameter_px: float = 8.0,
    max_hole_ratio: float = 1.0,
    max_neck_ratio: float = 0.8,
    object_type: Literal["annotation", "detection"] = "annotation",
    locked: bool = False,
) -> int:
    """Measure every glomerulus of mask pictures: a table, and files that QuPath opens.

    Goes on past a file that cannot be read, names it at the end and exits with 1.

    Parameters
    ----------
    masks
        Files, folders or patterns such as "masks/*.png".
    out
        Folder for objects.csv and geojson/.
    mpp
        Micrometres per pixel of the slide's full resolution; without it nothing is given in micrometres.
    downsample
        Pixels of full resolution per pixel of the masks.
    classes
        Class names, background first; the default is background,glomerulus.
    mask_values
        For each class its value in the masks: 0,255. The default is 0,1,2 and so on.
    min_diameter
        Drop objects smaller than a circle of so many micrometres.
    min_diameter_px
        The same in pixels of the masks, where --mpp is not given.
    max_hole_ratio
        Fill holes, the smallest first, of together at most so many times the area around them; 0 fills none.
    max_neck_ratio
        Part objects where the neck between them has at most this share of their width; 0 parts none.
    object_type
        annotation (can be edited in QuPath) or detection (for thousands of objects).
    locked
        Keep annotations from being moved by accident.
    """
    from glomseg.cli.options import class_names, whole_numbers
    from glomseg.measure import ObjectSettings
    from glomseg.steps.measure import measure_masks
    from glomseg.types import GLOMERULUS, Classes

    result = measure_masks(
        masks,
        out=out,
        classes=GLOMERULUS if classes is None else Classes.of(class_names(classes)),
        mask_values=None if mask_values is None else whole_numbers(mask_values),
        mpp=mpp,
        downsample=downsample,
        settings=ObjectSettings(
            min_diameter_um=min_diameter,
            min_diameter_px=min_diameter_px,
            max_hole_ratio=max_hole_ratio,
            max_neck_ratio=max_neck_ratio,
        ),
        object_type=object_type,
        locked=locked,
        progress=progress_bar,
    )
    rows = [
        [item.mask.name, summary.class_name, summary.n_objects, summary.n_cut, _median(summary)]
        for item in result.masks
        for summary in item.summaries
        if summary.class_name is not None
    ]
    if rows:
        unit = "px" if mpp is None else "um2"
        show_table(
            "objects",
            ["mask", "class", "objects", "cut by the border", f"median area ({unit})"],
            rows[:_MAX_ROWS],
            n_left=2,
        )
    if len(rows) > _MAX_ROWS:
        say(f"... and {counted(len(rows) - _MAX_ROWS, 'more row')}; every object is in {result.out / 'objects.csv'}")
    n_objects = sum(len(item.glomeruli) for item in result.masks)
    say(f"{counted(n_objects, 'object')} on {counted(len(result.masks), 'mask')}. Written to {result.out}")
    for path, reason in result.failed.items():
        say_warning(f"left out {str(path)!r}: {reason}")
    return 1 if result.failed else 0


def _median(summary: "SlideSummary") -> str:
    quantiles = summary.area_quantiles_um2 or summary.area_quantiles_px
    return "-" if quantiles is None else f"{quantiles[len(quantiles) // 2]:,.0f}"
