"""What this machine computes with, and in which precision it gains."""

import torch

from glomseg.errors import InvalidInputError

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
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InvalidInputError(f"--device {device!r}: this PyTorch sees no Apple GPU; `glomseg doctor` says more")
    return chosen


def choose_precision(requested: str, device: torch.device) -> str:
    """Return the precision to compute in, in Lightning Fabric's words.

    "auto" takes bf16 where the device multiplies bf16 natively (on a processor without it, bf16 is
    emulated and several times slower), fp16 on older NVIDIA GPUs, and fp32 elsewhere.
    """
    if requested not in PRECISIONS:
        raise InvalidInputError(f"--precision {requested!r} is none of {', '.join(PRECISIONS)}")
    if requested != "auto":
        return requested
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if device.type == "cpu" and cpu_has_native_bf16():
        return "bf16-mixed"
    return "32-true"


def cpu_has_native_bf16() -> bool:
    """Return whether the processor multiplies bf16 numbers itself (AVX-512 BF16, AMX or Arm's BF16)."""
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))


def autocast_dtype(precision: str) -> torch.dtype | None:
    """Return the type that a precision computes matrix products in, or None for plain fp32."""
    return {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
