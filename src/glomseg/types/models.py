"""What one has to know to use a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from glomseg.errors import InvalidInputError, did_you_mean
from glomseg.stain import Look
from glomseg.types.classes import Classes
from glomseg.types.publication import Publication

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of red, green and blue on the 0 to 255 scale, over the pictures of ImageNet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How an image is brought to the size that a model works at.

    The first of these that is possible decides: `fit_px` if given; `mpp` where the image's own
    micrometres per pixel are known; else `factor`.

    Attributes
    ----------
    mpp
        Working micrometres per pixel.
    factor
        Working pixels per image pixel, for images of unknown mpp.
    fit_px
        (long, short) limits of the sides in pixels: the image is scaled, ratio kept, to the largest
        size within both (MMSegmentation's ``Resize(scale, keep_ratio=True)``).
    interpolation
        "area" (antialiased) or "bilinear" (what MMSegmentation does; aliases when shrinking).
    boxed
        With `factor`: its sides are rounded to whole pixels first, and the image is scaled to the largest size
        within those (MMSegmentation's ``Resize(scale_factor, keep_ratio=True)``), which is a pixel less for some.
    """

    mpp: float | None = None
    factor: float = 1.0
    fit_px: tuple[int, int] | None = None
    interpolation: str = "area"
    boxed: bool = False

    def ratio(self, *, height: int, width: int, mpp: float | None) -> float:
        """Return working pixels per image pixel for an image of this size and mpp."""
        if self.fit_px is None and self.mpp is not None and mpp is not None:
            return mpp / self.mpp
        if self.fit_px is None and not self.boxed:
            return self.factor
        box = self.fit_px or (_rounded(height * self.factor), _rounded(width * self.factor))
        return min(max(box) / max(height, width), min(box) / min(height, width))

    def times(self, scale: float) -> "Scaling":
        """Return the scaling whose working images have `scale` times as many pixels a side.

        Conventions
        -----------
        The limits `fit_px` are cut to whole pixels, as MMSegmentation 0.x does with its ``img_ratios``.
        """
        if self.fit_px is not None:
            width, height = (max(1, int(side * scale)) for side in self.fit_px)
            return replace(self, fit_px=(width, height))
        return replace(self, mpp=None if self.mpp is None else self.mpp / scale, factor=self.factor * scale)

    def working_size(self, *, height: int, width: int, mpp: float | None) -> tuple[int, int]:
        """Return (height, width) in working pixels, rounded half up and at least 1."""
        ratio = self.ratio(height=height, width=width, mpp=mpp)
        return _rounded(height * ratio), _rounded(width * ratio)


def _rounded(length_px: float) -> int:
    return max(1, int(length_px + 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """How a network is run on a working image, and how its logits become classes.

    Attributes
    ----------
    window_px, stride_px
        (height, width) of the windows that the network sees one at a time, and of the steps between them;
        None shows it the image whole.
    align_corners
        Whether corners lie on corners when logits are enlarged.
    threshold
        For networks with a single logit for two classes: the probability above which a pixel is of
        the second class. None where every class has its own logit.
    temperature
        What makes the probabilities what they say: each to the power of one over it, their sum again 1. Above 1 they
        become less sure. Masks are of the probabilities before it, so they stay what they are whatever it is.
    """

    window_px: tuple[int, int] | None = None
    stride_px: tuple[int, int] | None = None
    align_corners: bool = False
    threshold: float | None = None
    temperature: float = 1.0


FLIPS = ("none", "horizontal", "vertical", "both")
"""Ways to flip an image: not at all, left to right, upside down, and both (half a turn)."""

_LARGEST_TTA_SCALE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestTimeAugmentation:
    """The views of an image whose mean probabilities are its prediction: every scale with every flip.

    The default is all four flips at the working size: tissue has no upper side, but it has a scale.

    Attributes
    ----------
    scales
        Each a number, by which the working size is multiplied; or a `Scaling` that takes the place of the model's.
    flips
        Of `FLIPS`.
    """

    __test__: ClassVar[bool] = False  # the name begins with "Test", which pytest collects

    scales: tuple[float | Scaling, ...] = (1.0,)
    flips: tuple[str, ...] = FLIPS

    def __post_init__(self) -> None:
        for what, items in (("scales", self.scales), ("flips", self.flips)):
            if not items:
                raise InvalidInputError(
                    f"test-time augmentation without {what} has no views; leave {what} at the default"
                )
            if len(set(items)) != len(items):
                raise InvalidInputError(f"test-time augmentation: the {what} {_listed(items)} are not all different")
        for scale in self.scales:
            if not isinstance(scale, Scaling) and not 0 < scale <= _LARGEST_TTA_SCALE:
                raise InvalidInputError(
                    f"test-time augmentation at scale {scale:g}: a scale is a number above 0 and at most "
                    f"{_LARGEST_TTA_SCALE:g} that multiplies the working size; 0.75,1,1.25 are usual"
                )
        for flip in self.flips:
            if flip not in FLIPS:
                raise InvalidInputError(f"test-time augmentation has no flip {flip!r}: {did_you_mean(flip, FLIPS)}")

    @property
    def n_views(self) -> int:
        """How many times an image is predicted."""
        return len(self.scales) * len(self.flips)

    def scalings(self, own: Scaling) -> tuple[Scaling, ...]:
        """Return the scaling of every scale for a model whose own scaling is `own`."""
        return tuple(scale if isinstance(scale, Scaling) else own.times(scale) for scale in self.scales)

    def describe(self) -> str:
        """Return the views in words: "4 views (scales 1 of the working size; flips none, horizontal, ...)"."""
        others = [scale for scale in self.scales if isinstance(scale, Scaling)]
        boxes = [scale.fit_px for scale in others if scale.fit_px is not None]
        kinds: dict[str, list[float] | list[str]] = {
            "of the working size": [scale for scale in self.scales if not isinstance(scale, Scaling)],
            "of the image's own size": [scale.factor for scale in others if scale.fit_px is None],
            "pixels, into which the image is fitted": [f"{max(box)} x {min(box)}" for box in boxes],
        }
        scales = " and ".join(f"{_listed(items)} {kind}" for kind, items in kinds.items() if items)
        return f"{self.n_views} views (scales {scales}; flips {_listed(self.flips)})"


def _listed(items: Sequence[object]) -> str:
    return ", ".join(f"{item:g}" if isinstance(item, (int, float)) else str(item) for item in items)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What one has to know to use a trained model; stored inside the model file.

    Attributes
    ----------
    architecture
        Name in `glomseg.models.ARCHITECTURES`.
    options
        Keyword arguments of the architecture's builder beyond the number of classes.
    classes
        What the outputs mean.
    mean, std
        Of the RGB input, on the 0 to 255 scale.
    scaling
        How images reach the working size.
    stain
        The look of stains that images of the working size are brought to, each image or slide from its own; None
        leaves their colours as they are.
    inference
        How the network is run on them.
    tta
        The test-time augmentation that belongs to the model; None where none was ever chosen. It is used only
        where it is asked for.
    trained_on
        Data set, split, counts and hashes of what the model was trained on.
    metrics
        Figures of the step whose weights these are, with the part they were measured on.
    provenance
        Program version, recipe, seed, date, starting weights.
    publication
        What it says of itself to others; None for a model that was not published.
    """

    architecture: str
    classes: Classes
    options: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    scaling: Scaling = field(default_factory=Scaling)
    stain: Look | None = None
    inference: Inference = field(default_factory=Inference)
    tta: TestTimeAugmentation | None = None
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    publication: Publication | None = None

    def listed(self, key: str) -> set[str]:
        """Return the words of a list in `trained_on`, which is of a stranger's file and may hold anything."""
        value = self.trained_on.get(key)
        return {str(item) for item in value} if isinstance(value, (list, tuple)) else set()

    def seen_images(self) -> set[str]:
        """Return the first digits of the hashes of all images that decided its weights, or those it started from."""
        return self.listed("train_images") | self.listed("val_images") | self.listed("start_images")
