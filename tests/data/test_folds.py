"""Folds: what is held out is neither trained nor validated on."""

import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.folds import make_crossval_folds, sites_of
from glomseg.data.statistics import scan_masks
from glomseg.errors import InvalidInputError


@pytest.fixture
def dataset(tiny_dataset):
    return open_dataset(tiny_dataset)


@pytest.fixture
def fold(dataset):
    statistics = scan_masks(dataset)
    return lambda **options: make_crossval_folds(dataset, **{"statistics": statistics, "folds": 3, **options})


def groups(names):
    return {name.rpartition("_")[0] for name in names}


def test_every_group_is_held_out_once_and_the_step_is_chosen_on_others(dataset, fold):
    folds = fold()
    assert len(folds) == 3
    held_out = [groups(item.split.test) for item in folds]
    assert sum(map(len, held_out)) == 6
    assert set.union(*held_out) == groups(sample.name for sample in dataset.samples)
    for item in folds:
        parts = [groups(item.split.part(part)) for part in ("train", "val", "test")]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts)) == 6
        assert len(item.split.train) + len(item.split.val) + len(item.split.test) == 12
        assert "neither trained on nor held out" in item.choice
        assert item.held_out == ", ".join(sorted(parts[2]))
    assert folds == fold()
    assert folds[1].split.origin == "fold 2 of 3, seed 0; groups: name <site>_<slide>_<tile>"


def test_as_many_folds_as_groups_leave_one_out(fold):
    assert all(len(groups(item.split.test)) == 1 for item in fold(folds=6))


def test_without_a_validation_part_no_step_is_chosen(fold):
    for item in fold(val=0):
        assert item.split.val == ()
        assert len(item.split.train) == 8
        assert item.choice == "no step is chosen, the last one is kept"


def test_one_remaining_group_is_not_divided(dataset):
    sites = {sample.name: "A" if sample.group == "SITE_S01" else "B" for sample in dataset.samples}
    first, second = make_crossval_folds(dataset, sites=sites, statistics=scan_masks(dataset))
    assert first.held_out == "site A"
    assert first.split.val
    assert groups(second.split.train) == {"SITE_S01"}
    assert second.split.val == ()
    assert second.choice.startswith("one group is left to train on, which cannot be divided: no step is chosen")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 7}, "7 folds of 6 groups"),
        ({"folds": 1}, "1 folds of 6 groups"),
        ({"val": 1}, "--val 1 is no share of the tiles"),
    ],
)
def test_what_cannot_be(fold, options, message):
    with pytest.raises(InvalidInputError, match=message):
        fold(**options)


def test_sites_by_pattern(dataset):
    sites = sites_of(dataset, pattern="_S0[0-2]*([1-6])_")
    assert sites["SITE_S03_T01"] == "3"
    with pytest.raises(InvalidInputError, match="--site-pattern '_X' has 0 groups"):
        sites_of(dataset, pattern="_X")
    with pytest.raises(InvalidInputError, match="--by site needs to know a tile's site"):
        sites_of(dataset)


def test_sites_by_column(dataset):
    rows = [f"{sample.name},{'north' if sample.group < 'SITE_S04' else 'south'}" for sample in dataset.samples]
    (dataset.root / "tiles.csv").write_text("\n".join(["file,site", *rows]))
    sites = sites_of(dataset, column="site")
    assert sorted(set(sites.values())) == ["north", "south"]
    folds = make_crossval_folds(dataset, sites=sites, statistics=scan_masks(dataset))
    assert [item.held_out for item in folds] == ["site north", "site south"]
    assert groups(folds[0].split.test) == {"SITE_S01", "SITE_S02", "SITE_S03"}
    (dataset.root / "tiles.csv").write_text("\n".join(["file,site", *rows[1:], "SITE_S01_T01,"]))
    with pytest.raises(InvalidInputError, match="names no site for 'SITE_S01_T01'"):
        sites_of(dataset, column="site")


def test_a_group_of_two_sites_and_a_single_site(dataset):
    sites = {sample.name: sample.name[-1] for sample in dataset.samples}
    with pytest.raises(InvalidInputError, match="group 'SITE_S01' has tiles of the sites '1' and '2'"):
        make_crossval_folds(dataset, sites=sites, statistics=scan_masks(dataset))
    with pytest.raises(InvalidInputError, match="all 12 tiles are of one site, 'A'"):
        make_crossval_folds(dataset, sites=dict.fromkeys(sites, "A"), statistics=scan_masks(dataset))
