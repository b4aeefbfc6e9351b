"""What a cross-validation is begun with: its folds, the tiles set aside, and one working size for all models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from glomseg.config import Settings
from glomseg.data.advice import check_trainable
from glomseg.data.findings import counted
from glomseg.data.folds import Fold, make_crossval_folds
from glomseg.data.groups import NO_GROUPS
from glomseg.data.record import combined_hash
from glomseg.data.split import leaking_groups
from glomseg.data.statistics import TileStatistics, scan_masks
from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.progress import ProgressBars, no_progress
from glomseg.steps.before_training import settle_choices
from glomseg.steps.crossvalidation.choosing import check_choices
from glomseg.types import Dataset, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossvalPlan:
    """What a cross-validation is begun with.

    Attributes
    ----------
    dataset
        All tiles, those of the test part with them.
    settings
        Of every fold's training.
    folds
        In order.
    test
        Names of the tiles that were set aside.
    division
        How the folds were made, in plain values.
    choose
        What is chosen on the held-out tiles.
    precision
        What all networks compute in.
    notes
        What a reader has to know of the folds, in sentences.
    """

    dataset: Dataset
    settings: Settings
    folds: tuple[Fold, ...]
    test: tuple[str, ...]
    division: Mapping[str, Any]
    choose: tuple[str, ...]
    precision: str
    notes: tuple[str, ...]

    @property
    def development(self) -> Dataset:
        """The tiles that the folds divide, without those of the test part."""
        return _without(self.dataset, self.test)


def make_plan(
    dataset: Dataset,
    settings: Settings,
    *,
    folds: int,
    sites: Mapping[str, str] | None,
    val: float,
    seed: int,
    choices: Sequence[str],
    split: Split | None,
    device: torch.device,
    precision: str,
    progress: ProgressBars = no_progress,
) -> CrossvalPlan:
    """Return what a cross-validation is begun with; parameters as in `cross_validate`.

    Raises
    ------
    InvalidInputError
        If the folds cannot be made, one of them has nothing to learn from, or a choice is none.
    """
    check_choices(choices, dataset)
    dataset, test, notes = _set_aside(dataset, split)
    development = _without(dataset, test)
    with progress("reading masks", unit="tile") as bar:
        statistics = scan_masks(development, progress=bar)
    made = make_crossval_folds(development, folds=folds, sites=sites, val=val, seed=seed, statistics=statistics)
    by_name = {item.name: item for item in statistics}
    for fold in made:  # before hours of work on the folds before it
        check_trainable(development, [by_name[name] for name in fold.split.train])
    settings, chosen = _with_one_choice(settings, development, statistics, made, device=device)
    return CrossvalPlan(
        dataset=dataset,
        settings=settings,
        folds=made,
        test=test,
        division={
            "by": "group" if sites is None else "site",
            "folds": len(made),
            "sites_sha256": None if sites is None else combined_hash(sites),
            "val": val,
            "seed": seed,
        },
        choose=tuple(choices),
        precision=precision,
        notes=(*_notes_on_folds(development, made, by_site=sites is not None), *chosen, *notes),
    )


def _without(dataset: Dataset, names: Sequence[str]) -> Dataset:
    aside = set(names)
    return replace(dataset, samples=tuple(sample for sample in dataset.samples if sample.name not in aside))


def _set_aside(dataset: Dataset, split: Split | None) -> tuple[Dataset, tuple[str, ...], tuple[str, ...]]:
    """Return the tiles that a split names, those of them that are set aside for the test, and notes."""
    if split is None:
        return dataset, (), ()
    if not split.test:
        raise InvalidInputError(
            "--split has no test part to set aside; leave it out, or make a split that has one with "
            f"`glomseg split {dataset.root} --test 0.2`"
        )
    names = (*split.train, *split.val)
    chosen = {sample.name for sample in dataset.select((*names, *split.test))}
    notes = [
        f"{counted(len(split.test), 'tile')} are set aside as the test part: the ensemble is evaluated on them once, "
        "at the end."
    ]
    if len(chosen) < len(dataset):
        notes.append(f"{counted(len(dataset) - len(chosen), 'tile')} of no part of the split are left out.")
    leaking = leaking_groups(dataset, {"folds": names, "test": split.test})
    if leaking:
        notes.append(
            f"{counted(len(leaking), 'group')} of the test part have tiles in the folds too "
            f"({', '.join(leaking[:3])}): neighbouring tiles leak, and the test figures flatter."
        )
    samples = tuple(sample for sample in dataset.samples if sample.name in chosen)
    return replace(dataset, samples=samples), split.test, tuple(notes)


def _with_one_choice(
    settings: Settings,
    dataset: Dataset,
    statistics: Sequence[TileStatistics],
    folds: Sequence[Fold],
    *,
    device: torch.device,
) -> tuple[Settings, tuple[str, ...]]:
    """Return settings that leave nothing to the tiles of one fold, so that the models are alike, and notes."""
    network = build_model(settings.model.architecture, n_classes=len(dataset.classes), **settings.model.options)
    reasons: list[str] = []
    n_tiles = max(len(fold.split.train) for fold in folds)
    settled = settle_choices(
        settings, dataset, statistics, network=network, device=device, n_tiles=n_tiles, message=reasons.append
    )
    if not reasons:
        return settings, ()
    first = "What the settings leave to the data is the same in all folds, so it was chosen on the masks of all"
    return settled, tuple(f"{sentence}." for sentence in (first, *reasons))


def _notes_on_folds(dataset: Dataset, folds: Sequence[Fold], *, by_site: bool) -> tuple[str, ...]:
    what = "site" if by_site else "group"
    n_groups = len({sample.group for sample in dataset.samples})
    notes = [
        f"Out of fold: every tile was predicted by the one of {len(folds)} models that never saw its {what} "
        f"({counted(n_groups, 'group')} in all). The figures are those of such models, not of their ensemble."
    ]
    without = [number for number, fold in enumerate(folds, start=1) if not fold.split.val]
    if without:
        numbers = ", ".join(map(str, without))
        notes.append(f"Fold {numbers}: {folds[without[0] - 1].choice}.")
    if dataset.grouping == NO_GROUPS:
        notes.append(
            "The names do not tell which slide a tile is from, so tiles of one slide may be on both sides and the "
            "figures may flatter: name the slides with --group-pattern or --group-column."
        )
    return tuple(notes)
