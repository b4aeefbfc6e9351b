"""Predict images: masks, overlays and a table of the connected components."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError, OutputError
from glomseg.export.pictures import overlay
from glomseg.files import make_folder, write_csv
from glomseg.images import IMAGE_SUFFIXES, read_image, write_png
from glomseg.inference.predictor import Predictor, load_predictor
from glomseg.measure import COMPONENT_COLUMNS, Component, component_rows, connected_components
from glomseg.progress import ProgressBars, no_progress


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
    out
        The folder that everything was written to.
    """

    images: tuple[PredictedImage, ...]
    failed: dict[Path, str]
    out: Path


def predict_images(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    mpp: float | None = None,
    opacity: float = 0.5,
    overlays: bool = True,
    min_area_px: int = 0,
    device: str = "auto",
    precision: str = "auto",
    progress: ProgressBars = no_progress,
) -> PredictionResult:
    """Predict images and write ``masks/<name>.png``, ``overlays/<name>.png`` and ``components.csv``.

    A mask holds class indices at the image's size, under the image's own name. A file that cannot be
    read is reported and the rest goes on.

    Parameters
    ----------
    model
        A model file, or a run folder, whose best model is taken.
    images
        Files, folders and patterns such as ``slides/*.png``.
    out
        The folder to write to.
    mpp
        Micrometres per pixel of the images; without it nothing is given in micrometres.
    opacity
        Of the overlay, from 0 to 1.
    overlays
        Whether overlays are drawn.
    min_area_px
        Smaller components are left out of the table (the mask keeps them).
    device, precision
        As in `load_predictor`.
    progress
        Where to report.

    Raises
    ------
    MissingInputError
        If an input does not exist or a pattern fits nothing.
    """
    if not 0 <= opacity <= 1:
        raise InvalidInputError(f"--opacity {opacity} is not between 0 and 1")
    if mpp is not None and not 0 < mpp < 1000:
        raise InvalidInputError(f"--mpp {mpp} is not a plausible number of micrometres per pixel")
    paths = find_images(images)
    predictor = load_predictor(model, device=device, precision=precision)
    out = make_folder(out)
    predicted: list[PredictedImage] = []
    failed: dict[Path, str] = {}
    with progress("predicting", unit="image") as bar:
        for done, (path, name) in enumerate(zip(paths, output_names(paths), strict=True), start=1):
            try:
                image = read_image(path)
                mask, components = _predict(predictor, image, mpp=mpp, min_area_px=min_area_px)
                mask_path, overlay_path = out / "masks" / f"{name}.png", out / "overlays" / f"{name}.png"
                write_png(mask_path, mask)
                if overlays:
                    write_png(overlay_path, overlay(image, mask, classes=predictor.card.classes, opacity=opacity))
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
    classes = predictor.card.classes
    rows = [
        row for item in predicted for row in component_rows(item.components, image=item.image.name, classes=classes)
    ]
    write_csv(out / "components.csv", rows, columns=COMPONENT_COLUMNS)
    return PredictionResult(images=tuple(predicted), failed=failed, out=out)


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


def find_images(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the image files that files, folders (not their subfolders) and patterns stand for, each once."""
    found: dict[Path, None] = {}
    for item in inputs:
        for path in _expand(os.fspath(item)):
            found[path] = None
    if not found:
        raise MissingInputError("no image was named; give files, folders or patterns such as tiles/*.png")
    return list(found)


def _expand(item: str) -> Iterator[Path]:
    path = Path(item)
    if path.is_dir():
        files = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()
        )
        if not files:
            raise MissingInputError(f"folder {item!r} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
        yield from files
    elif path.exists() or not glob.has_magic(item):
        yield path  # a missing file is reported as such when it is read, and the others go on
    else:
        matches = sorted(Path(match) for match in glob.glob(item, recursive=True))
        if not matches:
            raise MissingInputError(f"the pattern {item!r} fits no file")
        yield from (match for match in matches if match.is_file())


def output_names(paths: Iterable[Path]) -> list[str]:
    """Return a file name without suffix for each path: its own, made unique where two share one."""
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        name, number = path.stem, 2
        while name.casefold() in taken:  # some file systems do not tell upper from lower case
            name, number = f"{path.stem}_{number}", number + 1
        taken.add(name.casefold())
        names.append(name)
    return names
