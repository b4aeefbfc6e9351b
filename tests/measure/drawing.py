"""Shapes whose figures are known exactly, drawn by pixel centres."""

import math

import numpy as np
from scipy.special import ellipe


def grid(size_px):
    row, column = np.mgrid[:size_px, :size_px]
    return column + 0.5, row + 0.5


def ellipse(size_px, *, centre, semi, angle=0.0):
    x, y = (axis - middle for axis, middle in zip(grid(size_px), centre, strict=True))
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return (along / semi[0]) ** 2 + (across / semi[1]) ** 2 < 1


def disc(size_px, *, centre, radius):
    return ellipse(size_px, centre=centre, semi=(radius, radius))


def ellipse_perimeter(semi):
    long, short = max(semi), min(semi)
    return 4 * long * ellipe(1 - (short / long) ** 2)


def cropped(pixels):
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return np.ascontiguousarray(pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
