"""Tiles, slides' regions, data sets and how they are divided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glomseg.errors import InvalidInputError
from glomseg.types.classes import Classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """An upright rectangle of a slide, in pixels of its full resolution (level 0); fractions of pixels are allowed.

    Attributes
    ----------
    x, y
        Its left and upper edge: (0, 0) is the slide's upper left corner, and (0.5, 0.5) the centre of its first pixel.
    width, height
        Its sides.
    """

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One tile of a data set: a file of its own, or a region of a slide.

    Attributes
    ----------
    name
        Unique within the data set; what split files and results call the tile.
    image_path
        The image file.
    mask_path
        The mask file, or None where there is no truth (prediction).
    group
        The slide, case or patient that the tile came from: never divided between the parts of a split.
    region
        The part of a slide that the tile is: `image_path` is then the slide's file, and `mask_path` that of its
        annotations. None where the tile is a file of its own.
    """

    name: str
    image_path: Path
    mask_path: Path | None
    group: str
    region: Region | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The tiles of a folder, paired and named; nothing is decoded yet.

    Attributes
    ----------
    root
        The folder (or the CSV file) that was opened.
    samples
        In the order of their names.
    classes
        What the mask values mean.
    mask_values
        For each class the value that stands for it in the mask files: (0, 255) reads 0 as class 0
        and 255 as class 1. None where files hold class indices as they are.
    ignore_value
        Value in the mask files that means "ignored" beside 255, or None.
    mpp
        Micrometres per pixel of the tiles, or None where it is not known. Regions of slides are read at it.
    slide_mpp
        Micrometres per pixel of the slides' full resolution, in place of what their files say, or None.
    annotation_classes
        For class names of annotations the data set's class that they count as, beside the classes' own names.
    grouping
        How the groups were found, in words for a reader ("name pattern ...", "column case").
    """

    root: Path
    samples: tuple[Sample, ...]
    classes: Classes
    mask_values: tuple[int, ...] | None = None
    ignore_value: int | None = None
    mpp: float | None = None
    slide_mpp: float | None = None
    annotation_classes: Mapping[str, str] = field(default_factory=dict)
    grouping: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    def why_unknown(self) -> str:
        """Return why tiles of a split are probably not among these, and what mends it."""
        if any(sample.region is not None for sample in self.samples):
            return (
                "the split was probably made with tiles of another --size or --mpp: give those of the split, or make a "
                f"new one with `glomseg split {self.root} --annotations ...`"
            )
        return f"the split was probably made for another data set: make a new one with `glomseg split {self.root}`"

    def select(self, names: Sequence[str]) -> tuple[Sample, ...]:
        """Return the samples with these names, in the order asked for."""
        by_name = {sample.name: sample for sample in self.samples}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise InvalidInputError(
                f"{len(missing)} of {len(names)} tiles of the split are not in {self.root}, the first is "
                f"{missing[0]!r}; " + self.why_unknown()
            )
        return tuple(by_name[name] for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which tile is used for what. Names, not paths, so a split travels with the data.

    Attributes
    ----------
    train, val, test
        Names of tiles.
    seed
        What the division was drawn with.
    by
        "group", "tile" where tiles were divided regardless of their slide, or "unknown" for lists that
        another program wrote.
    leaking_groups
        Groups with tiles in more than one part; empty if `by` is "group", and not known yet if it is "unknown".
    origin
        How the split came to be, in words.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()
    seed: int = 0
    by: str = "group"
    leaking_groups: tuple[str, ...] = ()
    origin: str = ""

    def part(self, name: str) -> tuple[str, ...]:
        """Return the tile names of "train", "val" or "test"."""
        if name not in ("train", "val", "test"):
            raise InvalidInputError(f"a split has the parts train, val and test, not {name!r}")
        names: tuple[str, ...] = getattr(self, name)
        return names
