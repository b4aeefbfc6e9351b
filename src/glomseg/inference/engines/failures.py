"""What engines raise, in words that say what to do."""

from torch import Tensor

from glomseg.errors import InvalidInputError


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
