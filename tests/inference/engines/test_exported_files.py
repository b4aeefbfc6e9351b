"""Exported networks as model files, ours and those of strangers."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from glomseg.errors import InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.inference.engines import exported_files
from glomseg.inference.engines.exported_files import load_exported, save_exported
from glomseg.inference.engines.onnx_engine import with_metadata
from glomseg.inference.loading import load_predictor
from glomseg.models.model_files import card_metadata, load_model
from glomseg.types import Classes

from ...conftest import draw_tile


@pytest.fixture
def card(fpn_model):
    return load_model(fpn_model)[1]


@pytest.fixture
def exported(tmp_path, fpn_graph, card):
    return lambda engine: save_exported(tmp_path, fpn_graph, card, name="m", engine=engine)[0]


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_exported_file_is_a_model_by_itself(fpn_model, exported, card, engine, tmp_path, monkeypatch):
    path = exported(engine)
    names = {"onnx": ["m.onnx"], "openvino": ["m.bin", "m.xml"]}
    assert sorted(file.name for file in tmp_path.iterdir()) == names[engine]
    monkeypatch.chdir("/")
    predictor = load_predictor(path)
    assert (predictor.engine, predictor.file, predictor.card) == (engine, path, card)
    image = draw_tile(np.random.default_rng(0), with_object=True, size_px=75)[0]
    assert np.array_equal(predictor.predict(image).mask, load_predictor(fpn_model).predict(image).mask)


def test_which_engine_computes_which_file(exported):
    assert load_exported(exported("onnx"), engine="openvino")[2] == "openvino"
    with pytest.raises(InvalidInputError, match=r"is a network for ONNX Runtime or OpenVINO.*--engine torch does not"):
        load_exported(exported("onnx"), engine="torch")
    with pytest.raises(InvalidInputError, match=r"is a network for OpenVINO, which --engine onnx does not compute"):
        load_exported(exported("openvino"), engine="onnx")


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_damaged_files(exported, engine):
    path = exported(engine)
    whole = path.read_bytes()
    for content, message in [
        (b"", r"is empty \(0 bytes\)"),
        (b"hello", "damaged or no"),
        (whole[: len(whole) // 2], "damaged or no"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match=message):
            load_exported(path)
    path.unlink()
    with pytest.raises(MissingInputError, match="does not exist"):
        load_exported(path)


def test_weights_that_are_missing_cut_off_or_of_another_model(exported):
    path = exported("openvino")
    weights = path.with_suffix(".bin")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    with pytest.raises(InvalidInputError, match=r"damaged or no OpenVINO model|not those that it was written with"):
        load_exported(path)
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InvalidInputError, match=r"the weights \(\.bin\) beside .* are not those that it was written"):
        load_exported(path)
    weights.unlink()
    with pytest.raises(MissingInputError, match=r"m\.bin' does not exist"):
        load_exported(path)


def test_files_that_are_too_large_are_not_read(exported, monkeypatch):
    path = exported("onnx")
    monkeypatch.setattr(exported_files, "_MAX_BYTES", 1000)
    with pytest.raises(UnsafeFileError, match="no exported network has more than 2 GB"):
        load_exported(path)


def test_a_file_of_another_program_has_no_card(tmp_path, fpn_graph):
    path = tmp_path / "m.onnx"
    path.write_bytes(fpn_graph)
    with pytest.raises(InvalidInputError, match=r"holds no glomseg model card.*only networks that `glomseg export`"):
        load_exported(path)


def test_a_card_that_does_not_fit_the_network(tmp_path, fpn_graph, card):
    three = Classes(names=("a", "b", "c"), colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))
    save_exported(tmp_path, fpn_graph, dataclasses.replace(card, classes=three), name="m", engine="onnx")
    with pytest.raises(InvalidInputError, match=r"output of the shape \(1, 2, .*its card says logits of 3 classes"):
        load_exported(tmp_path / "m.onnx")


def test_a_card_that_is_not_valid(tmp_path, fpn_graph, card):
    metadata = {**card_metadata(card), "glomseg_model_card": '{"architecture": 5}'}
    (tmp_path / "m.onnx").write_bytes(with_metadata(fpn_graph, metadata))
    with pytest.raises(InvalidInputError, match="model card that is not valid"):
        load_exported(tmp_path / "m.onnx")


def strangers_model(card, *, nodes=None, weights=None, functions=(), domains=()):
    """An ONNX model made by hand with a card of glomseg's."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, "h", "w"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 2, "h", "w"])
    weights = weights or helper.make_tensor("w", TensorProto.FLOAT, [2, 3, 1, 1], [0.1] * 6)
    nodes = nodes or [helper.make_node("Conv", ["images", "w"], ["logits"])]
    graph = helper.make_graph(nodes, "g", [images], [logits], initializer=[weights])
    opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 20), *domains)]
    model = helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10)
    return with_metadata(model.SerializeToString(), card_metadata(card))


def external(name, **entries):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2, 3, 1, 1])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_a_plain_model_by_hand_is_taken(tmp_path, card):
    (tmp_path / "m.onnx").write_bytes(strangers_model(card))
    assert load_exported(tmp_path / "m.onnx")[1] == card


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "secret.bin"])
def test_weights_in_other_files_are_refused(tmp_path, card, location, engine, monkeypatch):
    (tmp_path / "secret.bin").write_bytes(bytes(24))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "secret.bin").write_bytes(bytes(24))
    path = tmp_path / "in" / "m.onnx"
    path.write_bytes(strangers_model(card, weights=external("w", location=location)))
    with pytest.raises(UnsafeFileError, match=r"weights \('w'\) are in another file, which could be any file"):
        load_exported(path, engine=engine)


def test_weights_in_other_files_are_refused_in_constants_too(tmp_path, card):
    constant = helper.make_node("Constant", [], ["c"], value=external("c", location="/etc/passwd"))
    nodes = [constant, helper.make_node("Conv", ["images", "c"], ["logits"])]
    (tmp_path / "m.onnx").write_bytes(strangers_model(card, nodes=nodes))
    with pytest.raises(UnsafeFileError, match="could be any file"):
        load_exported(tmp_path / "m.onnx")


def test_operators_loops_and_functions_that_are_not_ours(tmp_path, card):
    body = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["x"])],
        "body",
        [],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 1, 1])],
    )
    branch = helper.make_node("If", ["images"], ["logits"], then_branch=body, else_branch=body)
    foreign = helper.make_node("PyOp", ["images"], ["logits"], domain="ai.onnx.contrib")
    function = helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [])
    for model, part in [
        (strangers_model(card, nodes=[branch]), "If"),
        (strangers_model(card, nodes=[foreign], domains=[("ai.onnx.contrib", 1)]), "PyOp"),
        (strangers_model(card, functions=[function], domains=[("own", 1)]), "F"),
    ]:
        (tmp_path / "m.onnx").write_bytes(model)
        with pytest.raises(UnsafeFileError, match=f"has parts that glomseg does not export: {part}; it was made by"):
            load_exported(tmp_path / "m.onnx")


def test_a_model_that_cannot_be_computed(tmp_path, card):
    nodes = [helper.make_node("Conv", ["images", "nowhere"], ["logits"])]
    (tmp_path / "m.onnx").write_bytes(strangers_model(card, nodes=nodes))
    with pytest.raises(InvalidInputError, match="ONNX Runtime cannot compute"):
        load_exported(tmp_path / "m.onnx")
    assert onnx.load(tmp_path / "m.onnx").graph.node


def test_loops_of_openvino_are_refused(tmp_path, card, monkeypatch):
    from glomseg.inference.engines import openvino_engine

    save_exported(tmp_path, strangers_model(card), card, name="m", engine="openvino")
    assert load_exported(tmp_path / "m.xml")[2] == "openvino"
    monkeypatch.setattr(openvino_engine, "_BRANCHING", frozenset({"Convolution"}))
    with pytest.raises(UnsafeFileError, match="has parts that glomseg does not export: Convolution"):
        load_exported(tmp_path / "m.xml")


def test_a_temporary_folder_that_is_full(tmp_path, fpn_graph, card, monkeypatch):
    import openvino

    from glomseg.errors import OutputError

    def full(*args, **kwargs):
        raise RuntimeError("Can't write")

    monkeypatch.setattr(openvino, "save_model", full)
    with pytest.raises(OutputError, match="the disk is full"):
        save_exported(tmp_path / "out", fpn_graph, card, name="m", engine="openvino")
    assert not (tmp_path / "out").exists()
