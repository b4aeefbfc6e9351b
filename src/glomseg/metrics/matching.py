"""Which predicted object is which true one: one to one, so that the overlap of all pairs together is largest."""

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from glomseg.errors import InvalidInputError

MATCH_IOU = 0.5
"""A true object counts as found where a predicted one overlaps it with at least this IoU."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Objects:
    """The n objects of one label map that count, in the order of their labels.

    Attributes
    ----------
    label
        (n,) int64, the number in the label map.
    area_px
        (n,) int64, pixels that are not ignored; at least 1.
    centroid_px
        (n, 2) float64, (row, column) of the centre of mass of these pixels, counted from the centre of the first pixel.
    touches_border
        (n,) bool, whether a pixel lies on the tile's border, so that the object may go on outside.
    """

    label: NDArray[np.int64]
    area_px: NDArray[np.int64]
    centroid_px: NDArray[np.float64]
    touches_border: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matching:
    """Which true objects of a tile were found, by which predicted ones, and how well.

    Attributes
    ----------
    targets, predictions
        The true and the predicted objects.
    pairs
        (k, 2) int64, positions in `targets` and in `predictions`; each object is in at most one pair.
    iou
        (k,) float64, intersection over union of each pair.
    merges
        (n_predictions,) bool: the prediction covers more than half of two or more true objects.
    splits
        (n_targets,) bool: two or more predictions lie more than half within the true object.
    """

    targets: Objects
    predictions: Objects
    pairs: NDArray[np.int64]
    iou: NDArray[np.float64]
    merges: NDArray[np.bool_]
    splits: NDArray[np.bool_]


def label_objects(mask: NDArray[np.uint8], *, class_index: int, min_area_px: int = 0) -> NDArray[np.int32]:
    """Return the connected pieces of one class, numbered from 1; 0 is everything else.

    Pixels belong together if they touch, also at a corner, as in `measure.connected_components`.

    Parameters
    ----------
    mask
        (H, W) uint8 class index, 255 for ignored.
    class_index
        The class, 1 or higher.
    min_area_px
        Smaller pieces are left out.
    """
    where = (mask == class_index).view(np.uint8)
    if not where.any():  # OpenCV cannot label an image of no pixels
        return np.zeros(mask.shape, np.int32)
    labels: NDArray[np.int32]
    n_labels, labels, stats, _ = cv2.connectedComponentsWithStats(where, connectivity=8, ltype=cv2.CV_32S)
    kept = stats[:, cv2.CC_STAT_AREA] >= min_area_px
    kept[0] = False
    if kept.sum() < n_labels - 1:
        labels = np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]
    return labels


def match_objects(
    *,
    target: NDArray[np.integer],
    prediction: NDArray[np.integer],
    ignored: NDArray[np.bool_] | None = None,
    min_iou: float = MATCH_IOU,
) -> Matching:
    """Return which predicted object is which true one.

    Of all ways to pair true and predicted objects one to one, with an IoU of at least `min_iou` a pair, the one
    with the largest sum of IoUs is taken.

    Parameters
    ----------
    target, prediction
        (H, W) label maps: one number above 0 an object, 0 elsewhere. The objects of one map cannot overlap.
    ignored
        (H, W) bool, where nothing is known. These pixels count in no area and no IoU.
    min_iou
        Above 0 and at most 0.5, where every threshold of the figures can still be read from the pairs.

    Raises
    ------
    InvalidInputError
        If the maps are not two-dimensional, of whole numbers from 0 on, or of one size; or `min_iou` makes no
        sense.

    Conventions
    -----------
    Above an IoU of 0.5 an object can have one partner only, so every program finds the same pairs (Kirillov et al.);
    at 0.5 exactly it may have two, and one of them is taken. Ignored pixels follow Kirillov et al. too: a true object
    of which more than half is ignored is dropped, and the rest of it is then ignored; a predicted object of which
    more than half is ignored is dropped unless it has a partner. Programs that match greedily, or let one prediction
    find several objects, count more.

    References
    ----------
    Kirillov et al., "Panoptic Segmentation", CVPR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    >>> prediction = np.array([[0, 7, 0, 0], [7, 7, 0, 0]])
    >>> matching = match_objects(target=target, prediction=prediction)
    >>> matching.pairs, matching.iou, matching.targets.label
    (array([[0, 0]]), array([0.75]), array([1, 2]))
    """
    if not 0 < min_iou <= 0.5:
        raise InvalidInputError(f"min_iou is {min_iou}; objects are paired from an IoU above 0 and at most 0.5 on")
    _check(target, prediction, ignored)
    target, target_names = _numbered(target)
    prediction, prediction_names = _numbered(prediction)
    hidden = np.zeros(target.shape, np.bool_) if ignored is None else ignored
    hidden = hidden | _mostly_ignored(target, hidden)[target]
    target, targets = _objects(target, target_names, hidden)
    prediction, predictions = _objects(prediction, prediction_names, hidden)
    rows, columns, overlap = _overlaps(target, prediction, hidden, n_predictions=len(predictions))
    covered = overlap / targets.area_px[rows]
    inside = overlap / predictions.area_px[columns]
    iou = overlap / (targets.area_px[rows] + predictions.area_px[columns] - overlap)
    chosen = _best_pairs(rows, columns, np.where(iou >= min_iou, iou, 0.0))
    matching = Matching(
        targets=targets,
        predictions=predictions,
        pairs=np.stack([rows[chosen], columns[chosen]], axis=1),
        iou=iou[chosen],
        merges=np.bincount(columns[covered > 0.5], minlength=len(predictions)) > 1,
        splits=np.bincount(rows[inside > 0.5], minlength=len(targets)) > 1,
    )
    return _without(matching, _mostly_ignored(prediction, hidden)[1:])


def _best_pairs(rows: NDArray[np.int64], columns: NDArray[np.int64], iou: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the positions of the overlaps that are pairs, in the order of `rows`; an IoU of 0 is none."""
    allowed = np.flatnonzero(iou > 0)
    if not allowed.size:
        return allowed
    rows, columns, iou = rows[allowed], columns[allowed], iou[allowed]
    n_rows, n_all = int(rows.max()) + 1, int(rows.max()) + int(columns.max()) + 2
    links = coo_matrix((np.ones(len(rows)), (rows, n_rows + columns)), shape=(n_all, n_all))
    block = connected_components(links, directed=False)[1][rows]  # objects of two blocks never meet
    chosen = []
    for members in np.split(np.argsort(block, kind="stable"), np.cumsum(np.bincount(block))[:-1]):
        if len(members) == 1:
            chosen.append(int(members[0]))
        elif len(members):
            own_rows, row = np.unique(rows[members], return_inverse=True)
            own_columns, column = np.unique(columns[members], return_inverse=True)
            gain = np.zeros((len(own_rows), len(own_columns)))
            position = np.full(gain.shape, -1)
            gain[row, column], position[row, column] = iou[members], members
            pairs = position[linear_sum_assignment(gain, maximize=True)]
            chosen += pairs[pairs >= 0].tolist()
    return allowed[np.sort(np.array(chosen, np.int64))]


def _overlaps(
    target: NDArray[np.int64], prediction: NDArray[np.int64], hidden: NDArray[np.bool_], *, n_predictions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return for each true and predicted object that meet their positions, and how many pixels they share."""
    both = (target > 0) & (prediction > 0) & ~hidden
    keys, overlap = np.unique((target[both] - 1) * n_predictions + prediction[both] - 1, return_counts=True)
    width = max(1, n_predictions)
    return keys // width, keys % width, overlap.astype(np.int64)


def _objects(
    labels: NDArray[np.int64], names: NDArray[np.int64], hidden: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Objects]:
    """Return the map with objects that are ignored entirely taken out and the rest numbered 1 to n, and these n."""
    rows, columns = np.nonzero((labels > 0) & ~hidden)
    of = labels[rows, columns]
    area = np.bincount(of, minlength=len(names) + 1)
    kept = area > 0
    centroid = np.stack(
        [np.bincount(of, weights=where, minlength=len(area))[kept] / area[kept] for where in (rows, columns)], axis=1
    )
    edge = np.concatenate([labels[:1].ravel(), labels[-1:].ravel(), labels[:, :1].ravel(), labels[:, -1:].ravel()])
    touches = np.isin(np.arange(len(area)), edge)
    objects = Objects(label=names[kept[1:]], area_px=area[kept], centroid_px=centroid, touches_border=touches[kept])
    return np.where(kept, np.cumsum(kept), 0)[labels], objects


def _numbered(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the map with its objects numbered 1 to n, and their own numbers."""
    if labels.size and labels.max() <= labels.size:
        present = np.bincount(labels.ravel()) > 0
        present[0] = False
        return (np.cumsum(present) * present)[labels], np.flatnonzero(present)
    names, numbered = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    return numbered[:-1].reshape(labels.shape), names[1:].astype(np.int64)


def _mostly_ignored(labels: NDArray[np.int64], ignored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for 0, 1, ... n whether more than half of the object's pixels are ignored; 0 is none."""
    area = np.bincount(labels.ravel(), minlength=1)
    mostly = 2 * np.bincount(labels[ignored], minlength=len(area)) > area
    mostly[0] = False
    return mostly


def _without(matching: Matching, dropped: NDArray[np.bool_]) -> Matching:
    """Return the matching without the predictions that are marked and have no partner."""
    dropped = dropped.copy()
    dropped[matching.pairs[:, 1]] = False
    position = np.cumsum(~dropped) - 1
    predictions = matching.predictions
    return replace(
        matching,
        predictions=Objects(**{field.name: getattr(predictions, field.name)[~dropped] for field in fields(Objects)}),
        pairs=np.stack([matching.pairs[:, 0], position[matching.pairs[:, 1]]], axis=1),
        merges=matching.merges[~dropped],
    )


def _check(target: NDArray[np.integer], prediction: NDArray[np.integer], ignored: NDArray[np.bool_] | None) -> None:
    for what, labels in (("target", target), ("prediction", prediction)):
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise InvalidInputError(
                f"the {what} has the shape {labels.shape} and the type {labels.dtype}; a label map has the shape "
                "(H, W) and holds whole numbers, one an object"
            )
        if labels.size and labels.min() < 0:
            raise InvalidInputError(
                f"the {what} holds {labels.min()}; objects are numbered from 1, and 0 is no object: "
                "mark ignored pixels by `ignored`"
            )
    for what, other in (("prediction", prediction.shape), ("ignored", None if ignored is None else ignored.shape)):
        if other not in (None, target.shape):
            raise InvalidInputError(f"the target has the shape {target.shape}, but {what} {other}; both must be equal")
