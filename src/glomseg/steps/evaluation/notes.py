"""What a reader has to know to judge the figures of an evaluation, in sentences."""

from collections.abc import Mapping

from glomseg.inference.loading import scale_note
from glomseg.metrics.evaluation import Evaluation
from glomseg.metrics.intervals import MIN_GROUPS
from glomseg.types import ModelCard

START_SAW = "were seen by the weights that the training started from"


def evaluation_notes(
    card: ModelCard,
    evaluation: Evaluation,
    image_hashes: Mapping[str, str],
    *,
    mpp: float | None,
    of_slides: bool = False,
) -> tuple[str, ...]:
    """Return what a reader has to know to judge the figures, the most damaging first.

    `of_slides` says that the tiles are regions of slides, which could be larger.
    """
    notes = []
    tiles = evaluation.tiles
    was_trained, was_chosen = card.listed("train_images"), card.listed("val_images")
    trained = {tile.name for tile in tiles if image_hashes[tile.name] in was_trained}
    n_chosen = sum(image_hashes[tile.name] in was_chosen for tile in tiles)
    if not was_trained:
        notes.append(
            "The model does not say which tiles it was trained on: if these are among them, the figures only say how "
            "well it remembers."
        )
    if trained:
        notes.append(
            f"{len(trained)} of the {len(tiles)} tiles were trained on: these figures say how well the model "
            "remembers, not how well it finds glomeruli elsewhere."
        )
    of_start = card.listed("start_images")
    n_known = sum(image_hashes[tile.name] in of_start for tile in tiles if tile.name not in trained)
    if n_known:
        notes.append(f"{n_known} of the {len(tiles)} tiles {START_SAW}: the figures are not those of new slides.")
    if n_chosen:
        notes.append(
            f"{n_chosen} of the {len(tiles)} tiles chose the step at which the model was kept: "
            "the figures are somewhat too good. An untouched test part has no such advantage."
        )
    fitted = card.provenance.get("calibration")
    images = fitted.get("images") if isinstance(fitted, Mapping) else None
    n_fitted = sum(image_hashes[tile.name] in images for tile in tiles) if isinstance(images, (list, tuple)) else 0
    if n_fitted:
        notes.append(
            f"The temperature of the probabilities was fitted to {n_fitted} of the {len(tiles)} tiles: the figures of "
            "calibration are somewhat too good."
        )
    known = {tile.group for tile in tiles if tile.name not in trained} & card.listed("train_groups")
    if known:
        notes.append(
            f"{len(known)} of the {len(evaluation.groups)} groups have the names of groups that were trained on "
            f"({', '.join(sorted(known)[:3])}{', ...' if len(known) > 3 else ''}): if they are the same slides, "
            "neighbouring tiles leak and the figures flatter."
        )
    n_cut = sum(item.counts.objects.n_cut for item in evaluation.objects)
    if of_slides and n_cut:
        notes.append(
            f"{n_cut} of the {sum(item.counts.objects.n_targets for item in evaluation.objects)} true objects are cut "
            "by a tile's border, and each of their pieces counts as one: larger tiles (--size) cut fewer."
        )
    if note := scale_note(card, mpp=mpp):
        notes.append(f"{note[0].upper()}{note[1:]}.")
    return (*notes, *notes_on_groups(evaluation))


def notes_on_groups(evaluation: Evaluation) -> list[str]:
    """Return for which figures the groups are too few to give an interval."""
    n_groups = len(evaluation.groups)
    if n_groups == 1:
        return ["1 group bears these figures: there are no intervals, since one slide says nothing about others."]
    if n_groups < MIN_GROUPS:
        return [
            f"{n_groups} groups bear these figures: so few cannot tell how unlike slides are; do not "
            "trust the intervals, and look at the groups themselves."
        ]
    return [
        f"1 of the {n_groups} groups bears on the IoU of {name}: it has no interval."
        if interval.n_groups == 1
        else f"{interval.n_groups} of the {n_groups} groups bear on the IoU of {name}: do not trust its interval."
        for name, interval in zip(evaluation.classes.names, evaluation.intervals.iou, strict=True)
        if 0 < interval.n_groups < MIN_GROUPS
    ]
