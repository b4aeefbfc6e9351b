"""The bytes of an annotation file, taken out of the archive it may be in."""

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import IO

from glomseg.errors import GlomsegError, InvalidInputError, MissingInputError, UnsafeFileError

MAX_BYTES = 256 * 2**20
"""Larger files are refused: a slide with 10,000 finely drawn objects has some 100 MB."""

_EXPECTED = (".geojson", ".json", ".xml")


def read_annotation_bytes(path: Path) -> bytes:
    """Return an annotation file's content, unpacked if it is a zip or gzip file whatever its name says.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidInputError
        If it is empty or damaged, or an archive with none or several annotation files.
    UnsafeFileError
        If it has more than `MAX_BYTES`, packed or unpacked.
    """
    try:
        if not path.is_file():
            raise MissingInputError(f"annotation file {str(path)!r} does not exist or is not a file")
        with open(path, "rb") as file:
            content = _read_at_most(file, path)
        if content[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(content)) as packed:
                content = _read_at_most(packed, path)
        elif content[:4] == b"PK\x03\x04":
            content = _from_zip(content, path)
    except GlomsegError:
        raise
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise InvalidInputError(f"annotation file {str(path)!r} cannot be read: {reason}; copy it again") from error
    if not content.strip():
        raise InvalidInputError(f"annotation file {str(path)!r} is empty; export the annotations again")
    return content


def _from_zip(content: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if Path(name).suffix.lower() in _EXPECTED]
        if len(names) != 1:
            raise InvalidInputError(
                f"annotation file {str(path)!r} is an archive with {len(names)} annotation files in it, but one is "
                "needed; unpack it"
            )
        with archive.open(names[0]) as packed:
            return _read_at_most(packed, path)


def _read_at_most(file: "IO[bytes] | gzip.GzipFile", path: Path) -> bytes:
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnsafeFileError(
            f"annotation file {str(path)!r} has more than {MAX_BYTES:,} bytes, unpacked if it is packed; it is another "
            "kind of file or a decompression bomb"
        )
    return content
