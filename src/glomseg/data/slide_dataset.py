"""Opening a folder of slides as a data set: each slide's tissue becomes tiles, its annotations their masks."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import shapely

from glomseg.data.findings import counted
from glomseg.data.groups import groups_by_pattern
from glomseg.data.slide_tiles import annotations_of
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.images import IMAGE_SUFFIXES
from glomseg.progress import Progress
from glomseg.slides.annotation_record import n_beyond
from glomseg.slides.opening import open_slide
from glomseg.slides.tissue import Tissue, find_tissue
from glomseg.types import GLOMERULUS, Classes, Dataset, Region, Sample

SLIDE_SUFFIXES = frozenset(
    {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".dcm", ".svslide", ".vms", ".vmu", ".tif", ".tiff"}
)
"""Suffixes, in lower case, of the files of a folder that are taken for slides."""

ANNOTATION_SUFFIXES = frozenset({".geojson", ".json", ".xml", ".zip", ".gz"}) | IMAGE_SUFFIXES
"""Suffixes, in lower case, of the files that annotations are looked for in."""

DEFAULT_MPP = 1.0
"""Micrometres per pixel at which tiles of slides are read: fine enough to draw glomeruli well."""

DEFAULT_TILE_PX = 1024

MIN_TISSUE_SHARE = 0.01
"""A tile with less tissue than this, and no annotation, shows glass and is left out."""


def open_slides(
    slides: str | os.PathLike[str],
    *,
    annotations: str | os.PathLike[str] | None,
    classes: Sequence[str] | None = None,
    mpp: float = DEFAULT_MPP,
    tile_px: int = DEFAULT_TILE_PX,
    slide_mpp: float | None = None,
    annotation_classes: Mapping[str, str] | None = None,
    group_pattern: str | None = None,
    need_masks: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Return the tissue of slides as tiles of a regular grid, with masks drawn from the slides' annotations.

    Nothing is cut into files: a tile is read from its slide when it is needed. A slide's annotations have its name
    (``case-7.geojson`` for ``case-7.svs``), and where they name regions of interest, only tiles that meet one are
    taken, and what lies outside counts neither in training nor in evaluation. Elsewhere what is not annotated is
    background.

    Parameters
    ----------
    slides
        A folder of slides, or one slide.
    annotations
        The folder with a file for each slide (GeoJSON of QuPath, XML of Aperio ImageScope, or a mask picture), or
        the file of the only slide.
    classes
        Names, background first; None takes background and glomerulus.
    mpp
        Micrometres per pixel at which tiles are read.
    tile_px
        Side of a tile.
    slide_mpp
        Micrometres per pixel of the slides' full resolution, in place of what their files say.
    annotation_classes
        For class names of annotations the class that they count as: {"Sclerotic": "glomerulus"}; "Ignore*" leaves
        them out. The classes' own names need none, and with one class beside the background neither do annotations
        without a class.
    group_pattern
        Regular expression with one group, searched in a slide's name; None makes every slide a group of its own.
    need_masks
        Whether every slide must have annotations.
    progress
        Called as slides are opened.

    Raises
    ------
    MissingInputError
        If there is no such folder, no slide in it, or a slide has no annotations.
    InvalidInputError
        If a slide or its annotations are damaged, or a slide's micrometres per pixel are not known.
    """
    if not 0.05 <= mpp <= 20:
        raise InvalidInputError(
            f"--mpp {mpp:g} is not a plausible number of micrometres per pixel (0.25 to 2 is usual)"
        )
    if not 64 <= tile_px <= 16384:
        raise InvalidInputError(f"--size {tile_px} is not from 64 to 16384 pixels")
    root = Path(slides)
    paths = slide_files(root)
    masks = _annotation_files(paths, None if annotations is None else Path(annotations), need_masks=need_masks)
    names = [path.stem for path in paths]
    _refuse_equal(paths)
    groups = dict(zip(names, names, strict=True)) if group_pattern is None else groups_by_pattern(names, group_pattern)
    found = GLOMERULUS if classes is None else Classes.of(classes)
    samples: list[Sample] = []
    for done, path in enumerate(paths, start=1):
        for name, region in _tiles_of(path, masks[path], mpp=mpp, tile_px=tile_px, slide_mpp=slide_mpp):
            samples.append(
                Sample(name=name, image_path=path, mask_path=masks[path], group=groups[path.stem], region=region)
            )
        if progress is not None:
            progress(done, len(paths))
    if not samples:
        raise InvalidInputError(f"no tissue was found on the {len(paths)} slides of {str(root)!r}")
    return Dataset(
        root=root,
        samples=tuple(samples),
        classes=found,
        mpp=mpp,
        slide_mpp=slide_mpp,
        annotation_classes=annotation_classes or {},
        grouping="slide" if group_pattern is None else f"pattern {group_pattern}",
    )


def slide_files(root: Path) -> list[Path]:
    """Return the slides that a folder holds, in order, or the one slide that `root` is."""
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise MissingInputError(f"folder of slides {str(root)!r} does not exist")
    found = sorted(
        path
        for path in root.iterdir()
        if path.suffix.lower() in SLIDE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise MissingInputError(
            f"folder {str(root)!r} holds no slides ({', '.join(sorted(SLIDE_SUFFIXES))}); name one that does"
        )
    return found


def _annotation_files(slides: Sequence[Path], place: Path | None, *, need_masks: bool) -> dict[Path, Path | None]:
    """Return the annotations of each slide, None where it has none."""
    if place is None:
        if need_masks:
            raise InvalidInputError(
                f"{str(slides[0])!r} is a slide, and slides need --annotations: a folder with a GeoJSON, XML or "
                "mask file for each slide, under the slide's name"
            )
        return dict.fromkeys(slides)
    if place.is_file():
        if len(slides) > 1:
            raise InvalidInputError(
                f"--annotations {str(place)!r} is one file for {len(slides)} slides; give the folder that has one each"
            )
        return {slides[0]: place}
    if not place.is_dir():
        raise MissingInputError(f"--annotations {str(place)!r} does not exist")
    files: dict[str, Path] = {}
    for path in sorted(place.iterdir()):
        if path.suffix.lower() in ANNOTATION_SUFFIXES and not path.name.startswith("."):
            name = path.stem
            files.setdefault(name.removesuffix("_mask"), path)
            files.setdefault(path.name.partition(".")[0], path)
    found = {slide: files.get(slide.stem) or files.get(slide.name) for slide in slides}
    without = [slide.name for slide, path in found.items() if path is None]
    if without and need_masks:
        raise MissingInputError(
            f"{len(without)} of {len(slides)} slides have no annotations in {str(place)!r}, the first is "
            f"{without[0]!r}; a slide without a glomerulus needs a file without objects"
        )
    return found


def _tiles_of(
    path: Path, annotations_path: Path | None, *, mpp: float, tile_px: int, slide_mpp: float | None
) -> Iterator[tuple[str, Region]]:
    """Yield the name and the region of each tile of a slide that has tissue or an annotation in it."""
    with open_slide(path, mpp=slide_mpp) as slide:
        if slide.mpp is None:
            raise InvalidInputError(
                f"slide {str(path)!r} does not tell its micrometres per pixel; give them with --slide-mpp"
            )
        annotations = () if annotations_path is None else annotations_of(annotations_path)
        outlines = [item.outline for item in annotations if not item.outline.is_empty]
        if outlines and n_beyond(annotations, slide.size_px) == len(outlines):
            width, height = slide.size_px
            raise InvalidInputError(
                f"all {counted(len(outlines), 'annotation')} of {str(annotations_path)!r} lie beyond the slide "
                f"{str(path)!r} ({width:,} x {height:,} pixels): they are of another slide, or not in pixels of its "
                "full resolution"
            )
        drawn = _meeting(outlines)
        regions = [item.outline for item in annotations if item.is_region]
        is_wanted = _meeting(regions) if regions else _has_enough(find_tissue(slide))
        side = tile_px * mpp / slide.mpp
        width, height = slide.size_px
        for row in range(math.ceil(height / side)):
            for column in range(math.ceil(width / side)):
                region = Region(x=column * side, y=row * side, width=side, height=side)
                if is_wanted(region) or drawn(region):
                    yield f"{path.stem}_x{round(region.x)}_y{round(region.y)}", region


def _refuse_equal(slides: Sequence[Path]) -> None:
    """Raise if two slides have one name but for their suffix, since tiles and annotations go by it."""
    names = [path.stem for path in slides]
    twice = next((path for path in slides if names.count(path.stem) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"two slides are called {twice.stem!r}, with different suffixes; rename one")


def _meeting(outlines: Sequence[shapely.Geometry]) -> Callable[[Region], bool]:
    """Return whether one of the outlines meets a region."""
    tree = shapely.STRtree(outlines)

    def meets(region: Region) -> bool:
        box = shapely.box(region.x, region.y, region.x + region.width, region.y + region.height)
        return bool(tree.query(box, predicate="intersects").size)

    return meets


def _has_enough(tissue: Tissue) -> Callable[[Region], bool]:
    """Return whether enough of a region is tissue."""
    return lambda region: tissue.share_of(region) >= MIN_TISSUE_SHARE
