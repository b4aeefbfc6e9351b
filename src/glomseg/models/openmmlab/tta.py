"""The test-time augmentation that a config describes."""

from collections.abc import Mapping, Sequence
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.preparation import PASSIVE_STEPS, resize_scaling, test_dataset
from glomseg.types import Scaling, TestTimeAugmentation

Values = Mapping[str, Any]


def describe_tta(values: Values) -> tuple[TestTimeAugmentation | None, tuple[str, ...]]:
    """Return the views that a config (of MMSegmentation 1.x or 0.x) averages, and notes on them.

    They are None where it describes none, or some that cannot be had here, which a note then says.

    Conventions
    -----------
    In 1.x the views are those of ``TestTimeAug`` in ``tta_pipeline``, which takes the place of the test pipeline: its
    ``Resize`` is applied to the image itself, whatever the test pipeline does. In 0.x they are those of
    ``MultiScaleFlipAug`` in the test pipeline.
    """
    notes: list[str] = []
    try:
        if values.get("tta_pipeline"):
            return _of_steps(values["tta_pipeline"], notes), tuple(notes)
        return _of_multi_scale_flip(values), ()
    except InvalidInputError as problem:
        return None, (*notes, f"the config's test-time augmentation is not carried over: {problem}")


def _of_steps(pipeline: Any, notes: list[str]) -> TestTimeAugmentation:
    scales: list[float | Scaling] = []
    flips: list[str] = []
    for choices in _choices(pipeline):
        kinds = {str(step.get("type")) for step in choices}
        if kinds == {"Resize"} and not scales:
            scales = [resize_scaling(step, notes, place="tta_pipeline") for step in choices]
        elif kinds == {"RandomFlip"} and not flips:
            flips = [_flip(step) for step in choices]
        elif not kinds <= set(PASSIVE_STEPS):
            raise InvalidInputError(
                f"tta_pipeline has {' or '.join(sorted(kinds))} where glomseg knows one Resize and flips"
            )
    return TestTimeAugmentation(
        scales=tuple(scales or [Scaling(interpolation="bilinear")]), flips=tuple(flips or ["none"])
    )


def _choices(pipeline: Any) -> list[Sequence[Values]]:
    """Return for each step of the pipeline the steps of which every view takes another one."""
    choices: list[Sequence[Values]] = []
    for step in pipeline if isinstance(pipeline, (list, tuple)) else [pipeline]:
        if isinstance(step, Mapping) and step.get("type") == "TestTimeAug":
            choices += step.get("transforms") or []
        else:
            choices.append([step])
    for choice in choices:
        if not isinstance(choice, (list, tuple)) or not all(isinstance(step, Mapping) for step in choice):
            raise InvalidInputError(f"tta_pipeline has {choice!r} where a list of steps belongs")
    return choices


def _flip(step: Values) -> str:
    chance, direction = step.get("prob"), step.get("direction", "horizontal")
    if chance in (None, 0):
        return "none"
    if chance == 1 and direction in ("horizontal", "vertical"):
        return str(direction)
    raise InvalidInputError(f"a RandomFlip with prob={chance!r} and direction={direction!r} is no view of its own")


def _of_multi_scale_flip(values: Values) -> TestTimeAugmentation | None:
    steps = test_dataset(values).get("pipeline") or values.get("test_pipeline") or []
    step = next((item for item in steps if isinstance(item, Mapping) and item.get("type") == "MultiScaleFlipAug"), None)
    if step is None:
        return None
    ratios, size = step.get("img_ratios") or 1.0, step.get("img_scale")
    ratios = list(ratios) if isinstance(ratios, (list, tuple)) else [ratios]
    if not all(isinstance(ratio, (int, float)) and ratio > 0 for ratio in ratios):
        raise InvalidInputError(f"img_ratios={ratios!r} of MultiScaleFlipAug are not numbers above 0")
    sizes = list(size) if isinstance(size, list) else [size]
    direction = step.get("flip_direction", "horizontal")
    if len(ratios) == len(sizes) == 1 and not step.get("flip"):
        return None
    if isinstance(direction, (list, tuple)) and len(direction) == 1:
        direction = direction[0]
    if step.get("flip") and direction not in ("horizontal", "vertical"):
        raise InvalidInputError(f"flip_direction={direction!r} of MultiScaleFlipAug gives views of unequal weight")
    scales = [
        (
            Scaling(factor=1.0, interpolation="bilinear", boxed=True)
            if item is None
            else resize_scaling({"img_scale": item}, [], place="MultiScaleFlipAug")
        ).times(ratio)
        for item in sizes
        for ratio in ratios
    ]
    return TestTimeAugmentation(scales=tuple(scales), flips=("none", direction) if step.get("flip") else ("none",))
