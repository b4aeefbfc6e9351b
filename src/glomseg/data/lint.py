"""Everything that is wrong with a data set, with what mends it."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from glomseg.data.duplicates import equal_sets, is_blank, similar_sets
from glomseg.data.file_checks import check_files
from glomseg.data.findings import SEVERITIES, Finding, counted, relative_names
from glomseg.data.groups import NO_GROUPS
from glomseg.data.label_checks import check_labels
from glomseg.data.layout import Layout
from glomseg.data.split import PARTS, leaking_groups
from glomseg.data.survey import TileSurvey, survey_tiles
from glomseg.progress import Progress
from glomseg.types import Dataset, Split

__all__ = ["Finding", "exact_copies", "lint", "near_copies"]

_N_SHOWN = 3


def lint(
    dataset: Dataset,
    *,
    layout: Layout | None = None,
    split: Split | None = None,
    surveys: Sequence[TileSurvey] | None = None,
    progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """Return everything that is wrong with a data set, the worst first; a clean set gives nothing.

    Files that cannot be read are findings, never errors.

    Parameters
    ----------
    dataset
        Opened with ``need_masks=False``, so that missing masks are found and not refused.
    layout
        From `find_files`; without it, clashing names and masks without an image stay unseen.
    split
        Whose parts must not share a group or a picture.
    surveys
        From `survey_tiles`, if it was called already.
    progress
        Called as tiles are read.
    """
    if surveys is None:
        surveys = survey_tiles(dataset, progress=progress)
    findings = [
        *_pairing(dataset, layout),
        *check_files(surveys, root=dataset.root),
        *check_labels(dataset, surveys),
        *_groups(dataset),
        *([] if split is None else _split(dataset, split)),
        *_copies(dataset, surveys, split),
    ]
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _pairing(dataset: Dataset, layout: Layout | None) -> Iterator[Finding]:
    without = [sample.image_path for sample in dataset.samples if sample.mask_path is None]
    if len(without) == len(dataset):
        yield Finding(
            code="no-masks",
            severity="error",
            message=f"none of the {counted(len(dataset), 'image')} has a mask",
            files=relative_names(without, dataset.root),
            fix="put masks of the images' names into masks/ beside images/; only `glomseg predict` needs none",
        )
    elif without:
        yield Finding(
            code="image-without-mask",
            severity="error",
            message=f"{counted(len(without), 'image')} of {len(dataset)} without a mask, the first is "
            f"{without[0].name!r}",
            files=relative_names(without, dataset.root),
            fix="add the masks (all zero where there is truly nothing to mark), or move the images out of the folder",
        )
    if layout is not None and layout.masks_without_image:
        masks = layout.masks_without_image
        yield Finding(
            code="mask-without-image",
            severity="warning",
            message=f"{counted(len(masks), 'mask')} without an image, the first is {masks[0].name!r}: not used",
            files=relative_names(masks, dataset.root),
            fix="give image and mask the same name, or move the masks out of the folder",
        )
    if layout is not None and layout.clashes:
        clashes = layout.clashes
        yield Finding(
            code="name-clash",
            severity="error",
            message=f"{counted(len(clashes), 'file')} left out because another file has the same name but for its "
            f"ending, the first is {clashes[0].name!r}",
            files=relative_names(clashes, dataset.root),
            fix="rename or remove one of each",
        )


def _groups(dataset: Dataset) -> Iterator[Finding]:
    groups = {sample.group for sample in dataset.samples}
    images = relative_names((sample.image_path for sample in dataset.samples), dataset.root)
    if len(dataset) > 1 and dataset.grouping == NO_GROUPS:
        yield Finding(
            code="no-groups",
            severity="warning",
            message=f"the names hide which slide a tile is from (the first is {dataset.samples[0].name!r}), so tiles "
            "of one slide can get onto both sides of a split",
            files=images,
            fix="--group-pattern '^(.*)_' with a pattern of your own, or a table tiles.csv and --group-column slide",
        )
    elif len(dataset) > 1 and len(groups) == 1:
        yield Finding(
            code="one-group",
            severity="warning",
            message=f"all {len(dataset)} tiles are one group, {next(iter(groups))!r} ({dataset.grouping}): they cannot "
            "be split by group",
            files=images,
            fix="--group-pattern '^(.*)_' with a pattern of your own, if they come from several slides",
        )


def _split(dataset: Dataset, split: Split) -> Iterator[Finding]:
    known = {sample.name for sample in dataset.samples}
    parts = {part: [name for name in split.part(part) if name in known] for part in PARTS}
    again = f"glomseg split {shlex.quote(str(dataset.root))}"
    unknown = [name for part in PARTS for name in split.part(part) if name not in known]
    if unknown:
        yield Finding(
            code="split-of-other-tiles",
            severity="error",
            message=f"{counted(len(unknown), 'tile')} of the split {'is' if len(unknown) == 1 else 'are'} not in the "
            f"data set, the first is {unknown[0]!r}",
            files=tuple(unknown),
            fix=again,
        )
    leaking = leaking_groups(dataset, parts)
    if leaking:
        chosen = {name for names in parts.values() for name in names}
        paths = [item.image_path for item in dataset.samples if item.group in leaking and item.name in chosen]
        yield Finding(
            code="group-in-two-parts",
            severity="warning" if split.leaking_groups else "error",
            message=f"{counted(len(leaking), 'group')} {'has' if len(leaking) == 1 else 'have'} tiles in more than one "
            f"part of the split, the first is {leaking[0]!r}: every figure will flatter",
            files=relative_names(paths, dataset.root),
            fix=f"{again} --by group",
        )


def _copies(dataset: Dataset, surveys: Sequence[TileSurvey], split: Split | None) -> Iterator[Finding]:
    exact = exact_copies(surveys)
    if exact:
        yield _copies_finding(dataset, surveys, exact, split, code="duplicate-tiles", what="the same pixels")
    near = near_copies(surveys)
    if near:
        yield _copies_finding(
            dataset, surveys, near, split, code="near-duplicate-tiles", what="nearly the same picture"
        )


def exact_copies(surveys: Sequence[TileSurvey]) -> list[list[int]]:
    """Return sets of positions of tiles whose decoded pixels are equal; blank tiles are in none."""
    return equal_sets(
        [
            "" if item.image.thumbnail is None or is_blank(item.image.thumbnail) else item.image.digest
            for item in surveys
        ]
    )


def near_copies(surveys: Sequence[TileSurvey]) -> list[list[int]]:
    """Return sets of positions of tiles that show nearly the same picture without being equal."""
    sets = similar_sets([item.image.thumbnail for item in surveys])
    return [members for members in sets if len({surveys[index].image.digest for index in members}) > 1]


def _copies_finding(
    dataset: Dataset,
    surveys: Sequence[TileSurvey],
    sets: Sequence[Sequence[int]],
    split: Split | None,
    *,
    code: str,
    what: str,
) -> Finding:
    names = [[surveys[index].sample.name for index in members] for members in sets]
    shown = "; ".join(
        " = ".join(members[:_N_SHOWN]) + (" = ..." if len(members) > _N_SHOWN else "") for members in names[:_N_SHOWN]
    )
    more = f"; and {len(names) - _N_SHOWN} more sets" if len(names) > _N_SHOWN else ""
    message = f"{counted(sum(map(len, names)), 'tile')} in {counted(len(names), 'set')} of {what}: {shown}{more}"
    contradicting = sum(_masks_differ([surveys[index] for index in members]) for members in sets)
    if contradicting and code == "duplicate-tiles":
        message += f". In {counted(contradicting, 'set')} the masks differ, so at most one can be right"
    crossing = 0 if split is None else _n_crossing(names, split)
    if crossing:
        message += (
            f". {counted(crossing, 'set')} {'lies' if crossing == 1 else 'lie'} in more than one part of the split"
        )
    paths: list[Path] = [surveys[index].image.path for members in sets for index in members]
    return Finding(
        code=code,
        severity="error" if crossing else "warning",
        message=message,
        files=relative_names(paths, dataset.root),
        fix="keep one tile of each set and move the others, with their masks, out of the folder"
        + (f"; then `glomseg split {shlex.quote(str(dataset.root))}`" if crossing else ""),
    )


def _masks_differ(surveys: Sequence[TileSurvey]) -> bool:
    return len({item.mask.digest for item in surveys if item.mask is not None and item.mask.digest}) > 1


def _n_crossing(sets: Sequence[Sequence[str]], split: Split) -> int:
    part_of = {name: part for part in PARTS for name in split.part(part)}
    return sum(len({part_of[name] for name in names if name in part_of}) > 1 for names in sets)
