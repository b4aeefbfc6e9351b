"""Predict images: masks, overlays and a table of the connected components."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg.data.findings import counted
from glomseg.errors import GlomsegError, InvalidInputError, OutputError
from glomseg.export.pictures import overlay
from glomseg.files import make_folder, write_csv
from glomseg.images import read_image, write_png
from glomseg.inference.loading import load_predictor, scale_note
from glomseg.inference.predictor import Predictor
from glomseg.measure import COMPONENT_COLUMNS, Component, component_rows, connected_components
from glomseg.progress import ProgressBars, no_progress
from glomseg.steps.inputs import find_images, is_image
from glomseg.steps.naming import file_stems
from glomseg.types import Classes, ModelCard, TestTimeAugmentation

TABLE = "components.csv"
"""The table of all components, in the output folder; where it is, the masks beside it are predictions too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedImage:
    """What was found on one image, and where it was written."""

    image: Path
    mask: Path
    overlay: Path | None
    components: tuple[Component, ...]
    foreground_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionResult:
    """A batch of predicted images.

    Attributes
    ----------
    images
        In the order of the input.
    failed
        Inputs that could not be predicted, with the reason.
    notes
        What a reader has to know to judge the predictions, in sentences.
    out
        The folder that everything was written to.
    """

    images: tuple[PredictedImage, ...]
    failed: dict[Path, str]
    notes: tuple[str, ...]
    out: Path


def predict_images(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    mpp: float | None = None,
    opacity: float = 0.5,
    overlays: bool = True,
    min_area_px: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    tta: TestTimeAugmentation | bool = False,
    engine: str | None = None,
    progress: ProgressBars = no_progress,
) -> PredictionResult:
    """Predict images and write ``masks/<name>.png``, ``overlays/<name>.png`` and ``components.csv``.

    A mask holds class indices at the image's size, under the image's own name. A file that cannot be
    read is reported and the rest goes on. The table is written when all is done, or with what there is when
    it is interrupted; its columns "image" and "mask" name the image as it was given and the mask's file.
    Masks and overlays that an earlier prediction left in `out` stay, and a note of the result names them.

    Parameters
    ----------
    model
        As in `load_predictor`: "box" is the model that comes with the package.
    images
        Files, folders and patterns such as ``slides/*.png``.
    out
        The folder to write to.
    weights
        A checkpoint of MMSegmentation; `model` is then its config.
    mpp
        Micrometres per pixel of the images; without it nothing is given in micrometres, and a published model that
        works at a physical scale does not work at all.
    opacity
        Of the overlay, from 0 to 1.
    overlays
        Whether overlays are drawn.
    min_area_px
        Smaller components are left out of the table (the mask keeps them). None takes the size that was chosen with an
        ensemble, else 0.
    device, precision, tta, engine
        As in `load_predictor`.
    progress
        Where to report.

    Raises
    ------
    MissingInputError
        If a pattern fits nothing, or a folder has no image.
    InvalidInputError
        If an option makes no sense, or the model needs the micrometres per pixel.
    OutputError
        If a file cannot be written, or would replace one that is not of an earlier prediction.
    """
    if not 0 <= opacity <= 1:
        raise InvalidInputError(f"--opacity {opacity} is not between 0 and 1")
    if mpp is not None and not 0 < mpp < 1000:
        raise InvalidInputError(f"--mpp {mpp} is not a plausible number of micrometres per pixel")
    if min_area_px is not None and min_area_px < 0:
        raise InvalidInputError(f"--min-area {min_area_px} is below zero; 0 keeps every component")
    paths = find_images(images)
    predictor = load_predictor(model, weights=weights, device=device, precision=precision, tta=tta, engine=engine)
    _check_scale(predictor.card, mpp=mpp)
    classes = predictor.card.classes
    min_area_px = predictor.min_area_px(min_area_px, mpp=mpp)
    out = make_folder(out)
    _refuse_foreign_files(out, paths)
    predicted: list[PredictedImage] = []
    failed: dict[Path, str] = {}
    try:
        with progress("predicting", unit="image") as bar:
            for done, (path, name) in enumerate(
                zip(paths, file_stems(path.stem for path in paths), strict=True), start=1
            ):
                try:
                    image = read_image(path)
                    mask, components = _predict(predictor, image, mpp=mpp, min_area_px=min_area_px)
                    mask_path, overlay_path = out / "masks" / f"{name}.png", out / "overlays" / f"{name}.png"
                    if overlays:
                        write_png(overlay_path, overlay(image, mask, classes=classes, opacity=opacity))
                    write_png(mask_path, mask)
                except OutputError:
                    raise  # a full disk stays full for the next image too
                except GlomsegError as error:
                    failed[path] = str(error)
                else:
                    predicted.append(
                        PredictedImage(
                            image=path,
                            mask=mask_path,
                            overlay=overlay_path if overlays else None,
                            components=tuple(components),
                            foreground_share=float(np.mean(mask > 0)),
                        )
                    )
                bar(done, len(paths))
    finally:
        _write_table(out, predicted, classes=classes)
    notes = (*predictor.notes, scale_note(predictor.card, mpp=mpp), _older_note(out, predicted))
    return PredictionResult(images=tuple(predicted), failed=failed, notes=tuple(filter(None, notes)), out=out)


def _check_scale(card: ModelCard, *, mpp: float | None) -> None:
    """Raise where a published model, which meets strangers' images, would have to guess how large their pixels are."""
    if card.publication is not None and card.scaling.mpp is not None and mpp is None:
        raise InvalidInputError(
            f"the model {card.publication.name!r} works at {card.scaling.mpp:g} um per pixel, and nothing says how "
            "large the pixels of these tiles are: give --mpp; scans at 20x have about 0.5 um per pixel, at 40x about "
            "0.25"
        )


def _predict(
    predictor: Predictor, image: NDArray[np.uint8], *, mpp: float | None, min_area_px: int
) -> tuple[NDArray[np.uint8], list[Component]]:
    prediction = predictor.predict(image, mpp=mpp, keep_probabilities=True)
    components = connected_components(
        prediction.mask,
        n_classes=len(prediction.classes),
        mpp=mpp,
        min_area_px=min_area_px,
        probabilities=prediction.probabilities,
    )
    return prediction.mask, components


def _refuse_foreign_files(out: Path, images: Sequence[Path]) -> None:
    """Raise if predictions would replace somebody's masks (``--out DATA``, say) or the images themselves."""
    folders = (out / "masks", out / "overlays")
    for folder in folders:
        if not (out / TABLE).exists() and folder.is_dir() and any(is_image(file) for file in folder.iterdir()):
            raise OutputError(
                f"{str(folder)!r} holds files already, and no {TABLE} says that they are from an earlier prediction: "
                "they may be your own masks. Choose another folder with --out"
            )
    written_to = {Path(os.path.realpath(folder)) for folder in folders}
    inside = next((image for image in images if Path(os.path.realpath(image)).parent in written_to), None)
    if inside is not None:
        raise OutputError(f"image {str(inside)!r} lies where predictions would be written; choose another --out")


def _older_note(out: Path, predicted: Sequence[PredictedImage]) -> str:
    """Return a note on pictures that an earlier prediction left in the folders; empty where there are none.

    They are not removed: somebody may have corrected one by hand.
    """
    new = {path for item in predicted for path in (item.mask, item.overlay)}
    folders = [folder for folder in (out / "masks", out / "overlays") if folder.is_dir()]
    older = sorted(path for folder in folders for path in folder.iterdir() if is_image(path) and path not in new)
    if not older:
        return ""
    names = ", ".join(path.relative_to(out).as_posix() for path in older[:3])
    verb, them = ("is", "it") if len(older) == 1 else ("are", "them")
    return (
        f"{counted(len(older), 'file')} in {str(out)!r} {verb} not of this prediction, and {TABLE} does not cover "
        f"{them}: {names}{', ...' if len(older) > 3 else ''}; remove what you no longer need, or predict into a new "
        "folder with --out"
    )


def _write_table(out: Path, predicted: Sequence[PredictedImage], *, classes: Classes) -> None:
    rows = (
        {**row, "mask": item.mask.name}
        for item in predicted
        for row in component_rows(item.components, image=item.image, classes=classes)
    )
    write_csv(out / TABLE, rows, columns=("image", "mask", *COMPONENT_COLUMNS[1:]))
