"""Whether a slide's file is still the one that something was made from."""

import hashlib
import os
from pathlib import Path

from glomseg.errors import InvalidInputError, MissingInputError

_N_SAMPLES, _SAMPLE_BYTES = 16, 2**18


def slide_fingerprint(path: str | os.PathLike[str]) -> str:
    """Return 64 hexadecimal digits that tell a slide's file from every other, without reading all of it.

    They are the SHA-256 of its length and of 4 MiB, spread over it from the first byte to the last; of smaller files
    every byte counts. For slides with a folder of data beside their file (MRXS), the names and lengths of the
    files in it count too. The file's own name and date do not.

    Raises
    ------
    MissingInputError, InvalidInputError
        If it is not there or cannot be read.
    """
    path = Path(path)
    try:
        n_bytes = path.stat().st_size
        digest = hashlib.sha256(str(n_bytes).encode())
        last = max(0, n_bytes - _SAMPLE_BYTES)
        with open(path, "rb") as file:
            for number in range(_N_SAMPLES):
                file.seek(last * number // (_N_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
        folder = path.with_suffix("")
        if path.suffix.lower() == ".mrxs" and folder.is_dir():
            for item in sorted(folder.iterdir()):
                digest.update(f"{item.name}:{item.stat().st_size}\n".encode())
    except FileNotFoundError as error:
        raise MissingInputError(f"slide {str(path)!r} does not exist") from error
    except OSError as error:
        raise InvalidInputError(f"slide {str(path)!r} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
