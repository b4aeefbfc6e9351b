"""Pictures of the tiles of an evaluation: what was found, missed and invented."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glomseg.errors import GlomsegError
from glomseg.export.pictures import error_map, in_a_row, overlay
from glomseg.images import write_png
from glomseg.inference.predictor import Predictor
from glomseg.inference.tiles import predict_tile
from glomseg.metrics.evaluation import TileCounts
from glomseg.steps.naming import file_stems, tile_stems
from glomseg.types import Dataset


def worst_tiles(tiles: Sequence[TileCounts], n_worst: int) -> list[str]:
    """Return the names of so many tiles, those with the most wrong pixels; fewer where fewer have any."""

    def n_wrong(tile: TileCounts) -> int:
        return tile.counts.n_pixels - int(np.trace(tile.counts.matrix))

    return [tile.name for tile in sorted(tiles, key=n_wrong, reverse=True)[:n_worst] if n_wrong(tile)]


def write_maps(
    folder: Path, predictor: Predictor, dataset: Dataset, names: Sequence[str]
) -> tuple[list[Path], dict[str, str]]:
    """Draw the tiles of these names, and return the pictures, and why tiles have none.

    Tiles are read and predicted once more, since keeping every tile until the worst are known could fill the
    memory. A file that broke in between costs its map, not the figures.
    """
    classes = predictor.card.classes
    stems = tile_stems(dataset)
    written: list[Path] = []
    undrawn: dict[str, str] = {}
    for sample in dataset.select(names):
        try:
            image, target, predicted = predict_tile(predictor, dataset, sample)
        except GlomsegError as error:
            undrawn[sample.name] = str(error)
            continue
        prediction = predicted.mask
        marked = [overlay(image, mask, classes=classes) for mask in (target, prediction)]
        pictures = {"overlay": in_a_row([image, *marked], titles=("image", "truth", "prediction"))}
        for index, name in list(enumerate(file_stems(classes.names)))[1:]:
            pictures[f"{name}_errors"] = error_map(target=target, prediction=prediction, class_index=index, image=image)
        for kind, picture in pictures.items():
            path = folder / f"{stems[sample.name]}_{kind}.png"
            write_png(path, picture)
            written.append(path)
    return written, undrawn
