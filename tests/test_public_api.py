import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import glomseg


def names_in_the_stub() -> list[str]:
    tree = ast.parse(Path(glomseg.__file__).with_suffix(".pyi").read_text())
    return [alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]


def test_the_stub_lists_what_the_package_gives():
    assert sorted(glomseg.__all__) == sorted(names_in_the_stub())


@pytest.mark.parametrize("name", names_in_the_stub())
def test_every_public_name_exists_and_says_what_it_is(name):
    value = getattr(glomseg, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value), name


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, glomseg; sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'matplotlib')))"
    subprocess.run([sys.executable, "-c", code], check=True)
