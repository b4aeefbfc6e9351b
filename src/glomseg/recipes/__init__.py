"""Recipes: settings as TOML files, those that come with the package beside this module, and ``key=value`` overrides.

A recipe is data: it can be read, compared and stored, never executed.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from glomseg.config import Settings
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import parse_toml, read_text

_FOLDER = resources.files(__name__)


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    return tuple(sorted(Path(item.name).stem for item in _FOLDER.iterdir() if item.name.endswith(".toml")))


def load_recipe(recipe: str, overrides: Iterable[str] = ()) -> Settings:
    """Return the settings of a recipe with overrides applied.

    Parameters
    ----------
    recipe
        A name from `recipe_names` or the path of a TOML file.
    overrides
        ``section.key=value`` texts; the value is read as TOML (``0.5``, ``true``, ``[0.5, 2]``), and
        as a plain text where it is no TOML; ``none`` empties a setting that may be empty.

    Raises
    ------
    MissingInputError
        If there is no such recipe.
    InvalidInputError
        If the file is no TOML, a key is unknown (the message names the nearest), or a value is out of range.
    """
    if recipe in recipe_names():
        text = (_FOLDER / f"{recipe}.toml").read_text(encoding="utf-8")
        origin = f"recipe {recipe!r}"
    elif recipe.endswith(".toml"):
        text = read_text(recipe, what="recipe", max_bytes=2**20)
        origin = f"recipe {recipe!r}"
    else:
        raise MissingInputError(
            f"there is no recipe {recipe!r}; the package has {', '.join(recipe_names())}, "
            "and the path of a .toml file works too"
        )
    values = parse_toml(text, origin=origin)
    values.setdefault("recipe", Path(recipe).stem)
    for override in overrides:
        apply_override(values, override)
    return parse_settings(values, origin=origin)


def parse_settings(values: Mapping[str, Any], *, origin: str) -> Settings:
    """Validate nested settings; `origin` names them in the error."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InvalidInputError(f"{origin}: " + "; ".join(_explain(item) for item in error.errors())) from error


def apply_override(values: dict[str, Any], override: str) -> None:
    """Put the value of a ``section.key=value`` text into nested settings."""
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise InvalidInputError(f"--set {override!r} is not of the form key=value, for example run.steps=2000")
    parts = key.strip().split(".")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    section = values
    for part in parts[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise InvalidInputError(f"--set {override!r}: {part!r} is a value, not a section")
    section[parts[-1]] = value


_ALTERNATIVE = re.compile(r"(constrained-)?(int|float)$|tuple\[|literal\[")
"""What pydantic adds to the place of an error: which of the alternatives that a setting has it tried."""


def _explain(error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    if error["type"] != "extra_forbidden":
        key = ".".join(part for part in location if not _ALTERNATIVE.match(part))
        return f"{key} = {error.get('input')!r}: {error['msg'].removeprefix('Value error, ')}"
    known = _known_keys()
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5) or _same_last_part(key, known)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; the sections are {', '.join(Settings.model_fields)}"
    return f"there is no setting {key!r}{hint}"


def _known_keys() -> list[str]:
    keys = []
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            keys += [f"{name}.{inner}" for inner in annotation.model_fields]
        keys.append(name)
    return keys


def _same_last_part(key: str, known: Sequence[str]) -> list[str]:
    last = key.rsplit(".", maxsplit=1)[-1]
    names = [item.rsplit(".", maxsplit=1)[-1] for item in known]
    matches = difflib.get_close_matches(last, names, n=1, cutoff=0.7)
    return [known[names.index(matches[0])]] if matches else []
