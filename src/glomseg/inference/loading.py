"""From a model's file or folder to a predictor."""

import os
from pathlib import Path

from glomseg.devices import choose_device, choose_precision
from glomseg.inference.ensemble import SmallestObject, ensemble_card, read_ensemble
from glomseg.inference.predictor import Predictor
from glomseg.inference.runtime import prepare_for_inference
from glomseg.models.model_files import load_model
from glomseg.models.openmmlab.importing import load_openmmlab
from glomseg.runs import model_path
from glomseg.types import ModelCard, Scaling, TestTimeAugmentation

CHECKPOINT_SUFFIXES = (".pth", ".pt")


def load_predictor(
    path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
    tta: TestTimeAugmentation | bool = False,
) -> Predictor:
    """Return a predictor from a model file, a run folder, an ensemble, or from what MMSegmentation wrote.

    Parameters
    ----------
    path
        "box", the model that comes with the package; a model file; a run folder, whose best model is taken; the folder
        of a cross-validation, whose models are taken together, or an ``ensemble.json``; a ``.pth`` checkpoint of
        MMSegmentation that holds its config; or, with `weights`, a config.
    weights
        The checkpoint that belongs to a config.
    device, precision
        As `Predictor` takes them.
    tta
        Test-time augmentation: these views; or True for those that belong to the model (an imported one may have
        some), and for the default ones if it has none. Views that were chosen with an ensemble are taken for False too.

    Raises
    ------
    InvalidInputError
        If a file is damaged, or the members of an ensemble do not belong together.
    """
    path = model_path(path)
    notes: tuple[str, ...] = ()
    smallest: SmallestObject | None = None
    if weights is None and path.suffix == ".json":
        ensemble = read_ensemble(path)
        loaded = [load_model(member.file) for member in ensemble.members]
        models = [network for network, _ in loaded]
        cards = {member.name: own for member, (_, own) in zip(ensemble.members, loaded, strict=True)}
        card, notes = ensemble_card(ensemble, cards), ensemble.notes(cards)
        smallest, tta = ensemble.smallest, tta or ensemble.tta or False
    elif weights is not None or path.suffix in CHECKPOINT_SUFFIXES:
        imported = load_openmmlab(path if weights is None else weights, config=None if weights is None else path)
        models, card, notes = [imported.network], imported.card, imported.notes
        path = path if weights is None else Path(weights)
    else:
        model, card = load_model(path)
        models = [model]
    chosen = choose_device(device)
    precision = choose_precision(precision, chosen)
    fast = [prepare_for_inference(model, device=chosen, precision=precision) for model in models]
    if tta is True:
        tta = card.tta or TestTimeAugmentation()
    if tta:
        notes = (*notes, _tta_note(tta, own=card.scaling))
    return Predictor(
        fast, card, device=str(chosen), precision=precision, tta=tta or None, file=path, notes=notes, smallest=smallest
    )


def scale_note(card: ModelCard, *, mpp: float | None) -> str:
    """Return why images of this mpp may be seen at another scale than the model learnt, or ""."""
    scaling, trained_mpp = card.scaling, card.trained_on.get("mpp")
    if scaling.fit_px is not None:
        return ""
    if scaling.mpp is not None and mpp is None and isinstance(trained_mpp, (int, float)):
        return (
            f"the micrometres per pixel of the images are not known, so they are taken at {scaling.factor:.3g} of "
            f"their size, which is right only if they have {trained_mpp:g} um per pixel as in training: give --mpp"
        )
    if scaling.mpp is None and mpp is not None and "train_images" in card.trained_on:
        return (
            f"the model learnt on tiles of unknown micrometres per pixel, so images are taken at {scaling.factor:.3g} "
            f"of their size whatever their own {mpp:g}: objects should be as large in pixels as in the training tiles"
        )
    return ""


def _tta_note(tta: TestTimeAugmentation, *, own: Scaling) -> str:
    note = f"test-time augmentation: masks are of the mean probabilities of {tta.describe()}"
    is_resized = own.fit_px is not None or own.factor != 1
    if is_resized and any(isinstance(scale, Scaling) and scale.fit_px is None for scale in tta.scales):
        note += (
            ". As in MMSegmentation they are not brought to the size that the model otherwise works at, and may show "
            "it objects of sizes that it never saw: compare with --tta-flips horizontal, which keeps that size"
        )
    return note
