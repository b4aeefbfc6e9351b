"""What engines raise, in words that say what to do."""

from collections.abc import Sequence

from torch import Tensor

from glomseg.errors import InvalidInputError, UnsafeFileError


def shortened(error: Exception) -> str:
    """Return an engine's message in one line of bearable length."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def computing_error(engine: str, name: str, images: Tensor, *, error: Exception) -> Exception:
    """Return what to raise for what an engine raised while it computed; MemoryError where memory was short."""
    if isinstance(error, MemoryError) or "alloc" in str(error).lower():
        return MemoryError(str(error))
    height, width = images.shape[-2:]
    return InvalidInputError(
        f"{engine} cannot compute {name} for an image of {width}x{height} pixels: {shortened(error)}; "
        "the file is damaged or was not written by glomseg: export the model again"
    )


def damaged_error(name: str, kind: str, *, error: Exception) -> InvalidInputError:
    """Return what to raise for a file that cannot be read as a model of this kind."""
    return InvalidInputError(
        f"{name} is damaged or no {kind} model: {shortened(error)}; it was probably cut off while it was copied"
    )


def foreign_error(name: str, parts: Sequence[str]) -> UnsafeFileError:
    """Return what to raise for a model with parts that are in nothing that glomseg exports."""
    return UnsafeFileError(
        f"{name} has parts that glomseg does not export: {', '.join(parts)[:200]}; "
        "it was made by another program, which is the one to use it with"
    )
