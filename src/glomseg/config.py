"""Validated settings of a training run.

Every key of a recipe has its place and its range here; `glomseg.recipes` reads them.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from glomseg.errors import InvalidInputError
from glomseg.optimization import Factor, OptimizerSettings, Positive, ScheduleSettings, Section
from glomseg.stain import Look
from glomseg.types import IMAGENET_MEAN, IMAGENET_STD, Inference, Scaling

Side = Annotated[int, Field(ge=32, le=4096)]
Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[float, Field(ge=0, le=255)]
Spread = Annotated[float, Field(gt=0)]
Auto = Literal["auto"]
AUTO: Auto = "auto"
"""Left to the data: `glomseg.data.choices.settle` puts a number in its place before a training begins."""
_Value = TypeVar("_Value")


def _settled(value: _Value | Auto, key: str) -> _Value:
    """Return a value that is no longer left to the data."""
    if value == AUTO:
        raise InvalidInputError(
            f"{key} is left to the data and no data have been looked at yet: `train_model` does that, or give a number"
        )
    return value


class ModelSettings(Section):
    """The network and what it starts from."""

    architecture: str = "fpn_resnet_small"
    options: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    """A known name (`glomseg models`), hf:<repository>, a file or a folder; "auto" is the model in the box where the
    network is its own; None starts from random numbers."""
    freeze: Literal["none", "backbone"] = "none"
    """What stays as the weights have it, its statistics of batch normalisation too."""

    @model_validator(mode="after")
    def _frozen_is_known(self) -> "ModelSettings":
        if self.freeze != "none" and self.weights is None:
            raise ValueError(
                f"freeze = {self.freeze} without weights would keep a {self.freeze} of random numbers: name weights to "
                "start from, for example box, or set freeze to none"
            )
        return self


class ScalingSettings(Section):
    """The working size; see `glomseg.types.Scaling`."""

    mpp: Annotated[float, Field(gt=0)] | Auto | None = 2.0
    factor: float | None = Field(default=None, gt=0, le=16)
    """For tiles of unknown mpp; None chooses it from the size of the objects in the training masks."""
    fit_px: tuple[int, int] | None = None
    interpolation: Literal["area", "bilinear"] = "area"

    def scaling(self, *, factor: float) -> Scaling:
        """Return the scaling with `factor` where the settings leave it open."""
        return Scaling(
            mpp=_settled(self.mpp, "scaling.mpp"),
            factor=factor if self.factor is None else self.factor,
            fit_px=self.fit_px,
            interpolation=self.interpolation,
        )


class ColorSettings(Section):
    """What the colours that the network sees are brought to: (value - mean) / std."""

    mean: tuple[Level, Level, Level] = IMAGENET_MEAN
    std: tuple[Spread, Spread, Spread] = IMAGENET_STD
    normalise: Literal["none", "macenko", "reinhard"] = "none"
    """Bring the stains of every image, or slide, to those of `reference` first; see `glomseg.stain`."""
    reference: Look | None = None
    """None takes the median of the training tiles."""

    @model_validator(mode="after")
    def _of_one_method(self) -> "ColorSettings":
        if self.reference is not None and self.reference.method != self.normalise:
            raise ValueError(f"reference is one of {self.reference.method}, but normalise says {self.normalise}")
        return self


class CropSettings(Section):
    """How training windows are cut from the tiles.

    ``resize_then_crop`` is MMSegmentation's RandomResize, RandomCrop, RandomRotate and RandomFlip; ``centered``
    draws a centre (on the foreground with probability `foreground_share`), a scale and a rotation, and cuts
    the window in one interpolation.
    """

    method: Literal["centered", "resize_then_crop"] = "centered"
    size_px: Side | tuple[Side, Side] | Auto = 256
    """The side, or (height, width)."""
    padded_px: tuple[Side, Side] | None = None
    """(height, width) that windows are padded to where that is more, with ignored pixels of the mean colour."""
    fit_px: tuple[Positive, Positive] | None = None
    """Box that tiles are fitted into before they are enlarged; None takes that of the scaling."""
    scale_range: tuple[float, float] = (0.6, 1.6)
    fit_choices_px: tuple[tuple[Positive, Positive], ...] | None = None
    """Boxes of (long, short) limits, one drawn for each window, in place of a scale."""
    foreground_share: float = Field(default=0.5, ge=0, le=1)
    foreground_by: Literal["pixel", "object"] = "pixel"
    """Whether a window on the foreground is drawn around any of a tile's foreground pixels, tiles being equally likely,
    or around any object of all tiles, large and small ones being equally likely."""
    glass_share: float = Field(default=1.0, ge=0, le=1)
    """Share of the windows of empty glass that are kept; in place of the others one is drawn anew."""
    rotate: bool = True
    turn_share: float = Field(default=0.0, ge=0, le=1)
    turn_range_deg: tuple[float, float] = (-10.0, 10.0)
    """A turned window has black, ignored corners."""
    flip: Literal["none", "horizontal", "both"] | tuple[Share, Share, Share] = "both"
    """By name, or the shares of windows that are mirrored left to right, upside down, and both at once."""
    cat_max_ratio: float = Field(default=1.0, gt=0, le=1)

    @property
    def window_px(self) -> tuple[int, int]:
        """Height and width of a window as it is cut."""
        if isinstance(self.size_px, int):
            return self.size_px, self.size_px
        size: tuple[int, int] = _settled(self.size_px, "crop.size_px")
        return size

    @property
    def input_px(self) -> tuple[int, int]:
        """Height and width of a window as the network sees it, padded."""
        height, width = self.window_px
        least = self.padded_px or (0, 0)
        return max(height, least[0]), max(width, least[1])

    @model_validator(mode="after")
    def _ordered(self) -> "CropSettings":
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError(f"scale_range must be two positive numbers in order, not {self.scale_range}")
        if not isinstance(self.flip, str) and sum(self.flip) > 1 + 1e-9:
            raise ValueError(f"the shares of flip, {self.flip}, add up to more than 1")
        return self


class AugmentSettings(Section):
    """How the colours of a window are changed; 0, or a range from 1 to 1, switches a change off.

    Brightness, contrast, saturation and hue are MMSegmentation's PhotoMetricDistortion: each is changed in half of
    the windows.
    """

    brightness_delta: float = Field(default=0.0, ge=0, le=255)
    """Largest number of grey levels that are added or taken away."""
    contrast_range: tuple[Factor, Factor] = (1.0, 1.0)
    saturation_range: tuple[Factor, Factor] = (1.0, 1.0)
    hue_delta: int = Field(default=0, ge=0, le=90)
    """Largest turn of the hue, in steps of two degrees."""

    stain: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of the log amount of each stain, of each by itself."""
    stain_hue: float | None = Field(default=None, ge=0, le=1)
    """Standard deviation of each number of the stain vectors, which have length 1; None is a fifth of `stain`."""
    stain_vectors: Literal["published", "estimated"] = "published"
    """Haematoxylin and PAS as published, or what each window shows, by Macenko's method."""
    gamma: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation of the log exponent."""
    blur_px: float = Field(default=0.0, ge=0, le=10)
    """Largest standard deviation of the Gaussian blur; half of the windows stay sharp."""
    noise: float = Field(default=0.0, ge=0, le=64)
    """Largest standard deviation of the noise in grey levels."""
    grey_share: float = Field(default=0.0, ge=0, le=1)
    """Share of windows that lose their colour."""
    light: float = Field(default=0.0, ge=0, le=0.9)
    """Largest share by which light may fall or rise from a window's middle to its edge."""
    jpeg_quality: int = Field(default=0, ge=0, le=100)
    """Lowest quality at which half of the windows are compressed."""
    elastic_px: float = Field(default=0.0, ge=0, le=16)
    """Standard deviation by which the nodes of a grid, 32 pixels apart, are moved in half of the windows."""


class LossSettings(Section):
    """The parts of the loss and their weights."""

    cross_entropy: float = Field(default=1.0, ge=0)
    dice: float = Field(default=0.0, ge=0)
    focal: float = Field(default=0.0, ge=0)
    focal_gamma: float = Field(default=2.0, ge=0, le=5)
    """How little of the focal loss pixels have that are judged rightly; 0 makes it the cross-entropy."""
    tversky: float = Field(default=0.0, ge=0)
    tversky_missed: float = Field(default=0.7, ge=0, le=1)
    """What a missed pixel costs in the Tversky loss, where an invented one costs the rest to 1; 0.5 is Dice."""
    tversky_power: float = Field(default=1.0, gt=0, le=3)
    """Exponent of the Tversky loss: 0.75 is the focal Tversky loss."""
    boundary: float = Field(default=0.0, ge=0)
    auxiliary: Factor | tuple[Factor, ...] = 0.4
    """Of all auxiliary heads, or one number each."""
    class_weights: tuple[Factor, ...] | None = None
    sigmoid: bool = False
    """Judge each class by itself by its sigmoid, in place of all by their softmax. A single logit always is."""
    divide_by: Literal["pixels", "labelled", "weights"] = "pixels"
    """Divide the sum of the cross-entropy by all pixels, by those that are not ignored, or by their class weights."""
    ohem_threshold: Share | None = None
    """Online hard example mining: only pixels whose true class has a lower probability count in the cross-entropy of
    the main head; None counts all."""
    ohem_min_kept: int = Field(default=100_000, ge=0)
    """But at least so many a window, over the batch."""

    @model_validator(mode="after")
    def _some_loss(self) -> "LossSettings":
        if not any((self.cross_entropy, self.dice, self.focal, self.tversky, self.boundary)):
            raise ValueError("cross_entropy, dice, focal, tversky and boundary are all 0, so nothing would be learnt")
        return self


class InferenceSettings(Section):
    """How the network is run where it is validated and used; see `glomseg.types.Inference`."""

    window_px: tuple[Positive, Positive] | None = None
    stride_px: tuple[Positive, Positive] | None = None
    align_corners: bool = False
    threshold: float | None = Field(default=None, ge=0, lt=1)

    def inference(self) -> Inference:
        """Return the same as a part of the model card."""
        return Inference(**self.model_dump())

    @model_validator(mode="after")
    def _both(self) -> "InferenceSettings":
        if (self.window_px is None) != (self.stride_px is None):
            raise ValueError("window_px and stride_px belong together: give both or none")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How long a run is, what it takes at a step, and after how many steps it validates: numbers, whoever chose them.

    Attributes
    ----------
    steps
        Of the whole run.
    batch_size
        Windows a step, over all processes.
    val_every
        Steps between validations.
    """

    steps: int
    batch_size: int
    val_every: int


class RunSettings(Section):
    """Length, rhythm and seed of the run."""

    steps: Positive | Auto = 800
    batch_size: Positive | Auto = 8
    val_every: Positive | Auto = 400
    save_every: int = Field(default=400, ge=1)
    log_every: int = Field(default=20, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    average_decay: float | None = Field(default=None, gt=0, lt=1)
    """Keep the moving average of the weights with this decay, and validate and save that; None keeps none."""
    best_metric: Literal["mean_iou", "mean_dice", "mean_accuracy", "foreground_iou"] = "mean_iou"
    workers: int | None = Field(default=None, ge=0)
    """Processes that prepare windows; None chooses by the processor."""
    cache_share: float = Field(default=0.5, ge=0, le=0.9)
    """Share of the free memory that decoded tiles may fill; a larger set is decoded as it is used."""
    channels_last: bool = True

    def rhythm(self) -> Rhythm:
        """Return the numbers that a recipe may leave to the data; raise InvalidInputError while one still is."""
        return Rhythm(
            steps=_settled(self.steps, "run.steps"),
            batch_size=_settled(self.batch_size, "run.batch_size"),
            val_every=_settled(self.val_every, "run.val_every"),
        )


class Settings(Section):
    """Everything that decides a training run, apart from the data."""

    recipe: str = "default"
    model: ModelSettings = ModelSettings()
    scaling: ScalingSettings = ScalingSettings()
    colors: ColorSettings = ColorSettings()
    crop: CropSettings = CropSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    inference: InferenceSettings = InferenceSettings()
    run: RunSettings = RunSettings()
