from pathlib import Path

import pytest

from glomseg.errors import InvalidInputError
from glomseg.types import GLOMERULUS, Classes, Dataset, Sample, Scaling, Split


@pytest.mark.parametrize(
    ("names", "message"),
    [(("a",), "fewer than two"), (("a", "a"), "not all different"), (tuple(map(str, range(300))), "more than")],
)
def test_impossible_classes(names, message):
    with pytest.raises(InvalidInputError, match=message):
        Classes.of(names)


def test_classes_need_a_color_each():
    with pytest.raises(InvalidInputError, match="one colour a class"):
        Classes.of(("a", "b"), [(0, 0, 0)])


def test_select_names_the_tile_that_is_not_there():
    sample = Sample(name="a", image_path=Path("a.png"), mask_path=None, group="g")
    dataset = Dataset(root=Path("data"), samples=(sample,), classes=GLOMERULUS)
    assert dataset.select(["a"]) == (sample,)
    with pytest.raises(InvalidInputError, match=r"1 of 2 tiles .* 'b'"):
        dataset.select(["a", "b"])


def test_split_parts():
    split = Split(train=("a",), val=("b",))
    assert split.part("val") == ("b",)
    with pytest.raises(InvalidInputError, match="not 'valid'"):
        split.part("valid")


def test_working_sizes():
    by_mpp = Scaling(mpp=2.0, factor=0.25)
    assert by_mpp.working_size(height=1024, width=512, mpp=0.5) == (256, 128)
    assert by_mpp.working_size(height=1024, width=512, mpp=1.0) == (512, 256)
    assert by_mpp.working_size(height=1024, width=512, mpp=None) == (256, 128)
    # MMSegmentation's Resize(scale=(320, 240), keep_ratio=True), rounded half up
    fit = Scaling(fit_px=(320, 240))
    assert fit.working_size(height=1024, width=1024, mpp=0.5) == (240, 240)
    assert fit.working_size(height=100, width=400, mpp=None) == (80, 320)
    assert Scaling(factor=0.001).working_size(height=5, width=5, mpp=None) == (1, 1)
