"""What this machine computes with, and in which precision it gains."""

import statistics
import time
from functools import lru_cache

import torch

from glomseg.errors import InvalidInputError
from glomseg.memory import free_memory_bytes

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def choose_device(device: str) -> torch.device:
    """Return the device to compute on; "auto" is the GPU where there is one, else the processor."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InvalidInputError(f"--device {device!r} is no device; use auto, cpu, cuda, cuda:1 or mps") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError(f"--device {device!r}: this PyTorch sees no CUDA GPU; `glomseg doctor` says more")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InvalidInputError(
            f"--device {device!r}: this PyTorch sees {torch.cuda.device_count()} CUDA GPU, the first is cuda:0"
        )
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InvalidInputError(f"--device {device!r}: this PyTorch sees no Apple GPU; `glomseg doctor` says more")
    return chosen


def free_device_bytes(device: torch.device) -> int:
    """Return the memory that is free for use on a device right now; GPUs that share the machine's have that."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory_bytes()


def choose_precision(requested: str, device: torch.device) -> str:
    """Return the precision to compute in, in Lightning Fabric's words.

    "auto" takes bf16 on GPUs that multiply it natively and fp16 on older NVIDIA GPUs; on a processor it
    takes bf16 only where a trial shows that it is quicker, and else fp32.
    """
    if requested not in PRECISIONS:
        raise InvalidInputError(f"--precision {requested!r} is none of {', '.join(PRECISIONS)}")
    if requested != "auto":
        return requested
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if device.type == "cpu" and cpu_gains_by_bf16():
        return "bf16-mixed"
    return "32-true"


def cpu_has_native_bf16() -> bool:
    """Return whether the processor multiplies bf16 numbers itself (AVX-512 BF16, AMX or Arm's BF16)."""
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))


@lru_cache(maxsize=1)
def cpu_gains_by_bf16() -> bool:
    """Return whether matrix products in bf16 are clearly quicker than in fp32 on this processor.

    The instructions alone do not tell: some processors list AVX-512 BF16 and multiply fp32 twice as fast.
    The trial takes some hundredths of a second, once a process.
    """
    if not cpu_has_native_bf16():
        return False
    matrices = {dtype: torch.ones(1024, 1024, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    # In turns, and by the least times as well as the usual ones: on a busy machine one of the two alone is chance.
    turns = [[_product_seconds(matrix) for matrix in matrices.values()] for _ in range(9)]
    least, usual = ([choose(times) for times in zip(*turns, strict=True)] for choose in (min, statistics.median))
    return all(full > _BF16_GAIN * half for full, half in (least, usual))


_BF16_GAIN = 1.3  # converting weights and features between the types costs a part of the gain


def _product_seconds(matrix: torch.Tensor) -> float:
    """Return how long a matrix product takes."""
    start = time.perf_counter()
    torch.mm(matrix, matrix)
    return time.perf_counter() - start


def autocast_dtype(precision: str) -> torch.dtype | None:
    """Return the type that a precision computes matrix products in, or None for plain fp32."""
    return {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
