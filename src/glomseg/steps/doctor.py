"""Check this machine: what works, what will be slow, what is missing, and how to mend it."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from glomseg._version import __version__
from glomseg.devices import choose_precision, cpu_gains_by_bf16
from glomseg.inference.engines.packages import INSTALL, installed_engines
from glomseg.memory import free_memory_bytes
from glomseg.models.known_weights import cache_folder

_LITTLE_MEMORY_BYTES = 4 * 2**30
_LITTLE_DISK_BYTES = 5 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name
        What was looked at.
    status
        "ok", "slow" (works, but takes long) or "missing" (something will not work).
    found
        What was found.
    remedy
        What to do about it; empty where nothing is needed.
    """

    name: str
    status: str
    found: str
    remedy: str = ""


def check_machine() -> list[Check]:
    """Return what this machine offers, in the order in which it matters."""
    return [
        Check(name="glomseg", status="ok", found=__version__),
        Check(name="Python", status="ok", found=f"{platform.python_version()} on {platform.platform()}"),
        Check(name="PyTorch", status="ok", found=torch.__version__),
        _check_gpu(),
        _check_processor(),
        _check_memory(),
        _check_openslide(),
        _check_engines(),
        _check_cache(),
        _check_disk(),
    ]


def _check_gpu() -> Check:
    if torch.cuda.is_available():
        device = torch.device("cuda")
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        try:
            _compute_on(device)
        except RuntimeError as error:  # seen by the driver, but of a kind this PyTorch has no kernels for, or full
            return Check(
                name="GPU",
                status="missing",
                found=f"{names}; does not compute: {str(error).partition(chr(10))[0]}",
                remedy="install a build of PyTorch for this GPU (pytorch.org, Get Started), or give --device cpu",
            )
        return Check(name="GPU", status="ok", found=f"{names}; computes in {choose_precision('auto', device)}")
    if torch.backends.mps.is_available():
        return Check(name="GPU", status="ok", found="Apple GPU (mps)")
    if shutil.which("nvidia-smi"):
        return Check(
            name="GPU",
            status="slow",
            found="an NVIDIA driver is installed, but this PyTorch cannot use it",
            remedy="install a CUDA build of PyTorch that fits the driver (pytorch.org, Get Started)",
        )
    return Check(
        name="GPU",
        status="slow",
        found="none that PyTorch can use",
        remedy="fine for the default recipe; PSPNet R50 takes seconds a step on a processor",
    )


def _compute_on(device: torch.device) -> None:
    """Raise RuntimeError if the device cannot compute the least that a network needs."""
    images, weights = torch.ones(1, 1, 4, 4, device=device), torch.ones(1, 1, 3, 3, device=device)
    torch.nn.functional.conv2d(images, weights).sum().item()


def _check_processor() -> Check:
    found = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    if cpu_gains_by_bf16():
        return Check(name="processor", status="ok", found=f"{found}, bf16 is quicker: used by default")
    return Check(
        name="processor",
        status="ok",
        found=f"{found}, bf16 is no quicker: fp32 is used",
        remedy="leave --precision at auto: bf16 would be slower here",
    )


def _check_memory() -> Check:
    free = free_memory_bytes()
    found = f"{free / 2**30:.1f} of {psutil.virtual_memory().total / 2**30:.1f} GB free"
    if free >= _LITTLE_MEMORY_BYTES:
        return Check(name="memory", status="ok", found=found)
    return Check(
        name="memory",
        status="slow",
        found=found,
        remedy="close other programs; with --set run.batch_size=4 and --set run.cache_share=0 training needs less",
    )


def _check_openslide() -> Check:
    try:
        import openslide
    except (ImportError, OSError) as error:
        return Check(
            name="OpenSlide", status="missing", found=str(error), remedy="pip install openslide-python openslide-bin"
        )
    return Check(name="OpenSlide", status="ok", found=openslide.__library_version__)


def _check_engines() -> Check:
    """Return which optional engines are there; none of them is needed."""
    names = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}
    found = installed_engines()
    listed = [f"{names[engine]} {found[engine]}" for engine in names if engine in found]
    remedy = "" if len(listed) == len(names) else f"optional, and often quicker on processors: {INSTALL}"
    return Check(name="engines", status="ok", found=", ".join(["PyTorch", *listed]), remedy=remedy)


def _check_cache() -> Check:
    folder = cache_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if existing.is_dir() and os.access(existing, os.W_OK):
        return Check(name="cache", status="ok", found=str(folder))
    return Check(
        name="cache",
        status="missing",
        found=f"{folder} cannot be written",
        remedy="set GLOMSEG_CACHE to a folder you may write to",
    )


def _check_disk() -> Check:
    try:
        folder = Path.cwd()
    except OSError:
        return Check(
            name="disk", status="missing", found="the current folder has been deleted", remedy="cd to another folder"
        )
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GB free in {folder}"
    if free >= _LITTLE_DISK_BYTES:
        return Check(name="disk", status="ok", found=found)
    return Check(name="disk", status="slow", found=found, remedy="checkpoints of large models fill it soon: free some")


def is_healthy(checks: list[Check]) -> bool:
    """Return whether nothing is missing."""
    return all(check.status != "missing" for check in checks)
