"""What each part of an MMSegmentation config becomes here, in words, and what is not carried over."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.config import read_config
from glomseg.models.openmmlab.explaining import class_row, network_rows, preparation_rows
from glomseg.models.openmmlab.network import NetworkDescription, describe_network
from glomseg.models.openmmlab.old_configs import OLD_NAMES, modernised
from glomseg.models.openmmlab.preparation import Preparation, describe_classes, describe_preparation
from glomseg.models.openmmlab.tta import describe_tta
from glomseg.recipes import parse_settings
from glomseg.steps.openmmlab.account import Account, reading
from glomseg.steps.openmmlab.data import describe_data
from glomseg.steps.openmmlab.schedule import note_the_end
from glomseg.steps.openmmlab.settings import check_weights, describe_training

_FOR_MODELS = frozenset(
    {"model", "data_preprocessor", "img_norm_cfg", "test_pipeline", "test_dataloader", "metainfo"}
    | {"tta_model", "tta_pipeline"}
)
_FOR_TRAINING = frozenset(
    {"train_pipeline", "train_dataloader", "val_dataloader", "val_evaluator", "optim_wrapper", "param_scheduler"}
    | {"train_cfg", "default_hooks", "custom_hooks", "randomness", "load_from", "resume", "auto_scale_lr", "optimizer"}
    | OLD_NAMES
)
_OF_MMENGINE = frozenset(
    {"default_scope", "env_cfg", "vis_backends", "visualizer", "log_processor", "log_level", "work_dir", "launcher"}
    | {"val_cfg", "test_cfg", "test_evaluator", "val_pipeline", "custom_imports", "experiment_name", "dist_params"}
    | {"cudnn_benchmark", "workflow", "opencv_num_threads", "mp_start_method", "find_unused_parameters", "gpu_ids"}
    | {"auto_resume", "device", "cfg"}
)
_NOT_CARRIED = {
    "fp16": "precision is chosen by --precision",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A config in words.

    Attributes
    ----------
    rows
        (what it is in the config, what it becomes here).
    not_carried
        Names in the config that have no place here, with what will happen.
    notes
        What is done otherwise than the config says, in sentences.
    refusal
        Why the config cannot be trained from; empty if it can, or if it holds no training.
    """

    rows: tuple[tuple[str, str], ...]
    not_carried: tuple[str, ...]
    notes: tuple[str, ...]
    refusal: str = ""


def explain_config(path: str | os.PathLike[str]) -> Explanation:
    """Return what each part of a config file becomes in glomseg: network, preparation, and training if there is one.

    The data of the training are not looked for.

    Raises
    ------
    InvalidInputError
        If the config is not plain, or its network is of a kind that glomseg does not have.
    """
    with reading(path):
        return _explained(Path(path))


def _explained(path: Path) -> Explanation:
    config = read_config(path)
    network = describe_network(config.values.get("model"))
    preparation = describe_preparation(config.values, network)
    classes, class_notes = describe_classes(config.values, {}, n_classes=network.n_classes)
    tta, tta_notes = describe_tta(config.values)
    tta_rows = [] if tta is None else [("test-time augmentation", f"with --tta: {tta.describe()}")]
    rows = [*network_rows(config.values, network), *preparation_rows(preparation), *tta_rows, class_row(classes)]
    account = Account(rows=rows, notes=[*config.notes, *preparation.notes, *class_notes, *tta_notes])
    refusal = _explain_training(config.values, network, preparation, account)
    _explain_other_names(config.values, account)
    return Explanation(
        rows=tuple(account.rows),
        not_carried=tuple(f"{name} ({why})" for name, why in _NOT_CARRIED.items() if config.values.get(name)),
        notes=tuple(dict.fromkeys(account.notes)),
        refusal=refusal,
    )


def _explain_training(
    values: Mapping[str, Any], network: NetworkDescription, preparation: Preparation, account: Account
) -> str:
    """Write down what becomes of the training; return why there can be none, or "" where nothing hinders it."""
    values = modernised(values)
    if not values.get("train_dataloader") and not values.get("train_cfg") and not values.get("optim_wrapper"):
        return ""
    try:
        describe_data(values, account)
        sections = describe_training(values, network, preparation, account=account, n_train_tiles=None)
        settings = parse_settings(sections, origin="the config")
        check_weights(settings.model.weights, preparation)
        note_the_end(settings, account)
    except InvalidInputError as error:
        return str(error)
    return ""


def _explain_other_names(values: Mapping[str, Any], account: Account) -> None:
    known = _FOR_MODELS | _FOR_TRAINING | _OF_MMENGINE | set(_NOT_CARRIED)
    engine = [name for name in values if name in _OF_MMENGINE]
    if engine:
        account.becomes(", ".join(engine), "nothing: these are for MMEngine's own processes, logs and pictures")
    other = [name for name in values if name not in known]
    if other:
        account.becomes(", ".join(other), "nothing by themselves: only parts of the config that use them know them")
