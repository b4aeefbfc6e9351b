"""Write a glomseg model for another program."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glomseg.data.crops import at_working_size
from glomseg.errors import InvalidInputError, did_you_mean
from glomseg.images import read_image
from glomseg.inference.engines.agreement import N_IMAGES, Agreement
from glomseg.inference.engines.building import agreement_of, engine_network
from glomseg.inference.engines.exported_files import save_exported
from glomseg.inference.engines.graph import onnx_graph
from glomseg.models.model_files import load_model
from glomseg.models.openmmlab.exporting import save_openmmlab
from glomseg.models.segmentor import Segmentor
from glomseg.runs import model_path
from glomseg.steps.inputs import find_images
from glomseg.types import ModelCard

FORMATS = ("onnx", "openvino", "mmseg")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What was written in one format.

    Attributes
    ----------
    files
        A config and a checkpoint; or the file, or the two, of an exported network.
    notes
        What the other program does otherwise, in sentences.
    agreement
        Of an exported network with PyTorch; None for "mmseg".
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    agreement: Agreement | None = None


def export_model(
    model: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]] = (),
    *,
    out: str | os.PathLike[str],
    formats: Sequence[str] = ("onnx", "openvino"),
    mpp: float | None = None,
) -> tuple[ExportResult, ...]:
    """Write a model in the formats of other programs; return what was written in each.

    An exported network is first compared with PyTorch's on images of several sizes, and nothing is written unless all
    differences can be rounding.

    Parameters
    ----------
    model
        A model file, or a run folder, whose best model is taken.
    images
        Files, folders and patterns of tiles that an exported network is compared on; none draws synthetic tissue.
    out
        The folder to write to.
    formats
        "onnx": the network with its card as one file for ONNX Runtime. "openvino": the same as two files for OpenVINO.
        "mmseg": a config and a checkpoint of MMSegmentation 1.x.
    mpp
        Micrometres per pixel of the images.

    Raises
    ------
    InvalidInputError
        If there is no such format, or none, the other program has no such network, an image cannot be read, or the
        exported network does not give what PyTorch gives.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        name = next(iter(unknown), "")
        raise InvalidInputError(f"--format {name!r} is not known: {did_you_mean(name, FORMATS)}")
    if "mmseg" in formats and (images or mpp is not None):
        raise InvalidInputError("images and --mpp are for --format onnx and openvino, which are compared with PyTorch")
    path = model_path(model)
    if path.suffix == ".json":
        raise InvalidInputError(f"{str(path)!r} is an ensemble of several networks: export its models one by one")
    tiles = [read_image(image) for image in find_images(images)[:N_IMAGES]] if images else []
    network, card = load_model(path)
    working = [at_working_size(tile, tile.shape[:2], scaling=card.scaling, mpp=mpp) for tile in tiles]
    engines = [name for name in formats if name != "mmseg"]
    data = onnx_graph(network) if engines else b""
    agreements = {}
    for engine in engines:
        built = engine_network(data, engine=engine, name=path.stem)
        agreements[engine] = agreement_of(built, network, card, engine=engine, images=working)
    results = []
    for name in formats:
        if name == "mmseg":
            results.append(_export_openmmlab(network, card, out=Path(out), name=path.stem))
        else:
            files = save_exported(Path(out), data, card, name=path.stem, engine=name)
            results.append(ExportResult(files=files, notes=(), agreement=agreements[name]))
    return tuple(results)


def _export_openmmlab(network: Segmentor, card: ModelCard, *, out: Path, name: str) -> ExportResult:
    files = save_openmmlab(out, network, card, name=name)
    notes = []
    if card.scaling.mpp is not None:
        notes.append(
            f"MMSegmentation knows no micrometres per pixel: every image is taken at {card.scaling.factor:.3g} of its "
            f"size, which is right for images of {card.scaling.mpp * card.scaling.factor:.3g} um per pixel"
        )
    if card.inference.temperature != 1:
        notes.append(
            f"MMSegmentation knows no temperature: its masks are the same, but its probabilities are those before "
            f"{card.inference.temperature:.3g} was fitted"
        )
    if card.stain is not None:
        notes.append(
            f"MMSegmentation does not bring stains to a reference as this model learnt with ({card.stain.method}): its "
            "predictions there will be worse"
        )
    return ExportResult(files=files, notes=tuple(notes))
