"""A data set written down and read back."""

import json

import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.record import check_unchanged, combined_hash, hash_tiles, read_dataset_record, write_dataset_record
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.files import sha256_of


@pytest.fixture
def dataset(tiny_dataset):
    return open_dataset(tiny_dataset, mpp=0.5)


def test_it_comes_back_as_it_was(dataset, tmp_path):
    hashes = hash_tiles(dataset)
    write_dataset_record(tmp_path / "dataset.json", dataset, hashes)
    assert read_dataset_record(tmp_path / "dataset.json") == (dataset, hashes)


def test_hashes_are_of_image_and_mask(dataset):
    reports = []
    hashes = hash_tiles(dataset, progress=lambda done, total, note="": reports.append((done, total)))
    sample = dataset.samples[3]
    assert hashes[sample.name] == f"{sha256_of(sample.image_path)}:{sha256_of(sample.mask_path)}"
    assert list(hashes) == [sample.name for sample in dataset.samples]
    assert reports == [(done, 12) for done in range(1, 13)]


def test_a_tile_without_a_mask_has_half_a_hash(tiny_dataset):
    for mask in (tiny_dataset / "masks").iterdir():
        mask.unlink()
    dataset = open_dataset(tiny_dataset, need_masks=False)
    assert all(digest.endswith(":") and len(digest) == 65 for digest in hash_tiles(dataset).values())


def test_one_hash_for_all_whatever_the_order():
    hashes = {"a": "1", "b": "2"}
    assert combined_hash(hashes) == combined_hash({"b": "2", "a": "1"})
    assert combined_hash(hashes) != combined_hash({"a": "2", "b": "1"})
    assert len(combined_hash({})) == 64


def test_changed_and_missing_tiles_are_named(dataset):
    recorded = hash_tiles(dataset)
    check_unchanged(dataset, recorded, recorded)
    name = dataset.samples[2].name
    dataset.samples[2].image_path.write_bytes(b"other")
    with pytest.raises(InvalidInputError, match=f"1 tiles of .* the first is '{name}'"):
        check_unchanged(dataset, recorded, hash_tiles(dataset))
    with pytest.raises(InvalidInputError, match="12 tiles of"):
        check_unchanged(dataset, recorded, {})


def test_a_tile_that_is_gone_is_named(dataset):
    dataset.samples[5].mask_path.unlink()
    with pytest.raises(MissingInputError, match=dataset.samples[5].mask_path.name):
        hash_tiles(dataset)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "lacks the data set"),
        ("null", "lacks the data set"),
        ('{"dataset": {}}', "root: Field required"),
        ('{"dataset": 5, "sha256": {}}', "damaged"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_damaged_record_is_told_in_one_line(tmp_path, text, reason):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InvalidInputError, match=reason) as told:
        read_dataset_record(tmp_path / "dataset.json")
    assert "dataset.json" in str(told.value)
    assert "\n" not in str(told.value)


def test_hashes_of_the_wrong_kind(dataset, tmp_path):
    path = tmp_path / "dataset.json"
    write_dataset_record(path, dataset, {})
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": [1, 2]}))
    with pytest.raises(InvalidInputError, match="hashes of its tiles"):
        read_dataset_record(path)
    with pytest.raises(MissingInputError, match="data set record"):
        read_dataset_record(tmp_path / "none.json")
