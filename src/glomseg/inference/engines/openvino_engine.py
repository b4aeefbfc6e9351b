"""A network computed by OpenVINO on the processor, and its files."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glomseg.errors import InvalidInputError
from glomseg.files import failed_writes_as
from glomseg.inference.engines.failures import computing_error, damaged_error, foreign_error, shortened
from glomseg.inference.engines.packages import import_package
from glomseg.inference.predictor import Network
from glomseg.models.model_files import CARD_KEY, FORMAT_KEY
from glomseg.models.segmentor import Logits

_INFO = "glomseg"
_WEIGHTS_KEY = "weights_sha256"
_BRANCHING = frozenset({"If", "Loop", "TensorIterator", "ReadValue", "Assign"})


def openvino_network(model: Any, *, name: str) -> Network:
    """Return the network of a model from `read_graph` or `read_files` as OpenVINO computes it, in float32.

    It takes as many threads as torch.

    Raises
    ------
    InvalidInputError
        If OpenVINO cannot compute it.
    """
    openvino = import_package("openvino", purpose="--engine openvino")
    how = {
        # Left to itself it computes in bfloat16 where the processor has it, and other masks come out.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        # Pinned to a core that another program uses, it waits for it (measured: twenty times as long).
        "ENABLE_CPU_PINNING": False,
    }
    try:
        compiled = openvino.Core().compile_model(model, "CPU", how)
    except Exception as error:  # RuntimeError of the library, and others of its bindings
        raise InvalidInputError(f"OpenVINO cannot compute {name}: {shortened(error)}") from error

    def compute(images: Tensor) -> Logits:
        array = images.detach().float().contiguous().numpy()
        try:
            logits = compiled([array])[0]
        except Exception as error:
            raise computing_error("OpenVINO", name, images, error=error) from error
        return Logits(main=torch.from_numpy(logits))

    return compute


def read_graph(data: bytes, *, name: str) -> Any:
    """Return an ONNX model, which `check_graph` has found to be in order, as OpenVINO reads it.

    Raises
    ------
    InvalidInputError
        If OpenVINO is missing or cannot read it.
    """
    openvino = import_package("openvino", purpose="--engine openvino")
    try:
        return openvino.Core().read_model(data)
    except Exception as error:
        raise InvalidInputError(f"OpenVINO cannot read {name}: {shortened(error)}") from error


def to_files(model: Any, metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return the description (XML) and the weights of a model as OpenVINO writes them, the metadata in the former.

    Raises
    ------
    OSError
        If the temporary folder is full.
    """
    openvino = import_package("openvino", purpose="writing OpenVINO files")
    with tempfile.TemporaryDirectory(prefix="glomseg-openvino-") as folder, failed_writes_as(RuntimeError):
        path = Path(folder) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        # The description names the weights that it belongs to, and says so only once they are known.
        weights = path.with_suffix(".bin").read_bytes()
        for key, value in {**metadata, _WEIGHTS_KEY: hashlib.sha256(weights).hexdigest()}.items():
            model.set_rt_info(value, [_INFO, key])
        openvino.save_model(model, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def read_files(description: bytes, weights: bytes, *, name: str) -> tuple[Any, dict[str, str]]:
    """Return the model of two files that `to_files` made, and its metadata. Nothing else is read.

    Raises
    ------
    InvalidInputError
        If OpenVINO is missing, the files are damaged, or do not belong together.
    UnsafeFileError
        If there are loops, branches or states, which are in nothing that glomseg exports.
    """
    openvino = import_package("openvino", purpose="--engine openvino")
    try:
        model = openvino.Core().read_model(model=description, weights=weights)
    except Exception as error:
        raise damaged_error(name, "OpenVINO", error=error) from error
    metadata = _metadata(model, (FORMAT_KEY, CARD_KEY, _WEIGHTS_KEY))
    branching = sorted({item.get_type_name() for item in model.get_ops()} & _BRANCHING)
    if branching:
        raise foreign_error(name, branching)
    wanted = metadata.pop(_WEIGHTS_KEY, None)
    if wanted is not None and wanted != hashlib.sha256(weights).hexdigest():
        raise InvalidInputError(
            f"the weights (.bin) beside {name} are not those that it was written with: they were damaged or are of "
            "another model; copy both files again"
        )
    return model, metadata


def _metadata(model: Any, keys: Sequence[str]) -> dict[str, str]:
    return {key: model.get_rt_info([_INFO, key]).astype(str) for key in keys if model.has_rt_info([_INFO, key])}
