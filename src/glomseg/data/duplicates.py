"""Finding tiles that show the same picture: pixel by pixel, or changed by compression and light."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# On 125 tiles of kidney and other tissue the best correlation of two different tiles was 0.17; copies at JPEG
# quality 30, a fifth darker, at half the size or blurred by 2 pixels stayed above 0.77.
SIMILARITY = 0.7
"""Tiles whose descriptors correlate at least this well are near-duplicates."""

BLANK_SPREAD = 2.0
"""A tile whose thumbnail has less fine structure (standard deviation, grey levels) is blank and no duplicate."""

_BLUR_PX = 3.0  # standard deviation; what is coarser is light and staining, what is finer is the tissue
_FLOOR = 3.0  # grey levels of local contrast below which there is only noise
_CHUNK = 512


def is_blank(thumbnail: NDArray[np.uint8]) -> bool:
    """Return whether a grey thumbnail (h, w) uint8 shows no structure: empty slide, or one colour."""
    return float(_fine_structure(thumbnail).std()) < BLANK_SPREAD


def equal_sets(digests: Sequence[str]) -> list[list[int]]:
    """Return the sets of positions that share a digest, each of two or more; "" equals nothing."""
    positions: dict[str, list[int]] = {}
    for position, digest in enumerate(digests):
        if digest:
            positions.setdefault(digest, []).append(position)
    return [members for members in positions.values() if len(members) > 1]


def similar_sets(thumbnails: Sequence[NDArray[np.uint8] | None]) -> list[list[int]]:
    """Return the sets of positions whose thumbnails show the same picture, each of two or more.

    Brightness, contrast, uneven light, compression, slight blur and a change of size do not matter;
    pictures that are shifted, turned or mirrored are not recognised. Sets are closed: if a is like b
    and b like c, the three are one set. Blank thumbnails and None belong to none.

    Parameters
    ----------
    thumbnails
        (h, w) uint8 grey, all of one size.

    Conventions
    -----------
    Each thumbnail is freed of its coarse brightness and divided by its local contrast; the similarity
    of two is the correlation of what is left. All pairs are compared, as matrix products in blocks.
    """
    usable = [index for index, thumbnail in enumerate(thumbnails) if thumbnail is not None and not is_blank(thumbnail)]
    if len(usable) < 2:
        return []
    chosen = (thumbnails[index] for index in usable)
    table = np.stack([_descriptor(thumbnail) for thumbnail in chosen if thumbnail is not None])  # (N, h * w)
    first, second = [], []
    for start in range(0, len(table), _CHUNK):
        block = table[start : start + _CHUNK] @ table[start:].T
        rows, columns = np.nonzero(np.triu(block, k=1) >= SIMILARITY)
        first.append(rows + start)
        second.append(columns + start)
    sets = _joined(np.concatenate(first), np.concatenate(second), n_nodes=len(table))
    return [[usable[node] for node in nodes] for nodes in sets]


def _descriptor(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the fine structure of a thumbnail as a vector of length 1."""
    fine = _fine_structure(thumbnail)
    contrast = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), _BLUR_PX) + _FLOOR**2)
    vector = (fine / contrast).ravel()
    vector -= vector.mean()
    descriptor: NDArray[np.float32] = vector / max(float(np.linalg.norm(vector)), 1e-6)
    return descriptor


def _fine_structure(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = thumbnail.astype(np.float32)
    fine: NDArray[np.float32] = grey - cv2.GaussianBlur(grey, (0, 0), _BLUR_PX)
    return fine


def _joined(first: NDArray[np.int64], second: NDArray[np.int64], *, n_nodes: int) -> list[list[int]]:
    """Return the connected sets of two or more that the pairs form, each in order, by their first members."""
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(n_nodes, n_nodes))
    _, labels = connected_components(graph, directed=False)
    members: dict[int, list[int]] = {}
    for node, label in enumerate(labels.tolist()):
        members.setdefault(label, []).append(node)
    return [nodes for nodes in members.values() if len(nodes) > 1]
