"""glomseg rasterize."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glomseg.cli.console import say, say_warning
from glomseg.data.findings import counted
from glomseg.errors import InvalidInputError


def rasterize(
    annotations: Path,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    like: Path | None = None,
    size: str | None = None,
    downsample: float = 1.0,
    classes: str | None = None,
    annotation_classes: str | None = None,
    unclassified: str | None = None,
) -> None:
    """Turn annotations of QuPath or ImageScope into a mask picture to train and evaluate on.

    Parameters
    ----------
    annotations
        GeoJSON that QuPath exported, also in a .zip or .gz, or XML of ImageScope.
    out
        The mask to write, a .png file.
    like
        The slide or picture that was annotated: the mask covers it.
    size
        In its place, its width and height in pixels of full resolution: 40000,30000.
    downsample
        Pixels of full resolution per pixel of the mask.
    classes
        Class names of the mask, background first; the default is background,glomerulus.
    annotation_classes
        What other classes of the annotations count as: 'Normal=glomerulus,Fold=Ignore*'; Ignore* does not count.
    unclassified
        The class of annotations without one. Without it they are of the only class beside the background, or an error.
    """
    from glomseg.cli.options import class_names, class_pairs, whole_numbers
    from glomseg.steps.rasterize import rasterize_annotations
    from glomseg.types import GLOMERULUS, Classes

    numbers = None if size is None else whole_numbers(size, flag="--size", example="40000,30000")
    if numbers is not None and len(numbers) != 2:
        raise InvalidInputError(f"--size {size!r} is not a width and a height such as 40000,30000")
    result = rasterize_annotations(
        annotations,
        out=out,
        like=like,
        size_px=None if numbers is None else (numbers[0], numbers[1]),
        downsample=downsample,
        classes=GLOMERULUS if classes is None else Classes.of(class_names(classes)),
        class_names=None if annotation_classes is None else class_pairs(annotation_classes),
        unclassified=unclassified,
    )
    width, height = result.size_px
    say(
        f"{counted(result.n_annotations, 'annotation')} on {width:,} x {height:,} pixels, "
        f"{100 * sum(result.shares[1:]):.2f} % of them foreground. Written to {result.path}"
    )
    for note in result.notes:
        say_warning(note)
