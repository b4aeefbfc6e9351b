"""All of glomseg's own benchmarks, one after the other; docs/benchmarks.md says how to read them."""

import loading
import metrics
import pspnet
import slides
from timing import parse_quick, print_machine, print_torch

if __name__ == "__main__":
    quick = parse_quick(__doc__)
    print_machine("torch", "numpy", "opencv-python-headless", "scikit-learn", "glomseg")
    print_torch()
    metrics.main(quick=quick)
    loading.main(quick=quick)
    pspnet.main(quick=quick)
    slides.main(quick=quick, n_rounds=1 if quick else 3)
