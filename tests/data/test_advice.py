import numpy as np
import pytest

from glomseg.data.advice import advise, check_trainable
from glomseg.data.dataset import open_dataset
from glomseg.data.statistics import ObjectSize, TileStatistics
from glomseg.errors import InvalidInputError
from glomseg.recipes import load_recipe
from glomseg.types import Scaling


def test_nothing_to_train_on(tiny_dataset):
    dataset = open_dataset(tiny_dataset)
    with pytest.raises(InvalidInputError, match="has no tiles"):
        check_trainable(dataset, [])


def tile_of(*objects: tuple[float, bool]) -> TileStatistics:
    """A tile of 1000 x 1000 pixels with objects of these diameters, cut by the border or not."""
    pieces = tuple(
        ObjectSize(class_index=1, area_px=round(np.pi * diameter**2 / 4), touches_border=is_cut)
        for diameter, is_cut in objects
    )
    n = sum(piece.area_px for piece in pieces)
    return TileStatistics(
        name="a", group="a", height=1000, width=1000, class_pixels=(10**6 - n, n), ignored_pixels=0, objects=pieces
    )


def advice_of(statistics, *overrides: str, mpp: float | None = 0.5):
    settings = load_recipe(
        "default", ["run.steps=10", "run.batch_size=4", "run.val_every=5", "crop.size_px=128", *overrides]
    )
    return advise(statistics, settings, scaling=Scaling(mpp=2.0, factor=0.5), mpp=mpp)


def test_facts_are_those_of_whole_objects_at_the_working_size():
    tiles = [tile_of((320, False), (400, False), (40, True)), tile_of(), tile_of((360, False)), tile_of()]
    advice = advice_of([*tiles, tile_of()])
    assert advice.warnings == ()
    sizes, empty, passes = advice.facts
    assert sizes == (
        "at the working size an object is 90 px wide in the median (82 to 98 px for eight in ten of 3 objects), "
        "a window 128 x 128 px"
    )
    assert empty == "3 of 5 training tiles (60%) show no foreground"
    assert passes == "a pass over all tiles takes 2 steps of 4 windows; 10 steps are 8 windows a tile"
    assert "an object is 180 px wide" in advice_of(tiles, mpp=None).facts[0]  # by the factor
    assert "an object is 10 px wide" in advice_of([tile_of((40, True))]).facts[0]  # where all are cut


def test_what_will_go_wrong_is_said_with_what_mends_it():
    (small,) = advice_of([tile_of((60, False))]).warnings
    assert small.startswith("objects are only 15 px wide at the working size")
    assert "--set scaling.mpp" in small
    (large,) = advice_of([tile_of((600, False))]).warnings
    assert large.startswith("objects are 150 px wide at the working size, wider than a window of 128 x 128 px")
    assert "crop.size_px" in large
    (many,) = advice_of([tile_of((320, False))] * 11).warnings
    assert many.startswith("there are more training tiles (11) than steps (10): each is seen in 3.6 small windows")
    assert "run.steps" in many


def test_advice_without_a_whole_object():
    assert len(advice_of([tile_of()]).facts) == 2
