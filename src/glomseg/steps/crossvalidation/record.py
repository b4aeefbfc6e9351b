"""The folder of a cross-validation: what it was begun with, so that it can be gone on with, and with nothing else.

::

    crossval/
      crossval.json          what it was begun with; the folds; what was chosen; when test data were opened
      dataset.json           the tiles, their classes and groups, and the hashes of their bytes
      split.json             where a test part was set aside: which tiles it has
      fold-1/ ...            the run folder of each fold; evaluation-test/ in it is that of its held-out tiles
      folds.csv              the figures of each fold
      evaluation-folds/      the evaluation of all tiles, each predicted by the model that never saw its group
      ensemble.json          the models of the folds, to be used together
      evaluation-test/       where a test part was set aside: the ensemble's evaluation on it
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from glomseg._version import __version__
from glomseg.data.folds import Fold
from glomseg.data.record import check_unchanged, combined_hash, read_dataset_record, write_dataset_record
from glomseg.data.split import read_split, write_split
from glomseg.errors import InvalidInputError, MissingInputError, OutputError
from glomseg.files import json_text, make_folder, read_json, write_json
from glomseg.recipes import parse_settings
from glomseg.runs import ENSEMBLE, RunFolder
from glomseg.steps.crossvalidation.plan import CrossvalPlan
from glomseg.training.provenance import now
from glomseg.types import Dataset, Split

_FORMAT = "glomseg crossval 1"


@dataclass(frozen=True, slots=True)
class CrossvalFolder:
    """The paths of one cross-validation."""

    path: Path

    @property
    def record(self) -> Path:
        """What it was begun with and what came of it, JSON."""
        return self.path / "crossval.json"

    @property
    def dataset(self) -> Path:
        """The tiles with their hashes, JSON."""
        return self.path / "dataset.json"

    @property
    def split(self) -> Path:
        """Which tiles were set aside for the test, JSON."""
        return RunFolder(self.path).split

    @property
    def table(self) -> Path:
        """The figures of each fold, CSV."""
        return self.path / "folds.csv"

    @property
    def pooled(self) -> Path:
        """Folder of the evaluation of all held-out tiles."""
        return self.path / "evaluation-folds"

    @property
    def ensemble(self) -> Path:
        """The models of the folds as one, JSON."""
        return self.path / ENSEMBLE

    @property
    def test(self) -> Path:
        """Folder of the ensemble's evaluation on the test part."""
        return self.path / "evaluation-test"

    def fold(self, number: int) -> RunFolder:
        """The run of a fold, from 1."""
        return RunFolder(self.path / f"fold-{number}")


def begin(folder: CrossvalFolder, plan: CrossvalPlan, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Write down what a cross-validation is begun with, or find that it was begun with the same; return its record.

    Raises
    ------
    InvalidInputError
        If the one in the folder was begun with something else; the message names it.
    OutputError
        If there is something else in the folder.
    """
    made_of = _made_of(plan, hashes)
    if folder.record.is_file():
        record = _read(folder)
        _check_same(folder, record["made_of"], made_of, hashes=hashes)
        for number, fold in enumerate(plan.folds, start=1):
            if read_split(folder.fold(number).split) != fold.split:
                raise InvalidInputError(
                    f"{str(folder.path)!r} has another fold {number} than this version of glomseg draws; go on with "
                    f"`glomseg crossval --resume {folder.path}`, or name another folder with --out"
                )
        return record
    if RunFolder(folder.path).manifest.is_file():
        raise OutputError(f"{str(folder.path)!r} holds a training run; name another folder with --out")
    make_folder(folder.path)
    write_dataset_record(folder.dataset, plan.dataset, hashes)
    if plan.test:
        development = tuple(sample.name for sample in plan.development.samples)
        origin = "cross-validated tiles, and the test part that was set aside"
        write_split(folder.split, Split(train=development, val=(), test=plan.test, by="unknown", origin=origin))
    for number, fold in enumerate(plan.folds, start=1):
        write_split(folder.fold(number).split, fold.split)
    record = {
        "format": _FORMAT,
        "glomseg": __version__,
        "command": sys.argv,
        "started_at": now(),
        "made_of": made_of,
        "notes": plan.notes,
        "folds": [{"held_out": fold.held_out, "choice": fold.choice} for fold in plan.folds],
        "test": {"n_tiles": len(plan.test), "opened_at": []} if plan.test else None,
        "finished": False,
    }
    write_json(folder.record, record)  # the last one: with it the folder can be gone on with
    return _read(folder)


def reopen(
    folder: CrossvalFolder, hashes_of: Callable[[Dataset], Mapping[str, str]]
) -> tuple[CrossvalPlan, dict[str, Any]]:
    """Return what a cross-validation was begun with, and its record, after a look whether its tiles are unchanged.

    Parameters
    ----------
    folder
        Of the cross-validation.
    hashes_of
        From a data set to the hashes of its tiles.
    """
    if not folder.record.is_file():
        raise MissingInputError(
            f"{str(folder.path)!r} is no cross-validation: it has no {folder.record.name}; begin one with "
            f"`glomseg crossval DATA --out {folder.path}`"
        )
    record = _read(folder)
    dataset, recorded = read_dataset_record(folder.dataset)
    check_unchanged(dataset, recorded, hashes_of(dataset))
    try:
        made_of = record["made_of"]
        folds = tuple(
            Fold(split=read_split(folder.fold(number).split), held_out=item["held_out"], choice=item["choice"])
            for number, item in enumerate(record["folds"], start=1)
        )
        plan = CrossvalPlan(
            dataset=dataset,
            settings=parse_settings(made_of["settings"], origin=f"cross-validation {str(folder.record)!r}"),
            folds=folds,
            test=read_split(folder.split).test if record["test"] else (),
            division=made_of["division"],
            choose=tuple(made_of["choose"]),
            precision=made_of["precision"],
            notes=tuple(record["notes"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"cross-validation {str(folder.record)!r} is damaged ({type(error).__name__}: {error}); begin it anew"
        ) from error
    return plan, record


def _read(folder: CrossvalFolder) -> dict[str, Any]:
    record = read_json(folder.record, what="record of a cross-validation")
    if not isinstance(record, dict) or record.get("format") != _FORMAT or not isinstance(record.get("made_of"), dict):
        raise InvalidInputError(f"{str(folder.record)!r} is not the record of a cross-validation ({_FORMAT})")
    return record


def _made_of(plan: CrossvalPlan, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return everything that the results depend on, as it will be read back."""
    dataset = plan.dataset
    groups = {sample.name: sample.group for sample in dataset.samples}
    made_of = {
        "settings": plan.settings.model_dump(mode="json"),
        "division": plan.division,
        "choose": plan.choose,
        "precision": plan.precision,
        "test_tiles": list(plan.test),
        "data": {
            "classes": asdict(dataset.classes),
            "mask_values": dataset.mask_values,
            "ignore_value": dataset.ignore_value,
            "mpp": dataset.mpp,
            "slide_mpp": dataset.slide_mpp,
            "annotation_classes": dict(dataset.annotation_classes),
            "groups_sha256": combined_hash(groups),
            "sha256": combined_hash(hashes),
        },
    }
    plain: dict[str, Any] = json.loads(json_text(made_of))
    return plain


def _check_same(
    folder: CrossvalFolder, earlier: Mapping[str, Any], made_of: Mapping[str, Any], *, hashes: Mapping[str, str]
) -> None:
    then, current = _flat(earlier), _flat(made_of)
    changed = [key for key in {**then, **current} if then.get(key) != current.get(key)]
    if "data.sha256" in changed:
        dataset, recorded = read_dataset_record(folder.dataset)
        check_unchanged(dataset, recorded, hashes)
    if changed:
        key = changed[0]
        values = "" if key.endswith("sha256") else f": {_short(then.get(key))} then, {_short(current.get(key))} now"
        others = f" ({len(changed) - 1} more: {', '.join(changed[1:4])})" if len(changed) > 1 else ""
        raise InvalidInputError(
            f"the cross-validation in {str(folder.path)!r} was begun with another {key.removeprefix('settings.')}"
            f"{values}{others}; its folds would not fit together. Go on with the old values by "
            f"`glomseg crossval --resume {folder.path}`, or name another folder with --out"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _short(value: Any, limit: int = 60) -> str:
    text = json_text(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
