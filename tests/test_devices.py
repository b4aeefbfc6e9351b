import pytest
import torch

from glomseg import devices
from glomseg.devices import (
    PRECISIONS,
    autocast_dtype,
    choose_device,
    choose_precision,
    cpu_gains_by_bf16,
    cpu_has_native_bf16,
)
from glomseg.errors import InvalidInputError


def test_the_processor_is_always_there():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("device", ["abacus", "cpu:x", ""])
def test_a_device_that_is_none(device):
    with pytest.raises(InvalidInputError, match="is no device"):
        choose_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there():
    with pytest.raises(InvalidInputError, match=r"sees no CUDA GPU.*glomseg doctor"):
        choose_device("cuda")


def test_a_gpu_beyond_the_last(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(InvalidInputError, match=r"'cuda:1': this PyTorch sees 1 CUDA GPU, the first is cuda:0"):
        choose_device("cuda:1")


@pytest.mark.parametrize(
    ("native", "seconds", "expected"),
    [(True, 1.0, "bf16-mixed"), (True, 1.9, "32-true"), (False, 0.1, "32-true")],
)
def test_bf16_is_taken_where_the_processor_gains_by_it(monkeypatch, native, seconds, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    times = {torch.float32: 2.0, torch.bfloat16: seconds}
    monkeypatch.setattr(devices, "_product_seconds", lambda matrix: times[matrix.dtype])
    cpu_gains_by_bf16.cache_clear()
    try:
        assert cpu_has_native_bf16() is native
        assert choose_precision("auto", torch.device("cpu")) == expected
    finally:
        cpu_gains_by_bf16.cache_clear()


def test_a_precision_that_is_asked_for_is_taken():
    assert choose_precision("16-mixed", torch.device("cpu")) == "16-mixed"
    with pytest.raises(InvalidInputError, match="is none of auto"):
        choose_precision("64", torch.device("cpu"))


def test_the_trial_takes_time():
    assert devices._product_seconds(torch.ones(64, 64)) > 0


def test_a_trial_that_was_disturbed_chooses_full_precision(monkeypatch):
    """Another program that took the processor for some of the fp32 products makes no gain of bf16."""
    monkeypatch.setattr(devices, "cpu_has_native_bf16", lambda: True)
    turns = iter([9.0, 1.0] * 6 + [1.0, 1.0] * 3)
    monkeypatch.setattr(devices, "_product_seconds", lambda matrix: next(turns))
    cpu_gains_by_bf16.cache_clear()
    try:
        assert not cpu_gains_by_bf16()
    finally:
        cpu_gains_by_bf16.cache_clear()


def test_every_precision_has_a_type():
    assert [autocast_dtype(name) for name in PRECISIONS] == [None, None, torch.bfloat16, torch.float16]
