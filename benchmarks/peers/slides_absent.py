"""Stands in for packages that a peer imports but does not need here: torchvision's wheels want another torch."""

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

ABSENT = (
    "torchvision",
    "timm",
    "transformers",
    "bokeh",
    "flask",
    "flask_cors",
    "umap",
    "SimpleITK",
    "glymur",
    "pydicom",
    "wsidicom",
    "tiffslide",
)


class _Placeholder(type):
    """A class that has every attribute, each a class like it: it can be called, subclassed and decorated with."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Placeholder(name, (), {"__init__": lambda self, *args, **options: None})


class _AbsentPackages(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        if fullname.partition(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__getattr__ = lambda name: getattr(_Placeholder(spec.name, (), {}), name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


def stand_in() -> None:
    """Let the absent packages be imported; what they give does nothing."""
    sys.meta_path.insert(0, _AbsentPackages())
