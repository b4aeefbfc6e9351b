"""Opening whole slides of any format as one kind of `Slide`."""

import os
from pathlib import Path

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.slides.levels import Levels
from glomseg.slides.openslide_levels import OpenSlideLevels, detect_vendor
from glomseg.slides.picture_levels import PictureLevels
from glomseg.slides.pyramid import PyramidSlide
from glomseg.slides.slide import Slide
from glomseg.slides.tiff_levels import TiffLevels, is_tiff


def open_slide(path: str | os.PathLike[str], *, mpp: float | None = None) -> Slide:
    """Open a whole slide, or a picture as a slide of one level.

    SVS, NDPI, MRXS, SCN, BIF, DICOM (any one file of it), tiled TIFF and others are read through OpenSlide; other
    TIFF files, OME-TIFF among them, through tifffile, tile by tile; PNG, JPEG and the like are held in memory.

    Parameters
    ----------
    path
        The slide's file.
    mpp
        Micrometres per pixel of full resolution, in place of what the file says.

    Raises
    ------
    MissingInputError
        If there is no such file.
    InvalidInputError
        If it is damaged, in a format that cannot be read, or not a brightfield colour slide (fluorescence, a stack of
        focal planes, 16 bits a channel); or if `mpp` is not a positive number.
    UnsafeFileError
        If reading it could exhaust the machine.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InvalidInputError(
                f"slide {str(path)!r} is a folder; name the file of the slide: the .mrxs beside the folder, or any one "
                ".dcm in it"
            )
        if not path.is_file():
            raise MissingInputError(f"slide {str(path)!r} does not exist or is not a file")
        if path.stat().st_size == 0:
            raise InvalidInputError(f"slide {str(path)!r} is empty (0 bytes); copy or export it again")
        levels = _open_levels(path)
    except OSError as error:
        if isinstance(error, MissingInputError):
            raise
        raise InvalidInputError(f"slide {str(path)!r} cannot be read: {error.strerror or error}") from error
    try:
        return PyramidSlide(path, levels, mpp=mpp)
    except BaseException:
        levels.close()
        raise


def _open_levels(path: Path) -> Levels:
    vendor = detect_vendor(path)
    if vendor not in (None, "generic-tiff"):
        try:
            return OpenSlideLevels(path)
        except InvalidInputError:
            if not is_tiff(path):
                raise
    # OpenSlide would read any tiled TIFF, fluorescence as grey among them, and interpolates between the pixels of
    # levels whose downsampling is no whole number: a TIFF of no vendor is read as it is.
    return TiffLevels(path) if is_tiff(path) else PictureLevels(path)
