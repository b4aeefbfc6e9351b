"""A training config of MMSegmentation as settings, a data set and a split."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glomseg.config import Settings, apply_override, parse_settings
from glomseg.data.groups import groups_of_names
from glomseg.data.layout import image_files
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import read_text
from glomseg.models.build import COMPOSED
from glomseg.models.openmmlab.config import read_config
from glomseg.models.openmmlab.network import NetworkDescription, describe_network
from glomseg.models.openmmlab.preparation import Preparation, describe_classes, describe_preparation
from glomseg.steps.training_settings import describe_training
from glomseg.types import GLOMERULUS, Dataset, ModelCard, Sample, Split

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """What a config says about a training run.

    Attributes
    ----------
    settings, dataset, split
        As `glomseg.train_model` takes them.
    notes
        What will be otherwise than one may think, in sentences.
    """

    settings: Settings
    dataset: Dataset
    split: Split
    notes: tuple[str, ...]


def read_training_config(
    path: str | os.PathLike[str], *, data: str | os.PathLike[str] | None = None, overrides: Iterable[str] = ()
) -> TrainingConfig:
    """Return the training run that a config of MMSegmentation 1.x describes; nothing in it is executed.

    Parameters
    ----------
    path
        The config.
    data
        The folder of the data, in place of the config's ``data_root``.
    overrides
        ``section.key=value`` texts that change settings of glomseg.

    Raises
    ------
    MissingInputError
        If images, masks or lists of the config are not there.
    InvalidInputError
        If the config is not plain, or asks for what glomseg does not have.
    """
    config = read_config(Path(path))
    network = describe_network(config.values.get("model"))
    preparation = describe_preparation(config.values, network)
    notes = [*config.notes, *preparation.notes, *_card_notes(network, preparation)]
    sections = describe_training(config.values, preparation, notes)
    options = dict(network.options)
    if preparation.size_divisor != 1:
        options["size_divisor"] = preparation.size_divisor
    sections["model"] = {"architecture": COMPOSED, "options": options, "weights": config.values.get("load_from")}
    sections["recipe"] = Path(path).stem
    for override in overrides:
        apply_override(sections, override)
    settings = parse_settings(sections, origin=f"config {os.fspath(path)!r}")
    dataset, split = _data(config.values, network, preparation, root=data, notes=notes)
    return TrainingConfig(settings=settings, dataset=dataset, split=split, notes=tuple(dict.fromkeys(notes)))


def _card_notes(network: NetworkDescription, preparation: Preparation) -> list[str]:
    if network.threshold is not None:
        raise InvalidInputError("networks with a single logit are imported, but not trained; give each class its own")
    usual = ModelCard(architecture=COMPOSED, classes=GLOMERULUS)
    notes = []
    if (preparation.mean, preparation.std) != (usual.mean, usual.std) or preparation.is_bgr:
        notes.append("colours are normalised by the mean and std of ImageNet, not by those of the config")
    if preparation.inference.window_px is not None:
        notes.append("slide mode is not carried over to training: the model is validated on whole images")
    if preparation.inference.align_corners:
        notes.append("logits are enlarged with align_corners=False in training")
    return notes


def _data(
    values: Values,
    network: NetworkDescription,
    preparation: Preparation,
    *,
    root: str | os.PathLike[str] | None,
    notes: list[str],
) -> tuple[Dataset, Split]:
    parts = {part: _described(values, part) for part in ("train", "val", "test")}
    if parts["test"] is not None and parts["test"] == parts["val"]:
        notes.append(
            "the test set is the validation set: its figures flatter, since the best step is chosen on the same tiles"
        )
        parts["test"] = None
    samples: dict[str, Sample] = {}
    names: dict[str, tuple[str, ...]] = {}
    for part, described in parts.items():
        found = [] if described is None else _samples(described, root)
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
    notes += class_notes
    first = parts["train"] or {}
    groups, grouping = groups_of_names(sorted(samples))
    dataset = Dataset(
        root=Path(root if root is not None else first.get("data_root") or "."),
        samples=tuple(replace(samples[name], group=groups[name]) for name in sorted(samples)),
        classes=classes,
        mask_values=tuple(range(1, network.n_classes + 1)) if preparation.reduce_zero_label else None,
        ignore_value=0 if preparation.reduce_zero_label else None,
        grouping=grouping,
    )
    origin = "lists of a config of MMSegmentation"
    return dataset, Split(train=names["train"], val=names["val"], test=names["test"], by="tile", origin=origin)


def _described(values: Values, part: str) -> Values | None:
    dataset = (values.get(f"{part}_dataloader") or {}).get("dataset")
    while isinstance(dataset, Mapping) and isinstance(dataset.get("dataset"), Mapping):
        dataset = dataset["dataset"]
    return dataset if isinstance(dataset, Mapping) else None


def _samples(dataset: Values, root: str | os.PathLike[str] | None) -> list[Sample]:
    """Return the samples of one part, their groups still empty: all parts' names together tell them."""
    folder = Path(root if root is not None else dataset.get("data_root") or ".")
    prefix = dataset.get("data_prefix") or {}
    images, masks = folder / (prefix.get("img_path") or ""), folder / (prefix.get("seg_map_path") or "")
    image_suffix, mask_suffix = _suffixes(dataset, images, masks)
    names = _listed(folder / dataset["ann_file"]) if dataset.get("ann_file") else None
    if names is None:
        names = [_stem(path, images, image_suffix) for path in image_files(images) if path.name.endswith(image_suffix)]
    samples = []
    for name in names:
        image, mask = images / f"{name}{image_suffix}", masks / f"{name}{mask_suffix}"
        missing = next((path for path in (image, mask) if not path.is_file()), None)
        if missing is not None:
            raise MissingInputError(
                f"{str(missing)!r} of the config is not there; give the folder of the data: "
                "glomseg train DATA --config CONFIG.py"
            )
        samples.append(Sample(name=name, image_path=image, mask_path=mask, group=""))
    return samples


def _suffixes(dataset: Values, images: Path, masks: Path) -> tuple[str, str]:
    """Return the suffixes that the config gives, else those of the files: a registered data set knows its own."""
    found = []
    for key, folder in (("img_suffix", images), ("seg_map_suffix", masks)):
        suffixes = {path.suffix for path in image_files(folder)}
        if not suffixes:
            raise MissingInputError(
                f"{str(folder)!r} of the config holds no picture; give the folder of the data: "
                "glomseg train DATA --config CONFIG.py"
            )
        if not dataset.get(key) and len(suffixes) > 1:
            raise InvalidInputError(f"{str(folder)!r} holds files of several kinds; the config has to say {key}")
        found.append(str(dataset.get(key) or suffixes.pop()))
    return found[0], found[1]


def _listed(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path, what="list of tiles").splitlines() if line.strip()]


def _stem(path: Path, folder: Path, suffix: str) -> str:
    return path.relative_to(folder).as_posix().removesuffix(suffix)
