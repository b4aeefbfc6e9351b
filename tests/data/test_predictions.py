"""The predictions that an evaluation keeps."""

import json

import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.predictions import KeptPrediction, read_predictions, write_predictions
from glomseg.errors import InvalidInputError, MissingInputError


@pytest.fixture
def kept(tiny_dataset, tmp_path):
    dataset = open_dataset(tiny_dataset, mpp=0.5)
    predictions = [KeptPrediction(name=s.name, file=f"predictions/{s.name}.png", doubt=0.25) for s in dataset.samples]
    write_predictions(tmp_path / "out", dataset, predictions)
    return dataset, predictions, tmp_path / "out"


def test_what_is_written_is_read(kept):
    dataset, predictions, folder = kept
    read, read_kept = read_predictions(folder)
    assert read.samples == dataset.samples
    assert (read.classes, read.mpp, read.mask_values) == (dataset.classes, 0.5, None)
    assert list(read_kept) == predictions


def test_a_moved_data_set_is_read_from_its_new_place(kept, tmp_path):
    _, _, folder = kept
    (tmp_path / "elsewhere").mkdir()
    read, _ = read_predictions(folder, root=tmp_path / "elsewhere")
    assert read.samples[0].image_path == tmp_path / "elsewhere" / "images" / "SITE_S01_T01.png"


def test_what_is_no_list_of_predictions_is_refused(kept, tmp_path):
    _, _, folder = kept
    with pytest.raises(MissingInputError, match=r"list of predictions .*does not exist"):
        read_predictions(tmp_path)
    path = folder / "predictions.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "format": "other"}))
    with pytest.raises(InvalidInputError, match="is not a list of predictions"):
        read_predictions(folder)
    del record["tiles"][0]["doubt"]
    path.write_text(json.dumps(record))
    with pytest.raises(InvalidInputError, match=r"is damaged .*doubt.*evaluate again"):
        read_predictions(folder)
