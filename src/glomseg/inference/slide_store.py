"""The finished rows of a slide on disk, from which a prediction that was killed goes on."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from glomseg.errors import GlomsegError, OutputError
from glomseg.files import atomic_path, json_text, make_folder, output_error, read_json, write_json

_STATE, _MASK, _FOREGROUND = "state.json", "mask.u8", "foreground.u8"

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Carry:
    """The sums of weighted probabilities that a band begins with, because it shares rows with those before it.

    Attributes
    ----------
    left
        The first column; to the left of it, and after the last, the sums are zero.
    sums
        (C - 1, h, w) float32.
    """

    left: int
    sums: NDArray[np.float32]


class SlideStore:
    """Class and foreground probability of every working pixel of one slide, in a folder of their own.

    Parameters
    ----------
    folder
        Exists and belongs to this process alone: see `open_store`.
    height, width
        In working pixels.
    made_of
        Everything that the pixels depend on (model, slide, grid, settings), as values for JSON. What was done with
        other values is thrown away.

    Attributes
    ----------
    n_bands_done
        How many bands are finished.
    carry
        The sums that the next band begins with.
    fresh_reason
        Why rows that were there are not used; empty where there were none or they are.
    """

    def __init__(self, folder: Path, *, height: int, width: int, made_of: Mapping[str, Any]) -> None:
        self.folder = folder
        self.shape = height, width
        self.n_bands_done = 0
        self.carry: Carry | None = None
        self.fresh_reason = ""
        self._made_of = json_text(made_of)
        if (folder / _STATE).exists() and not self._restored():
            self.fresh_reason = "what an interrupted prediction left was made with another model, slide or setting"
        if not self.n_bands_done:
            self._begin()

    @property
    def mask(self) -> Bytes:
        """(H, W) uint8, the class of every pixel, on disk."""
        return np.memmap(self.folder / _MASK, np.uint8, "r", shape=self.shape)

    @property
    def foreground(self) -> Bytes:
        """(H, W) uint8, 255 times the probability of any foreground class, on disk."""
        return np.memmap(self.folder / _FOREGROUND, np.uint8, "r", shape=self.shape)

    def save_band(self, band: int, *, top: int, mask: Bytes, foreground: Bytes, carry: Carry | None) -> None:
        """Write the rows that a band finished, from row `top` on, then the state that says so."""
        try:
            for name, rows in ((_MASK, mask), (_FOREGROUND, foreground)):
                # Written, not mapped: on a full disk a write is an error, a touched page kills the process.
                with open(self.folder / name, "r+b") as file:
                    file.seek(top * self.shape[1])
                    file.write(np.ascontiguousarray(rows).data)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise output_error(self.folder, error) from error
        if carry is not None:
            with atomic_path(self._carry_path(band)) as temporary, open(temporary, "wb") as file:
                np.save(file, carry.sums)
        carry_left = None if carry is None else carry.left
        state = {"made_of": self._made_of, "n_bands_done": band + 1, "carry_left": carry_left}
        write_json(self.folder / _STATE, state)
        self._carry_path(band - 1).unlink(missing_ok=True)
        self.n_bands_done = band + 1

    def remove(self) -> None:
        """Delete the folder; the arrays must not be used any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _restored(self) -> bool:
        """Take over what an earlier process left; return whether it fits."""
        try:
            state = read_json(self.folder / _STATE, what="state of a prediction")
            if state["made_of"] != self._made_of:
                return False
            n_bands_done, n_bytes = int(state["n_bands_done"]), self.shape[0] * self.shape[1]
            if any((self.folder / name).stat().st_size != n_bytes for name in (_MASK, _FOREGROUND)):
                return False
            if state["carry_left"] is not None:
                sums = np.load(self._carry_path(n_bands_done - 1), allow_pickle=False)
                self.carry = Carry(left=int(state["carry_left"]), sums=sums)
        except (GlomsegError, OSError, KeyError, TypeError, ValueError):
            return False
        self.n_bands_done = n_bands_done
        return True

    def _begin(self) -> None:
        """Throw away what is there and make both arrays, all background."""
        try:
            for path in self.folder.iterdir():
                if path.name != _LOCK:
                    path.unlink()
            for name in (_MASK, _FOREGROUND):
                with open(self.folder / name, "wb") as file:
                    file.truncate(self.shape[0] * self.shape[1])  # rows that are never written take no room
        except OSError as error:
            raise output_error(self.folder, error) from error

    def _carry_path(self, band: int) -> Path:
        return self.folder / f"carry-{band}.npy"


_LOCK = "lock"


@contextmanager
def open_store(folder: Path, *, height: int, width: int, made_of: Mapping[str, Any]) -> Iterator[SlideStore]:
    """Open the store in a folder, which is made where it is not there, and hold it against other processes.

    Raises
    ------
    OutputError
        If another process predicts into the folder, or it cannot be written.
    """
    make_folder(folder)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(
            f"another process is predicting into {str(folder)!r}: wait for it, or choose another folder with --out"
        ) from error
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        yield SlideStore(folder, height=height, width=width, made_of=made_of)
    finally:
        lock.release()
