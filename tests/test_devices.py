import pytest
import torch

from glomseg.devices import PRECISIONS, autocast_dtype, choose_device, choose_precision, cpu_has_native_bf16
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


def test_bf16_is_taken_where_the_processor_has_it(monkeypatch):
    cpu = torch.device("cpu")
    for native, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native})
        assert cpu_has_native_bf16() is native
        assert choose_precision("auto", cpu) == expected
    assert choose_precision("16-mixed", cpu) == "16-mixed"
    with pytest.raises(InvalidInputError, match="is none of auto"):
        choose_precision("64", cpu)


def test_every_precision_has_a_type():
    assert [autocast_dtype(name) for name in PRECISIONS] == [None, None, torch.bfloat16, torch.float16]
