"""Settings of the optimizer and of the learning rate's way."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Factor = Annotated[float, Field(ge=0)]
_Beta = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of the settings: checked, frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _emptied(cls, values: Any) -> Any:
        """Read the text ``none``, where a setting may be empty, as None, which TOML cannot write."""
        if not isinstance(values, dict):
            return values
        emptied = {
            key: None
            for key, value in values.items()
            if value == "none" and key in cls.model_fields and _may_be_empty(cls.model_fields[key].annotation)
        }
        return {**values, **emptied}


def _may_be_empty(annotation: Any) -> bool:
    """Return whether a setting may be None, and the text ``none`` is not itself one of its values."""
    choices = _choices(annotation)
    return type(None) in choices and "none" not in choices


def _choices(annotation: Any) -> set[Any]:
    """Return the types and texts of which a setting may be any."""
    parts = get_args(annotation)
    return {part for part in parts if not get_args(part)}.union(*map(_choices, parts))


class ParameterRule(Section):
    """What learning rate and weight decay of some parameters are multiplied by."""

    lr_mult: Factor = 1.0
    decay_mult: Factor = 1.0


class LayerDecay(Section):
    """Learning rates that fall from the last layer of a backbone to its first, by `rate` a layer."""

    rate: float = Field(gt=0, le=1)
    n_layers: int = Field(ge=1, le=256)
    by: Literal["stage", "layer"] = "layer"


class OptimizerSettings(Section):
    """The optimizer and its step size.

    The rules for some parameters are MMEngine's ``paramwise_cfg``: see `glomseg.training.parameters`.
    """

    name: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    betas: tuple[_Beta, _Beta] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_grad_norm: float | None = Field(default=None, gt=0)
    by_name: dict[str, ParameterRule] = Field(default_factory=dict)
    """For parameters with this text in their name; of several the longest. The other rules then do not hold."""
    bias_lr_mult: Factor = 1.0
    """For biases, but not those of normalisations."""
    norm_decay_mult: Factor | None = None
    bias_decay_mult: Factor | None = None
    dwconv_decay_mult: Factor | None = None
    flat_decay_mult: Factor | None = None
    """For all parameters of one dimension."""
    layer_decay: LayerDecay | None = None


class SchedulePhase(Section):
    """What happens to the learning rate from step `begin` up to step `end`; afterwards it stays.

    It works on the rate that the phases before it in the list left. With t steps since `begin` and
    T = `end` - `begin` - 1, ``linear`` multiplies by a factor that goes from `start_factor` to `end_factor`;
    ``poly`` falls to `min_lr` by (1 - t / T)^power; ``cosine`` falls to `min_lr` by half a cosine of T + 1 steps;
    ``steps`` multiplies by `gamma` at each of the `milestones`, counted from `begin`; ``constant`` multiplies by
    `start_factor` until its last step.

    References
    ----------
    MMEngine's LinearLR, PolyLR, CosineAnnealingLR, MultiStepLR and ConstantLR.
    """

    kind: Literal["linear", "poly", "cosine", "steps", "constant"]
    begin: int = Field(default=0, ge=0)
    end: int = Field(ge=1)
    every: int = Field(default=1, ge=1)
    """How many steps of the run are one step of the phase: those of an epoch, where rates change by epoch."""
    start_factor: float = Field(default=1.0, ge=0)
    end_factor: float = Field(default=1.0, ge=0)
    power: float = Field(default=1.0, gt=0)
    min_lr: float = Field(default=0.0, ge=0)
    min_share: float | None = Field(default=None, ge=0, le=1)
    """`min_lr` as a share of the first rate, in its place."""
    milestones: tuple[Positive, ...] = ()
    gamma: float = Field(default=0.1, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> "SchedulePhase":
        if self.end <= self.begin:
            raise ValueError(f"a phase has to end after it begins, not at {self.end} after {self.begin}")
        return self


class ScheduleSettings(Section):
    """Polynomial decay after a linear warm-up, or any phases one after the other."""

    power: float = Field(default=0.9, gt=0)
    min_lr: float = Field(default=0.0, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    end_step: int | None = Field(default=None, ge=2)
    """Where the decay ends; None is the last step. MMSegmentation's stock schedules say 80000."""
    phases: tuple[SchedulePhase, ...] | None = None
    """In place of the four settings above; an empty list keeps the rate as it is."""
