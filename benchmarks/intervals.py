"""How often nominal 95 % intervals hold the truth, by method, number of slides and kind of slides.

Each simulated study draws slides, and each method gives its interval of the pooled figure. The truth is the figure of a
million slides of that kind. Printed are the share of studies whose interval holds it, and the mean width.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from glomseg.metrics.figures import Figure, fraction, quotient
from glomseg.metrics.intervals import group_intervals
from timing import parse_quick, print_machine

Array = NDArray[np.float64]
N_GROUPS = (4, 6, 10, 25, 60)


def pixel_iou(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
    """IoU of slides with up to ten times the glomerulus area of others; recall of 0.45 to 0.98."""
    area = rng.uniform(2_000, 20_000, shape)
    return area * rng.beta(8, 2, shape), area * (1 + rng.beta(2, 10, shape))


def very_unlike(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
    """IoU of slides with log-normal areas, of which the small ones are also drawn worse."""
    logarithm = rng.normal(0, 1, shape)
    share = 1 / (1 + np.exp(-1.2 - 0.5 * logarithm - 0.8 * rng.normal(size=shape)))
    return np.exp(9 + logarithm) * share, np.exp(9 + logarithm) * (1 + rng.beta(2, 10, shape))


def recall_90(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Recall of objects, 12 a slide on average, 0.9 with a standard deviation of 0.09 between slides."""
    n = 1 + rng.negative_binomial(2, 2 / 13, shape)
    return rng.binomial(n, rng.beta(9, 1, shape)).astype(float), n.astype(float)


def recall_97(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Recall of objects, 20 a slide, 0.97: many studies find every object."""
    n = 1 + rng.negative_binomial(2, 2 / 21, shape)
    return rng.binomial(n, rng.beta(19.4, 0.6, shape)).astype(float), n.astype(float)


def few_objects(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Recall of objects, 2.5 a slide and often none."""
    n = rng.poisson(2.5, shape)
    n[:, :2] = np.maximum(n[:, :2], 1)  # two slides at least bear on it, else there is no interval
    return rng.binomial(n, rng.beta(4, 1, shape)).astype(float), n.astype(float)


def count_ratio(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Predicted over true objects, where slides differ in what is missed and what is invented."""
    found, n = recall_90(rng, shape)
    return found + rng.poisson(n * rng.gamma(1.0, 0.15, shape)), n


def one_in_ten_fails(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Recall of objects where nine slides in ten have 0.96 and one has 0.4."""
    n = 1 + rng.negative_binomial(2, 2 / 21, shape)
    return rng.binomial(n, np.where(rng.random(shape) < 0.1, 0.4, 0.96)).astype(float), n.astype(float)


KINDS = (pixel_iou, very_unlike, recall_90, recall_97, few_objects, count_ratio, one_in_ten_fails)


def jackknife(vectors: Array, figure: Callable[[Array, Array], Figure]) -> tuple[float, float]:
    """Our own."""
    interval = group_intervals(vectors, lambda v: {"figure": figure(v[..., 0], v[..., 1])})["figure"]
    return interval.low, interval.high


def bootstraps(vectors: Array, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Percentile, BCa and bootstrap-t intervals of a ratio; the last one on log-odds or, above 1, logarithms."""
    n, (part, whole) = len(vectors), vectors.T
    value = part.sum() / whole.sum()
    weights = rng.multinomial(n, np.full(n, 1 / n), 1000).astype(float)
    weights = weights[weights @ whole > 0]
    sums = weights @ vectors
    drawn = sums[:, 0] / sums[:, 1]
    others = (part.sum() - part) / np.maximum(whole.sum() - whole, 1e-12)
    skew = others.mean() - others
    squares = (skew**2).sum()
    acceleration = (skew**3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    bias = stats.norm.ppf(np.clip((drawn < value).mean() + (drawn == value).mean() / 2, 0.001, 0.999))
    shifted = bias + stats.norm.ppf([0.025, 0.975])
    error = _linear_error(np.ones((1, n)), vectors)[0]
    slope = (lambda p: p * (1 - p)) if value < 1 else (lambda p: p)
    scale = (lambda p: np.log(p / (1 - p))) if value < 1 else np.log
    errors, inside = _linear_error(weights, vectors), (drawn > 0) & ((drawn < 1) | (value > 1))
    inside &= errors > 1e-12
    found = {
        "percentile": tuple(np.quantile(drawn, [0.025, 0.975])),
        "BCa": tuple(np.quantile(drawn, stats.norm.cdf(bias + shifted / (1 - acceleration * shifted)))),
        "bootstrap-t": (value, value),
    }
    if error > 1e-12 and value > 0 and value != 1 and inside.sum() > 50:
        pivots = (scale(drawn[inside]) - scale(value)) * slope(drawn[inside]) / errors[inside]
        low, high = (scale(value) - q * error / slope(value) for q in np.quantile(pivots, [0.975, 0.025]))
        found["bootstrap-t"] = (np.exp(low), np.exp(high)) if value > 1 else tuple(stats.logistic.cdf([low, high]))
    return found


def _linear_error(weights: Array, vectors: Array) -> Array:
    """Return the linearised standard error of the ratio of each weighted sum of groups."""
    n, sums = len(vectors), weights @ vectors
    value = sums[:, 0] / sums[:, 1]
    residuals = vectors[:, 0] - value[:, None] * vectors[:, 1]
    return np.sqrt(n / (n - 1) * (weights * residuals**2).sum(axis=1)) / sums[:, 1]


def main(*, quick: bool) -> None:
    n_studies = 20 if quick else 2000
    for kind in KINDS:
        rng = np.random.default_rng(0)
        part, whole = kind(rng, (1, 10_000 if quick else 1_000_000))
        truth = part.sum() / whole.sum()
        figure = quotient if kind is count_ratio else fraction
        print(f"\n{kind.__name__}: {kind.__doc__} Truth {truth:.3f}")
        print("| groups | jackknife-t | percentile | BCa | bootstrap-t |\n| --- | --- | --- | --- | --- |")
        for n_groups in N_GROUPS:
            held, width = np.zeros(4), np.zeros(4)
            for part, whole in zip(*kind(rng, (n_studies, n_groups)), strict=True):
                vectors = np.stack([part, whole], axis=1)
                found = np.array([jackknife(vectors, figure), *bootstraps(vectors, rng).values()])
                held += (found[:, 0] <= truth) & (truth <= found[:, 1])
                width += (found[:, 1] - found[:, 0]) / n_studies
            cells = (f"{share:.0f} % ({mean:.3f})" for share, mean in zip(100 * held / n_studies, width, strict=True))
            print(f"| {n_groups} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    quick = parse_quick(__doc__)
    print_machine("numpy", "scipy", "glomseg")
    main(quick=quick)
