"""Which tiles a model is measured on."""

import os
from pathlib import Path

from glomseg.data.split import PARTS, read_split
from glomseg.errors import InvalidInputError
from glomseg.runs import RunFolder, model_path
from glomseg.types import Classes, Dataset, ModelCard, Sample


def default_part(
    model: str | os.PathLike[str], dataset: Dataset, *, split: str | os.PathLike[str] | None = None
) -> str:
    """Return the part that says most about a model: "test", else "val" of its split, else "all" tiles.

    A split in the model's run folder that names none of the data set's tiles is of another data set, of which
    nothing was trained on: all tiles, then.
    """
    if split is None:
        split = RunFolder(model_path(model).parent).split
        if not split.is_file():
            return "all"
        parts = read_split(split)
        if {sample.name for sample in dataset.samples}.isdisjoint((*parts.train, *parts.val, *parts.test)):
            return "all"
    else:
        parts = read_split(split)
    return "test" if parts.test else "val" if parts.val else "all"


def samples_of_part(
    dataset: Dataset, model: Path, *, part: str, split: str | os.PathLike[str] | None
) -> tuple[tuple[Sample, ...], Path | None]:
    """Return the tiles of a part, and the split that says which these are; "all" tiles need none.

    Raises
    ------
    InvalidInputError
        If there is no such part, no split to name its tiles, or they are not in the data set.
    """
    if part not in (*PARTS, "all"):
        raise InvalidInputError(f"--part {part!r} is none of {', '.join(PARTS)}, all")
    if part == "all":
        return dataset.samples, None
    if split is None:
        split = RunFolder(model.parent).split
        if not split.is_file():
            raise InvalidInputError(
                f"--part {part} needs a split, and {str(model)!r} does not lie in a run folder that has one; "
                "name it with --split, or evaluate all tiles with --part all"
            )
    names = read_split(split).part(part)
    if not names:
        raise InvalidInputError(
            f"the part {part!r} of the split {str(split)!r} is empty; choose another --part, or make a split that has "
            f"it with `glomseg split {dataset.root} --test 0.2`"
        )
    known = {sample.name for sample in dataset.samples}
    missing = [name for name in names if name not in known]
    if missing:
        raise InvalidInputError(
            f"{len(missing)} of the {len(names)} tiles of the part {part!r} of {str(split)!r} are not in "
            f"{str(dataset.root)!r}, the first is {missing[0]!r}; {dataset.why_unknown()}, and name it with "
            "--split; or evaluate all tiles with --part all"
        )
    return dataset.select(names), Path(split)


def check_classes(card: ModelCard, dataset: Dataset) -> Classes:
    """Return the model's classes, and raise InvalidInputError unless they are the data set's."""
    if card.classes.names != dataset.classes.names:
        raise InvalidInputError(
            f"the model knows the classes {', '.join(card.classes.names)}, but the data set has "
            f"{', '.join(dataset.classes.names)}; give the data's classes with --classes in the model's order and words"
        )
    return card.classes
