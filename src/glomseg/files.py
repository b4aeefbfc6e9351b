"""Writing files so that nothing half-written is ever left under a final name."""

import csv
import errno
import hashlib
import io
import json
import os
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glomseg.errors import InvalidInputError, MissingInputError, OutputError

_HINTS = {
    errno.ENOSPC: "the disk is full: free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up: free some space or write elsewhere",
    errno.EACCES: "you may not write there: choose another output folder",
    errno.EPERM: "you may not write there: choose another output folder",
    errno.EROFS: "that file system is read-only: choose another output folder",
    errno.ENOTDIR: "a part of that path is a file, not a folder: choose another output folder",
    errno.EEXIST: "a file of that name is in the way: choose another output folder",
    errno.ENAMETOOLONG: "the name is too long for this file system",
}


def output_error(path: Path, error: OSError) -> OutputError:
    """Put an operating-system error on writing `path` into words a user can act on."""
    hint = _HINTS.get(error.errno or 0, "check the folder and try again")
    return OutputError(f"cannot write {str(path)!r}: {error.strerror or error}; {hint}")


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder with its parents, and return it."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    return path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary file keeps the suffix of `path`, is flushed to disk before the rename, and is
    removed when the block raises. Operating-system errors become `OutputError`.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(prefix=".glomseg-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OutputError:
        raise
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def failed_writes_as(*errors: type[Exception]) -> Iterator[None]:
    """Turn the `errors` of a library that writes a file into the system's: a full disk, the one cause there is."""
    try:
        yield
    except errors as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all; a file name in it that is no UTF-8 as escapes."""
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` to `path` as indented JSON; NaN and infinities become null, as JSON has neither."""
    write_text(path, json_text(value, indent=2) + "\n")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as JSON; NaN and infinities become null, paths and NumPy values plain ones."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _finite(value.tolist())
    return value


def read_json(path: str | os.PathLike[str], *, what: str) -> Any:
    """Read a JSON file; `what` names it in the error ("split file")."""
    text = read_text(path, what=what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} {str(path)!r} is not valid JSON: {error}") from error


def read_text(path: str | os.PathLike[str], *, what: str, max_bytes: int = 256 * 2**20) -> str:
    """Read a UTF-8 text file of at most `max_bytes`; `what` names it in the error."""
    path = Path(path)
    try:
        if not path.is_file():
            raise MissingInputError(f"{what} {str(path)!r} does not exist or is not a file")
        if path.stat().st_size > max_bytes:
            raise InvalidInputError(
                f"{what} {str(path)!r} has {path.stat().st_size:,} bytes, more than the {max_bytes:,} that "
                "such a file can reasonably have; it is probably another kind of file"
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{what} {str(path)!r} is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        if isinstance(error, MissingInputError):
            raise
        raise InvalidInputError(f"{what} {str(path)!r} cannot be read: {error.strerror or error}") from error


def parse_toml(text: str, *, origin: str) -> dict[str, Any]:
    """Return the values of a TOML text; `origin` names it in the error."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInputError(f"{origin} is not valid TOML: {error}") from error


def write_csv(path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Write rows to a CSV file with a header, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(columns), extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise MissingInputError(f"{str(path)!r} does not exist") from error
    except OSError as error:
        raise InvalidInputError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
