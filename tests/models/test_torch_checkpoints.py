"""Checkpoints of strangers: read what is data, refuse what is not, run nothing."""

import collections
import os
import pickle
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from glomseg.errors import InvalidInputError, MissingInputError, UnsafeFileError
from glomseg.models.torch_checkpoints import InertObject, read_torch_checkpoint, state_dict_of

WEIGHT = torch.arange(6.0).reshape(2, 3)


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(canary: Path) -> dict[str, object]:
    """Objects whose unpickling would create the canary file."""
    command = f"open({str(canary)!r}, 'w').close()"
    return {
        "os.system": Calls(os.system, f"touch {canary}"),
        "eval": Calls(eval, command),
        "exec": Calls(exec, command),
        "open": Calls(open, str(canary), "w"),
        "subprocess": Calls(subprocess.Popen, ["touch", str(canary)]),
        "import": Calls(__import__, "os"),
        "torch.load again": Calls(torch.load, str(canary)),
        "numpy loader": Calls(np.load, str(canary)),
        "operator": Calls(collections.namedtuple, "A", "b"),
    }


@pytest.mark.parametrize("name", hostile(Path("x")))
@pytest.mark.parametrize("container", ["zip", "legacy", "plain pickle"])
@pytest.mark.parametrize("place", ["alone", "in state_dict", "beside it"])
def test_a_pickle_that_runs_a_program_is_refused_and_not_run(tmp_path, name, container, place):
    canary, path = tmp_path / "canary", tmp_path / "evil.pth"
    evil = hostile(canary)[name]
    content = {"alone": evil, "in state_dict": {"state_dict": {"w": evil}}, "beside it": {"w": WEIGHT, "meta": evil}}[
        place
    ]
    if container == "plain pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises((UnsafeFileError, InvalidInputError), match=r"evil\.pth"):
        read_torch_checkpoint(path)
    assert not canary.exists()


def test_what_is_refused_is_named(tmp_path):
    torch.save({"meta": Calls(os.system, "true")}, tmp_path / "evil.pth")
    with pytest.raises(UnsafeFileError, match=r"evil\.pth.*refused.*nothing in it was run.*posix.system"):
        read_torch_checkpoint(tmp_path / "evil.pth")


def test_memo_tricks_do_not_reach_a_function(tmp_path):
    canary = tmp_path / "canary"
    # fetches os.system once, stores it in the memo and calls it from there
    code = b"\x80\x02cos\nsystem\nq\x000h\x00X" + len(f"touch {canary}").to_bytes(4, "little")
    (tmp_path / "evil.pth").write_bytes(code + f"touch {canary}".encode() + b"\x85R.")
    with pytest.raises((UnsafeFileError, InvalidInputError)):
        read_torch_checkpoint(tmp_path / "evil.pth")
    assert not canary.exists()


def test_a_chain_of_getattr_reaches_nothing(tmp_path):
    """getattr(OrderedDict, "fromkeys") and the like are how real exploits climb to a function."""
    get = b"cbuiltins\ngetattr\n"
    for attribute in ("__reduce__", "__init_subclass__", "fromkeys", "__class__"):
        chain = get + b"ccollections\nOrderedDict\n" + text(attribute) + b"\x86R"  # getattr(OrderedDict, attribute)
        (tmp_path / "chain.pth").write_bytes(b"\x80\x02" + chain + text("x") + b"\x85R.")  # ...("x")
        with pytest.raises((UnsafeFileError, InvalidInputError), match=r"chain\.pth"):
            read_torch_checkpoint(tmp_path / "chain.pth")


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def hand_written(canary: Path) -> dict[str, bytes]:
    """Pickles that no pickler writes: each would create the canary file or fetch what could."""
    touch = text(f"touch {canary}")
    evil = b"cposix\nsystem\n" + touch + b"\x85R"
    return {
        "posix.system": evil,
        "os.system under Windows' name": b"cnt\nsystem\n" + touch + b"\x85R",
        "Python 2's getattr": b"c__builtin__\ngetattr\ncos\nsystem\n" + text("__call__") + b"\x86R" + touch + b"\x85R",
        "getattr fetched from the memo": b"cbuiltins\ngetattr\nq\x00h\x00cos\n" + text("system") + b"\x86R",
        "getattr called with its own result": b"cbuiltins\ngetattr\n(" * 3 + b"N" + b"tR" * 3 + touch + b"\x85R",
        "a name in parts (STACK_GLOBAL)": text("posix") + text("system") + b"\x93" + touch + b"\x85R",
        "a dotted name": b"ccollections\nOrderedDict.fromkeys\n" + touch + b"\x85R",
        "a call within a call": b"ctorch._utils\n_rebuild_tensor_v2\n(" + evil + b"K\x00))\x89tR",
        "an old kind of object (INST)": b"(" + touch + b"iposix\nsystem\n",
        "an old kind of object (OBJ)": b"(cposix\nsystem\n" + touch + b"o",
        "a new object (NEWOBJ)": b"csubprocess\nPopen\n" + touch + b"\x85\x81",
        "a state (BUILD)": b"ccollections\nOrderedDict\n)R" + evil + b"b",
        "an extension code": b"\x82\x01" + touch + b"\x85R",
        "a key": b"}" + evil + b"K\x01s",
        "MMEngine's registry": b"cmmengine.registry.build_functions\nbuild_from_cfg\n}\x85R",
        "MMEngine's file client": b"cmmengine.fileio\nload\n" + touch + b"\x85R",
        "MMEngine's import": b"cmmengine.utils\nimport_modules_from_strings\n" + text("os") + b"\x85R",
        "pickle again": b"c_pickle\nloads\n" + touch + b"\x85R",
        "another encoding": b"c_codecs\nencode\n" + text("x") + text("idna") + b"\x86R",
        "a storage of another kind": b"(" + text("module") + text("os") + b"tQ",
        "an object called": b"cmmengine.logging.history_buffer\nHistoryBuffer\n)\x81" + touch + b"\x85R",
    }


@pytest.mark.parametrize("name", hand_written(Path("x")))
@pytest.mark.parametrize("container", ["zip", "plain pickle"])
def test_a_hand_written_pickle_runs_nothing_and_is_refused(tmp_path, name, container):
    canary, path = tmp_path / "canary", tmp_path / "evil.pth"
    pickled = b"\x80\x02" + hand_written(canary)[name] + b"."
    if container == "plain pickle":
        path.write_bytes(pickled)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/byteorder", "little")
    with pytest.raises((UnsafeFileError, InvalidInputError), match=r"evil\.pth"):
        read_torch_checkpoint(path)
    assert not canary.exists()


def test_a_name_that_is_refused_is_named_even_if_it_is_mmengines(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02cmmengine.fileio\nload\n)R.")
        archive.writestr("archive/version", "3\n")
    with pytest.raises(UnsafeFileError, match=r"refused.*mmengine\.fileio\.load"):
        read_torch_checkpoint(tmp_path / "evil.pth")


def test_mmengines_own_objects_are_inert_and_its_dicts_plain(tmp_path):
    build = text("a") + b"K\x01s"  # {"a": 1} on a dict
    objects = {
        "hub": b"cmmengine.logging.message_hub\nMessageHub\n" + text("name") + b"\x85\x81}" + build + b"b",
        "config": b"cmmengine.config.config\nConfig\n)\x81}" + build + b"b",
        "dict": b"cmmengine.config.config\nConfigDict\n}" + build + b"\x85R",
        "old dict": b"caddict.addict\nDict\n)\x81" + build,
    }
    pickled = b"\x80\x02}" + b"".join(text(name) + value + b"s" for name, value in objects.items()) + b"."
    with zipfile.ZipFile(tmp_path / "good.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
    read = read_torch_checkpoint(tmp_path / "good.pth")
    for name in ("hub", "config"):
        assert isinstance(read[name], InertObject)
        assert not vars(read[name])
    assert read["dict"] == read["old dict"] == {"a": 1}


@pytest.mark.parametrize("claimed", [5, 10**6, 2**31 - 1])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_storage_larger_than_its_part_of_the_file_is_refused(tmp_path, claimed, legacy):
    path = tmp_path / "claims.pth"
    torch.save({"w": torch.zeros(173)}, path, _use_new_zipfile_serialization=not legacy)
    number = b"K\xad", b"J" + claimed.to_bytes(4, "little")  # 173 as pickled, and what takes its place
    if legacy:
        content = path.read_bytes()
        path.write_bytes(content.replace(*number))
    else:
        with zipfile.ZipFile(path) as archive:
            parts = {item.filename: archive.read(item) for item in archive.infolist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part.replace(*number) if name.endswith("data.pkl") else part)
    with pytest.raises((UnsafeFileError, InvalidInputError), match=r"claims\.pth"):
        state_dict_of(read_torch_checkpoint(path), path=path)


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_containers_and_arrays_are_read(tmp_path, legacy):
    content = {
        "state_dict": collections.OrderedDict(w=WEIGHT, n=torch.tensor(3)),
        "meta": {"epoch": 1, "names": ["a", "肾"], "lr": 0.1, "none": None, "pair": (1, 2)},
        "array": np.arange(4, dtype=np.float32),
        "scalar": np.float64(2.5),
    }
    torch.save(content, tmp_path / "good.pth", _use_new_zipfile_serialization=not legacy)
    read = read_torch_checkpoint(tmp_path / "good.pth")
    assert torch.equal(read["state_dict"]["w"], WEIGHT)
    assert read["meta"] == content["meta"]
    assert np.array_equal(read["array"], content["array"])
    assert read["scalar"] == 2.5


@pytest.mark.real
def test_a_real_training_checkpoint_opens_without_its_program(shared_data):
    path = shared_data.parent / "openmmlab" / "tiny_pspnet_r18_iter_60.pth"
    checkpoint = read_torch_checkpoint(path)
    assert {"meta", "state_dict", "message_hub", "optimizer", "param_schedulers"} <= set(checkpoint)
    assert checkpoint["meta"]["iter"] == 60
    tensors = state_dict_of(checkpoint, path=path)
    assert "decode_head.conv_seg.weight" in tensors

    def objects(value):
        if isinstance(value, dict):
            for item in value.values():
                yield from objects(item)
        else:
            yield value

    assert any(isinstance(item, InertObject) for item in objects(checkpoint["message_hub"]))


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(MissingInputError, match=r"none\.pth"):
        read_torch_checkpoint(tmp_path / "none.pth")
    for name, content in {"empty": b"", "text": b"hello\n" * 50, "zip": b"PK\x03\x04" + b"\0" * 50}.items():
        (tmp_path / f"{name}.pth").write_bytes(content)
        with pytest.raises((InvalidInputError, UnsafeFileError), match=rf"{name}\.pth"):
            read_torch_checkpoint(tmp_path / f"{name}.pth")
    torch.save(WEIGHT, tmp_path / "bare.pth")
    with pytest.raises(InvalidInputError, match="holds a Tensor, not named entries"):
        read_torch_checkpoint(tmp_path / "bare.pth")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_checkpoint_is_damaged(tmp_path, share):
    torch.save({"state_dict": {"w": torch.randn(500)}}, tmp_path / "cut.pth")
    content = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: int(share * len(content))])
    with pytest.raises((InvalidInputError, UnsafeFileError), match=r"cut\.pth"):
        read_torch_checkpoint(tmp_path / "cut.pth")


def test_a_zip_bomb_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", b"\0" * 50_000_000)
    with pytest.raises(UnsafeFileError, match=r"bomb\.pth.*zip bomb"):
        read_torch_checkpoint(tmp_path / "bomb.pth")


def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path):
    torch.save({"state_dict": {"w": torch.zeros(1).expand(10_000, 10_000)}}, tmp_path / "huge.pth")
    checkpoint = read_torch_checkpoint(tmp_path / "huge.pth")
    with pytest.raises(UnsafeFileError, match=r"huge\.pth.*w claims more"):
        state_dict_of(checkpoint, path=tmp_path / "huge.pth")


def test_entries_are_found_wherever_they_are():
    for checkpoint in ({"state_dict": {"module.w": WEIGHT}}, {"model": {"w": WEIGHT}}, {"w": WEIGHT, "epoch": 3}):
        assert list(state_dict_of(checkpoint, path="x.pth")) == ["w"]
    with pytest.raises(InvalidInputError, match="holds no tensors"):
        state_dict_of({"state_dict": {"a": 1}}, path="x.pth")
    with pytest.raises(InvalidInputError, match="NaN"):
        state_dict_of({"w": torch.tensor([float("nan")])}, path="x.pth")


def test_flipped_bits_are_noticed(tmp_path):
    path = tmp_path / "flipped.pth"
    torch.save({"state_dict": {"weight": torch.arange(4000.0)}}, path)
    content = bytearray(path.read_bytes())
    place = content.find(torch.arange(2000.0, 2010.0).numpy().tobytes())
    content[place : place + 4] = b"\xff\x00\xff\x00"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"flipped\.pth.*checksum.*copy it again"):
        read_torch_checkpoint(path)
