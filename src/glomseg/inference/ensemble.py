"""Several models used as one: which they are, and what was chosen for them together.

``ensemble.json``, whose members are named from the file's own folder::

    {
      "format": "glomseg ensemble 1",
      "members": [{"file": "fold-1/best.safetensors", "sha256": "..."}, ...],
      "threshold": 0.45,
      "tta": {"scales": [1.0], "flips": ["none", "horizontal"]},
      "smallest": {"diameter": 40.0, "unit": "um"}
    }

Only format, members and their files are needed; what is absent or null was not chosen.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from glomseg.errors import InvalidInputError, did_you_mean
from glomseg.files import read_json, sha256_of, write_json
from glomseg.types import ModelCard, TestTimeAugmentation

_FORMAT = "glomseg ensemble 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallestObject:
    """The diameter of the circle with the area of the smallest object that counts.

    Attributes
    ----------
    diameter
        0 counts every object.
    unit
        "um", or "px" where the micrometres per pixel were not known.
    """

    diameter: float
    unit: Literal["um", "px"]

    def __post_init__(self) -> None:
        if not 0 <= self.diameter < 1e6:
            raise ValueError(f"a diameter of {self.diameter:g} {self.unit} is none of an object")

    def area_px(self, mpp: float | None) -> int | None:
        """Return the area in pixels of an image of this mpp; None where micrometres do not tell it."""
        if self.unit == "um" and mpp is None:
            return None
        diameter_px = self.diameter if self.unit == "px" or mpp is None else self.diameter / mpp
        return math.ceil(math.pi / 4 * diameter_px**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One model of an ensemble.

    Attributes
    ----------
    name
        As the record has it: its path from the record's folder.
    file
        The model file.
    sha256
        Of the file, or None where the record does not say.
    """

    name: str
    file: Path
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Models whose mean probabilities are one prediction.

    Attributes
    ----------
    members
        Two or more.
    threshold
        The foreground's probability above which a pixel of two classes is foreground; None takes the likelier class.
    tta
        Test-time augmentation that was chosen; None where none was.
    smallest
        The smallest object that counts, where it was chosen.
    """

    members: tuple[Member, ...]
    threshold: float | None = None
    tta: TestTimeAugmentation | None = None
    smallest: SmallestObject | None = None

    def notes(self, cards: Mapping[str, ModelCard]) -> tuple[str, ...]:
        """Return what a reader has to know of it, in sentences, given the members' cards by name."""
        notes = [f"ensemble: the mean of the probabilities of {len(self.members)} models"]
        silent = [name for name, card in cards.items() if "train_images" not in card.trained_on]
        if 0 < len(silent) < len(cards):
            notes.append(f"{', '.join(silent)} of the ensemble: nobody knows which tiles it was trained on")
        chosen = []
        if self.threshold is not None:
            chosen.append(f"a pixel is foreground above a probability of {self.threshold:g}")
        if self.tta is not None:
            chosen.append(f"test-time augmentation is on ({self.tta.describe()}) unless other views are asked for")
        if self.smallest is not None:
            where = "where the um per pixel are known" if self.smallest.unit == "um" else "of tiles"
            chosen.append(
                f"objects {where} do not count below a diameter of {self.smallest.diameter:g} {self.smallest.unit}, "
                "unless another smallest size is given"
            )
        if chosen:
            notes.append(f"chosen with the ensemble: {'; '.join(chosen)}")
        return tuple(notes)


def write_ensemble(path: str | os.PathLike[str], ensemble: Ensemble) -> None:
    """Write the record of an ensemble; its members must lie below the record's folder."""
    folder = Path(path).parent.resolve()
    members = [
        {"file": member.file.resolve().relative_to(folder).as_posix(), "sha256": member.sha256}
        for member in ensemble.members
    ]
    chosen = {key: value for key, value in asdict(ensemble).items() if key != "members"}
    write_json(path, {"format": _FORMAT, "members": members, **chosen})


@dataclass(frozen=True, slots=True, kw_only=True)
class _MemberRecord:
    file: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    members: tuple[_MemberRecord, ...]
    threshold: float | None = None
    tta: TestTimeAugmentation | None = None
    smallest: SmallestObject | None = None


_RECORD = TypeAdapter(_Record)


def read_ensemble(path: str | os.PathLike[str]) -> Ensemble:
    """Return the ensemble of a record; its members are there and are the ones that were recorded.

    Raises
    ------
    MissingInputError
        If the record or a member is not there.
    InvalidInputError
        If the record is damaged, names fewer than two members, or a member was changed since.
    """
    path = Path(path)
    values: Any = read_json(path, what="ensemble")
    if not isinstance(values, Mapping) or values.get("format") != _FORMAT:
        raise InvalidInputError(
            f"{str(path)!r} is not an ensemble ({_FORMAT}); give a model file, a run folder, or the folder of "
            "`glomseg crossval`"
        )
    known = ["format", *(item.name for item in fields(_Record))]
    if unknown := next((key for key in values if key not in known), None):
        raise InvalidInputError(f"ensemble {str(path)!r} has the key {unknown!r}: {did_you_mean(unknown, known)}")
    try:
        record = _RECORD.validate_python({key: value for key, value in values.items() if key != "format"})
    except (ValidationError, InvalidInputError) as error:
        raise InvalidInputError(f"ensemble {str(path)!r} is damaged: {_reason(error)}") from error
    if record.threshold is not None and not 0 < record.threshold < 1:
        raise InvalidInputError(f"ensemble {str(path)!r}: the threshold {record.threshold} is not between 0 and 1")
    if len(record.members) < 2:
        raise InvalidInputError(f"ensemble {str(path)!r} names {len(record.members)} models; it needs two or more")
    if len({item.file for item in record.members}) < len(record.members):
        raise InvalidInputError(f"ensemble {str(path)!r} names one of its models twice")
    members = tuple(_member(path, item) for item in record.members)
    return Ensemble(members=members, threshold=record.threshold, tta=record.tta, smallest=record.smallest)


def _member(path: Path, record: _MemberRecord) -> Member:
    file = path.parent / record.file
    digest = sha256_of(file)
    if record.sha256 is not None and record.sha256 != digest:
        raise InvalidInputError(
            f"{str(file)!r} is not the model that {str(path)!r} was made with: it was trained again or replaced since; "
            "put the old file back, or run the cross-validation again"
        )
    return Member(name=record.file, file=file, sha256=digest)


def ensemble_card(ensemble: Ensemble, cards: Mapping[str, ModelCard]) -> ModelCard:
    """Return the card of an ensemble: the first member's, but for what it was trained on, which is that of all.

    Parameters
    ----------
    ensemble
        The record.
    cards
        Of the members, by name.

    Raises
    ------
    InvalidInputError
        If classes, scaling, mean, std, inference or the stains' reference differ, or a threshold is given for more
        than two classes.
    """
    first_name, first = next(iter(cards.items()))
    for name, card in cards.items():
        for what, value in _common(card).items():
            if value != (wanted := _common(first)[what]):
                raise InvalidInputError(
                    f"{name!r} and {first_name!r} cannot be one ensemble: they differ in {what}, {value} and {wanted}; "
                    "leave one of them out of the ensemble's record, or train them alike"
                )
    if ensemble.threshold is not None and len(first.classes) != 2:
        raise InvalidInputError(
            f"the ensemble has a threshold, but its models know {len(first.classes)} classes; a threshold is for two"
        )
    inference = first.inference
    if ensemble.threshold is not None:
        inference = replace(inference, threshold=ensemble.threshold)
    return replace(
        first,
        architecture=" + ".join(dict.fromkeys(card.architecture for card in cards.values())),
        inference=inference,
        tta=ensemble.tta or first.tta,
        trained_on=_trained_on(list(cards.values())),
        metrics={},
        provenance={
            "members": {member.name: member.sha256 for member in ensemble.members},
            "threshold": ensemble.threshold,
            "smallest": None if ensemble.smallest is None else asdict(ensemble.smallest),
        },
    )


def _common(card: ModelCard) -> dict[str, Any]:
    """Return what all members have to have in common: one prepared image is shown to all of them."""
    return {
        "classes": card.classes.names,
        "scaling": card.scaling,
        "mean": card.mean,
        "std": card.std,
        "inference": card.inference,
        "stain": card.stain,
    }


def _trained_on(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """Return what the members together were trained on, so that no tile that one of them saw passes for new."""
    known = [card.trained_on for card in cards]
    merged: dict[str, Any] = {key: known[0][key] for key in ("data", "mpp") if key in known[0]}
    for key in ("train_images", "val_images", "start_images", "train_groups", "val_groups"):
        lists = [of[key] for of in known if isinstance(of.get(key), (list, tuple))]
        if lists:
            merged[key] = sorted({str(item) for items in lists for item in items})
    return merged


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(item) for item in first['loc'])}: {first['msg']}"
    return str(error)
