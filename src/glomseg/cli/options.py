"""Flags that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glomseg.cli.console import say_warning
from glomseg.errors import InvalidInputError

if TYPE_CHECKING:
    from glomseg.types import Dataset


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
    mpp: Annotated[float | None, Parameter(help="Micrometres per pixel of the tiles.")] = None
    group_pattern: Annotated[
        str | None, Parameter(help="Regular expression whose group is the slide in a tile's name: '^(.*)_'.")
    ] = None
    group_column: Annotated[
        str | None, Parameter(help="Column that names the slide: of the CSV of pairs, or of tiles.csv in the folder.")
    ] = None


def open_with(data: Path, options: DatasetOptions | None, *, need_masks: bool = True) -> "Dataset":
    """Open a data set the way the flags say; where these name no classes, the masks may (see `infer_classes`)."""
    from glomseg.data.dataset import infer_classes, open_dataset

    options = options or DatasetOptions()
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


def class_names(text: str) -> list[str]:
    """Return the names that --classes lists."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InvalidInputError(f"--classes {text!r} has an empty name; write them as background,glomerulus")
    return names


def whole_numbers(text: str, *, flag: str = "--mask-values", example: str = "0,255") -> list[int]:
    """Return the whole numbers that a flag lists."""
    try:
        return [int(item) for item in text.split(",")]
    except ValueError as error:
        raise InvalidInputError(f"{flag} {text!r} is not a list of whole numbers such as {example}") from error
