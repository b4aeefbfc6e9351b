"""Configs are read as data: what they say comes out, what they would do is refused with its line."""

import textwrap

import pytest

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.models.openmmlab.config import parse_config, read_config


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def values(text: str):
    return parse_config(textwrap.dedent(text), origin="text").values


def test_plain_values_names_and_arithmetic():
    read = values("""
        # a comment
        'a text'
        import os.path as osp
        crop = (512, 512)
        norm = dict(type='BN', requires_grad=True)
        half = crop[0] // 2 if crop else 0
        """)
    assert read == {"crop": (512, 512), "norm": {"type": "BN", "requires_grad": True}, "half": 256}
    read = values("""
        a, b = 2, -3
        data_root = 'data/' + 'kidney'
        sizes = [a * 2 ** 3, a / 4, +b, 7 % a, [0] * 3, (*[1, 2], 3)]
        model = dict(backbone={'depth': 50, **dict(style='pytorch')}, **dict(head=None))
        depth = model['backbone']['depth']
        model['backbone']['depth'] = 18
        part = [1, 2, 3][1:]
        a += 5
        keys = {'x': 1}
        keys.update({f'stage.{i}.{j}': n for i, n in enumerate([1, 2]) for j in range(n)})
        keys.update(y=2)
        scales = [dict(type='Resize', factor=r) for r in [0.5, 1.0]]
        scales.append(1)
        scales.extend((2, 3))
        """)
    assert read["sizes"] == [16, 0.5, -3, 1, [0, 0, 0], (1, 2, 3)]
    assert read["data_root"] == "data/kidney"
    assert read["model"] == {"backbone": {"depth": 18, "style": "pytorch"}, "head": None}
    assert (read["depth"], read["part"], read["a"], read["b"]) == (50, [2, 3], 7, -3)
    assert read["keys"] == {"x": 1, "stage.0.0": 1, "stage.1.0": 2, "stage.1.1": 2, "y": 2}
    assert read["scales"] == [{"type": "Resize", "factor": 0.5}, {"type": "Resize", "factor": 1.0}, 1, 2, 3]


def test_inheritance_merges_dicts_and_replaces_the_rest(write):
    write("_base_/model.py", "model = dict(a=dict(x=1, y=[1, 2]), b=dict(z=1), c=dict(q=1))\nnorm = dict(type='BN')")
    write("_base_/schedule.py", "steps = 100")
    path = write(
        "own/config.py",
        """
        _base_ = ['../_base_/model.py', '../_base_/schedule.py']
        model = dict(a=dict(y=[3]), b=dict(_delete_=True, new=dict(_delete_=True, w=1)), d=dict(n=_base_.norm))
        half = _base_.steps // 2
        whole = {{_base_.steps}}
        text = 'run of {{ _base_.steps }} steps in {{_base_.norm.type}}'
        """,
    )
    assert read_config(path).values == {
        "model": {
            "a": {"x": 1, "y": [3]},
            "b": {"new": {"w": 1}},
            "c": {"q": 1},
            "d": {"n": {"type": "BN"}},
        },
        "norm": {"type": "BN"},
        "steps": 100,
        "half": 50,
        "whole": 100,
        "text": "run of 100 steps in BN",
    }


def test_one_base_may_be_a_text_and_have_a_base_itself(write):
    write("a.py", "x = dict(p=1, q=1)")
    write("b.py", "_base_ = './a.py'\nx = dict(p=2)")
    assert read_config(write("c.py", "_base_ = 'b.py'\nx = dict(r=3)")).values == {"x": {"p": 2, "q": 1, "r": 3}}


def test_names_of_the_file_are_filled_in(write):
    path = write(
        "it's here/run.py",
        "a = '{{ fileBasenameNoExtension }}{{fileExtname}} {{ fileBasename }}'\nb = '{{ fileDirname }}/x'",
    )
    assert read_config(path).values == {"a": "run.py run.py", "b": f"{path.parent}/x"}


def test_the_environment_is_never_looked_at(monkeypatch):
    monkeypatch.setenv("DATA", "/secret")
    read = parse_config("root = '{{$DATA:data/kidney}}'\nport = {{$PORT:29}}", origin="x.py")
    assert read.values == {"root": "data/kidney", "port": 29}
    assert any("DATA is not looked at" in note and "'data/kidney'" in note for note in read.notes)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x = __import__('os').system('touch canary')", "call of __import__"),
        ("x = open('canary', 'w')", "call of open"),
        ("x = eval('1')", "call of eval"),
        ("x = 'a'.upper()", "call of 'a'.upper"),
        ("x = dict.fromkeys('ab')", "call of dict.fromkeys"),
        ("x = getattr(dict, 'mro')", "call of getattr"),
        ("x = (1).__class__", "'__class__' is asked of a int"),
        ("x = [].__class__", "no '__class__'"),
        ("x = lambda: 1", "a lambda"),
        ("x = (i for i in [1])", "a generator"),
        ("x = [i for i in [1, 2] if i]", "with a condition"),
        ("x = f'{1:>9}'", "filled into texts"),
        ("x = unknown", "'unknown' is no value"),
        ("x = os.sep", "'os' is no value"),
        ("x = 1 / 0", "division by zero"),
        ("x = 'a' - 1", "cannot be worked out"),
        ("x = '%99999999d' % 1", "formatting"),
        ("x = 2 ** 99999", "power"),
        ("x = 9 ** 60", "too large"),
        ("x = [0] * 10 ** 9", "parts"),
        ("x = 'a' * 10 ** 9", "parts"),
        ("x = list(range(10 ** 9))", "parts"),
        ("x = b'bytes'", "not a plain value"),
        ("x = ...", "not a plain value"),
        ("x = {1, 2}", "not a plain value"),
        ("x = -" + "-" * 100 + "1", "nested too deeply"),
        ("if True: x = 1", "an if"),
        ("for i in [1]: pass", "a loop"),
        ("def f(): pass", "a function"),
        ("class A: pass", "a class"),
        ("import torch", "'torch'"),
        ("from mmengine.config import read_base", "newer kind"),
        ("from .base import *", "newer kind"),
        ("with read_base(): pass", "newer kind"),
        ("print('hello')", "not a plain value"),
        ("y.pop('a')", "y.pop"),
        ("del y", "not a plain value"),
        ("y.z = [1].append(2)", "call of"),
    ],
)
def test_what_is_no_plain_value_is_refused_with_its_line(write, tmp_path, line, found):
    path = write("evil.py", "import os\ny = dict(a=1)\n")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InvalidInputError, match=r"evil\.py.*line 3: .*never runs") as raised:
        read_config(path)
    assert found in str(raised.value)
    assert not (tmp_path / "canary").exists()


def test_a_value_that_refers_to_itself_again_and_again_is_refused():
    text = "a = ['x', 'x']\n" + "a = [a, a]\n" * 40
    with pytest.raises(InvalidInputError, match="holds more than"):
        parse_config(text, origin="laughs.py")


def test_a_value_that_holds_itself_is_refused():
    with pytest.raises(InvalidInputError, match="holds more than"):
        parse_config("a = [1]\na.append(a)", origin="loop.py")


def test_files_that_cannot_be_read(write, tmp_path):
    with pytest.raises(MissingInputError, match=r"none\.py"):
        read_config(tmp_path / "none.py")
    with pytest.raises(InvalidInputError, match=r"broken\.py.*line 2"):
        read_config(write("broken.py", "x = 1\ny = (\n"))
    with pytest.raises(InvalidInputError, match=r"not a \.py file"):
        read_config(write("x.yaml", "x: 1"))
    with pytest.raises(InvalidInputError, match="bytes"):
        read_config(write("large.py", "# " + "x" * 2**20))
    with pytest.raises(InvalidInputError, match=r"deep\.py"):
        read_config(write("deep.py", "x = " + "[" * 5000 + "]" * 5000))


def test_what_cannot_be_inherited(write, tmp_path):
    write("a.py", "_base_ = 'b.py'")
    with pytest.raises(InvalidInputError, match=r"circle: b\.py -> a\.py -> b\.py"):
        read_config(write("b.py", "_base_ = './a.py'"))
    write("one.py", "x = 1")
    write("two.py", "x = 2")
    with pytest.raises(InvalidInputError, match="more than one file of its _base_ gives x"):
        read_config(write("both.py", "_base_ = ['one.py', 'two.py']"))
    with pytest.raises(InvalidInputError, match="'x' is a dict, and the inherited one a int"):
        read_config(write("dict.py", "_base_ = 'one.py'\nx = dict(a=1)"))
    with pytest.raises(MissingInputError, match=r"inherited by .*lost\.py.*gone\.py"):
        read_config(write("lost.py", "_base_ = 'gone.py'"))
    for base in ("mmdet::_base_/x.py", "https://example.org/x.py"):
        with pytest.raises(InvalidInputError, match="no path of a file beside it"):
            read_config(write("scope.py", f"_base_ = {base!r}"))
    with pytest.raises(InvalidInputError, match="not a file itself"):
        parse_config("_base_ = 'one.py'", origin="checkpoint")


@pytest.mark.real
def test_a_real_training_config(shared_data):
    read = read_config(shared_data.parent / "openmmlab" / "tiny_pspnet_r18.py").values
    assert read["model"]["backbone"]["strides"] == (1, 2, 1, 1)
    assert read["param_scheduler"][0]["end"] == 80000
    assert read["load_from"] is None
    assert len(read["tta_pipeline"][1]["transforms"][0]) == 6
