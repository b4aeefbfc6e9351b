"""MMEngine's Python configs as plain dicts: parsed, inherited and merged, never executed."""

import ast
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import read_text
from glomseg.models.openmmlab.expressions import FOUND, Expressions

_MAX_BYTES = 2**20
_MAX_FILES = 64
_MAX_PARTS = 300_000

_ENVIRONMENT = re.compile(r"""\{\{['"]?\s*\$(\w+)\s*:\s*(\S*?)\s*['"]?\}\}""")
_CHANGES = ("update", "append", "extend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a config says, with everything that it inherits.

    Attributes
    ----------
    origin
        The file, or in words where the text came from.
    values
        Dicts, lists, tuples, texts and numbers by name.
    notes
        What a reader has to know about the reading, in sentences.
    """

    origin: str
    values: dict[str, Any]
    notes: tuple[str, ...] = ()


def read_config(path: str | Path) -> Config:
    """Return what a config file (``.py``) and the files in its ``_base_`` say.

    Raises
    ------
    MissingInputError
        If the file or one it inherits does not exist.
    InvalidInputError
        If there is anything in them but plain values (the message names file and line), files inherit each
        other in a circle, or two files of one ``_base_`` give the same name.
    """
    reading = _Reading()
    values = reading.file(Path(path), child=None)
    return Config(origin=str(path), values=values, notes=tuple(dict.fromkeys(reading.notes)))


def parse_config(text: str, *, origin: str) -> Config:
    """Return what the text of a config says, such as the one that a checkpoint keeps in ``meta["cfg"]``.

    The text may not inherit: checkpoints keep the whole config. `origin` names it in messages.
    """
    if len(text) > _MAX_BYTES:
        raise InvalidInputError(f"config {origin!r} is longer than the {_MAX_BYTES:,} letters that one can have")
    reading = _Reading()
    values = reading.text(text, origin=origin, folder=None)
    return Config(origin=origin, values=values, notes=tuple(dict.fromkeys(reading.notes)))


@dataclass
class _Reading:
    """One config on its way through the files that it inherits."""

    notes: list[str] = field(default_factory=list)
    n_files: int = 0
    open_files: list[Path] = field(default_factory=list)

    def file(self, path: Path, *, child: str | None) -> dict[str, Any]:
        what = "config" if child is None else f"config inherited by {child!r}"
        if path.suffix != ".py":
            raise InvalidInputError(f"{what} {str(path)!r} is not a .py file; configs in other formats are not read")
        if not path.is_file():
            raise MissingInputError(f"{what} {str(path)!r} does not exist; give the folder of configs as it was")
        resolved = path.resolve()
        if resolved in self.open_files:
            circle = " -> ".join(item.name for item in [*self.open_files, resolved])
            raise InvalidInputError(f"configs inherit each other in a circle: {circle}")
        self.n_files += 1
        if self.n_files > _MAX_FILES:
            raise InvalidInputError(f"config {str(path)!r}: more than {_MAX_FILES} files are inherited")
        text = _fill_file_names(read_text(path, what=what, max_bytes=_MAX_BYTES), path.absolute())
        self.open_files.append(resolved)
        values = self.text(text, origin=str(path), folder=path.parent)
        self.open_files.pop()
        return values

    def text(self, text: str, *, origin: str, folder: Path | None) -> dict[str, Any]:
        text = _ENVIRONMENT.sub(lambda found: self._default(found, origin), text)
        try:
            statements = ast.parse(text).body
        except SyntaxError as error:
            raise InvalidInputError(f"config {origin!r}, line {error.lineno}: {error.msg}") from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise InvalidInputError(f"config {origin!r} is no Python text that can be read: {error}") from error
        reader = Expressions(origin, {})
        bases = [item for item in statements if _assigns_base(item)]
        for statement in bases:
            _assign(reader, statement)
        inherited = self._inherited(reader, reader.names.pop("_base_", []), folder)
        reader.names["_base_"] = inherited
        for statement in statements:
            if not _assigns_base(statement):
                _take(reader, statement)
        reader.names.pop("_base_")
        own = {name: value for name, value in reader.names.items() if not name.startswith("__")}
        if _n_parts(own, limit=_MAX_PARTS) > _MAX_PARTS:
            raise InvalidInputError(f"config {origin!r} holds more than {_MAX_PARTS:,} values")
        return merge(own, inherited, origin=origin)

    def _default(self, found: re.Match[str], origin: str) -> str:
        name, default = found.groups()
        self.notes.append(
            f"{origin}: the environment variable {name} is not looked at; its default {default!r} is taken"
        )
        return default

    def _inherited(self, reader: Expressions, bases: Any, folder: Path | None) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for base in [bases] if isinstance(bases, str) else bases:
            if not isinstance(base, str) or "::" in base or "://" in base:
                raise InvalidInputError(f"config {reader.origin!r}: _base_ {base!r} is no path of a file beside it")
            if folder is None:
                raise InvalidInputError(f"config {reader.origin!r} inherits {base!r}, but is not a file itself")
            one = self.file(folder / base, child=reader.origin)
            twice = sorted(values.keys() & one.keys())
            if twice:
                raise InvalidInputError(
                    f"config {reader.origin!r}: more than one file of its _base_ gives {', '.join(twice)}"
                )
            values |= one
        return values


def merge(own: Mapping[Any, Any], inherited: Mapping[Any, Any], *, origin: str) -> dict[Any, Any]:
    """Return `inherited` changed by `own`: dicts are merged part by part, everything else is replaced.

    A dict with ``_delete_=True`` replaces the inherited one as a whole.
    """
    result = dict(inherited)
    for name, value in own.items():
        if not isinstance(value, dict) or name not in inherited or value.get("_delete_", False):
            result[name] = _without_delete(value)
        elif isinstance(inherited[name], dict):
            result[name] = merge(value, inherited[name], origin=origin)
        else:
            raise InvalidInputError(
                f"config {origin!r}: {name!r} is a dict, and the inherited one a {type(inherited[name]).__name__}; "
                "write _delete_=True into it to replace the inherited one"
            )
    result.pop("_delete_", None)
    return result


def _without_delete(value: Any) -> Any:
    """Return a copy of nested plain values without the marks ``_delete_``."""
    if isinstance(value, dict):
        return {name: _without_delete(item) for name, item in value.items() if name != "_delete_"}
    if isinstance(value, (list, tuple)):
        return type(value)(_without_delete(item) for item in value)
    return value


def _fill_file_names(text: str, path: Path) -> str:
    known = {
        "fileDirname": path.parent.as_posix(),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }

    def filled(found: re.Match[str]) -> str:
        return re.sub(r"""(['"\\])""", r"\\\1", known[found[1]])  # it stands inside quotes

    return re.sub(r"\{\{\s*(" + "|".join(known) + r")\s*\}\}", filled, text)


def _assigns_base(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "_base_" for target in statement.targets
    )


def _take(reader: Expressions, statement: ast.stmt) -> None:
    """Carry out one statement on the names that were read so far."""
    match statement:
        case ast.Assign() | ast.AnnAssign():
            _assign(reader, statement)
        case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
            left = ast.copy_location(ast.Name(id=name, ctx=ast.Load()), target)
            reader.names[name] = reader.value(ast.copy_location(ast.BinOp(left=left, op=op, right=value), statement))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=holder, attr=change), args=arguments, keywords=keywords)):
            _change(reader, statement, holder, change=change, arguments=arguments, keywords=keywords)
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            pass
        case ast.Import(names=names):
            _check_import(reader, statement, [item.name for item in names])
        case ast.ImportFrom(module=module, level=level):
            _check_import(reader, statement, ["." * level + (module or "")])
        case ast.With():
            raise reader.error(
                statement,
                "this is a config of MMEngine's newer kind (`with read_base():`), which is made of imports; it is not "
                "read",
            )
        case ast.Expr(value=value):
            reader.value(value)  # names what is wrong with it
            raise reader.error(statement, "a value that is given to no name")
        case _:
            what = FOUND.get(type(statement).__name__, f"the statement {ast.unparse(statement)[:60]!r}")
            raise reader.error(statement, f"{what} is not a plain value")


def _assign(reader: Expressions, statement: ast.stmt) -> None:
    assert isinstance(statement, (ast.Assign, ast.AnnAssign))
    if statement.value is None:
        return
    value = reader.value(statement.value)
    for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
        if not isinstance(target, (ast.Subscript, ast.Attribute)):
            reader.names |= reader.bound(target, value)
            continue
        holder = reader.value(target.value)
        key = reader.value(target.slice) if isinstance(target, ast.Subscript) else target.attr
        inside = isinstance(holder, list) and isinstance(key, int) and -len(holder) <= key < len(holder)
        if not inside and not (isinstance(holder, dict) and isinstance(key, (str, int))):
            raise reader.error(statement, f"{ast.unparse(target)[:60]} cannot be given a value")
        holder[key] = value


def _change(
    reader: Expressions,
    statement: ast.stmt,
    holder: ast.expr,
    *,
    change: str,
    arguments: list[ast.expr],
    keywords: list[ast.keyword],
) -> None:
    """Carry out ``name.update(...)``, ``name.append(...)`` or ``name.extend(...)``."""
    target = reader.value(holder) if change in _CHANGES else None
    values = [reader.value(item) for item in arguments]
    match change, target, values:
        case "update", dict(), _:
            call = ast.Call(func=ast.Name(id="dict", ctx=ast.Load()), args=arguments, keywords=keywords)
            target.update(reader.value(ast.copy_location(call, statement)))
        case "append", list(), [value] if not keywords:
            target.append(value)
        case "extend", list(), [list() | tuple() as more] if not keywords:
            target.extend(list(more))
        case _:
            raise reader.error(statement, f"a call of {ast.unparse(holder)[:40]}.{change} is not a plain value")


def _check_import(reader: Expressions, statement: ast.stmt, modules: list[str]) -> None:
    """Let imports of Python's own modules stand (their names stay unknown), refuse all others."""
    for module in modules:
        if module.partition(".")[0] not in sys.stdlib_module_names:
            raise reader.error(
                statement,
                f"it imports {module!r}; configs of MMEngine's newer kind, which are made of imports, are not read",
            )


def _n_parts(value: Any, *, limit: int) -> int:
    """Return how many values are in `value`, each as often as it is referred to; little more than `limit` at most."""
    n_parts, waiting = 0, [value]
    while waiting and n_parts <= limit:
        item = waiting.pop()
        n_parts += 1
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
    return n_parts
