"""A network computed by ONNX Runtime, and the checks of ONNX models of strangers."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from glomseg.errors import InvalidInputError, UnsafeFileError
from glomseg.inference.engines.failures import computing_error, damaged_error, foreign_error, shortened
from glomseg.inference.engines.packages import import_package
from glomseg.inference.predictor import Network
from glomseg.models.segmentor import Logits


def onnx_network(data: bytes, *, name: str) -> Network:
    """Return the network of an ONNX model as ONNX Runtime computes it on the processor, with as many threads as torch.

    Parameters
    ----------
    data
        The model, which `check_graph` has found to be in order.
    name
        What it is called in errors.

    Raises
    ------
    InvalidInputError
        If ONNX Runtime is missing or cannot compute the model.
    """
    runtime = import_package("onnxruntime", purpose="--engine onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, once
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common but this one
        raise InvalidInputError(f"ONNX Runtime cannot compute {name}: {shortened(error)}") from error
    inputs = [item.name for item in session.get_inputs()]

    def compute(images: Tensor) -> Logits:
        array = images.detach().float().contiguous().numpy()
        try:
            (logits,) = session.run(None, {inputs[0]: array})
        except Exception as error:
            raise computing_error("ONNX Runtime", name, images, error=error) from error
        return Logits(main=torch.from_numpy(logits))

    return compute


def check_graph(data: bytes, *, name: str) -> Any:
    """Return an ONNX model that reads nothing but itself and does nothing but arithmetic, as `onnx` reads it.

    Parameters
    ----------
    data
        Of the file, from wherever.
    name
        What it is called in errors.

    Raises
    ------
    InvalidInputError
        If `onnx` is missing, or it is damaged or no ONNX model.
    UnsafeFileError
        If weights are in other files, which may be any file of this machine, or there are operators of other programs,
        loops, branches or functions: none of it is in what glomseg exports.
    """
    onnx = import_package("onnx", purpose="--engine onnx")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's error, whose module depends on how it was built
        raise damaged_error(name, "ONNX", error=error) from error
    external = onnx.TensorProto.EXTERNAL
    for tensor in _tensors(model):
        if tensor.data_location == external or tensor.external_data:
            raise UnsafeFileError(
                f"{name} says that weights ({tensor.name!r}) are in another file, which could be any file of this "
                "machine; glomseg writes all of them into the one file: export the model again"
            )
    kinds = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    foreign = sorted({node.op_type for node in model.graph.node if node.domain not in ("", "ai.onnx")})
    branching = sorted(
        {node.op_type for node in model.graph.node if any(item.type in kinds for item in node.attribute)}
    )
    functions = sorted(function.name for function in model.functions)
    if foreign or branching or functions:
        raise foreign_error(name, [*foreign, *branching, *functions])
    return model


def _tensors(model: Any) -> Iterator[Any]:
    """Yield every tensor of the model's graph; those within branches and functions are refused with these."""
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in model.graph.node:
        for item in node.attribute:
            yield from (item.t, *item.tensors)
            for sparse in (item.sparse_tensor, *item.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def with_metadata(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return an ONNX model with these words in its metadata."""
    onnx = import_package("onnx", purpose="writing an ONNX file")
    model = onnx.load_model_from_string(data)
    onnx.helper.set_model_props(model, dict(metadata))
    written: bytes = model.SerializeToString()
    return written


def metadata_of(model: Any) -> dict[str, str]:
    """Return the words in the metadata of a model from `check_graph`."""
    return {item.key: item.value for item in model.metadata_props}
