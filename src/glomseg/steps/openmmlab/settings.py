"""The training part of an MMSegmentation config as sections of glomseg's settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glomseg.errors import InvalidInputError
from glomseg.models.build import COMPOSED
from glomseg.models.known_weights import KNOWN_WEIGHTS
from glomseg.models.openmmlab.network import NetworkDescription
from glomseg.models.openmmlab.old_configs import is_old
from glomseg.models.openmmlab.preparation import Preparation
from glomseg.steps.openmmlab.account import Account
from glomseg.steps.openmmlab.data import train_pipeline
from glomseg.steps.openmmlab.losses import describe_losses
from glomseg.steps.openmmlab.optimizer import describe_optimizer
from glomseg.steps.openmmlab.pipeline import describe_pipeline
from glomseg.steps.openmmlab.schedule import Length, describe_schedule

Values = Mapping[str, Any]

_BEST = {"mIoU": "mean_iou", "mDice": "mean_dice", "mAcc": "mean_accuracy"}
_VAL_INTERVAL = 1000
"""MMEngine's, in steps, where a config gives none."""
_SAFE_WEIGHTS = ".safetensors"


def describe_training(
    values: Values,
    network: NetworkDescription,
    preparation: Preparation,
    *,
    account: Account,
    n_train_tiles: int | None,
) -> dict[str, Any]:
    """Return sections of `glomseg.config.Settings`, apart from the recipe's name.

    Parameters
    ----------
    values
        The config, under the names of MMSegmentation 1.x.
    network, preparation
        What its ``model`` and its test pipeline are here.
    account
        Where to write down what each part becomes.
    n_train_tiles
        For configs that count in epochs; None where the data are not at hand.

    Raises
    ------
    InvalidInputError
        If it asks for what glomseg does not have.
    """
    model = values["model"]
    length = _length(values, n_train_tiles, account)
    before = model.get("data_preprocessor") or values.get("data_preprocessor") or {}
    windows = describe_pipeline(train_pipeline(values), before, account)
    scaling = _scaling(preparation, windows["crop"])
    optimizer = describe_optimizer(
        values.get("optim_wrapper") or {}, backbone=str((model.get("backbone") or {}).get("type")), account=account
    )
    options = dict(network.options)
    if preparation.size_divisor != 1:
        options["size_divisor"] = preparation.size_divisor
    _note_the_network(model, preparation, account)
    return {
        "model": {"architecture": COMPOSED, "options": options, "weights": _weights(values, account)},
        "scaling": scaling,
        "colors": _colors(preparation, account),
        **windows,
        "loss": describe_losses(model, network, account),
        "optimizer": optimizer,
        "schedule": describe_schedule(values, length, lr=optimizer["lr"], account=account),
        "inference": {
            "window_px": preparation.inference.window_px,
            "stride_px": preparation.inference.stride_px,
            "align_corners": preparation.inference.align_corners,
            "threshold": preparation.inference.threshold,
        },
        "run": _run(values, length, account),
    }


def check_weights(weights: str | None, preparation: Preparation) -> None:
    """Raise if a network that sees red first here would start from a checkpoint that saw blue first."""
    if preparation.is_bgr and weights is not None and Path(weights).suffix in (".pth", ".pt"):
        raise InvalidInputError(
            f"the network of the config sees blue first, and {weights!r} probably holds weights that do. Import them, "
            "which "
            f"turns the first layer round, and start from the model: glomseg import CONFIG.py {weights} -o "
            f"start{_SAFE_WEIGHTS}; "
            f"glomseg train --config CONFIG.py --weights start{_SAFE_WEIGHTS}"
        )


def _length(values: Values, n_train_tiles: int | None, account: Account) -> Length:
    loop = values.get("train_cfg") or {}
    steps, epochs = loop.get("max_iters"), loop.get("max_epochs")
    if isinstance(steps, int):
        account.becomes("train_cfg: max_iters", f"run.steps={steps}")
        return Length(steps=steps, epoch_steps=None)
    if not isinstance(epochs, int):
        raise InvalidInputError(
            "the config does not say how long to train: train_cfg has no max_iters and no max_epochs"
        )
    batch = (values.get("train_dataloader") or {}).get("batch_size", 1)
    n_tiles = n_train_tiles if n_train_tiles is not None else batch
    epoch_steps = -(-n_tiles // batch)
    account.becomes(
        "train_cfg: max_epochs", f"{epochs} epochs of as many steps as the training tiles make batches of {batch}"
    )
    if n_train_tiles is not None:
        account.note(
            f"the config trains by epochs: {epochs} of {epoch_steps:,} steps ({n_tiles:,} tiles in batches of "
            f"{batch}) are "
            f"{epochs * epoch_steps:,} steps here. Every batch is full: an epoch's last one takes tiles of the next"
        )
    return Length(steps=epochs * epoch_steps, epoch_steps=epoch_steps)


def _scaling(preparation: Preparation, crop: dict[str, Any]) -> dict[str, Any]:
    """Return how images reach the working size; take the training's box out of `crop` where it is the same."""
    scaling = preparation.scaling
    box = crop.get("fit_px")
    if box is not None and scaling.fit_px is not None and sorted(box) == sorted(scaling.fit_px):
        del crop["fit_px"]
    return {
        "mpp": None,
        "factor": scaling.factor,
        "fit_px": scaling.fit_px,
        "interpolation": scaling.interpolation,
    }


def _colors(preparation: Preparation, account: Account) -> dict[str, Any]:
    turned = slice(None, None, -1) if preparation.is_bgr else slice(None)
    if preparation.is_bgr:
        account.note(
            "the network of the config sees blue first (bgr_to_rgb is not True); here it sees red first, with mean "
            "and std turned "
            "round, so weights that learnt blue first have to be imported before they are started from"
        )
    return {"mean": preparation.mean[turned], "std": preparation.std[turned]}


def _note_the_network(model: Values, preparation: Preparation, account: Account) -> None:
    backbone = model.get("backbone") or {}
    if (backbone.get("frozen_stages") or -1) >= 0 or backbone.get("norm_eval"):
        account.note(
            "frozen_stages and norm_eval are not carried over: the whole backbone learns, its normalisations too"
        )
    heads = model.get("auxiliary_head") or []
    if (backbone.get("norm_cfg") or {}).get("requires_grad", True) is False:
        account.note(
            "norm_cfg has requires_grad=False: there the backbone's normalisations keep their scales, here they learn"
        )
    for head in heads if isinstance(heads, (list, tuple)) else [heads]:
        if bool(head.get("align_corners", False)) != preparation.inference.align_corners:
            account.note("the logits of auxiliary heads are enlarged with the align_corners of the decode head")
    pretrained = model.get("pretrained") or backbone.get("pretrained")
    init = backbone.get("init_cfg") or {}
    checkpoint = pretrained or (init.get("checkpoint") if isinstance(init, Mapping) else None)
    if checkpoint:
        known = f"{Path(str(checkpoint)).name}_imagenet"
        account.note(
            f"the weights that the backbone starts from in the config ({checkpoint}) are not fetched: give them with "
            f"--weights{' ' + known if known in KNOWN_WEIGHTS else ''}, or the network starts from random numbers"
        )


def _weights(values: Values, account: Account) -> str | None:
    weights = values.get("load_from")
    if values.get("resume"):
        account.note(
            "resume is not carried over: a new run begins, from load_from if that is given. Go on with a run of "
            "glomseg by: "
            "glomseg train --resume RUN"
        )
    if isinstance(weights, str) and "://" in weights:
        account.note(f"load_from={weights} is not fetched: download it and give the file with --weights")
        return None
    if weights:
        account.becomes("load_from", f"model.weights={weights}: entries that fit are taken; the run names the others")
    return str(weights) if weights else None


def _run(values: Values, length: Length, account: Account) -> dict[str, Any]:
    loop, hooks = values.get("train_cfg") or {}, values.get("default_hooks") or {}
    batch = (values.get("train_dataloader") or {}).get("batch_size", 1)
    checkpoint, seed = hooks.get("checkpoint") or {}, (values.get("randomness") or {}).get("seed")
    unit = length.epoch_steps or 1
    interval = checkpoint.get("interval", -1)
    counts_epochs = checkpoint.get("by_epoch", True)
    if counts_epochs and length.epoch_steps is None and interval > 0:
        account.note(
            "CheckpointHook has no by_epoch=False, so MMEngine saves at the end only, that of its one epoch; here a "
            "checkpoint is "
            f"saved every {interval:,} steps"
        )
    default = 1 if length.epoch_steps or is_old(values) else _VAL_INTERVAL
    run = {
        "steps": length.steps,
        "batch_size": batch,
        "val_every": max(1, loop.get("val_interval", default) * unit),
        "save_every": interval * (unit if counts_epochs else 1) if interval > 0 else length.steps,
        "log_every": (hooks.get("logger") or {}).get("interval", 10),
        "seed": seed or 0,
        "best_metric": _best_metric(checkpoint.get("save_best"), account),
    }
    kept = checkpoint.get("max_keep_ckpts", -1)
    if kept > 0:
        run["keep_checkpoints"] = kept
    account.becomes(
        "train_dataloader: batch_size", f"run.batch_size={batch}, of all processes together (there, of each GPU)"
    )
    account.becomes("train_cfg: val_interval", f"run.val_every={run['val_every']}")
    kept_words = f"the newest {kept if kept > 0 else 2} are kept{'' if kept > 0 else ' (there, all of them)'}"
    account.becomes("default_hooks: checkpoint", f"run.save_every={run['save_every']}; {kept_words}")
    account.becomes("default_hooks: logger", f"run.log_every={run['log_every']}")
    account.becomes(
        "randomness: seed", f"run.seed={run['seed']}" + ("" if seed is not None else " (there, a new one each time)")
    )
    _note_the_hooks(values, account)
    return run


def _best_metric(save_best: Any, account: Account) -> str:
    names = save_best if isinstance(save_best, (list, tuple)) else [save_best]
    name = next((name for name in names if name in _BEST), None)
    if save_best is not None and name is None:
        account.note(f"save_best={save_best!r} is not carried over: the best step is that of the highest mean IoU")
    best = _BEST.get(str(name), "mean_iou")
    account.becomes(
        "default_hooks: checkpoint.save_best", f"run.best_metric={best}; best and last model are always kept"
    )
    return best


def _note_the_hooks(values: Values, account: Account) -> None:
    for hook in values.get("custom_hooks") or []:
        kind = str(hook.get("type") if isinstance(hook, Mapping) else hook)
        mend = ""
        if kind.endswith("EMAHook"):
            decay = 1 - float(hook.get("momentum", 0.0002))
            mend = f". To keep such an average of the weights: --set run.average_decay={decay:g}"
        account.note(f"custom_hooks: {kind} is not carried over{mend}")
    if (values.get("auto_scale_lr") or {}).get("enable"):
        account.note("auto_scale_lr is not carried over: the learning rate is the config's, whatever the batch")
    evaluators = values.get("val_evaluator") or []
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        account.becomes(
            f"val_evaluator: {evaluator.get('type')}", "all figures of pixels, over the pixels of all tiles"
        )
        if evaluator.get("nan_to_num") is not None:
            account.note(
                f"nan_to_num={evaluator['nan_to_num']} is not carried over: the figure of a class that is nowhere "
                "stays undefined "
                "and out of the mean, where MMSegmentation would count it as that number"
            )
        if "mFscore" in (evaluator.get("iou_metrics") or []):
            account.note(
                "mFscore leaves out a class that is labelled and never found; the mean Dice here counts it as 0 and "
                "may be lower"
            )
