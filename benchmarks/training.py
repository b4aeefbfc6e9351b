"""What studies on held-out groups have in common: which groups, trainings that are done once, and their counts."""

import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from glomseg import Dataset, Settings, Split, evaluate_model, read_card, resume_training, train_model
from glomseg.data.record import hash_tiles, image_digits
from glomseg.errors import InvalidInputError
from glomseg.files import read_json, write_json
from glomseg.progress import OnMessage, ProgressBars, no_message, no_progress
from glomseg.recipes import parse_settings
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


def held_out_groups(dataset: Dataset, chosen: str | None, *, always: str = "") -> list[str]:
    """Return the groups to hold out in turn: those that are named, separated by commas, or all.

    Groups that fit the pattern `always` are not among them.

    Raises
    ------
    InvalidInputError
        If one is named that is not there.
    """
    known = sorted({sample.group for sample in dataset.samples if not fnmatch(sample.group, always)})
    groups = known if chosen is None else chosen.split(",")
    if set(groups) - set(known):
        raise InvalidInputError(f"--groups {chosen}: the groups are {', '.join(known)}")
    return groups


def image_hashes(dataset: Dataset) -> dict[str, str]:
    """Return by what the card of a model lists each tile of a data set."""
    return {name: image_digits(digest) for name, digest in hash_tiles(dataset).items()}


def refuse_seen(model: Path, dataset: Dataset, hashes: Mapping[str, str], *, held_out: str) -> set[str]:
    """Return what the card of a model lists as seen by it, or by what it started from.

    `hashes` are those of `image_hashes`.

    Raises
    ------
    InvalidInputError
        If a tile of the held-out group is among that.
    """
    seen = read_card(model).seen_images()
    tested = [item.name for item in dataset.samples if item.group == held_out and hashes[item.name] in seen]
    if tested:
        raise InvalidInputError(
            f"{str(model)!r}, or the model that it started from, was trained on {tested[0]!r}, which is of the "
            f"held-out {held_out!r}: name another start"
        )
    return seen


def counts_of_test(
    model: Path, dataset: Dataset, *, out: Path, split: Path, hardware: Hardware, tta: bool = False
) -> list[int]:
    """Return the C * C confusion counts of a model on the test part of a split, evaluated into the folder `out`."""
    result = evaluate_model(
        model,
        dataset,
        out=out,
        part="test",
        split=split,
        n_worst=0,
        device=hardware.device,
        precision=hardware.precision,
        tta=tta,
    )
    counts: list[int] = result.evaluation.counts.matrix.ravel().tolist()
    return counts
