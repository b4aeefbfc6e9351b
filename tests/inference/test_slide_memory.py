"""How much memory a slide of 100,000 x 100,000 pixels needs beyond the model."""

import subprocess
import sys

import numpy as np
import pytest

from glomseg.data.synthetic.slide import write_synthetic_slide

_MEASURED = """
import resource, sys
import numpy as np
from glomseg.inference.loading import load_predictor
from glomseg.steps.predict_slides import SlideSettings, predict_slides

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

model, slide, out = sys.argv[1:]
load_predictor(model, device="cpu", precision="32-true").predict(np.zeros((512, 512, 3), np.uint8))
with_model = peak_mb()
settings = SlideSettings(working_mpp=2.0, probabilities=True)
result = predict_slides(model, [slide], out=out, settings=settings, device="cpu", precision="32-true")
assert not result.failed, result.failed
working = result.slides[0].record["working"]
print(working["height_px"], working["width_px"], working["n_windows"], with_model, peak_mb())
"""


@pytest.mark.slow
def test_a_slide_of_ten_gigapixels_needs_less_than_two_gigabytes(tmp_path, tiny_model):
    tissue = np.zeros((13, 13), np.bool_)
    tissue[2, 3] = tissue[9, 10] = True
    slide = tmp_path / "large.tif"
    write_synthetic_slide(slide, tissue=tissue, size_px=(100_000, 100_000), mpp=0.25)
    command = [sys.executable, "-c", _MEASURED, tiny_model, slide, tmp_path / "out"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    height, width, n_windows, with_model_mb, peak_mb = map(int, done.stdout.split())
    assert (height, width) == (12_500, 12_500)
    assert n_windows > 10
    assert peak_mb - with_model_mb < 2000
