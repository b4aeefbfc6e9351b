"""Parameters and multiply-accumulates, against counts by hand and OpenMMLab's."""

import pytest
import torch
from torch import nn

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.models.profile import count_macs, count_parameters, training_bytes


def test_parameters_of_a_convolution_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    assert count_parameters(network) == 3 * 8 * 9 + 8 + 8 + 8


def test_shared_parameters_count_once_and_frozen_ones_count() -> None:
    layer = nn.Conv2d(3, 3, 1, bias=False).requires_grad_(False)
    assert count_parameters(nn.Sequential(layer, layer)) == 9


def test_macs_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 8 x 3 x 9 at 5 x 4 places
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, padding=1, groups=4),  # 8 x 2 x 9 at 5 x 4 places
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),  # 8 x 2
    )
    assert count_macs(network, height=10, width=8) == 20 * 216 + 20 * 144 + 16


def test_pspnet_has_openmmlabs_parameters() -> None:
    with torch.device("meta"):
        network = build_model("pspnet_r50", n_classes=19)
    assert count_parameters(network) == 48_975_494


def test_macs_of_a_backbone_agree_with_a_run_that_looks_at_every_convolution() -> None:
    backbone = build_model("pspnet_r18", n_classes=2, base_channels=8).backbone.eval()
    seen: list[int] = []
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda layer, _, out: seen.append(out[0, 0].numel() * layer.weight.numel())  # places x one place's work
            )
    with torch.no_grad():
        backbone(torch.zeros(1, 3, 72, 56))
    n_seen = sum(seen)
    assert len(seen) > 20
    assert count_macs(backbone, height=72, width=56) == n_seen


def test_counting_leaves_the_network_as_it_is() -> None:
    network = build_model("fpn_resnet_small", n_classes=2).double()
    network.backbone.eval()  # frozen statistics, as some trainings want them
    modes = [module.training for module in network.modules()]
    values = {name: value.clone() for name, value in network.state_dict().items()}
    in_eval_mode = count_macs(network, height=64, width=48)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, values[name]) for name, value in network.state_dict().items())
    assert count_macs(network.eval(), height=64, width=48) == in_eval_mode


def test_the_auxiliary_head_is_not_counted() -> None:
    network = build_model("pspnet_r18", n_classes=2, base_channels=8)
    counted = count_macs(network, height=64, width=64)
    network.auxiliary_head = None
    assert count_macs(network, height=64, width=64) == counted


@pytest.mark.parametrize(("height", "width"), [(0, 64), (64, -1)])
def test_a_size_that_is_none_is_an_error(height: int, width: int) -> None:
    with pytest.raises(InvalidInputError, match=f"{width} x {height} pixels: give a positive size"):
        count_macs(nn.Conv2d(3, 1, 1), height=height, width=width)


def test_bytes_of_a_training_step_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    n_parameters = 3 * 8 * 9 + 8 + 8 * 2 + 2
    kept = 2 * 10 * 6 * (3 + 8)  # the images, and what came out of the ReLU, which both neighbours share
    assert training_bytes(network, height=10, width=6, batch_size=2) == 4 * (kept + 4 * n_parameters)
    assert not any(parameter.is_meta for parameter in network.parameters())


def test_bytes_of_a_training_step_are_those_that_a_real_one_keeps() -> None:
    network = build_model("pspnet_r18", n_classes=2, base_channels=8, stem_channels=8, head_channels=8).train()
    own = {parameter.data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(torch.zeros(2, 3, 64, 64))
    real = sum(kept.values()) + 16 * count_parameters(network)
    assert outputs.main.requires_grad
    assert training_bytes(network, height=64, width=64, batch_size=2) == pytest.approx(real, rel=0.02)


def test_a_single_window_has_half_the_bytes_of_two_beside_the_weights() -> None:
    network = build_model("pspnet_r18", n_classes=2, base_channels=8)
    weights = 16 * count_parameters(network)
    one, two = (training_bytes(network, height=32, width=32, batch_size=n) - weights for n in (1, 2))
    assert two == pytest.approx(2 * one, rel=1e-3)
