"""Flags that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.cli.console import progress_bar, say_warning
from glomseg.errors import InvalidInputError

if TYPE_CHECKING:
    from glomseg.types import Dataset, TestTimeAugmentation


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """How a data set is read."""

    classes: Annotated[
        str | None,
        Parameter(
            help="Class names, background first: background,glomerulus. By default those of nnU-Net's dataset.json; "
            "else background, class 1, class 2 and so on where the masks hold such indices."
        ),
    ] = None
    mask_values: Annotated[
        str | None, Parameter(help="For each class its value in the mask files: 0,255. The default is 0,1,2 and so on.")
    ] = None
    mpp: Annotated[
        float | None, Parameter(help="Micrometres per pixel of the tiles; those of slides are read at 1 by default.")
    ] = None
    group_pattern: Annotated[
        str | None, Parameter(help="Regular expression whose group is the slide in a tile's name: '^(.*)_'.")
    ] = None
    group_column: Annotated[
        str | None, Parameter(help="Column that names the slide: of the CSV of pairs, or of tiles.csv in the folder.")
    ] = None
    annotations: Annotated[
        Path | None,
        Parameter(
            help="The data are whole slides, and this folder has the annotations of each under its name: GeoJSON of "
            "QuPath, XML of Aperio ImageScope, or a mask picture."
        ),
    ] = None
    annotation_classes: Annotated[
        str | None,
        Parameter(help="Classes that other class names of annotations count as: 'Sclerotic=glomerulus,Fold=Ignore*'."),
    ] = None
    size: Annotated[
        int | None, Parameter(help="Side in pixels of the tiles that slides are read in, 1024 by default.")
    ] = None
    slide_mpp: Annotated[
        float | None, Parameter(help="Micrometres per pixel of the slides, in place of what their files say.")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TtaOptions:
    """Which views of an image are predicted."""

    tta: Annotated[
        bool,
        Parameter(
            negative="",
            help="Test-time augmentation: the mean of the probabilities of several views of an image. They are those "
            "that belong to the model, else the image in all four flips.",
        ),
    ] = False
    tta_scales: Annotated[
        str | None, Parameter(help="The same, with views at these multiples of the working size: 0.75,1,1.25.")
    ] = None
    tta_flips: Annotated[
        str | None,
        Parameter(help="The same, with views flipped like this: horizontal,vertical,both; beside the image as it is."),
    ] = None


def tta_with(options: TtaOptions | None) -> "TestTimeAugmentation | bool":
    """Return the test-time augmentation that the flags say, as `glomseg.load_predictor` takes it."""
    from glomseg.types import TestTimeAugmentation

    options = options or TtaOptions()
    if options.tta_scales is None and options.tta_flips is None:
        return options.tta
    flips = [] if options.tta_flips is None else [name.strip() for name in options.tta_flips.split(",")]
    return TestTimeAugmentation(
        scales=(1.0,) if options.tta_scales is None else _numbers(options.tta_scales),
        flips=("none", *(name for name in flips if name != "none")),
    )


def open_with(data: Path, options: DatasetOptions | None, *, need_masks: bool = True) -> "Dataset":
    """Open a data set the way the flags say; where these name no classes, the masks may (see `infer_classes`)."""
    from glomseg.data.dataset import infer_classes, open_dataset

    options = options or DatasetOptions()
    if options.annotations is not None:
        return _open_slides_with(data, options, need_masks=need_masks)
    for flag, value in _slide_flags(options).items():
        if value is not None:
            raise InvalidInputError(f"{flag} is for whole slides, which are known by --annotations: give these too")
    dataset = open_dataset(
        data,
        classes=None if options.classes is None else class_names(options.classes),
        mask_values=None if options.mask_values is None else whole_numbers(options.mask_values),
        mpp=options.mpp,
        group_pattern=options.group_pattern,
        group_column=options.group_column,
        need_masks=need_masks,
    )
    if options.classes is not None:
        return dataset
    inferred = infer_classes(dataset)
    if inferred is not dataset:
        names = ",".join(inferred.classes.names)
        say_warning(f"the masks hold the classes 0 to {len(inferred.classes) - 1}: --classes '{names}' would name them")
    return inferred


def _open_slides_with(slides: Path, options: DatasetOptions, *, need_masks: bool) -> "Dataset":
    from glomseg.data.slide_dataset import DEFAULT_MPP, DEFAULT_TILE_PX, open_slides

    if options.mask_values is not None or options.group_column is not None:
        raise InvalidInputError(
            "--mask-values and --group-column are for tiles; slides have --annotation-classes and --group-pattern"
        )
    with progress_bar("opening slides", unit="slide") as bar:
        return open_slides(
            slides,
            annotations=options.annotations,
            classes=None if options.classes is None else class_names(options.classes),
            mpp=DEFAULT_MPP if options.mpp is None else options.mpp,
            tile_px=DEFAULT_TILE_PX if options.size is None else options.size,
            slide_mpp=options.slide_mpp,
            annotation_classes=None if options.annotation_classes is None else class_pairs(options.annotation_classes),
            group_pattern=options.group_pattern,
            need_masks=need_masks,
            progress=bar,
        )


def _slide_flags(options: DatasetOptions) -> dict[str, object]:
    return {
        "--annotation-classes": options.annotation_classes,
        "--size": options.size,
        "--slide-mpp": options.slide_mpp,
    }


def class_pairs(text: str) -> dict[str, str]:
    """Return for each name that --annotation-classes lists the class that it counts as."""
    pairs = [item.rpartition("=")[::2] for item in text.split(",")]
    if not all(name.strip() and target.strip() for name, target in pairs):
        raise InvalidInputError(
            f"--annotation-classes {text!r} is not a list such as Sclerotic=glomerulus,Fold=Ignore*"
        )
    return {name.strip(): target.strip() for name, target in pairs}


def class_names(text: str) -> list[str]:
    """Return the names that --classes lists."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InvalidInputError(f"--classes {text!r} has an empty name; write them as background,glomerulus")
    return names


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(item) for item in text.split(","))
    except ValueError as error:
        raise InvalidInputError(f"--tta-scales {text!r} is not a list of numbers such as 0.75,1,1.25") from error


def whole_numbers(text: str, *, flag: str = "--mask-values", example: str = "0,255") -> list[int]:
    """Return the whole numbers that a flag lists."""
    try:
        return [int(item) for item in text.split(",")]
    except ValueError as error:
        raise InvalidInputError(f"{flag} {text!r} is not a list of whole numbers such as {example}") from error
