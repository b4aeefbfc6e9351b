import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomseg.data.split import (
    PARTS,
    leaking_groups,
    make_folds,
    make_split,
    read_split,
    summarize_split,
    write_mmseg_lists,
    write_split,
)
from glomseg.data.statistics import TileStatistics
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.types import GLOMERULUS, Dataset, Sample, Split


def dataset_of(group_sizes, grouping="name <site>_<slide>_<tile>"):
    """A data set of {group: number of tiles}; tiles are called g/0, g/1 and so on."""
    samples = [
        Sample(name=f"{group}/{tile}", image_path=Path("i"), mask_path=Path("m"), group=group)
        for group, n_tiles in group_sizes.items()
        for tile in range(n_tiles)
    ]
    return Dataset(root=Path("data"), samples=tuple(samples), classes=GLOMERULUS, grouping=grouping)


def statistics_of(dataset, foreground):
    """Statistics of tiles of 100 pixels; `foreground` gives each group's foreground pixels a tile."""
    return tuple(
        TileStatistics(
            name=sample.name,
            group=sample.group,
            height=10,
            width=10,
            class_pixels=(100 - foreground[sample.group], foreground[sample.group]),
            ignored_pixels=0,
        )
        for sample in dataset.samples
    )


def groups_of(dataset, names):
    return {sample.group for sample in dataset.select(names)}


SIX = {"A": 2, "B": 2, "C": 4, "D": 6, "E": 2, "F": 2}


@given(
    st.dictionaries(st.text("abc", min_size=1), st.integers(1, 20), min_size=3, max_size=12),
    st.sampled_from([(0.2, 0.0), (0.2, 0.2), (0.5, 0.1), (0.0, 0.3), (0.01, 0.01)]),
    st.integers(0, 3),
)
@settings(max_examples=50, deadline=None)
def test_no_group_is_ever_divided_and_no_tile_lost(sizes, shares, seed):
    dataset = dataset_of(sizes)
    split = make_split(dataset, val=shares[0], test=shares[1], seed=seed)
    parts = [groups_of(dataset, split.part(part)) for part in PARTS]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert sorted(split.train + split.val + split.test) == sorted(sample.name for sample in dataset.samples)
    assert split.train
    assert bool(split.val) == (shares[0] > 0)
    assert bool(split.test) == (shares[1] > 0)
    assert split.leaking_groups == ()


def test_the_same_seed_gives_the_same_split():
    dataset = dataset_of({f"S{number}": 5 for number in range(40)})
    assert make_split(dataset, seed=3) == make_split(dataset, seed=3)
    assert make_split(dataset, seed=3).val != make_split(dataset, seed=4).val


def test_shares_are_met_where_groups_allow_it():
    split = make_split(dataset_of({f"S{number}": 4 for number in range(10)}), val=0.2, test=0.3)
    assert (len(split.train), len(split.val), len(split.test)) == (20, 8, 12)


def test_foreground_is_balanced_too():
    """Four groups are alike in tiles; only dividing rich and poor ones evenly balances the foreground."""
    dataset = dataset_of({"rich1": 5, "rich2": 5, "poor1": 5, "poor2": 5})
    statistics = statistics_of(dataset, {"rich1": 40, "rich2": 40, "poor1": 1, "poor2": 1})
    for seed in range(5):
        split = make_split(dataset, val=0.5, seed=seed, statistics=statistics)
        kinds = sorted(group[:4] for group in groups_of(dataset, split.val))
        assert kinds == ["poor", "rich"]


def test_the_order_of_samples_and_statistics_does_not_matter():
    dataset = dataset_of(SIX)
    statistics = statistics_of(dataset, {"A": 1, "B": 20, "C": 3, "D": 9, "E": 2, "F": 7})
    first = make_split(dataset, statistics=statistics)
    assert make_split(dataset, statistics=statistics[::-1]) == first


def test_origin_tells_how_it_was_made():
    assert make_split(dataset_of(SIX), val=0.25, seed=7).origin == (
        "group split, val 0.25, test 0, seed 7; groups: name <site>_<slide>_<tile>"
    )


# --- by tile


def test_by_tile_is_a_shuffle_that_counts_its_leaks():
    dataset = dataset_of({f"S{number}": 10 for number in range(10)})
    split = make_split(dataset, val=0.2, test=0.1, by="tile", seed=1)
    assert (len(split.train), len(split.val), len(split.test)) == (70, 20, 10)
    assert sorted(split.train + split.val + split.test) == sorted(sample.name for sample in dataset.samples)
    assert split.by == "tile"
    assert split.leaking_groups == leaking_groups(dataset, {part: split.part(part) for part in PARTS})
    assert len(split.leaking_groups) >= 8
    assert make_split(dataset, by="tile", seed=1).val != make_split(dataset, by="tile", seed=2).val


@given(st.integers(3, 40), st.sampled_from([(0.2, 0.0), (0.3, 0.3), (0.01, 0.01), (0.98, 0.01)]))
@settings(max_examples=40, deadline=None)
def test_by_tile_leaves_no_part_empty(n_tiles, shares):
    split = make_split(dataset_of({"A": n_tiles}), val=shares[0], test=shares[1], by="tile")
    assert len(split.train) + len(split.val) + len(split.test) == n_tiles
    assert split.train
    assert split.val
    assert bool(split.test) == (shares[1] > 0)


def test_leaking_groups_by_hand():
    dataset = dataset_of({"A": 2, "B": 2})
    assert leaking_groups(dataset, {"train": ["A/0", "B/0", "B/1"], "val": ["A/1"]}) == ("A",)
    assert leaking_groups(dataset, {"train": ["A/0", "A/1"], "val": ["B/0"]}) == ()


# --- folds


def test_every_group_is_validated_on_exactly_once():
    dataset = dataset_of(SIX)
    folds = make_folds(dataset, folds=3, seed=1)
    assert len(folds) == 3
    held_out = [groups_of(dataset, fold.val) for fold in folds]
    assert sorted(group for groups in held_out for group in groups) == sorted(SIX)
    for fold in folds:
        assert not groups_of(dataset, fold.val) & groups_of(dataset, fold.train)
        assert len(fold.train) + len(fold.val) == len(dataset)
    assert folds[1].origin == "fold 2 of 3, seed 1; groups: name <site>_<slide>_<tile>"


def test_as_many_folds_as_groups_leave_one_out():
    folds = make_folds(dataset_of(SIX), folds=6)
    assert sorted(len(fold.val) for fold in folds) == sorted(SIX.values())


@pytest.mark.parametrize("folds", [-1, 0, 1, 7])
def test_impossible_folds(folds):
    with pytest.raises(InvalidInputError, match=rf"{folds} folds of 6 groups .* from 2 to as many as groups"):
        make_folds(dataset_of(SIX), folds=folds)


# --- refusals


@pytest.mark.parametrize(("val", "test"), [(1.0, 0.0), (0.5, 0.5), (-0.1, 0.0), (float("nan"), 0.0)])
def test_impossible_shares(val, test):
    with pytest.raises(InvalidInputError, match="must be at least 0 and together below 1"):
        make_split(dataset_of(SIX), val=val, test=test)


def test_too_few_groups_say_what_to_do():
    with pytest.raises(InvalidInputError, match=r"has 1 group for 2 parts; .* --by tile, whose figures flatter"):
        make_split(dataset_of({"A": 10}))
    with pytest.raises(InvalidInputError, match="has 2 groups for 3 parts"):
        make_split(dataset_of({"A": 10, "B": 10}), test=0.2)


def test_too_few_tiles_say_what_to_do():
    with pytest.raises(InvalidInputError, match="has 1 tile for 2 parts: add tiles, or leave parts out"):
        make_split(dataset_of({"A": 1}), by="tile")


def test_divided_by_something_else():
    with pytest.raises(InvalidInputError, match="--by 'slide' is neither group nor tile"):
        make_split(dataset_of(SIX), by="slide")


def test_without_validation_everything_trains():
    split = make_split(dataset_of({"A": 3}), val=0)
    assert len(split.train) == 3
    assert split.val == split.test == ()


# --- summary


def test_summary_by_hand():
    dataset = dataset_of({"A": 1, "B": 2, "C": 1})
    statistics = statistics_of(dataset, {"A": 10, "B": 0, "C": 30})
    split = Split(train=("A/0", "B/0", "B/1"), val=("C/0",))
    train, val, test = summarize_split(dataset, split, statistics)
    assert (train.part, train.n_tiles, train.n_groups, train.n_tiles_with_foreground) == ("train", 3, 2, 1)
    assert train.foreground_share == pytest.approx(10 / 300)
    assert (val.n_tiles, val.foreground_share) == (1, 0.3)
    assert (test.n_tiles, test.n_groups) == (0, 0)
    assert np.isnan(test.foreground_share)


# --- files


def test_a_split_comes_back_from_its_file(tmp_path):
    dataset = dataset_of(SIX)
    split = make_split(dataset, val=0.3, test=0.2, seed=5, by="tile")
    write_split(tmp_path / "split.json", split)
    assert read_split(tmp_path / "split.json") == split


def test_the_file_shows_how_large_its_parts_are(tmp_path):
    dataset = dataset_of(SIX)
    split = make_split(dataset)
    summary = summarize_split(dataset, split, statistics_of(dataset, dict.fromkeys(SIX, 25)))
    write_split(tmp_path / "split.json", split, summary=summary)
    values = json.loads((tmp_path / "split.json").read_text())
    assert values["format"] == "glomseg split 1"
    assert values["summary"]["val"] == {
        "n_tiles": len(split.val),
        "n_groups": len(groups_of(dataset, split.val)),
        "n_tiles_with_foreground": len(split.val),
        "foreground_share": 0.25,
    }
    assert read_split(tmp_path / "split.json") == split


STRANGE = ("two words", "肾小球_1", "case/tile 1")


def test_lists_for_mmsegmentation_come_back(tmp_path):
    split = Split(train=STRANGE, val=("v",), test=("t",))
    write_mmseg_lists(tmp_path, split)
    assert (tmp_path / "train.txt").read_bytes() == "two words\n肾小球_1\ncase/tile 1\n".encode()
    again = read_split(tmp_path)
    assert (again.train, again.val, again.test) == (STRANGE, ("v",), ("t",))
    assert read_split(tmp_path / "val.txt") == again


def test_a_list_of_an_earlier_split_does_not_stay(tmp_path):
    write_mmseg_lists(tmp_path, Split(train=("a",), val=("b",), test=("c",)))
    write_mmseg_lists(tmp_path, Split(train=("a", "c"), val=("b",)))
    assert read_split(tmp_path).test == ()


@pytest.mark.parametrize(
    "name", ["line\nbreak", "carriage\rreturn", "line\u2028separator", " outer", "outer\t", "a.png"]
)
def test_names_that_no_list_can_hold_write_nothing(tmp_path, name):
    with pytest.raises(InvalidInputError, match="cannot hold: rename it"):
        write_mmseg_lists(tmp_path, Split(train=("a",), val=(name,)))
    assert list(tmp_path.iterdir()) == []


def test_lists_as_windows_writes_them(tmp_path):
    (tmp_path / "train.txt").write_bytes("\ufeffa_1\r\n\r\n肾 2 \r\n".encode())
    (tmp_path / "val.txt").write_bytes(b"b_1")
    split = read_split(tmp_path)
    assert (split.train, split.val, split.test) == (("a_1", "肾 2"), ("b_1",), ())


def test_lists_with_the_endings_of_files_and_of_unknown_making(tmp_path):
    (tmp_path / "train.txt").write_text("a_1.png\nsub/b.v2.JPG\n")
    (tmp_path / "val.txt").write_text("c_1.v2\n")
    split = read_split(tmp_path)
    assert (split.train, split.val) == (("a_1", "sub/b.v2"), ("c_1.v2",))
    assert split.by == "unknown"


def test_a_folder_without_lists(tmp_path):
    with pytest.raises(MissingInputError, match=r"has none of train\.txt, val\.txt and test\.txt"):
        read_split(tmp_path)


def test_no_such_file(tmp_path):
    with pytest.raises(MissingInputError, match=r"split file .*none\.json' does not exist"):
        read_split(tmp_path / "none.json")


@pytest.mark.parametrize("places", [("a\na\n", "b\n", "in train and train"), ("a\n", "a\n", "in train and val")])
def test_a_tile_that_stands_twice(tmp_path, places):
    (tmp_path / "train.txt").write_text(places[0])
    (tmp_path / "val.txt").write_text(places[1])
    with pytest.raises(InvalidInputError, match=rf"tile 'a' stands twice .*\({places[2]}\)"):
        read_split(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "was not written by `glomseg split`"),
        ('{"train": [], "val": []}', "was not written by `glomseg split`"),
        ('{"format": "glomseg split 1", "train": ["a"]}', "is damaged: .*val.*required"),
        ('{"format": "glomseg split 1", "train": [1], "val": []}', "is damaged: .*train"),
        ('{"format": "glomseg split 1", "train": ["a"], "val": ["a"]}', "stands twice"),
    ],
)
def test_files_that_are_no_split(tmp_path, text, message):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_split(path)
