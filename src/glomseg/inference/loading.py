"""From a model's file or folder to a predictor."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from glomseg.devices import choose_device, choose_precision
from glomseg.errors import InvalidInputError
from glomseg.inference.engines.building import build_engine
from glomseg.inference.engines.exported_files import SUFFIXES, load_exported
from glomseg.inference.engines.packages import require_engine
from glomseg.inference.ensemble import SmallestObject, ensemble_card, read_ensemble
from glomseg.inference.predictor import Predictor
from glomseg.inference.runtime import prepare_for_inference
from glomseg.models.model_files import load_model
from glomseg.models.openmmlab.importing import load_openmmlab
from glomseg.models.segmentor import Segmentor
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
    engine: str | None = None,
) -> Predictor:
    """Return a predictor from a model file, a run folder, an ensemble, or from what MMSegmentation wrote.

    Parameters
    ----------
    path
        "box", the model that comes with the package; a model file; a run folder, whose best model is taken; the folder
        of a cross-validation, whose models are taken together, or an ``ensemble.json``; a ``.pth`` checkpoint of
        MMSegmentation that holds its config; a network that was exported for another engine, ``.onnx`` or OpenVINO's
        ``.xml``; or, with `weights`, a config.
    weights
        The checkpoint that belongs to a config.
    device, precision
        As `Predictor` takes them.
    tta
        Test-time augmentation: these views; or True for those that belong to the model (an imported one may have
        some), and for the default ones if it has none. Views that were chosen with an ensemble are taken for False too.
    engine
        What computes the network: "torch", "onnx" (ONNX Runtime) or "openvino", the last two on the processor in
        float32; None takes that of an exported network, else PyTorch.

    Raises
    ------
    InvalidInputError
        If a file is damaged, the members of an ensemble do not belong together, or an engine is not installed or does
        not compute this.
    """
    path = model_path(path)
    if engine is not None:
        require_engine(engine)
    if weights is None and path.suffix in SUFFIXES:
        network, card, engine = load_exported(path, engine=engine)
        loaded, networks = _Loaded(models=(), card=card, file=path), [network]
        chosen, precision = _on_processor(engine, device=device, precision=precision)
    else:
        loaded, engine = _load(path, weights=weights), engine or "torch"
        if engine == "torch":
            chosen = choose_device(device)
            precision = choose_precision(precision, chosen)
            networks = [prepare_for_inference(model, device=chosen, precision=precision) for model in loaded.models]
        else:
            chosen, precision = _on_processor(engine, device=device, precision=precision)
            networks = [build_engine(model, loaded.card, engine=engine) for model in loaded.models]
    card, notes = loaded.card, loaded.notes
    tta = tta or loaded.tta or False
    if tta is True:
        tta = card.tta or TestTimeAugmentation()
    if tta:
        notes = (*notes, _tta_note(tta, own=card.scaling))
    return Predictor(
        networks,
        card,
        device=str(chosen),
        precision=precision,
        tta=tta or None,
        file=loaded.file,
        notes=notes,
        smallest=loaded.smallest,
        engine=engine,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What a path stands for: one model or several, and what was chosen with them."""

    models: tuple[Segmentor, ...]
    card: ModelCard
    file: Path
    notes: tuple[str, ...] = ()
    smallest: SmallestObject | None = None
    tta: TestTimeAugmentation | None = None


def _load(path: Path, *, weights: str | os.PathLike[str] | None) -> _Loaded:
    if weights is None and path.suffix == ".json":
        ensemble = read_ensemble(path)
        members = [load_model(member.file) for member in ensemble.members]
        cards = {member.name: own for member, (_, own) in zip(ensemble.members, members, strict=True)}
        return _Loaded(
            models=tuple(network for network, _ in members),
            card=ensemble_card(ensemble, cards),
            file=path,
            notes=ensemble.notes(cards),
            smallest=ensemble.smallest,
            tta=ensemble.tta,
        )
    if weights is not None or path.suffix in CHECKPOINT_SUFFIXES:
        imported = load_openmmlab(path if weights is None else weights, config=None if weights is None else path)
        file = path if weights is None else Path(weights)
        return _Loaded(models=(imported.network,), card=imported.card, file=file, notes=imported.notes)
    model, card = load_model(path)
    return _Loaded(models=(model,), card=card, file=path)


def _on_processor(engine: str, *, device: str, precision: str) -> tuple[torch.device, str]:
    """Return the device and the precision of every engine but PyTorch, if they are what is asked for."""
    if device != "auto" and choose_device(device).type != "cpu":
        raise InvalidInputError(
            f"--device {device!r} is for --engine torch: {engine} computes on the processor here; use --device cpu"
        )
    if choose_precision(precision, torch.device("cpu")) != "32-true" and precision != "auto":
        raise InvalidInputError(
            f"--precision {precision!r} is for --engine torch: {engine} computes in float32 here, 32-true"
        )
    return torch.device("cpu"), "32-true"


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
