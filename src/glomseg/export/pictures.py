"""Pictures of masks: overlays, image beside mask, sheets of tiles. All arrays in, arrays out."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from glomseg.errors import InvalidInputError
from glomseg.export.legend import INK, PAPER, Entry, legend_strip, put_legend, text_size_px
from glomseg.export.lettering import draw_text, shortened
from glomseg.types import IGNORE_INDEX, Classes, Color

# Okabe and Ito's colours, which people with any colour vision tell apart.
FOUND: Color = (0, 158, 115)
INVENTED: Color = (240, 165, 0)
MISSED: Color = (0, 90, 200)
IGNORED: Color = (150, 150, 150)
"""What became of a pixel, in every picture of errors."""

_IGNORED = Entry(IGNORED, "ignored")
_LETTERBOX = (222, 224, 228)  # beside pictures that are not square; darker than an empty slide

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_NEGATIVE = 255, 150, 80, 10
"""Codes of `error_codes`; ignored pixels have 0."""

_OUTCOMES = (
    (TRUE_POSITIVE, Entry(FOUND, "true positive (found)")),
    (FALSE_POSITIVE, Entry(INVENTED, "false positive (too much)")),
    (FALSE_NEGATIVE, Entry(MISSED, "false negative (missed)")),
    (TRUE_NEGATIVE, Entry((232, 232, 232), "true negative")),
)
_NEGATIVE_TISSUE = Entry((232, 232, 232), "true negative (tissue in grey)")


def overlay(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    *,
    classes: Classes,
    opacity: float = 0.5,
    outline: bool = True,
    legend: bool = True,
) -> NDArray[np.uint8]:
    """Return the image with every foreground class tinted and outlined in its colour, (H, W, 3) uint8.

    Ignored pixels are hatched in grey. The outline is scaled with the picture, so that it can be seen on
    a large tile and does not bury a small one. The legend names the classes that are in the mask (all
    of them where it is empty), in the corner where it hides the least of them; pictures too small
    for it go without.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    mask
        (H, W) uint8 class index, 255 where ignored.
    classes
        Names and colours.
    opacity
        Of the tint: 0 leaves the tissue as it is, 1 covers it.
    outline
        Whether to draw the contours.
    legend
        Whether to draw a legend.

    Raises
    ------
    InvalidInputError
        If image and mask do not fit each other or the classes, or the opacity is not from 0 to 1.
    """
    check_picture(image)
    check_mask(mask, size=image.shape[:2], classes=classes)
    if not 0 <= opacity <= 1:
        raise InvalidInputError(f"opacity is {opacity}; it goes from 0 (tissue only) to 1 (colour only)")
    colors = _lookup(classes)[mask]  # (H, W, 3)
    ignored = mask == IGNORE_INDEX
    tinted = mask != 0
    if ignored.any():
        tinted &= ~ignored | _hatching(mask.shape)
    picture = image.copy()
    blended = cv2.addWeighted(image, 1 - opacity, colors, opacity, 0)
    np.copyto(picture, blended, where=tinted[..., None])
    present = [index for index in range(1, len(classes)) if (mask == index).any()]
    if outline:
        thickness = max(1, round(min(mask.shape) / 400))
        for index in present:
            _draw_outline(picture, mask == index, color=classes.colors[index], thickness=thickness)
    if not legend:
        return picture
    entries = [Entry(classes.colors[i], classes.names[i]) for i in present or range(1, len(classes))]
    return put_legend(picture, entries + [_IGNORED] * bool(ignored.any()), busy=mask != 0)


def color_mask(mask: NDArray[np.uint8], *, classes: Classes) -> NDArray[np.uint8]:
    """Return the mask as an (H, W, 3) uint8 picture in the colours of its classes, grey where ignored."""
    check_mask(mask, size=mask.shape, classes=classes)
    return _lookup(classes)[mask]


def side_by_side(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    *,
    classes: Classes,
    opacity: float = 0.5,
    titles: tuple[str, str, str] = ("image", "mask", "overlay"),
) -> NDArray[np.uint8]:
    """Return image, mask and overlay in a row with their titles above, uint8 RGB."""
    tinted = overlay(image, mask, classes=classes, opacity=opacity)
    return in_a_row([image, color_mask(mask, classes=classes), tinted], titles=titles)


def in_a_row(pictures: Sequence[NDArray[np.uint8]], *, titles: Sequence[str]) -> NDArray[np.uint8]:
    """Return pictures of one height in a row on white, each with its title above, uint8 RGB."""
    if not pictures or len(titles) != len(pictures):
        raise InvalidInputError(f"a row needs pictures and a title for each, not {len(pictures)} and {len(titles)}")
    for picture in pictures:
        check_picture(picture)
    heights = {picture.shape[0] for picture in pictures}
    if len(heights) > 1:
        raise InvalidInputError(f"pictures in a row have one height, not {sorted(heights)} pixels")
    height = heights.pop()
    size = text_size_px(height, min(picture.shape[1] for picture in pictures))
    gap, head = max(4, size // 2), 2 * size
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) + 1)
    canvas = Image.new("RGB", (width, head + height + gap), PAPER)
    draw = ImageDraw.Draw(canvas)
    x = gap
    for picture, title in zip(pictures, titles, strict=True):
        canvas.paste(Image.fromarray(picture), (x, head))
        title = shortened(title, size_px=size, max_width_px=picture.shape[1])
        draw_text(draw, (x + picture.shape[1] / 2, head / 2), title, size_px=size, color=INK, anchor="mm")
        x += picture.shape[1] + gap
    return np.array(canvas)


def sheet(
    tiles: Sequence[NDArray[np.uint8]], *, columns: int, tile_px: int = 256, captions: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """Return a contact sheet: every picture in a square cell of its own, row by row, uint8 RGB.

    Parameters
    ----------
    tiles
        (H, W, 3) uint8 pictures of any sizes; each is scaled to its cell with its ratio kept.
    columns
        Cells in a row; the last row may be shorter.
    tile_px
        Side of a cell in pixels, 16 or more.
    captions
        One line below each picture, shortened in the middle where too long; none leaves no room for it.

    Raises
    ------
    InvalidInputError
        If there is no picture, the captions are not one a picture, or a number is too small.
    """
    if not tiles:
        raise InvalidInputError("a sheet needs at least one picture; there was none to show")
    if columns < 1 or tile_px < 16:
        raise InvalidInputError(
            f"a sheet of {columns} columns of {tile_px} pixels cannot be drawn; use 1 and 16 or more"
        )
    if captions and len(captions) != len(tiles):
        raise InvalidInputError(f"{len(captions)} captions do not fit {len(tiles)} pictures; give one a picture")
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    size, gap = max(11, tile_px // 18), max(4, tile_px // 24)
    caption_height = round(size * 1.6) if captions else 0
    step_x, step_y = tile_px + gap, tile_px + caption_height + gap
    canvas = Image.new("RGB", (columns * step_x + gap, rows * step_y + gap), PAPER)
    draw = ImageDraw.Draw(canvas)
    for index, (tile, caption) in enumerate(zip(tiles, captions or [""] * len(tiles), strict=True)):
        check_picture(tile)
        x, y = gap + index % columns * step_x, gap + index // columns * step_y
        fitted = _fitted(tile, side_px=tile_px)
        draw.rectangle((x, y, x + tile_px - 1, y + tile_px - 1), fill=_LETTERBOX)
        canvas.paste(fitted, (x + (tile_px - fitted.width) // 2, y + (tile_px - fitted.height) // 2))
        if caption:
            line = shortened(caption, size_px=size, max_width_px=tile_px)
            draw_text(
                draw, (x + tile_px / 2, y + tile_px + caption_height / 2), line, size_px=size, color=INK, anchor="mm"
            )
    return np.array(canvas)


def error_codes(
    *, target: NDArray[np.uint8], prediction: NDArray[np.uint8], class_index: int, ignore_index: int = IGNORE_INDEX
) -> NDArray[np.uint8]:
    """Return what became of each pixel for one class, as grey values: TP 255, FP 150, FN 80, TN 10.

    Ignored pixels have 0.

    Parameters
    ----------
    target, prediction
        (H, W) uint8 class index.
    class_index
        The class that counts as positive; all others are negative.
    ignore_index
        Value of ignored pixels in `target`.

    Returns
    -------
    (H, W) uint8.

    Raises
    ------
    InvalidInputError
        If the two masks differ in size.
    """
    if target.shape != prediction.shape or target.ndim != 2:
        raise InvalidInputError(
            f"target and prediction are masks of one size (H, W), not {target.shape} and {prediction.shape}"
        )
    is_true, is_found = target == class_index, prediction == class_index
    codes = np.full(target.shape, TRUE_NEGATIVE, np.uint8)
    codes[is_true & is_found] = TRUE_POSITIVE
    codes[~is_true & is_found] = FALSE_POSITIVE
    codes[is_true & ~is_found] = FALSE_NEGATIVE
    codes[target == ignore_index] = 0
    return codes


def error_map(
    *,
    target: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    class_index: int,
    image: NDArray[np.uint8] | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> NDArray[np.uint8]:
    """Return a picture of where the prediction is right and wrong for one class, (H + legend, W, 3) uint8.

    Found pixels are green, too many orange, missed ones blue, in colours that the colour-blind can tell
    apart; below the map stands a legend. Each map pixel is at its place in the masks.

    Parameters
    ----------
    target, prediction
        (H, W) uint8 class index.
    class_index
        The class that counts as positive; all others are negative.
    image
        (H, W, 3) uint8 RGB; shown in grey under the colours if given. Without it true negatives are
        light grey.
    ignore_index
        Value of ignored pixels in `target`: dark grey in the map.

    Raises
    ------
    InvalidInputError
        If sizes differ, or there is no pixel.
    """
    codes = error_codes(target=target, prediction=prediction, class_index=class_index, ignore_index=ignore_index)
    lookup = np.zeros((256, 3), np.uint8)
    lookup[0] = _IGNORED.color
    for code, entry in _OUTCOMES:
        lookup[code] = entry.color
    picture = lookup[codes]
    check_picture(picture)
    outcomes = [entry for _, entry in _OUTCOMES]
    if image is not None:
        outcomes[-1] = _NEGATIVE_TISSUE
        check_picture(image)
        if image.shape[:2] != codes.shape:
            raise _wrong_size(codes.shape, image.shape)
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        # Grey tissue under even tints of 60 % keeps its structure and the tints their meaning.
        tinted = codes != TRUE_NEGATIVE
        picture = np.where(tinted[..., None], cv2.addWeighted(grey, 0.4, picture, 0.6, 0), grey)
    if (codes == 0).any():
        outcomes.append(_IGNORED)
    height, width = codes.shape
    strip = legend_strip(outcomes, width=width, size_px=text_size_px(height, width))
    return np.concatenate([picture, strip])


def check_picture(picture: NDArray[np.uint8]) -> None:
    """Raise InvalidInputError unless the array is an (H, W, 3) uint8 picture with pixels."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise InvalidInputError(
            f"a picture has the shape (H, W, 3) and the type uint8, not {picture.shape} {picture.dtype}"
        )


def check_mask(mask: NDArray[np.uint8], *, size: tuple[int, ...], classes: Classes) -> None:
    """Raise InvalidInputError unless the array is a mask of this (height, width) and these classes."""
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise InvalidInputError(f"a mask has the shape (H, W) and the type uint8, not {mask.shape} {mask.dtype}")
    if mask.shape != size:
        raise _wrong_size(mask.shape, size)
    beyond = mask[(mask >= len(classes)) & (mask != IGNORE_INDEX)]
    if beyond.size:
        raise InvalidInputError(
            f"the mask holds the value {int(beyond.max())}, but the {len(classes)} classes "
            f"({', '.join(classes.names)}) have 0 to {len(classes) - 1}, and {IGNORE_INDEX} means ignored"
        )


def _wrong_size(mask: tuple[int, ...], image: tuple[int, ...]) -> InvalidInputError:
    return InvalidInputError(
        f"the mask is {mask[1]}x{mask[0]} but the image {image[1]}x{image[0]} (width x height); "
        "a mask must have its image's size"
    )


def _lookup(classes: Classes) -> NDArray[np.uint8]:
    lookup = np.zeros((256, 3), np.uint8)
    lookup[: len(classes)] = classes.colors
    lookup[IGNORE_INDEX] = _IGNORED.color
    return lookup


def _hatching(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (H, W) bool diagonal stripes, wider on larger pictures."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    width = max(2, min(shape) // 128)
    stripes: NDArray[np.bool_] = (rows + columns) // width % 2 == 0
    return stripes


def _draw_outline(picture: NDArray[np.uint8], where: NDArray[np.bool_], *, color: Color, thickness: int) -> None:
    """Draw the contours of `where` into the picture, with a dark rim that sets them off from bright tissue.

    No line is drawn along the picture's own border: an object that is cut off there does not end there.
    """
    beyond = 2 * thickness + 2
    widened = np.pad(where.view(np.uint8), beyond, mode="edge")
    contours, _ = cv2.findContours(widened, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(-beyond, -beyond))
    rim = tuple(value // 3 for value in color)
    line = cv2.LINE_AA if thickness > 1 else cv2.LINE_8  # smoothing a line of one pixel only blurs it
    cv2.drawContours(picture, contours, -1, rim, thickness + 2, line)
    cv2.drawContours(picture, contours, -1, color, thickness, line)


def _fitted(tile: NDArray[np.uint8], *, side_px: int) -> Image.Image:
    """Return a picture scaled, ratio kept, to the largest size within a square."""
    height, width = tile.shape[:2]
    ratio = side_px / max(height, width)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    interpolation = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    return Image.fromarray(cv2.resize(tile, size, interpolation=interpolation))
