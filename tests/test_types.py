from pathlib import Path

import pytest

from glomseg.errors import InvalidInputError
from glomseg.types import GLOMERULUS, Classes, Dataset, Sample, Scaling, Split, TestTimeAugmentation


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


def test_a_boxed_factor_rounds_the_sides_before_it_fits_the_image_into_them():
    """Numbers from MMCV's ``Resize(scale_factor=..., keep_ratio=True)`` and ``keep_ratio=False``."""
    sides = {"height": 83, "width": 138, "mpp": None}
    assert Scaling(factor=0.75, boxed=True).working_size(**sides) == (62, 103)
    assert Scaling(factor=0.75).working_size(**sides) == (62, 104)
    assert Scaling(factor=1.75, boxed=True).working_size(**sides) == (145, 241)
    assert Scaling(factor=1.75).working_size(**sides) == (145, 242)


def test_a_scaling_times_a_number():
    by_mpp = Scaling(mpp=2.0, factor=0.25, interpolation="bilinear").times(0.5)
    assert by_mpp == Scaling(mpp=4.0, factor=0.125, interpolation="bilinear")
    assert Scaling(fit_px=(321, 240)).times(1.5).fit_px == (481, 360)
    assert Scaling(fit_px=(2, 2)).times(0.1).fit_px == (1, 1)


def test_views_are_every_scale_with_every_flip():
    views = TestTimeAugmentation(scales=(1.0, 0.5, Scaling(factor=3.0)), flips=("none", "both"))
    assert views.n_views == 6
    own = Scaling(mpp=2.0)
    assert views.scalings(own) == (own, Scaling(mpp=4.0, factor=0.5), Scaling(factor=3.0))
    assert views.describe() == (
        "6 views (scales 1, 0.5 of the working size and 3 of the image's own size; flips none, both)"
    )
    fitted = TestTimeAugmentation(scales=(Scaling(fit_px=(512, 2048)),), flips=("none",))
    assert "2048 x 512 pixels, into which the image is fitted" in fitted.describe()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, "without scales has no views"),
        ({"flips": ()}, "without flips has no views"),
        ({"scales": (1.0, 1.0)}, "the scales 1, 1 are not all different"),
        ({"flips": ("none", "none")}, "the flips none, none are not all different"),
        ({"scales": (0.0,)}, "at scale 0: a scale is a number above 0 and at most 8"),
        ({"scales": (float("nan"),)}, "at scale nan"),
        ({"scales": (9.0,)}, "at scale 9"),
        ({"flips": ("horizontl",)}, "no flip 'horizontl': did you mean 'horizontal'"),
    ],
)
def test_views_that_cannot_be(options, message):
    with pytest.raises(InvalidInputError, match=message):
        TestTimeAugmentation(**options)


def test_classes_under_other_names_keep_their_colours():
    classes = Classes.of(("background", "tuft"), [(1, 2, 3), (4, 5, 6)]).renamed(["nothing", "glomerulus"])
    assert classes.names == ("nothing", "glomerulus")
    assert classes.colors == ((1, 2, 3), (4, 5, 6))
    with pytest.raises(InvalidInputError, match="3 class names for 2 classes"):
        classes.renamed(["a", "b", "c"])
