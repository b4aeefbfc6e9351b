"""What the doctor says about machines that lack something."""

import builtins
from collections import namedtuple

import pytest

from glomseg.steps import doctor
from glomseg.steps.doctor import Check, check_machine, is_healthy


def found(name):
    return next(check for check in check_machine() if check.name == name)


def test_every_check_is_made_and_says_what_it_found():
    checks = check_machine()
    names = ["glomseg", "Python", "PyTorch", "GPU", "processor", "memory", "OpenSlide", "engines", "cache", "disk"]
    assert [check.name for check in checks] == names
    assert all(check.found and check.status in ("ok", "slow", "missing") for check in checks)
    assert all(check.remedy for check in checks if check.status != "ok")


def test_health_is_that_nothing_is_missing():
    assert is_healthy([Check(name="a", status="ok", found="x"), Check(name="b", status="slow", found="y")])
    assert not is_healthy([Check(name="a", status="missing", found="x")])


def test_a_gpu_that_this_pytorch_cannot_use(monkeypatch):
    monkeypatch.setattr(doctor.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert found("GPU").status == "slow"
    assert "install a CUDA build of PyTorch" in found("GPU").remedy
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert found("GPU").found == "none that PyTorch can use"


def test_gpus_are_named(monkeypatch):
    monkeypatch.setattr(doctor, "_compute_on", lambda device: None)
    monkeypatch.setattr(doctor.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(doctor.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(doctor.torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(doctor.torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert found("GPU").found == "GPU 0, GPU 1; computes in bf16-mixed"


def test_a_gpu_that_is_seen_but_does_not_compute_is_missing(monkeypatch):
    def no_kernel(device):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nlong advice")

    monkeypatch.setattr(doctor, "_compute_on", no_kernel)
    monkeypatch.setattr(doctor.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(doctor.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(doctor.torch.cuda, "get_device_name", lambda index: "GPU 0")
    check = found("GPU")
    assert check.status == "missing"
    assert check.found == (
        "GPU 0; does not compute: CUDA error: no kernel image is available for execution on the device"
    )
    assert "--device cpu" in check.remedy


def test_the_trial_runs_where_there_is_a_device():
    doctor._compute_on(doctor.torch.device("cpu"))


@pytest.mark.parametrize(("has_bf16", "words"), [(True, "bf16 is quicker"), (False, "bf16 is no quicker")])
def test_bf16(monkeypatch, has_bf16, words):
    monkeypatch.setattr(doctor, "cpu_gains_by_bf16", lambda: has_bf16)
    assert words in found("processor").found
    assert ("--precision" in found("processor").remedy) is not has_bf16


def test_little_memory_and_little_disk_are_slow(monkeypatch, tmp_path):
    memory = namedtuple("memory", "available total")
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: memory(2**32, 2**33))
    monkeypatch.setattr(doctor, "free_memory_bytes", lambda: 2**30)  # a container's limit
    assert (found("memory").status, found("memory").found) == ("slow", "1.0 of 8.0 GB free")
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage(2**30))
    assert found("disk").status == "slow"


def test_openslide_that_cannot_be_loaded(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "openslide":
            raise OSError("libopenslide.so.1: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert found("OpenSlide").status == "missing"
    assert "openslide-bin" in found("OpenSlide").remedy
    assert "libopenslide" in found("OpenSlide").found


def test_engines_are_optional(monkeypatch):
    assert found("engines").found.startswith("PyTorch, ONNX Runtime 1.")
    assert found("engines").remedy == ""
    monkeypatch.setattr(doctor, "installed_engines", lambda: {"torch": "2.13", "openvino": "2026.4"})
    check = found("engines")
    assert (check.status, check.found) == ("ok", "PyTorch, OpenVINO 2026.4")
    assert "pip install 'glomseg[engines]'" in check.remedy


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GLOMSEG_CACHE", str(tmp_path / "not" / "yet"))
    assert (found("cache").status, found("cache").found) == ("ok", str(tmp_path / "not" / "yet"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLOMSEG_CACHE", str(tmp_path / "file" / "cache"))
    assert found("cache").status == "missing"
    assert "GLOMSEG_CACHE" in found("cache").remedy
    monkeypatch.setenv("GLOMSEG_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    assert found("cache").status == "missing"


def test_a_deleted_current_folder_is_no_crash(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert found("disk").found == "the current folder has been deleted"
    monkeypatch.chdir(tmp_path)


def test_looking_changes_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("GLOMSEG_CACHE", str(tmp_path / "cache"))
    check_machine()
    assert list(tmp_path.iterdir()) == []
