"""The optional packages of the engines: imported only when one is used."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from glomseg.errors import InvalidInputError, did_you_mean

ENGINES = ("torch", "onnx", "openvino")
"""What can compute a network: PyTorch, ONNX Runtime, OpenVINO."""

INSTALL = "pip install 'glomseg[engines]'"

_TO_COMPUTE = {"torch": ("torch",), "onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}


def require_engine(name: str) -> str:
    """Return the name of an engine if there is one of that name.

    Raises
    ------
    InvalidInputError
        If not.
    """
    if name not in ENGINES:
        raise InvalidInputError(f"--engine {name!r} is not known: {did_you_mean(name, ENGINES)}")
    return name


def import_package(name: str, *, purpose: str) -> Any:
    """Return a package of the extra ``engines``.

    Raises
    ------
    InvalidInputError
        If it is not installed, or does not load.
    """
    try:
        return import_module(name)
    except (ImportError, OSError) as error:  # OSError: a library that the package brings does not load
        raise InvalidInputError(
            f"{purpose} needs the package {name!r}, which is not there ({error}): {INSTALL}"
        ) from error


def installed_engines() -> dict[str, str]:
    """Return the engines whose packages are installed, each with the version of the one that computes."""
    found = {}
    for engine, packages in _TO_COMPUTE.items():
        try:
            found[engine] = [version(package) for package in packages][-1]
        except PackageNotFoundError:
            continue
    return found
