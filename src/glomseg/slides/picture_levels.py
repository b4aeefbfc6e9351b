"""Pictures (PNG, JPEG and others): a slide of one level, held in memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from glomseg.errors import InvalidInputError
from glomseg.images import image_header, read_image
from glomseg.slides.levels import FileFacts, Size
from glomseg.slides.resolution import mpp_from_density


class PictureLevels:
    """A picture in memory as the one level of a slide. For its properties and methods see `Levels`."""

    is_in_strips = False

    def __init__(self, path: Path) -> None:
        try:
            header = image_header(path, what="slide")
        except InvalidInputError as error:
            if not isinstance(error.__cause__, UnidentifiedImageError):
                raise
            raise InvalidInputError(
                f"slide {str(path)!r} is in no format that can be read, whatever its name says: there are SVS, NDPI, "
                "MRXS, SCN, BIF, DICOM, TIFF, OME-TIFF, PNG and JPEG; if it is one of them it is damaged: copy it again"
            ) from error
        self._pixels = read_image(path)
        height, width = self._pixels.shape[:2]
        self.sizes_px: tuple[Size, ...] = ((width, height),)
        density = header.pixels_per_inch
        self.facts = FileFacts(
            file_format=header.file_format,
            mpp_xy=None if density is None else mpp_from_density(*density, "inch"),
            mpp_source="resolution tags",
        )

    def read(self, level: int, x: int, y: int, *, width: int, height: int) -> NDArray[np.uint8]:
        """Return a box of the picture as RGB."""
        return self._pixels[y : y + height, x : x + width]

    def close(self) -> None:
        """Do nothing: the file is closed already."""
