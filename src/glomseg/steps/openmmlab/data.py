"""The data sets that an MMSegmentation config names, as a data set and a split."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from glomseg.data.groups import groups_of_names
from glomseg.data.layout import image_files
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import read_text
from glomseg.models.openmmlab.network import NetworkDescription
from glomseg.models.openmmlab.preparation import Preparation, describe_classes
from glomseg.steps.openmmlab.account import Account
from glomseg.types import Dataset, Sample, Split

Values = Mapping[str, Any]

_MISSING_DATA = "give the folder of the data: glomseg train DATA --config CONFIG.py"


def described(values: Values, part: str) -> list[Values]:
    """Return the descriptions of the data sets of "train", "val" or "test", from inside their wrappers."""
    return _unwrapped((values.get(f"{part}_dataloader") or {}).get("dataset"))


def train_pipeline(values: Values) -> Sequence[Values]:
    """Return the steps that training tiles go through."""
    found = described(values, "train")
    return (found[0].get("pipeline") if found else None) or values.get("train_pipeline") or []


def _unwrapped(dataset: Any, depth: int = 0) -> list[Values]:
    if not isinstance(dataset, Mapping) or depth > 8:
        return []
    if isinstance(dataset.get("dataset"), Mapping):
        return _unwrapped(dataset["dataset"], depth + 1)
    if isinstance(dataset.get("datasets"), (list, tuple)):
        return [item for inner in dataset["datasets"] for item in _unwrapped(inner, depth + 1)]
    return [dataset]


def describe_data(values: Values, account: Account) -> None:
    """Write down where the tiles of a config are, without looking for them, and what their traps are."""
    parts = {part: described(values, part) for part in ("train", "val", "test")}
    for part, datasets in parts.items():
        for dataset in datasets:
            prefix = dataset.get("data_prefix") or {}
            places = [f"{name}={value}" for name, value in {
                "data_root": dataset.get("data_root"), "images": prefix.get("img_path"),
                "masks": prefix.get("seg_map_path"), "list": dataset.get("ann_file"),
            }.items() if value]  # fmt: skip
            account.becomes(f"{part} set: {dataset.get('type')}", ", ".join(places) or "the folder that is given")
    if parts["test"] and parts["test"] == parts["val"]:
        account.note(
            "the test set is the validation set: its figures flatter, since the best step is chosen on the same "
            "tiles. Here it "
            "is used for validation only"
        )
    for wrapper in _wrappers((values.get("train_dataloader") or {}).get("dataset")):
        if wrapper == "RepeatDataset":
            account.becomes("train set: RepeatDataset", "nothing: the stream of tiles is endless anyway")
        elif wrapper == "MultiImageMixDataset":
            account.note("MultiImageMixDataset is not carried over: every window is of one tile")
    pipelines = [dataset.get("pipeline") for dataset in parts["train"]]
    if any(pipeline != pipelines[0] for pipeline in pipelines):
        account.note("the training sets have different pipelines; that of the first is used for all")
    first = parts["train"][0] if parts["train"] else {}
    meta = first.get("metainfo") or values.get("metainfo") or {}
    if not (meta.get("palette") or meta.get("PALETTE")):
        account.note(
            "the config names no colours for the classes: glomseg takes its own, MMSegmentation those of its "
            "registered "
            "data set, or random ones"
        )


def _wrappers(dataset: Any) -> list[str]:
    found = []
    while isinstance(dataset, Mapping) and isinstance(dataset.get("dataset"), Mapping):
        found.append(str(dataset.get("type")).rpartition(".")[2])
        dataset = dataset["dataset"]
    return found


def read_data(
    values: Values,
    network: NetworkDescription,
    preparation: Preparation,
    *,
    root: str | os.PathLike[str] | None,
    account: Account,
) -> tuple[Dataset, Split]:
    """Return the tiles of a config and which of them are for what.

    Parameters
    ----------
    values
        The config, under the names of MMSegmentation 1.x.
    network, preparation
        What its ``model`` and its test pipeline are here.
    root
        In place of the config's ``data_root``.
    account
        Where to write down what will be otherwise.

    Raises
    ------
    MissingInputError
        If images, masks or lists are not there.
    InvalidInputError
        If there is no training or validation set, tiles are in both, or two have the same name.
    """
    parts = {part: described(values, part) for part in ("train", "val", "test")}
    if parts["test"] == parts["val"]:
        parts["test"] = []
    samples: dict[str, Sample] = {}
    names: dict[str, tuple[str, ...]] = {}
    for part, datasets in parts.items():
        found = [sample for dataset in datasets for sample in _samples(dataset, root)]
        names[part] = tuple(sample.name for sample in found)
        for sample in found:
            if samples.setdefault(sample.name, sample).image_path != sample.image_path:
                raise InvalidInputError(f"two images of the config are called {sample.name!r}; rename one of them")
    if not names["train"] or not names["val"]:
        raise InvalidInputError("the config has no training set or no validation set")
    twice = set(names["train"]) & {*names["val"], *names["test"]}
    if twice:
        raise InvalidInputError(f"{len(twice)} tiles are trained on and measured on, the first is {min(twice)!r}")
    classes, class_notes = describe_classes(values, {}, n_classes=network.n_classes)
    for note in class_notes:
        account.note(note)
    groups, grouping = groups_of_names(sorted(samples))
    reduces = _reduces(parts["train"][0])  # test pipelines of 0.x read no masks and do not say it
    if any(_reduces(dataset) != reduces for dataset in parts["train"]) or preparation.reduce_zero_label > reduces:
        raise InvalidInputError(
            "reduce_zero_label differs between the training and the test set: masks would not fit each other"
        )
    dataset = Dataset(
        root=Path(root if root is not None else parts["train"][0].get("data_root") or "."),
        samples=tuple(replace(samples[name], group=groups[name]) for name in sorted(samples)),
        classes=classes,
        mask_values=tuple(range(1, network.n_classes + 1)) if reduces else None,
        ignore_value=0 if reduces else None,
        grouping=grouping,
    )
    origin = "lists of a config of MMSegmentation"
    return dataset, Split(train=names["train"], val=names["val"], test=names["test"], by="tile", origin=origin)


def _reduces(dataset: Values) -> bool:
    steps = [step for step in dataset.get("pipeline") or [] if step.get("type") == "LoadAnnotations"]
    return any(bool(item.get("reduce_zero_label")) for item in (dataset, dataset.get("metainfo") or {}, *steps))


def _samples(dataset: Values, root: str | os.PathLike[str] | None) -> list[Sample]:
    """Return the samples of one data set, their groups still empty: all parts' names together tell them."""
    folder = Path(root if root is not None else dataset.get("data_root") or ".")
    prefix = dataset.get("data_prefix") or {}
    images, masks = folder / (prefix.get("img_path") or ""), folder / (prefix.get("seg_map_path") or "")
    image_suffix, mask_suffix = _suffixes(dataset, images, masks)
    names = _listed(folder / dataset["ann_file"]) if dataset.get("ann_file") else None
    if names is None:
        names = [_stem(path, images, image_suffix) for path in image_files(images) if path.name.endswith(image_suffix)]
    samples = []
    for name in _indexed(names, dataset.get("indices")):
        image, mask = images / f"{name}{image_suffix}", masks / f"{name}{mask_suffix}"
        missing = next((path for path in (image, mask) if not path.is_file()), None)
        if missing is not None:
            raise MissingInputError(f"{str(missing)!r} of the config is not there; {_MISSING_DATA}")
        samples.append(Sample(name=name, image_path=image, mask_path=mask, group=""))
    return samples


def _indexed(names: list[str], indices: Any) -> list[str]:
    """Return the names that ``indices`` of a data set leaves: the first ones, the last ones, or those listed."""
    if indices is None:
        return names
    if isinstance(indices, int):
        return names[:indices] if indices >= 0 else names[indices:]
    if not isinstance(indices, (list, tuple)) or any(not -len(names) <= index < len(names) for index in indices):
        raise InvalidInputError(f"the data set has {len(names)} tiles and indices={indices!r}, which do not fit")
    return [names[index] for index in indices]


def _suffixes(dataset: Values, images: Path, masks: Path) -> tuple[str, str]:
    """Return the suffixes that the config gives, else those of the files: a registered data set knows its own."""
    found = []
    for key, folder in (("img_suffix", images), ("seg_map_suffix", masks)):
        suffixes = {path.suffix for path in image_files(folder)}
        if not suffixes:
            raise MissingInputError(f"{str(folder)!r} of the config holds no picture; {_MISSING_DATA}")
        if not dataset.get(key) and len(suffixes) > 1:
            raise InvalidInputError(f"{str(folder)!r} holds files of several kinds; the config has to say {key}")
        found.append(str(dataset.get(key) or suffixes.pop()))
    return found[0], found[1]


def _listed(path: Path) -> list[str]:
    if not path.is_file():
        raise MissingInputError(
            f"list of tiles {str(path)!r} of the config is not there; `glomseg split DATA` writes "
            "DATA/splits/train.txt and val.txt"
        )
    return [line.strip() for line in read_text(path, what="list of tiles").splitlines() if line.strip()]


def _stem(path: Path, folder: Path, suffix: str) -> str:
    return path.relative_to(folder).as_posix().removesuffix(suffix)
