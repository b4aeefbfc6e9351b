"""glomseg export."""

import dataclasses

import numpy as np
import pytest

from glomseg.images import read_mask_values, write_png
from glomseg.inference.engines import agreement
from glomseg.inference.loading import load_predictor
from glomseg.models.model_files import load_model, save_model
from glomseg.models.openmmlab.importing import load_openmmlab
from glomseg.stain import ReinhardLook
from glomseg.steps.export_model import export_model

from ..conftest import draw_tile


def test_a_model_is_written_for_mmsegmentation(tiny_model, tmp_path, glomseg):
    code, said, complained = glomseg("export", tiny_model, "--format", "mmseg", "-o", tmp_path / "out")
    assert (code, complained) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tiny.pth", "tiny.py"]
    assert "tiny.pth" in said
    assert load_openmmlab(tmp_path / "out" / "tiny.pth").card.classes.names == ("background", "glomerulus")


def test_a_format_that_is_not_known(tiny_model, tmp_path, glomseg):
    code, _, complained = glomseg("export", tiny_model, "--format", "onxx", "-o", tmp_path)
    assert code == 1
    assert "--format 'onxx' is not known: did you mean 'onnx'?" in complained
    code, _, complained = glomseg("export", tiny_model, "--format", "mmseg, onxx", "-o", tmp_path / "out")
    assert code == 1
    assert "did you mean 'onnx'?" in complained
    assert not (tmp_path / "out").exists()  # before anything is written


@pytest.mark.parametrize(("format", "files"), [("onnx", ["small.onnx"]), ("openvino", ["small.bin", "small.xml"])])
def test_a_network_is_written_for_an_engine(fpn_model, graph_at_hand, tmp_path, glomseg, format, files):
    tile = draw_tile(np.random.default_rng(0), with_object=True, size_px=90)[0]
    write_png(tmp_path / "tile.png", tile)
    words = ["export", fpn_model, tmp_path / "tile.png", "--format", format, "--mpp", 0.5, "-o", tmp_path / "out"]
    code, said, complained = glomseg(*words)
    assert (code, complained) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == files
    assert "as in PyTorch: logits differ by at most" in said
    assert "of 5 sizes" in said.replace("\n", " ")
    code, said, _ = glomseg(
        "predict", tmp_path / "out" / files[-1], tmp_path / "tile.png", "-o", tmp_path / "predicted"
    )
    assert code == 0
    assert np.array_equal(
        read_mask_values(tmp_path / "predicted" / "masks" / "tile.png"), load_predictor(fpn_model).predict(tile).mask
    )


def test_both_engines_by_default(fpn_model, graph_at_hand, tmp_path, glomseg):
    code, said, complained = glomseg("export", fpn_model, "-o", tmp_path / "out")
    assert (code, complained) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["small.bin", "small.onnx", "small.xml"]
    assert said.count("as in PyTorch") == 2


def test_a_network_that_an_engine_computes_otherwise_is_not_written(
    fpn_model, graph_at_hand, tmp_path, glomseg, monkeypatch
):
    monkeypatch.setattr(agreement, "TOLERANCE", 0.0)
    code, _, complained = glomseg("export", fpn_model, "--format", "onnx", "-o", tmp_path / "out")
    assert code == 1
    assert "as onnx computes it, this network is not what it is in PyTorch" in complained
    assert not (tmp_path / "out").exists()


def test_tiles_are_for_networks_and_ensembles_are_several(fpn_model, tmp_path, glomseg):
    code, _, complained = glomseg("export", fpn_model, tmp_path / "tile.png", "--format", "mmseg", "-o", tmp_path)
    assert code == 1
    assert "images and --mpp are for --format onnx and openvino" in complained
    (tmp_path / "ensemble.json").write_text("{}")
    code, _, complained = glomseg("export", tmp_path, "--format", "onnx", "-o", tmp_path)
    assert code == 1
    assert "is an ensemble of several networks: export its models one by one" in complained


def test_a_temperature_is_left_behind_and_said(tiny_model, tmp_path, glomseg):
    model, card = load_model(tiny_model)
    warm = dataclasses.replace(card, inference=dataclasses.replace(card.inference, temperature=1.5))
    save_model(tmp_path / "warm.safetensors", model, warm)
    code, _, complained = glomseg("export", tmp_path / "warm.safetensors", "--format", "mmseg", "-o", tmp_path / "out")
    assert code == 0
    assert "note: MMSegmentation knows no temperature: its masks are the same" in complained
    assert "before 1.5 was fitted" in complained


def test_a_model_that_normalises_stains_is_exported_with_a_warning(tiny_model, tmp_path):
    network, card = load_model(tiny_model)
    look = ReinhardLook(mean=(60.0, 20.0, -10.0), std=(15.0, 10.0, 10.0))
    save_model(tmp_path / "m.safetensors", network, dataclasses.replace(card, stain=look))
    (written,) = export_model(tmp_path / "m.safetensors", formats=["mmseg"], out=tmp_path / "out")
    notes = written.notes
    assert any("does not bring stains to a reference as this model learnt with (reinhard)" in note for note in notes)
    (plain,) = export_model(tiny_model, formats=["mmseg"], out=tmp_path / "plain")
    assert not any("stains" in note for note in plain.notes)
