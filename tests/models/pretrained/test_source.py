"""Folders and files of weights as libraries and strangers write them."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from glomseg.errors import InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.models.build import build_model
from glomseg.models.pretrained.source import file_source, folder_source, is_plain, read_source, weights_among
from glomseg.models.starting_weights import load_starting_weights

from .published import fitting, published


def network(case="transformers_vit"):
    architecture, options = fitting(case)
    return build_model(architecture, n_classes=2, **options)


def write_parts(folder, entries, n_parts=3):
    names = [f"model-{part + 1:05}-of-{n_parts:05}.safetensors" for part in range(n_parts)]
    weight_map = {entry: names[index % n_parts] for index, entry in enumerate(entries)}
    for name in names:
        save_file({entry: entries[entry] for entry, file in weight_map.items() if file == name}, folder / name)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_folder_in_parts_is_the_same_as_one_file(tmp_path):
    entries = published("transformers_vit")
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    save_file(entries, tmp_path / "whole" / "model.safetensors")
    write_parts(tmp_path / "parts", entries)
    networks = [network(), network(), network()]
    sources = ("whole", "parts", "parts/model.safetensors.index.json")
    for own, source in zip(networks, sources, strict=True):
        report = load_starting_weights(own, str(tmp_path / source))
        assert report.source == str(tmp_path / source)
        assert not any(name.startswith("backbone.") for name in report.missing)
    first, *others = (item.backbone.state_dict() for item in networks)
    assert all(torch.equal(value, other[name]) for other in others for name, value in first.items())


def test_pickles_are_read_without_running_them(tmp_path):
    torch.save(published("timm_vit"), tmp_path / "pytorch_model.bin")
    report = load_starting_weights(network("timm_vit"), str(tmp_path))
    assert report.renamed_from == "timm's ViT"

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"x": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UnsafeFileError, match="nothing in it was run"):
        load_starting_weights(network("timm_vit"), str(tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["pytorch_model.bin", "model.safetensors", "x.safetensors"], "model.safetensors"),
        (["pytorch_model.bin", "model.safetensors.index.json"], "model.safetensors.index.json"),
        (["pytorch_model.bin", "a.txt"], "pytorch_model.bin"),
        (["a.pth", "b.safetensors"], "b.safetensors"),
        (["config.json", "a.pth"], "a.pth"),
    ],
)
def test_which_file_holds_the_weights(names, found):
    assert weights_among(names, where="here") == found


def test_several_or_no_files_of_weights(tmp_path):
    with pytest.raises(InvalidInputError, match=r"here holds several files of weights \(a\.pth, b\.bin\); name"):
        weights_among(["b.bin", "a.pth"], where="here")
    with pytest.raises(MissingInputError, match=rf"{re.escape(repr(str(tmp_path)))} holds no weights"):
        load_starting_weights(network(), str(tmp_path))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([], "has no weight_map"),
        ({}, "has no weight_map"),
        ({"weight_map": ["a"]}, "has no weight_map"),
        ({"weight_map": {"a": 1}}, "'a' is in 1, which is no file beside it"),
        ({"weight_map": {"a": "../../secret.safetensors"}}, "no file beside it"),
        ({"weight_map": {"a": "/etc/passwd"}}, "no file beside it"),
        ({"weight_map": {"a": "..\\secret"}}, "no file beside it"),
        ({"weight_map": {"a": "C:x"}}, "no file beside it"),
        ({"weight_map": {"a": ""}}, "no file beside it"),
        ({"weight_map": {str(n): f"{n}.safetensors" for n in range(1001)}}, "names 1001 files"),
        ({"weight_map": {"a": "gone.safetensors"}}, r"not complete: there is no gone\.safetensors"),
    ],
)
def test_an_index_of_a_stranger(tmp_path, index, message):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises((InvalidInputError, MissingInputError), match=message):
        folder_source(tmp_path, name="x")


def test_an_entry_in_two_parts(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "1.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "2.safetensors")
    index = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidInputError, match="have 'a' in two files"):
        read_source(folder_source(tmp_path, name="x"))


def test_tensors_that_claim_more_than_the_file_has(tmp_path):
    header = b'{"a": {"dtype": "F32", "shape": [1000000, 1000000, 1000000], "data_offsets": [0, 4]}}'
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(InvalidInputError, match=r"model\.safetensors' are damaged"):
        load_starting_weights(network(), str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{" * 100)
    with pytest.raises(InvalidInputError, match=r"model\.safetensors' are damaged"):
        load_starting_weights(network(), str(tmp_path))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", ["[1]", "{", '"x"', "[" * 100_000])
def test_descriptions_that_are_none(tmp_path, name, text):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInputError, match=rf"description of the weights '.*{name}'"):
        file_source(tmp_path / "model.safetensors")


def test_a_file_of_another_name_is_by_itself(tmp_path):
    (tmp_path / "config.json").write_text("no JSON")
    assert file_source(tmp_path / "mine.safetensors").config == {}


def test_plain_names():
    assert is_plain("model-00001-of-00002.safetensors")
    assert not any(map(is_plain, ("", ".", "..", "a/b", "a\\b", "C:", "a\0")))
