"""glomseg export."""

import dataclasses

from glomseg.models.model_files import load_model, save_model
from glomseg.models.openmmlab.importing import load_openmmlab
from glomseg.stain import ReinhardLook
from glomseg.steps.export_model import export_model


def test_a_model_is_written_for_mmsegmentation(tiny_model, tmp_path, glomseg):
    code, said, complained = glomseg("export", tiny_model, "--format", "mmseg", "-o", tmp_path / "out")
    assert (code, complained) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tiny.pth", "tiny.py"]
    assert "tiny.pth" in said
    assert load_openmmlab(tmp_path / "out" / "tiny.pth").card.classes.names == ("background", "glomerulus")


def test_a_format_that_is_not_known(tiny_model, tmp_path, glomseg):
    code, _, complained = glomseg("export", tiny_model, "--format", "onnx", "-o", tmp_path)
    assert code == 1
    assert "'onnx' is not known; there is mmseg" in complained


def test_a_temperature_is_left_behind_and_said(tiny_model, tmp_path, glomseg):
    model, card = load_model(tiny_model)
    warm = dataclasses.replace(card, inference=dataclasses.replace(card.inference, temperature=1.5))
    save_model(tmp_path / "warm.safetensors", model, warm)
    code, _, complained = glomseg("export", tmp_path / "warm.safetensors", "-o", tmp_path / "out")
    assert code == 0
    assert "note: MMSegmentation knows no temperature: its masks are the same" in complained
    assert "before 1.5 was fitted" in complained


def test_a_model_that_normalises_stains_is_exported_with_a_warning(tiny_model, tmp_path):
    network, card = load_model(tiny_model)
    look = ReinhardLook(mean=(60.0, 20.0, -10.0), std=(15.0, 10.0, 10.0))
    save_model(tmp_path / "m.safetensors", network, dataclasses.replace(card, stain=look))
    notes = export_model(tmp_path / "m.safetensors", out=tmp_path / "out").notes
    assert any("does not bring stains to a reference as this model learnt with (reinhard)" in note for note in notes)
    assert not any("stains" in note for note in export_model(tiny_model, out=tmp_path / "plain").notes)
