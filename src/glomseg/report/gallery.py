"""The tiles of a page, as the data that its script shows, sorts and filters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glomseg.export.pictures import FOUND, IGNORED, INVENTED, MISSED
from glomseg.report.embedding import TilePicture
from glomseg.types import Classes, Color

_CONFUSED: Color = (204, 121, 167)  # Okabe and Ito's reddish purple


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryTile:
    """One tile of a gallery.

    Attributes
    ----------
    name, group
        Of the tile.
    picture
        What is seen of it.
    line
        What stands below its name.
    values
        Numbers to sort by.
    kinds
        Words to filter by: keys of the gallery's kinds.
    facts
        (what, value) pairs that are shown beside the large picture.
    """

    name: str
    group: str
    picture: TilePicture
    line: str = ""
    values: Mapping[str, float | None] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A way to sort the tiles: by one of their values, the largest first, or by name."""

    key: str
    label: str
    is_ascending: bool = False


def gallery_data(
    tiles: Sequence[GalleryTile],
    *,
    key: str,
    classes: Classes,
    views: Mapping[str, str],
    orders: Sequence[Order],
    kinds: Mapping[str, str],
    review_file: str,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what the page's script needs, as plain values.

    Parameters
    ----------
    tiles
        In any order.
    key
        What the reader's list is remembered under: different for different results.
    classes
        Names and colours of the masks.
    views
        What can be seen of a tile, with its words: "image", "truth", "prediction", "errors".
    orders
        Ways to sort, the first at the start; by name is always there.
    kinds
        Words of the kinds that can be filtered by; those that no tile has are left out.
    review_file
        Name of the file that the reader's list is saved as.
    notes
        What to know about the pictures.
    """
    counts = Counter(kind for tile in tiles for kind in tile.kinds)
    return {
        "key": key,
        "review_file": review_file,
        "classes": [_entry(name, color) for name, color in zip(classes.names, classes.colors, strict=True)],
        "outcomes": {
            "found": {**_entry("found", FOUND), "is_used": True},
            "invented": {**_entry("invented", INVENTED), "is_used": True},
            "missed": {**_entry("missed", MISSED), "is_used": True},
            "confused": {**_entry("taken for another class", _CONFUSED), "is_used": len(classes) > 2},
            "ignored": {**_entry("ignored", IGNORED), "is_used": any(tile.picture.has_ignored for tile in tiles)},
        },
        "views": [{"key": view, "label": label} for view, label in views.items()],
        "sorts": [
            *({"key": o.key, "label": o.label, "is_name": False, "is_ascending": o.is_ascending} for o in orders),
            {"key": "name", "label": "by name", "is_name": True, "is_ascending": False},
        ],
        "groups": sorted({tile.group for tile in tiles}),
        "kinds": [{"key": kind, "label": kinds[kind], "count": counts[kind]} for kind in kinds if counts[kind]],
        "gallery_notes": list(notes),
        "tiles": [_plain(tile) for tile in tiles],
    }


def _plain(tile: GalleryTile) -> dict[str, Any]:
    return {
        "name": tile.name,
        "group": tile.group,
        "width": tile.picture.width,
        "height": tile.picture.height,
        "image": tile.picture.image,
        "masks": tile.picture.masks,
        "line": tile.line,
        "values": dict(tile.values),
        "kinds": list(tile.kinds),
        "facts": [list(fact) for fact in tile.facts],
    }


def _entry(name: str, color: Color) -> dict[str, Any]:
    return {"name": name, "color": list(color)}
