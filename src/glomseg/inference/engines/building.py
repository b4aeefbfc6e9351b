"""From a network to the same network as an engine computes it, made once and kept."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from glomseg._version import __version__
from glomseg.errors import OutputError
from glomseg.files import json_text, write_bytes, write_json
from glomseg.inference.engines.agreement import Agreement, Image, compare_with_torch, require_agreement
from glomseg.inference.engines.graph import onnx_graph
from glomseg.inference.engines.onnx_engine import check_graph, onnx_network
from glomseg.inference.engines.openvino_engine import openvino_network, read_graph
from glomseg.inference.engines.packages import import_package
from glomseg.inference.predictor import Network, Predictor
from glomseg.inference.runtime import fold_batchnorm
from glomseg.models.known_weights import cache_folder
from glomseg.models.segmentor import Segmentor
from glomseg.types import ModelCard

_FORMAT = 1


def build_engine(network: Segmentor, card: ModelCard, *, engine: str) -> Network:
    """Return a network as "onnx" or "openvino" computes it on the processor.

    Writing the graph takes from seconds to minutes, so it is kept in the folder ``engines`` of the cache under the hash
    of the network and of what made it, and beside it how far each engine was from PyTorch, which is tried once.

    Raises
    ------
    InvalidInputError
        If packages are missing, the network cannot be written as a graph, or the engine gives something else.
    """
    for package in ("onnx", "onnxscript", "onnxruntime" if engine == "onnx" else "openvino"):
        import_package(package, purpose=f"--engine {engine}")
    path = cache_folder() / "engines" / f"{_digest(network, card)}.onnx"
    agreed = path.with_name(f"{path.stem}-{engine}.json")
    is_kept = path.is_file()
    data = path.read_bytes() if is_kept else onnx_graph(network)
    name = f"the {card.architecture} in {str(path)!r}"
    if is_kept:
        check_graph(data, name=f"{name} (remove that file, it will be made again)")
    built = engine_network(data, engine=engine, name=name)
    if is_kept and agreed.is_file():
        return built
    agreement = agreement_of(built, network, card, engine=engine)
    with contextlib.suppress(OutputError):  # a cache that cannot be written costs the time again and nothing else
        write_bytes(path, data)
        write_json(agreed, dataclasses.asdict(agreement))
    return built


def agreement_of(
    built: Network, network: Segmentor, card: ModelCard, *, engine: str, images: Sequence[Image] = ()
) -> Agreement:
    """Return how far what an engine computes is from the network in PyTorch, as `compare_with_torch` has it.

    Raises
    ------
    InvalidInputError
        If it is further than rounding goes.
    """
    sides = predictor_of(built, card), predictor_of(fold_batchnorm(network), card)
    agreement = compare_with_torch(*sides, images=images)
    require_agreement(agreement, engine=engine)
    return agreement


def engine_network(data: bytes, *, engine: str, name: str) -> Network:
    """Return the network of an ONNX model as an engine computes it; `name` is what errors call it."""
    if engine == "openvino":
        return openvino_network(read_graph(data, name=name), name=name)
    return onnx_network(data, name=name)


def predictor_of(network: Network, card: ModelCard) -> Predictor:
    """Return a plain predictor on the processor in float32."""
    return Predictor([network], card, device="cpu", precision="32-true")


def _digest(network: Segmentor, card: ModelCard) -> str:
    """Return a hash of everything that the graph and the check depend on."""
    packages = ("torch", "onnxscript", "onnxruntime", "openvino")
    made_by = {"format": _FORMAT, "glomseg": __version__, **{name: _version(name) for name in packages}}
    inference = dataclasses.asdict(card.inference)
    described = {"architecture": card.architecture, "options": dict(card.options), "inference": inference, **made_by}
    digest = hashlib.sha256(json_text(described).encode())
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # the engine that is not used here
        return ""
