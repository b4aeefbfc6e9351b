"""The card inside a model file."""

import dataclasses

import pytest

from glomseg.errors import InvalidInputError
from glomseg.models.model_files import load_model, save_model
from glomseg.stain import MacenkoLook, ReinhardLook

MACENKO = MacenkoLook(stains=((0.6, 0.7, 0.39), (0.25, 0.87, 0.42)), amounts=(1.6, 1.3))
REINHARD = ReinhardLook(mean=(60.0, 20.0, -10.0), std=(10.0, 5.0, 5.0))


@pytest.mark.parametrize("look", [MACENKO, REINHARD, None])
def test_the_look_of_stains_is_kept(tiny_model, tmp_path, look):
    model, card = load_model(tiny_model)
    save_model(tmp_path / "m.safetensors", model, dataclasses.replace(card, stain=look))
    assert load_model(tmp_path / "m.safetensors")[1].stain == look


@pytest.mark.parametrize(
    "look",
    [
        dataclasses.replace(MACENKO, amounts=(0.0, 1.0)),
        dataclasses.replace(MACENKO, stains=((0.0, 0.0, 0.0), (0.2, 0.9, 0.2))),
        dataclasses.replace(MACENKO, stains=((-0.5, 0.5, 0.5), (0.2, 0.9, 0.2))),
        dataclasses.replace(REINHARD, std=(-1.0, 1.0, 1.0)),
        dataclasses.replace(REINHARD, mean=(1e6, 0.0, 0.0)),
    ],
)
def test_looks_that_no_tissue_has_are_refused(tiny_model, tmp_path, look):
    model, card = load_model(tiny_model)
    save_model(tmp_path / "m.safetensors", model, dataclasses.replace(card, stain=look))
    with pytest.raises(InvalidInputError, match=r"m\.safetensors.*stain = .*no stain without colour"):
        load_model(tmp_path / "m.safetensors")
