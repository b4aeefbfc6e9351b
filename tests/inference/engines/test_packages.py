from importlib.metadata import PackageNotFoundError

import pytest

from glomseg.errors import InvalidInputError
from glomseg.inference.engines import packages
from glomseg.inference.engines.packages import import_package, installed_engines, require_engine


def test_engines_are_known_by_name():
    assert require_engine("openvino") == "openvino"
    with pytest.raises(InvalidInputError, match="--engine 'onxx' is not known: did you mean 'onnx'"):
        require_engine("onxx")


@pytest.mark.parametrize("error", [ImportError("none"), OSError("libopenvino.so: cannot open")])
def test_a_package_that_does_not_load(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(packages, "import_module", fail)
    with pytest.raises(InvalidInputError, match=r"--engine openvino needs the package 'openvino'.*glomseg\[engines\]"):
        import_package("openvino", purpose="--engine openvino")


def test_an_engine_counts_as_installed_with_all_of_its_packages(monkeypatch):
    def version(name):
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return f"1 of {name}"

    monkeypatch.setattr(packages, "version", version)
    assert installed_engines() == {"torch": "1 of torch", "openvino": "1 of openvino"}
