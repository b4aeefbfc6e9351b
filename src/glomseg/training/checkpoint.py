"""Saving a run so that it goes on exactly where it was."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glomseg.errors import InvalidInputError
from glomseg.files import atomic_path, failed_writes_as
from glomseg.runs import RunFolder

_FORMAT = "glomseg checkpoint 1"


def save_checkpoint(
    run: RunFolder,
    *,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    best_score: float,
    keep: int,
) -> None:
    """Write the state after `step` steps, whole or not at all, and delete all but the newest `keep`.

    Random number generators are not saved: every step seeds its own.
    """
    state = {
        "format": _FORMAT,
        "step": step,
        "best_score": best_score,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": None if average is None else average.state_dict(),
    }
    with atomic_path(run.checkpoint(step)) as temporary, failed_writes_as(RuntimeError):
        torch.save(state, temporary)
    for old in run.checkpoint_steps()[:-keep]:
        run.checkpoint(old).unlink(missing_ok=True)


def load_checkpoint(
    path: Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    device: torch.device,
) -> tuple[int, float]:
    """Restore model and optimizer in place; return the step and the best score so far.

    Raises
    ------
    InvalidInputError
        If the file is damaged or no checkpoint of this run. Nothing in it is executed.
    """
    try:
        state: Any = torch.load(path, map_location=device, weights_only=True)
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise InvalidInputError(f"{str(path)!r} is not a glomseg training checkpoint")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
        return int(state["step"]), float(state["best_score"])
    except InvalidInputError:
        raise
    except (pickle.UnpicklingError, RuntimeError, KeyError, ValueError, TypeError, EOFError, OSError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInputError(
            f"checkpoint {str(path)!r} is damaged or belongs to another model: {first_line}; "
            "delete it to resume from the one before"
        ) from error
