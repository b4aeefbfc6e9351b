"""Finding which files of a folder are images, which are masks, and which belong together."""

import csv
import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import read_json, read_text
from glomseg.images import IMAGE_SUFFIXES

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir", "tiles", "imagestr")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "ann_dir", "ann", "gt", "labelstr")
PART_FOLDERS = ("train", "val", "valid", "test", "training", "validation", "testing")

_IMAGE_ENDING = re.compile(r"(_img|_image|_0000)$", re.IGNORECASE)
_MASK_ENDING = re.compile(r"(_mask|_masks|_seg|_label|_labels|_gt|_annotation)$", re.IGNORECASE)
_NAMED_FILES = "images/ and masks/, img/ and mask/, imagesTr/ and labelsTr/, or a CSV with the columns image and mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An image with its mask (None where there is none).

    Attributes
    ----------
    name
        Unique in the layout: the image's path below the image folder, without suffix and ending.
    case
        The folder above the image folder in nested layouts, a CSV's group column, or None.
    """

    name: str
    image: Path
    mask: Path | None
    case: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The files of a data set.

    Attributes
    ----------
    kind
        In words for a reader.
    pairs
        By name; an image without a mask has none.
    masks_without_image
        Mask files that no image was found for.
    clashes
        Images and masks whose name another one has already; they are not in `pairs`.
    class_names
        From a dataset.json, or None.
    ignore_value
        Mask value that stands for ignored pixels, from a dataset.json, or None.
    """

    kind: str
    pairs: tuple[Pair, ...]
    masks_without_image: tuple[Path, ...] = ()
    clashes: tuple[Path, ...] = ()
    class_names: tuple[str, ...] | None = None
    ignore_value: int | None = None

    @property
    def images_without_mask(self) -> tuple[Path, ...]:
        """Images that no mask was found for."""
        return tuple(pair.image for pair in self.pairs if pair.mask is None)


def find_files(root: Path, *, group_column: str | None = None) -> Layout:
    """Return the images and masks of a folder, or of a CSV of pairs, as people have them.

    Parameters
    ----------
    root
        A folder or a CSV file.
    group_column
        Column of the CSV (`root` itself, or ``tiles.csv`` in the folder) that names the group.

    Raises
    ------
    MissingInputError
        If there is no such folder or file.
    InvalidInputError
        If nothing in it can be used; the message says what was looked for.
    """
    if root.is_file():
        return _from_csv(root, group_column=group_column)
    if not root.is_dir():
        raise MissingInputError(f"data set {str(root)!r} does not exist")
    layout = _from_nnunet(root) if (root / "dataset.json").is_file() else _from_folders(root)
    return layout if group_column is None else _with_groups(layout, root / "tiles.csv", group_column)


def image_files(folder: Path) -> list[Path]:
    """Return the image files below a folder, hidden ones left out, in order."""
    found = []
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above would go round for ever
            folders.clear()
            continue
        seen.add(real)
        paths = (Path(place, name) for name in files if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    return sorted(found)


def _from_folders(root: Path) -> Layout:
    images: list[tuple[str, Path, str | None]] = []
    masks: list[tuple[str, Path]] = []
    files = image_files(root)
    for path in files:
        role, key, case = _role(path.relative_to(root))
        if role == "mask":
            masks.append((_MASK_ENDING.sub("", key), path))
        elif role == "image":
            images.append((key, path, case))
    if not images and not masks:  # a flat folder: names alone tell images from masks
        for path in files:
            key = path.relative_to(root).with_suffix("").as_posix()
            if _MASK_ENDING.search(key):
                masks.append((_MASK_ENDING.sub("", key), path))
            else:
                images.append((key, path, None))
    if not images:
        raise InvalidInputError(
            f"data set {str(root)!r} holds no images ({len(files)} image files in all); looked for {_NAMED_FILES}"
        )
    return _paired("folders", images, masks)


def _role(path: Path) -> tuple[str, str, str | None]:
    """Return "image", "mask" or "", the key that pairs the file, and the case folder, if any."""
    folders = [part.lower() for part in path.parts[:-1]]
    for position in reversed(range(len(folders))):
        role = "image" if folders[position] in IMAGE_FOLDERS else "mask" if folders[position] in MASK_FOLDERS else ""
        if role:
            above = [part for part in path.parts[:position] if part.lower() not in PART_FOLDERS]
            key = Path(*path.parts[:position], *path.parts[position + 1 :]).with_suffix("")
            return role, key.as_posix(), "/".join(above) or None
    return "", path.with_suffix("").as_posix(), None


def _paired(kind: str, images: Iterable[tuple[str, Path, str | None]], masks: Iterable[tuple[str, Path]]) -> Layout:
    mask_of: dict[str, Path] = {}
    clashes = []
    for key, path in masks:
        if mask_of.setdefault(key, path) != path:
            clashes.append(path)
    pairs: dict[str, Pair] = {}
    unused = dict(mask_of)
    for key, path, case in images:
        bare = _IMAGE_ENDING.sub("", key)
        mask = mask_of.get(key) or mask_of.get(bare)
        unused.pop(key if key in mask_of else bare, None)
        # The ending is part of the name unless a mask shows that it only marks the image.
        name = bare if mask is not None and key not in mask_of else key
        if name in pairs:
            clashes.append(path)
        else:
            pairs[name] = Pair(name=name, image=path, mask=mask, case=case)
    return Layout(
        kind=kind,
        pairs=tuple(pairs[name] for name in sorted(pairs)),
        masks_without_image=tuple(unused.values()),
        clashes=tuple(clashes),
    )


def _from_nnunet(root: Path) -> Layout:
    what = "nnU-Net's dataset.json"
    values = read_json(root / "dataset.json", what=what)
    images_folder, masks_folder = root / "imagesTr", root / "labelsTr"
    if not isinstance(values, dict) or not images_folder.is_dir():
        return _from_folders(root)
    channels = values.get("channel_names", values.get("modality", {}))
    labels = values.get("labels")
    if not isinstance(labels, dict) or not isinstance(channels, dict):
        raise InvalidInputError(f"{what} in {str(root)!r} has no labels or channel_names")
    files = image_files(images_folder)
    if any(path.stem.endswith("_0001") for path in files):
        raise InvalidInputError(
            f"the images of {str(root)!r} are stored one channel a file ({len(channels)} channels); "
            "glomseg reads RGB images: save each case as one RGB file ending in _0000"
        )
    images = [(_IMAGE_ENDING.sub("", _key(path, images_folder)), path, None) for path in files]
    masks = [(_key(path, masks_folder), path) for path in image_files(masks_folder)]
    layout = _paired("nnU-Net", images, masks)
    names, ignore = _nnunet_labels(labels, root)
    return replace(layout, class_names=names, ignore_value=ignore)


def _key(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _nnunet_labels(labels: dict[str, object], root: Path) -> tuple[tuple[str, ...], int | None]:
    by_value = {value: name for name, value in labels.items() if type(value) is int}
    n_labels = len(labels)
    ignore = n_labels - 1 if by_value.get(n_labels - 1) == "ignore" else None
    if sorted(by_value) != list(range(n_labels)) or ("ignore" in labels and ignore is None):
        raise InvalidInputError(
            f"the labels of {str(root / 'dataset.json')!r} are {labels}; they must be whole numbers from 0 without "
            "gaps, ignore the highest (region-based labels are not supported)"
        )
    names = tuple(by_value[value] for value in range(n_labels))
    return (names, None) if ignore is None else (names[:-1], ignore)


def _from_csv(path: Path, *, group_column: str | None) -> Layout:
    rows = _read_csv(path)
    columns = set(rows[0]) if rows else set()
    if "image" not in columns:
        raise InvalidInputError(
            f"{str(path)!r} has the columns {', '.join(sorted(columns)) or 'none'}; a data set needs image and mask"
        )
    column = group_column or ("group" if "group" in columns else None)
    if column is not None and column not in columns:
        raise InvalidInputError(f"{str(path)!r} has no column {column!r}, only {', '.join(sorted(columns))}")
    pairs: dict[str, Pair] = {}
    clashes = []
    for number, row in enumerate(rows, start=2):
        name = _name_of_row(row.get("name") or without_suffix(row["image"]))
        if not name or not row["image"]:
            raise InvalidInputError(f"{str(path)!r}, line {number}: the image column names no file")
        image = path.parent / row["image"]
        mask = path.parent / row["mask"] if row.get("mask") else None
        if name in pairs:
            clashes.append(image)
            continue
        pairs[name] = Pair(name=name, image=image, mask=mask, case=row[column] if column else None)
    if not pairs:
        raise InvalidInputError(f"{str(path)!r} lists no images")
    return Layout(kind="CSV", pairs=tuple(pairs[name] for name in sorted(pairs)), clashes=tuple(clashes))


def _name_of_row(text: str) -> str:
    """Return a tile's name without root and dots: results are written under it, below the output folder."""
    path = Path(text)
    parts = [part for part in path.parts if part not in (path.anchor, "..")]
    return "/".join(parts)


def _with_groups(layout: Layout, table: Path, column: str) -> Layout:
    rows = _read_csv(table)
    key = next((name for name in ("file", "name", "image", "tile") if rows and name in rows[0]), None)
    if key is None or column not in rows[0]:
        raise InvalidInputError(
            f"{str(table)!r} needs a column file, name, image or tile and the column {column!r}; "
            f"it has {', '.join(rows[0]) if rows else 'nothing'}"
        )
    groups = {without_suffix(row[key]): row[column] for row in rows}
    pairs, missing = [], []
    for pair in layout.pairs:
        # Tables name tiles with or without their folders and endings.
        spellings = (pair.name, pair.name.rpartition("/")[2], pair.image.stem)
        group = next((groups[spelling] for spelling in spellings if spelling in groups), None)
        if group is None:
            missing.append(pair.name)
        else:
            pairs.append(replace(pair, case=group))
    if missing:
        raise InvalidInputError(f"{str(table)!r} has no line for {len(missing)} tiles, the first is {missing[0]!r}")
    return replace(layout, pairs=tuple(pairs))


def without_suffix(name: str) -> str:
    """Return a tile's name without the ending of an image file; other endings are part of the name."""
    path = Path(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def _read_csv(path: Path) -> list[dict[str, str]]:
    text = read_text(path, what="table")
    if "\0" in text:
        raise InvalidInputError(f"table {str(path)!r} is no text")
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InvalidInputError(f"table {str(path)!r} is not valid CSV: {error}") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InvalidInputError(f"table {str(path)!r}, line {number}: not as many cells as columns")
    return rows
