"""Settings, versions and hashes as lines of words and values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MAX_LISTED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Lines of words and values under one title."""

    title: str
    rows: tuple[tuple[str, str], ...]


def record_of(title: str, values: Mapping[str, Any], *, without: Sequence[str] = ()) -> Record:
    """Return nested values as lines: ``model.scaling.mpp`` and its value; long lists as their length."""
    kept = {key: value for key, value in values.items() if key not in without}
    return Record(title=title, rows=tuple(_lines(kept)))


def _lines(values: Mapping[str, Any], *, above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _lines(value, above=f"{above}{key}.")
        else:
            yield f"{above}{key}", _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        if len(value) > _MAX_LISTED:
            return f"{len(value)} values"
        separator = " " if all(isinstance(item, str) for item in value) else ", "
        return separator.join(map(_text, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
