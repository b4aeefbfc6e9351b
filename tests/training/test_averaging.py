import pytest
import torch
from torch import nn

from glomseg.training.averaging import WeightAverage


def filled(value: float) -> nn.Module:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.fill_(value)
    return network


def test_the_average_moves_part_of_the_way_and_copies_counters():
    average = WeightAverage(filled(0.0), decay=0.9)
    average.update(filled(10.0), step=10**6)
    state = average.network.state_dict()
    assert state["0.weight"].item() == pytest.approx(1.0)
    assert state["1.running_var"].item() == pytest.approx(1.0)
    assert state["1.num_batches_tracked"].item() == 10


def test_the_first_steps_count_more():
    average = WeightAverage(filled(0.0), decay=0.99)
    average.update(filled(11.0), step=1)
    assert average.network[0].weight.item() == pytest.approx(11 * (1 - 2 / 11))


def test_what_is_followed_stays_as_it_is_and_the_average_needs_no_gradient():
    network = filled(3.0)
    average = WeightAverage(network, decay=0.5)
    average.update(network, step=5)
    assert network[0].weight.item() == 3.0
    assert network[0].weight.requires_grad
    assert not any(value.requires_grad for value in average.network.parameters())
    assert average.network[0].weight.item() == pytest.approx(3.0)
