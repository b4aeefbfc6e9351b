"""Data sets written as files for other programs."""

import json

import numpy as np
import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.tiles import read_tile
from glomseg.errors import OutputError
from glomseg.files import read_json
from glomseg.images import read_mask_values, write_png
from glomseg.steps.write_tiles import write_tiles


@pytest.fixture
def dataset(tiny_dataset):
    mask = read_mask_values(tiny_dataset / "masks" / "SITE_S01_T01.png").copy()
    mask[:3] = 255
    write_png(tiny_dataset / "masks" / "SITE_S01_T01.png", mask)
    return open_dataset(tiny_dataset)


@pytest.mark.parametrize("layout", ["pairs", "nnunet"])
def test_what_is_written_reads_back_the_same(dataset, tmp_path, layout):
    result = write_tiles(dataset, out=tmp_path / "out", layout=layout)
    assert (result.n_tiles, result.n_written, result.failed) == (12, 12, {})
    again = open_dataset(tmp_path / "out")
    assert [sample.name for sample in again.samples] == [sample.name for sample in dataset.samples]
    assert again.classes.names == dataset.classes.names
    for one, other in zip(dataset.samples, again.samples, strict=True):
        assert one.group == other.group
        for expected, found in zip(read_tile(dataset, one), read_tile(again, other), strict=True):
            assert np.array_equal(expected, found)


def test_nnunets_files(dataset, tmp_path):
    write_tiles(dataset, out=tmp_path / "out", layout="nnunet", seed=3)
    values = read_json(tmp_path / "out" / "dataset.json", what="dataset.json")
    assert values["labels"] == {"background": 0, "glomerulus": 1, "ignore": 2}
    assert values["numTraining"] == 12
    assert values["file_ending"] == ".png"
    assert set(values["channel_names"]) == {"0", "1", "2"}
    assert set(np.unique(read_mask_values(tmp_path / "out" / "labelsTr" / "SITE_S01_T01.png"))) == {0, 1, 2}
    folds = read_json(tmp_path / "out" / "splits_final.json", what="folds")
    assert len(folds) == 5
    assert sorted(name for fold in folds for name in fold["val"]) == sorted(sample.name for sample in dataset.samples)
    for fold in folds:
        groups = [{name.rpartition("_")[0] for name in fold[part]} for part in ("train", "val")]
        assert groups[0].isdisjoint(groups[1])


def test_ignore_is_a_label_only_where_something_is_ignored(tiny_dataset, tmp_path):
    write_tiles(open_dataset(tiny_dataset), out=tmp_path / "out", layout="nnunet")
    values = read_json(tmp_path / "out" / "dataset.json", what="dataset.json")
    assert values["labels"] == {"background": 0, "glomerulus": 1}


def test_the_table_names_groups(dataset, tmp_path):
    write_tiles(dataset, out=tmp_path / "out")
    again = open_dataset(tmp_path / "out", group_column="group")
    assert [sample.group for sample in again.samples] == [sample.group for sample in dataset.samples]


def test_a_call_that_was_cut_off_goes_on(dataset, tmp_path):
    write_tiles(dataset, out=tmp_path / "out", layout="nnunet")
    (tmp_path / "out" / "labelsTr" / "SITE_S02_T01.png").unlink()
    (tmp_path / "out" / "dataset.json").unlink()
    before = (tmp_path / "out" / "imagesTr" / "SITE_S03_T01_0000.png").stat().st_mtime_ns
    result = write_tiles(dataset, out=tmp_path / "out", layout="nnunet")
    assert (result.n_tiles, result.n_written) == (12, 1)
    assert (tmp_path / "out" / "imagesTr" / "SITE_S03_T01_0000.png").stat().st_mtime_ns == before
    assert "ignore" in read_json(tmp_path / "out" / "dataset.json", what="dataset.json")["labels"]


def test_other_data_and_other_files_are_left_alone(dataset, tiny_dataset, tmp_path):
    write_tiles(dataset, out=tmp_path / "out")
    with pytest.raises(OutputError, match="other data or settings"):
        write_tiles(dataset, out=tmp_path / "out", layout="nnunet")
    with pytest.raises(OutputError, match="other files"):
        write_tiles(dataset, out=tiny_dataset)
    (tmp_path / "out" / "tiles.json").write_text(json.dumps([1]))
    with pytest.raises(OutputError, match="other data or settings"):
        write_tiles(dataset, out=tmp_path / "out")


def test_a_broken_tile_is_named_and_the_rest_written(dataset, tiny_dataset, tmp_path):
    (tiny_dataset / "images" / "SITE_S01_T02.png").write_bytes(b"no picture")
    result = write_tiles(dataset, out=tmp_path / "out")
    assert result.n_tiles == 11
    assert list(result.failed) == ["SITE_S01_T02"]
    assert not (tmp_path / "out" / "masks" / "SITE_S01_T02.png").exists()
