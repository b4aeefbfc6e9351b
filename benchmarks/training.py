"""Trainings that are done once, however often a benchmark is called."""

import shutil
from pathlib import Path

from glomseg import Dataset, Settings, Split, resume_training, train_model
from glomseg.config import parse_settings
from glomseg.errors import InvalidInputError
from glomseg.files import read_json, write_json
from glomseg.progress import OnMessage, ProgressBars, no_message, no_progress
from glomseg.training.hardware import Hardware


def claim(folder: Path, settings: Settings, **circumstances: str | list[str]) -> None:
    """Write down in a folder what its run is of; a folder with a run of something else is refused."""
    record = folder / "asked.json"
    if record.is_file():
        earlier = read_json(record, what="record of a run")
        same = parse_settings(earlier["settings"], origin=str(record)) == settings
        if not same or {key: value for key, value in earlier.items() if key != "settings"} != circumstances:
            raise InvalidInputError(
                f"{str(folder)!r} holds a run of other settings: give the recipe another name, or choose another --out"
            )
    write_json(record, {**circumstances, "settings": settings.model_dump(mode="json")})


def train_once(
    run: Path,
    dataset: Dataset,
    settings: Settings,
    *,
    split: Split | None,
    hardware: Hardware,
    progress: ProgressBars = no_progress,
    message: OnMessage = no_message,
) -> Path:
    """Return the model of the last step of a run, trained if need be; one that was stopped goes on.

    Without a split some groups are set aside for validation, as `train_model` does.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended it; it can be gone on with.
    """
    model = run / "last.safetensors"
    if model.is_file():
        return model
    if (run / "manifest.json").is_file():
        result = resume_training(run, hardware=hardware, progress=progress, message=message)
    else:
        shutil.rmtree(run, ignore_errors=True)  # stopped before its folder was complete
        result = train_model(
            dataset, settings, out=run, split=split, hardware=hardware, progress=progress, message=message
        )
    if not result.finished:
        raise KeyboardInterrupt
    return model
