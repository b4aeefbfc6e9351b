"""What is wrong with image and mask files before anybody asks what is drawn in them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from glomseg.data.findings import Finding, Severity, counted, relative_names
from glomseg.data.survey import ImageSurvey, MaskSurvey, Problem, TileSurvey
from glomseg.images import LOSSY_FORMATS

# What each problem is called in a finding, what it means, and what mends it.
_PROBLEMS: dict[Problem, tuple[str, str, str]] = {
    "missing": ("missing-file", "named but not there", "put the files there, or take their lines out of the table"),
    "empty": ("empty-file", "empty (0 bytes)", "copy or export them again"),
    "too-large": (
        "too-large",
        "larger than a tile may be: a whole slide or a decompression bomb",
        "cut slides into tiles; delete files of unknown origin",
    ),
    "not-an-image": (
        "not-an-image",
        "no image that can be read, whatever the name says",
        "export them again as PNG, or move them out of the folder",
    ),
    "damaged": ("damaged-file", "damaged, probably cut off while copied", "copy them again"),
    "deep": (
        "sixteen-bit-image",
        "of more than 8 bits a channel, and how to scale them is not something to guess",
        "export them as 8-bit RGB",
    ),
    "not-indices": (
        "colour-mask",
        "no class indices but colours or large numbers",
        "export class indices (0, 1, ...) as 8-bit grey PNG",
    ),
}

# Image kinds that are read but are not plain RGB, by Pillow's mode.
_GREY = ("grey-image", "warning", "grey: what tells stains apart is lost", "scan or export them in colour")
_ALPHA = ("transparent-image", "note", "stored with transparency, which is laid on white", "export them as RGB")
_IMAGE_KINDS: dict[str, tuple[str, Severity, str, str]] = {
    "1": ("grey-image", "warning", "black and white", _GREY[3]),
    "L": ("grey-image", "warning", _GREY[2], _GREY[3]),
    "LA": ("grey-image", "warning", _GREY[2], _GREY[3]),
    "RGBA": ("transparent-image", "note", _ALPHA[2], _ALPHA[3]),
    "PA": ("palette-image", "warning", "stored with a palette of at most 256 colours", "export them as RGB"),
    "P": ("palette-image", "warning", "stored with a palette of at most 256 colours", "export them as RGB"),
    "CMYK": (
        "cmyk-image",
        "warning",
        "stored in printing colours (CMYK), which come out differently in every program",
        "export them as RGB",
    ),
}


def check_files(surveys: Sequence[TileSurvey], *, root: Path) -> Iterator[Finding]:
    """Yield what is wrong with the files: unreadable ones, odd kinds of images and masks, unequal sizes."""
    images = [item.image for item in surveys]
    masks = [item.mask for item in surveys if item.mask is not None]
    yield from _unreadable("image", images, root)
    yield from _unreadable("mask", masks, root)
    yield from _image_kinds(images, root)
    yield from _mask_kinds(masks, root)
    yield from _sizes(surveys, root)


def _unreadable(what: str, surveys: Sequence[ImageSurvey] | Sequence[MaskSurvey], root: Path) -> Iterator[Finding]:
    for problem, (code, meaning, fix) in _PROBLEMS.items():
        faults = [(item.path, item.fault) for item in surveys if item.fault and item.fault.problem == problem]
        if faults:
            is_are = "is" if len(faults) == 1 else "are"
            path, fault = faults[0]
            # What a mask holds in place of indices is worth the reader's own words; the rest is said already.
            first = fault.message if problem == "not-indices" else f"the first is {path.name!r}"
            yield Finding(
                code=code,
                severity="error",
                message=f"{counted(len(faults), what)} {is_are} {meaning}; {first}",
                files=relative_names((path for path, _ in faults), root),
                fix=fix,
            )


def _image_kinds(images: Sequence[ImageSurvey], root: Path) -> Iterator[Finding]:
    kinds: dict[tuple[str, Severity, str, str], list[Path]] = {}
    for item in images:
        if item.fault is None and item.header is not None and item.header.mode in _IMAGE_KINDS:
            kinds.setdefault(_IMAGE_KINDS[item.header.mode], []).append(item.path)
    for (code, severity, meaning, fix), paths in kinds.items():
        yield Finding(
            code=code,
            severity=severity,
            message=f"{counted(len(paths), 'image')} of {len(images)} {'is' if len(paths) == 1 else 'are'} {meaning}",
            files=relative_names(paths, root),
            fix=fix,
        )


def _mask_kinds(masks: Sequence[MaskSurvey], root: Path) -> Iterator[Finding]:
    sound = [(item, item.header) for item in masks if item.fault is None and item.header is not None]
    jpeg = [item for item, header in sound if header.file_format in LOSSY_FORMATS]
    if jpeg:
        smeared = sum(bool(item.unknown_values) for item in jpeg)
        yield Finding(
            code="jpeg-mask",
            severity="error" if smeared else "warning",
            message=f"{counted(len(jpeg), 'mask')} {'is' if len(jpeg) == 1 else 'are'} JPEG-compressed, which smears "
            f"labels along their borders; {smeared} {'holds' if smeared == 1 else 'hold'} values of no class",
            files=relative_names((item.path for item in jpeg), root),
            fix="export the masks again as PNG; if they cannot be, `magick mogrify -threshold 50% -format png FILES` "
            "makes clean 0/255 masks of two-class ones: delete the JPEG files and add --mask-values 0,255",
        )
    rgb = [item.path for item, header in sound if header.mode in ("RGB", "RGBA") and item not in jpeg]
    if rgb:
        yield Finding(
            code="rgb-mask",
            severity="note",
            message=f"{counted(len(rgb), 'mask')} {'is' if len(rgb) == 1 else 'are'} stored as RGB with equal "
            "channels: read here as one channel, but as three by other programs",
            files=relative_names(rgb, root),
            fix="export the masks as 8-bit grey PNG",
        )
    palette = [item.path for item, header in sound if header.mode == "P"]
    if palette:
        yield Finding(
            code="palette-mask",
            severity="note",
            message=f"{counted(len(palette), 'mask')} {'has' if len(palette) == 1 else 'have'} a palette: the indices "
            "are read as classes, not the colours",
            files=relative_names(palette, root),
            fix="if that is not what they mean, export the masks as 8-bit grey PNG",
        )


def _sizes(surveys: Sequence[TileSurvey], root: Path) -> Iterator[Finding]:
    wrong = [item for item in surveys if not item.has_one_size]
    if not wrong:
        return
    reasons = [_size_reason(item) for item in wrong]
    first = wrong[0]
    assert first.mask is not None and first.mask.header is not None and first.image.header is not None
    mask, image = first.mask.header, first.image.header
    alike = f"all look like {reasons[0]}" if len(set(reasons)) == 1 else f"the first looks like {reasons[0]}"
    yield Finding(
        code="size-mismatch",
        severity="error",
        message=f"{counted(len(wrong), 'mask')} {'differs' if len(wrong) == 1 else 'differ'} in size from the image: "
        f"{first.mask.path.name!r} is {mask.width}x{mask.height}, its image {image.width}x{image.height}; "
        f"{alike if len(wrong) > 1 else f'it looks like {reasons[0]}'}",
        files=relative_names((item.mask.path for item in wrong if item.mask is not None), root),
        fix="export the masks again at the size of their images",
    )


def _size_reason(item: TileSurvey) -> str:
    assert item.mask is not None and item.mask.header is not None and item.image.header is not None
    mask, image = item.mask.header, item.image.header
    if (mask.width, mask.height) == (image.height, image.width):
        return "a picture turned by 90 degrees: an EXIF orientation that one program applied and the other did not"
    for factor, smaller, larger in ((2, "half", "twice"), (4, "quarter", "four times")):
        if _is_multiple(image.width, mask.width, factor) and _is_multiple(image.height, mask.height, factor):
            return f"a {smaller}-size export"
        if _is_multiple(mask.width, image.width, factor) and _is_multiple(mask.height, image.height, factor):
            return f"an export at {larger} the size"
    ratio = mask.width / image.width
    if abs(mask.height / image.height - ratio) < 0.01 * ratio:
        return f"an export at {ratio:.3g} of the size"
    return "the mask of another picture: width and height have different ratios"


def _is_multiple(large: int, small: int, factor: int) -> bool:
    return abs(large - factor * small) < factor  # rounding up or down at the export
