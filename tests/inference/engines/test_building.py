"""Engines of models: made once, tried once, kept under the hash of the network."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from glomseg.errors import InvalidInputError
from glomseg.inference.engines import building, packages
from glomseg.inference.engines.building import build_engine
from glomseg.inference.loading import load_predictor
from glomseg.models.model_files import load_model

from ...conftest import draw_tile


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache" / "engines").iterdir())


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_masks_are_those_of_torch(fpn_model, graph_at_hand, engine):
    image = draw_tile(np.random.default_rng(0), with_object=True, size_px=77)[0]
    predictor = load_predictor(fpn_model, engine=engine)
    assert (predictor.engine, str(predictor.device), predictor.precision) == (engine, "cpu", "32-true")
    found = predictor.predict(image, keep_probabilities=True)
    true = load_predictor(fpn_model, device="cpu", precision="32-true").predict(image, keep_probabilities=True)
    assert np.array_equal(found.mask, true.mask)
    np.testing.assert_allclose(found.probabilities, true.probabilities, atol=1e-5)


def test_the_graph_is_made_once_and_each_engine_tried_once(fpn_model, graph_at_hand, tmp_path, monkeypatch):
    tried = []
    compare = building.compare_with_torch
    monkeypatch.setattr(building, "compare_with_torch", lambda *of, **more: tried.append(1) or compare(*of, **more))
    network, card = load_model(fpn_model)
    for engine in ("onnx", "onnx", "openvino", "openvino"):
        build_engine(network, card, engine=engine)
    assert (graph_at_hand, len(tried)) == (["graph"], 2)
    file, *records = sorted(kept(tmp_path), key=len)
    assert {record.removeprefix(file.removesuffix(".onnx")) for record in records} == {"-onnx.json", "-openvino.json"}
    record = json.loads((tmp_path / "cache" / "engines" / records[0]).read_text())
    assert record["probability"] < 1e-4
    build_engine(network, dataclasses.replace(card, metrics={"iou": 1.0}), engine="onnx")
    assert len(tried) == 2  # figures in the card change nothing


def test_another_network_has_a_graph_of_its_own(fpn_model, graph_at_hand, tmp_path):
    network, card = load_model(fpn_model)
    build_engine(network, card, engine="onnx")
    with torch.no_grad():
        network.decode_head.conv_seg.bias += 100
    with pytest.raises(InvalidInputError, match="as onnx computes it, this network is not what it is in PyTorch"):
        build_engine(network, card, engine="onnx")
    assert len(graph_at_hand) == 2
    assert len(kept(tmp_path)) == 2  # nothing of what was refused


def test_a_damaged_cache_says_which_file_to_remove(fpn_model, graph_at_hand, tmp_path):
    network, card = load_model(fpn_model)
    build_engine(network, card, engine="onnx")
    file = next((tmp_path / "cache" / "engines").glob("*.onnx"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InvalidInputError, match="remove that file, it will be made again"):
        build_engine(network, card, engine="onnx")


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(fpn_model, graph_at_hand, tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    network, card = load_model(fpn_model)
    for _ in range(2):
        build_engine(network, card, engine="onnx")
    assert len(graph_at_hand) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorrt"}, "--engine 'tensorrt' is not known"),
        ({"engine": "onnx", "precision": "bf16-mixed"}, "--precision 'bf16-mixed' is for --engine torch"),
        ({"engine": "onnx", "device": "meta"}, "--device 'meta' is for --engine torch: onnx computes on the processor"),
    ],
)
def test_options_that_do_not_go_together(fpn_model, options, message):
    with pytest.raises(InvalidInputError, match=message):
        load_predictor(fpn_model, **options)


def test_a_missing_engine_is_found_before_the_graph_is_made(fpn_model, graph_at_hand, monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(packages, "import_module", absent)
    with pytest.raises(InvalidInputError, match=r"--engine openvino needs the package 'onnx'.*glomseg\[engines\]"):
        load_predictor(fpn_model, engine="openvino")
    assert graph_at_hand == []
    load_predictor(fpn_model, engine="torch")
