"""A training config of MMSegmentation as settings, a data set and a split."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glomseg.config import Settings
from glomseg.models.openmmlab.config import read_config
from glomseg.models.openmmlab.network import describe_network
from glomseg.models.openmmlab.old_configs import modernised
from glomseg.models.openmmlab.preparation import describe_preparation
from glomseg.recipes import apply_override, parse_settings
from glomseg.steps.openmmlab.account import Account, reading
from glomseg.steps.openmmlab.data import describe_data, read_data
from glomseg.steps.openmmlab.schedule import note_the_end
from glomseg.steps.openmmlab.settings import check_weights, describe_training
from glomseg.types import Dataset, Split


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
    """Return the training run that a config of MMSegmentation 1.x or 0.x describes; nothing in it is executed.

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
    with reading(path):
        return _read(Path(path), data=data, overrides=overrides)


def _read(path: Path, *, data: str | os.PathLike[str] | None, overrides: Iterable[str]) -> TrainingConfig:
    config = read_config(path)
    network = describe_network(config.values.get("model"))
    preparation = describe_preparation(config.values, network)
    values = modernised(config.values)
    account = Account(notes=[*config.notes, *preparation.notes])
    describe_data(values, account)
    dataset, split = read_data(values, network, preparation, root=data, account=account)
    sections = describe_training(values, network, preparation, account=account, n_train_tiles=len(split.train))
    sections["recipe"] = path.stem
    for override in overrides:
        apply_override(sections, override)
    settings = parse_settings(sections, origin=f"config {str(path)!r}")
    check_weights(settings.model.weights, preparation)
    note_the_end(settings, account)
    return TrainingConfig(settings=settings, dataset=dataset, split=split, notes=tuple(dict.fromkeys(account.notes)))
