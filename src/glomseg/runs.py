"""The run folder: every file name in it, declared once.

::

    run/
      settings.json          the resolved settings
      manifest.json          versions, seeds, hashes of the data and the split, machine, start and end
      dataset.json           the tiles, their classes and groups, and the hashes of their bytes
      split.json             the split that was used
      weights.json           which entries the starting weights filled, where some were given
      metrics.jsonl          one line an event: training loss, learning rate, validation figures
      tensorboard/           the same for TensorBoard
      checkpoints/           step_00000400.ckpt: what --resume goes on from
      best.safetensors       the model with the best validation metric
      last.safetensors       the model at the last step
      curves.png             loss, learning rate and validation metric over the steps
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glomseg.box import box_model, is_box
from glomseg.config import Settings
from glomseg.errors import InvalidInputError, MissingInputError, OutputError
from glomseg.files import json_text, make_folder, output_error, read_json, read_text, write_json, write_text
from glomseg.recipes import parse_settings

ENSEMBLE = "ensemble.json"
"""The file in the folder of a cross-validation that names its models, to be used together."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one training run."""

    path: Path

    @property
    def settings(self) -> Path:
        """The resolved settings, JSON."""
        return self.path / "settings.json"

    @property
    def manifest(self) -> Path:
        """What ran: versions, hashes, machine, times, JSON."""
        return self.path / "manifest.json"

    @property
    def dataset(self) -> Path:
        """The tiles with their hashes, JSON."""
        return self.path / "dataset.json"

    @property
    def split(self) -> Path:
        """The split, JSON."""
        return self.path / "split.json"

    @property
    def weights(self) -> Path:
        """Which entries the starting weights filled, JSON."""
        return self.path / "weights.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard event files."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """Folder of training checkpoints."""
        return self.path / "checkpoints"

    @property
    def best_model(self) -> Path:
        """The model with the best validation metric."""
        return self.path / "best.safetensors"

    @property
    def last_model(self) -> Path:
        """The model at the last step."""
        return self.path / "last.safetensors"

    @property
    def curves(self) -> Path:
        """Training curves, PNG."""
        return self.path / "curves.png"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint written after `step` steps."""
        return self.checkpoints / f"step_{step:08d}.ckpt"

    def checkpoint_steps(self) -> list[int]:
        """Return the steps that checkpoints exist for, in order."""
        names = (path.stem.removeprefix("step_") for path in self.checkpoints.glob("step_*.ckpt"))
        return sorted(int(name) for name in names if name.isdigit())


def create_run(path: str | os.PathLike[str]) -> RunFolder:
    """Make a new run folder; an existing one that holds a run is never written over."""
    run = RunFolder(Path(path))
    if run.manifest.exists():
        raise OutputError(
            f"{str(run.path)!r} already holds a run; go on with it by `glomseg train --resume {run.path}`, "
            "or name another folder with --out"
        )
    make_folder(run.checkpoints)
    return run


def open_run(path: str | os.PathLike[str]) -> RunFolder:
    """Open an existing run folder."""
    run = RunFolder(Path(path))
    if not run.manifest.is_file():
        raise MissingInputError(f"{str(path)!r} is not a run folder: it has no {run.manifest.name}")
    return run


def folder_beside(model: str | os.PathLike[str]) -> Path:
    """Return where what is made of a model goes by default: beside its file, but for the box here, not the package."""
    return Path() if is_box(model) else model_path(model).parent


def model_path(path: str | os.PathLike[str]) -> Path:
    """Return the file that is meant: itself, a run folder's best (else last) model, a folder's ensemble, or the box."""
    if is_box(path):
        return box_model()
    path = Path(path)
    if (path / ENSEMBLE).is_file():
        return path / ENSEMBLE
    if path.is_dir():
        run = open_run(path)
        found = next((model for model in (run.best_model, run.last_model) if model.is_file()), None)
        if found is None:
            raise MissingInputError(
                f"run folder {str(path)!r} holds no model yet ({run.best_model.name} or {run.last_model.name}); "
                f"finish the training with `glomseg train --resume {path}`"
            )
        return found
    return path


def write_settings(run: RunFolder, settings: Settings) -> None:
    """Write the resolved settings into the run folder."""
    write_json(run.settings, settings.model_dump(mode="json"))


def read_settings(run: RunFolder) -> Settings:
    """Read the settings back from the run folder."""
    values = read_json(run.settings, what="settings file")
    if not isinstance(values, Mapping):
        raise InvalidInputError(f"settings file {str(run.settings)!r} holds no settings")
    return parse_settings(values, origin=f"settings file {str(run.settings)!r}")


def append_metrics(run: RunFolder, row: Mapping[str, Any]) -> None:
    """Add one line to the metrics file; NaN becomes null."""
    try:
        with open(run.metrics, "a", encoding="utf-8") as file:
            file.write(json_text(row) + "\n")
    except OSError as error:
        raise output_error(run.metrics, error) from error


def read_metrics(run: RunFolder) -> list[dict[str, Any]]:
    """Return the lines of the metrics file; a last line that was cut off by a kill is left out."""
    if not run.metrics.exists():
        return []
    rows = []
    for line in read_text(run.metrics, what="metrics file").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def rewind_metrics(run: RunFolder, step: int) -> None:
    """Drop the lines after `step`, so that a resumed run writes them once."""
    rows = [row for row in read_metrics(run) if row.get("step", 0) <= step]
    write_text(run.metrics, "".join(json_text(row) + "\n" for row in rows))
