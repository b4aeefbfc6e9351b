"""How well outlines agree: surface Dice, Hausdorff distance and mean distance, between the edges of pixels.

An outline is made of pixel edges: each edge between a pixel of the object and one outside is one point, in the edge's
middle. The tile's border and ignored pixels give no edges, since nobody knows what lies beyond.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import KDTree

from glomseg.errors import InvalidInputError
from glomseg.metrics.figures import Figure, fraction, quotient
from glomseg.metrics.matching import Matching

TOLERANCE = 5.0
"""How far an outline may lie off in `surface_dice`, in um, or in px where the micrometres per pixel are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryCounts:
    """How the outlines of one class agree, as numbers that add up over tiles, groups and data sets with `+`.

    Lengths are in um, or in px where the micrometres per pixel are not known.

    Attributes
    ----------
    n_edges, n_near
        Edges of all true and all predicted objects, and those of them that lie within the tolerance of an edge of the
        other side. The edges of missed and invented objects are among the first.
    n_pairs, sum_hausdorff_95
        Pairs of objects that both have an outline, and the sum of their Hausdorff distances.
    n_pair_edges, sum_distance
        Edges of the objects of these pairs, and the sum of their distances to the nearest edge of the partner.
    """

    n_edges: int = 0
    n_near: int = 0
    n_pairs: int = 0
    sum_hausdorff_95: float = 0.0
    n_pair_edges: int = 0
    sum_distance: float = 0.0

    @property
    def vector(self) -> NDArray[np.float64]:
        """(6,) float64, all counts one after another: what `boundary_figures` takes."""
        return np.array([getattr(self, field.name) for field in fields(self)], np.float64)

    def __add__(self, other: "BoundaryCounts") -> "BoundaryCounts":
        if not isinstance(other, BoundaryCounts):
            return NotImplemented
        return BoundaryCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


def count_boundaries(
    matching: Matching,
    *,
    target: NDArray[np.integer],
    prediction: NDArray[np.integer],
    ignored: NDArray[np.bool_] | None = None,
    mpp: float | None = None,
    tolerance: float = TOLERANCE,
) -> BoundaryCounts:
    """Return the counts of one class in one tile.

    Parameters
    ----------
    matching
        What `match_objects` made of the next three.
    target, prediction
        (H, W) label maps.
    ignored
        (H, W) bool, or None.
    mpp
        Micrometres per pixel, or None where they are not known.
    tolerance
        In um, or in px without `mpp`.

    Raises
    ------
    InvalidInputError
        If the tolerance is negative or no number.
    """
    if not 0 <= tolerance < np.inf:
        raise InvalidInputError(f"the tolerance of outlines is {tolerance}; it is a distance of 0 or more")
    unit = 1.0 if mpp is None else mpp
    near = [0, 0]
    sides = ((target, matching.targets), (prediction, matching.predictions))
    outlines = [unit * edges(np.isin(labels, objects.label), ignored=ignored) for labels, objects in sides]
    for side, (own, other) in enumerate((outlines, outlines[::-1])):
        if len(own) and len(other):
            # a little more, so that rounding puts no edge at exactly the tolerance outside
            distance = KDTree(other).query(own, distance_upper_bound=tolerance * (1 + 1e-9) + 1e-9)[0]
            near[side] = int(np.isfinite(distance).sum())
    places = [find_objects(labels) for labels in (target, prediction)]
    n_pairs, n_pair_edges, sum_hausdorff, sum_distance = 0, 0, 0.0, 0.0
    for pair in matching.pairs:
        labels = (int(matching.targets.label[pair[0]]), int(matching.predictions.label[pair[1]]))
        window = _around(places[0][labels[0] - 1], places[1][labels[1] - 1])
        distances = boundary_distances(
            target=target[window] == labels[0],
            prediction=prediction[window] == labels[1],
            ignored=None if ignored is None else ignored[window],
        )
        if all(len(distance) for distance in distances):
            n_pairs += 1
            n_pair_edges += sum(map(len, distances))
            sum_hausdorff += unit * hausdorff_95(*distances)
            sum_distance += unit * float(sum(distance.sum() for distance in distances))
    return BoundaryCounts(
        n_edges=sum(map(len, outlines)),
        n_near=sum(near),
        n_pairs=n_pairs,
        sum_hausdorff_95=sum_hausdorff,
        n_pair_edges=n_pair_edges,
        sum_distance=sum_distance,
    )


def boundary_figures(vectors: NDArray[np.float64]) -> dict[str, Figure]:
    """Return every figure of outlines of every sum of counts in a stack.

    Parameters
    ----------
    vectors
        (..., 6) float64, `BoundaryCounts.vector` or sums of them.

    Returns
    -------
    dict
        ``surface_dice``: share of all edges, true and predicted, that lie within the tolerance of the other side's.
        ``hausdorff_95``: mean over pairs of objects of their 95th-percentile Hausdorff distance. ``surface_distance``:
        mean over the edges of all pairs of the distance to the partner's outline.

    Conventions
    -----------
    A missed or an invented object has edges that are near nothing, so it lowers ``surface_dice``; the two distances
    are of found objects only, since the distance to no outline is not a number. Without any edge, or any pair, the
    figures are NaN.

    References
    ----------
    Nikolov et al., "Clinically applicable segmentation of head and neck anatomy", JMIR 23, 2021 (surface Dice).
    """
    n_edges, n_near, n_pairs, hausdorff, n_pair_edges, distance = np.moveaxis(vectors, -1, 0)
    return {
        "surface_dice": fraction(n_near, n_edges),
        "hausdorff_95": quotient(hausdorff, n_pairs),
        "surface_distance": quotient(distance, n_pair_edges),
    }


def edges(mask: NDArray[np.bool_], *, ignored: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the middles of the pixel edges between a mask's inside and its outside, in px.

    Parameters
    ----------
    mask
        (H, W) bool.
    ignored
        (H, W) bool: edges of these pixels are left out.

    Returns
    -------
    (n, 2) float64
        (row, column), counted from the centre of the first pixel, so one of the two is half a pixel off.

    Examples
    --------
    >>> edges(np.array([[True, False], [True, True]]))
    array([[0.5, 1. ],
           [0. , 0.5]])
    """
    across, along = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    if ignored is not None:
        across &= ~(ignored[1:] | ignored[:-1])
        along &= ~(ignored[:, 1:] | ignored[:, :-1])
    return np.concatenate([np.add(np.argwhere(across), (0.5, 0.0)), np.add(np.argwhere(along), (0.0, 0.5))])


def boundary_distances(
    *, target: NDArray[np.bool_], prediction: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each edge of one mask lies from the other's nearest: those of the target, those of the prediction.

    In px; infinite where the other mask has no edge.
    """
    true, predicted = edges(target, ignored=ignored), edges(prediction, ignored=ignored)
    return _nearest(true, predicted), _nearest(predicted, true)


def hausdorff_95(from_target: NDArray[np.float64], from_prediction: NDArray[np.float64]) -> float:
    """Return the distance within which 95 % of either outline lie: the larger of the two directed percentiles.

    NaN where neither mask has an edge, infinite where one of them has none.

    Parameters
    ----------
    from_target, from_prediction
        As `boundary_distances` returns them.

    Conventions
    -----------
    DeepMind's surface-distance takes the larger of the two percentiles, as here; MedPy one percentile of both lists
    together, which is smaller. Both measure between points of pixels; ours lie on their edges, so the outline of a
    mask is also that of its background. Percentiles are interpolated linearly, each edge counts the same.
    """
    directed = [distance for distance in (from_target, from_prediction) if len(distance)]
    if not directed:
        return np.nan
    if len(directed) == 1:
        return np.inf
    return max(float(np.percentile(distance, 95)) for distance in directed)


def _nearest(own: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(own) or not len(other):
        return np.full(len(own), np.inf)
    distance: NDArray[np.float64] = KDTree(other).query(own)[0]
    return distance


def _around(one: tuple[slice, slice], other: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return the window that holds both and, where the tile goes on, one pixel around them."""
    rows, columns = (
        slice(max(0, min(a.start, b.start) - 1), max(a.stop, b.stop) + 1) for a, b in zip(one, other, strict=True)
    )
    return rows, columns
