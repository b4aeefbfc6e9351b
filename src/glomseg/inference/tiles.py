"""From a tile of a data set to its prediction, beside its truth."""

import numpy as np
from numpy.typing import NDArray

from glomseg.data.normalisation import look_of_region
from glomseg.data.tiles import read_tile
from glomseg.inference.predictor import Predictor
from glomseg.types import Dataset, Prediction, Sample


def predict_tile(
    predictor: Predictor, dataset: Dataset, sample: Sample, *, keep_probabilities: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Prediction]:
    """Return a tile's image (H, W, 3) uint8 RGB, its truth (H, W) uint8 class index, and what a model says of it."""
    image, target = read_tile(dataset, sample)
    look = look_of_region(dataset, sample, predictor.card)
    predicted = predictor.predict(image, mpp=dataset.mpp, look=look, keep_probabilities=keep_probabilities)
    return image, target, predicted
