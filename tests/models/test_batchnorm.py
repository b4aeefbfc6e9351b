"""Two processes with half a batch each must do what one does with the whole."""

import pytest
import torch
import torch.multiprocessing
from torch import nn

from glomseg.models.batchnorm import synchronize_batchnorm

BATCH = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float32)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def loss_of(output: torch.Tensor) -> torch.Tensor:
    return (output * torch.arange(output.shape[-1])).square().mean()


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(synchronize_batchnorm(network()))
    loss_of(model(BATCH[rank::2])).backward()
    if rank == 0:
        gradients = {name: value.grad for name, value in model.module.named_parameters()}
        torch.save({"gradients": gradients, "state": model.module.state_dict()}, f"{folder}/result.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_two_processes_have_the_gradients_and_statistics_of_one(tmp_path):
    torch.multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    result = torch.load(tmp_path / "result.pt", weights_only=True)
    alone = network()
    loss_of(alone(BATCH)).backward()
    for name, parameter in alone.named_parameters():
        assert torch.allclose(result["gradients"][name], parameter.grad, rtol=1e-4, atol=1e-6), name
    for name, value in alone.state_dict().items():
        assert torch.allclose(result["state"][name], value, rtol=1e-4, atol=1e-6), name


def test_alone_and_in_evaluation_it_is_ordinary_batch_normalisation():
    model, plain = synchronize_batchnorm(network()), network()
    assert list(model.state_dict()) == list(plain.state_dict())
    assert torch.equal(model(BATCH), plain(BATCH))
    assert torch.equal(model.eval()(BATCH), plain.eval()(BATCH))
