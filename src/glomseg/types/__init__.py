"""The nouns: small frozen records that the rest of the package passes around."""

from glomseg.types.classes import GLOMERULUS, IGNORE_INDEX, Classes, Color
from glomseg.types.data import Dataset, Region, Sample, Split
from glomseg.types.models import FLIPS, IMAGENET_MEAN, IMAGENET_STD, Inference, ModelCard, Scaling, TestTimeAugmentation
from glomseg.types.prediction import Prediction
from glomseg.types.publication import DataSource, Publication

__all__ = [
    "FLIPS",
    "GLOMERULUS",
    "IGNORE_INDEX",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Classes",
    "Color",
    "DataSource",
    "Dataset",
    "Inference",
    "ModelCard",
    "Prediction",
    "Publication",
    "Region",
    "Sample",
    "Scaling",
    "Split",
    "TestTimeAugmentation",
]
