"""Counting pixels against scikit-learn's confusion_matrix, on masks of 1024 x 1024 pixels."""

import numpy as np
from sklearn.metrics import confusion_matrix

from glomseg.metrics.pixels import count_pixels
from timing import parse_quick, print_comparison, print_machine, take_turns

N_CLASSES = 4


def main(*, quick: bool) -> None:
    size_px = 256 if quick else 1024
    rng = np.random.default_rng(0)
    target = rng.integers(0, N_CLASSES, (size_px, size_px)).astype(np.uint8)
    prediction = np.where(rng.random(target.shape) < 0.9, target, 0).astype(np.uint8)

    def sklearn() -> np.ndarray:
        return confusion_matrix(target.ravel(), prediction.ravel(), labels=range(N_CLASSES))

    def glomseg() -> np.ndarray:
        return count_pixels(target=target, prediction=prediction, n_classes=N_CLASSES).matrix

    assert np.array_equal(sklearn(), glomseg())
    seconds = take_turns({"scikit-learn": sklearn, "glomseg": glomseg}, n_rounds=3 if quick else 30)
    print_comparison(f"confusion matrix of {N_CLASSES} classes, {size_px} x {size_px} pixels", seconds)


if __name__ == "__main__":
    quick = parse_quick(__doc__)
    print_machine("numpy", "opencv-python-headless", "scikit-learn", "glomseg")
    main(quick=quick)
