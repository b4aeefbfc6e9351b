"""Configs of MMSegmentation 0.x, brought to the names of 1.x where they speak of data and rhythm.

Networks and test pipelines of both generations are read as they are, and so is ``lr_config``, whose formulas are
others than those of 1.x.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from glomseg.errors import InvalidInputError

Values = Mapping[str, Any]

OLD_NAMES = frozenset(
    {"data", "optimizer_config", "lr_config", "runner", "checkpoint_config", "evaluation", "log_config", "resume_from"}
    | {"seed", "total_iters"}
)
"""Names that only configs of 0.x have."""

_PARTS = ("train", "val", "test")


def is_old(values: Values) -> bool:
    """Return whether a config is of MMSegmentation 0.x."""
    data = values.get("data")
    return isinstance(data, Mapping) and any(part in data for part in _PARTS) and "train_dataloader" not in values


def modernised(values: Values) -> Values:
    """Return a config of 0.x with its data, optimizer, length and intervals under the names of 1.x; others as they are.

    Raises
    ------
    InvalidInputError
        If lists in it do not fit each other.
    """
    if not is_old(values):
        return values
    data = values["data"]
    made = dict(values)
    for part in _PARTS:
        loader = {**(data.get(f"{part}_dataloader") or {})}
        size = loader.get("samples_per_gpu", data.get("samples_per_gpu", 1) if part == "train" else 1)
        if data.get(part) is not None:
            made[f"{part}_dataloader"] = {"batch_size": size, "dataset": _dataset(data[part], where=f"data.{part}")}
    optimizer = dict(values.get("optimizer") or {})
    wrapper = {"constructor": optimizer.pop("constructor", None), "paramwise_cfg": optimizer.pop("paramwise_cfg", None)}
    clip = (values.get("optimizer_config") or {}).get("grad_clip")
    made["optim_wrapper"] = {**wrapper, "type": "OptimWrapper", "optimizer": optimizer, "clip_grad": clip}
    if "fp16" in values:
        made["optim_wrapper"]["type"] = "AmpOptimWrapper"
    runner = values.get("runner") or {"type": "IterBasedRunner", "max_iters": values.get("total_iters")}
    evaluation = values.get("evaluation") or {}
    length = {name: runner[name] for name in ("max_iters", "max_epochs") if runner.get(name) is not None}
    made["train_cfg"] = {**length, "val_interval": evaluation.get("interval", 1)}
    checkpoint = {"by_epoch": True, **(values.get("checkpoint_config") or {})}
    if "save_best" in evaluation:
        checkpoint["save_best"] = evaluation["save_best"]
    made["default_hooks"] = {
        "checkpoint": checkpoint,
        "logger": {"interval": (values.get("log_config") or {}).get("interval", 10)},
    }
    metric = evaluation.get("metric", "mIoU")
    made["val_evaluator"] = {"type": "IoUMetric", "iou_metrics": metric if isinstance(metric, list) else [metric]}
    made["randomness"] = {"seed": values.get("seed")}
    made["resume"] = bool(values.get("resume_from"))
    made["load_from"] = values.get("load_from") or values.get("resume_from")
    return made


def _dataset(dataset: Any, *, where: str) -> dict[str, Any]:
    if isinstance(dataset, (list, tuple)):
        return {"type": "ConcatDataset", "datasets": [_dataset(item, where=where) for item in dataset]}
    if not isinstance(dataset, Mapping):
        raise InvalidInputError(f"{where} is {dataset!r}; glomseg reads one description of a data set there, or a list")
    if "dataset" in dataset:
        return {**dataset, "dataset": _dataset(dataset["dataset"], where=where)}
    if "datasets" in dataset:
        return {**dataset, "datasets": [_dataset(item, where=where) for item in dataset["datasets"]]}
    places = {name: dataset.get(name) for name in ("img_dir", "ann_dir", "split")}
    n_parts = {len(place) for place in places.values() if isinstance(place, (list, tuple))}
    if len(n_parts) > 1:
        raise InvalidInputError(f"{where}: img_dir, ann_dir and split are lists of different length")
    if n_parts:
        each = [
            {name: place[index] if isinstance(place, (list, tuple)) else place for name, place in places.items()}
            for index in range(n_parts.pop())
        ]
        return {"type": "ConcatDataset", "datasets": [_dataset({**dataset, **part}, where=where) for part in each]}
    metainfo = {name: dataset[name] for name in ("classes", "palette") if dataset.get(name) is not None}
    made = {name: value for name, value in dataset.items() if name not in (*places, "classes", "palette")}
    made["data_prefix"] = {"img_path": places["img_dir"], "seg_map_path": places["ann_dir"]}
    made["ann_file"] = places["split"]
    made["pipeline"] = [step for old in dataset.get("pipeline") or [] for step in _steps(old)]
    return {**made, **({"metainfo": metainfo} if metainfo else {})}


def _steps(step: Any) -> Sequence[Values]:
    if not isinstance(step, Mapping):
        return []
    made = dict(step)
    if made.get("type") == "RandomFlip" and "flip_ratio" in made:
        made["prob"] = made.pop("flip_ratio")
    if made.get("type") != "Resize":
        return [made]
    scale, ratios = made.pop("img_scale", None), made.pop("ratio_range", None)
    many = isinstance(scale, list) and len(scale) > 1
    scale = scale[0] if isinstance(scale, list) and len(scale) == 1 else scale
    keep_ratio = made.get("keep_ratio", True)
    if many and made.get("multiscale_mode", "range") == "value":
        return [{"type": "RandomChoiceResize", "scales": scale, "resize_type": "Resize", "keep_ratio": keep_ratio}]
    if many or ratios is not None:
        return [{"type": "RandomResize", "scale": scale, "ratio_range": ratios, "keep_ratio": keep_ratio}]
    return [{"type": "Resize", "scale": scale, "keep_ratio": keep_ratio}]
