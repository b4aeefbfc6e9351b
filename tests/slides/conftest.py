"""Slides for the tests: small pictures with known discs, and TIFF files of every kind."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from glomseg.export.pyramid import write_pyramid

GLASS = (240, 242, 238)


def draw_discs(height: int, width: int) -> np.ndarray:
    """A bright picture with three dark discs and a fine texture."""
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), GLASS, np.uint8)
    for x, y, radius, color in (
        (0.3, 0.4, 0.2, (150, 60, 120)),
        (0.75, 0.6, 0.15, (90, 60, 150)),
        (0.6, 0.15, 0.1, (200, 90, 160)),
    ):
        centre = (round(x * width), round(y * height))
        cv2.circle(picture, centre, round(radius * min(height, width)), color, -1)
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    return draw_discs(701, 903)


@pytest.fixture(scope="session")
def slide_path(tmp_path_factory: pytest.TempPathFactory, picture: np.ndarray) -> Path:
    """A lossless pyramid of the picture: 903 x 701 and 452 x 351 pixels, 0.25 um."""
    path = tmp_path_factory.mktemp("slides") / "discs.tif"
    write_pyramid(path, picture, mpp=0.25, compression="deflate")
    return path


@pytest.fixture
def write_tiff(tmp_path: Path) -> Callable[..., Path]:
    """Writes an array as a TIFF file, with the options of tifffile, and returns its path."""

    def write(array: np.ndarray, name: str = "slide.tif", **options: object) -> Path:
        path = tmp_path / name
        tifffile.imwrite(path, array, **options)
        return path

    return write
