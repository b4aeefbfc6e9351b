import pytest
from torch import nn

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.optimization import OptimizerSettings
from glomseg.training.parameters import parameter_groups, unused_names
from glomseg.training.run import make_optimizer


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.depthwise = nn.Conv2d(4, 4, 1, groups=4)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)


def rules(network=None, **settings):
    """(rate, decay) of every parameter by name."""
    groups = parameter_groups(network or Net(), OptimizerSettings(lr=1.0, weight_decay=1.0, **settings))
    return {name: (group.lr, group.weight_decay) for group in groups for name in group.names}


def test_without_rules_there_is_one_group_in_the_order_of_the_network():
    network = Net()
    (group,) = parameter_groups(network, OptimizerSettings())
    assert group.names == [name for name, _ in network.named_parameters()]
    assert all(one is other for one, other in zip(group.parameters, network.parameters(), strict=True))


def test_kinds_of_parameters_decay_by_the_first_rule_that_fits():
    found = rules(norm_decay_mult=0.1, bias_decay_mult=0.2, dwconv_decay_mult=0.3, flat_decay_mult=0.4, bias_lr_mult=2)
    assert found["norm.weight"] == found["norm.bias"] == (1, 0.1)
    assert found["stem.bias"] == found["depthwise.bias"] == found["head.bias"] == (2, 0.2)
    assert found["depthwise.weight"] == (1, 0.3)
    assert found["stem.weight"] == (1, 1)
    assert rules(flat_decay_mult=0.4)["norm.weight"] == (1, 0.4)
    assert rules(bias_decay_mult=0.2)["norm.bias"] == (1, 0.2)


def test_the_longest_name_decides_and_other_rules_do_not_hold_there():
    found = rules(
        by_name={"head": {"lr_mult": 10}, "ad": {"lr_mult": 3}, "stem.bias": {"decay_mult": 0}}, bias_lr_mult=2
    )
    assert found["head.weight"] == found["head.bias"] == (10, 1)
    assert found["stem.bias"] == (1, 0)
    assert found["depthwise.bias"] == (2, 1)


def test_names_that_decide_nothing_are_found():
    settings = OptimizerSettings(by_name={"head": {}, "ad": {}, "haed": {}})
    assert unused_names(Net(), settings) == ("ad", "haed")


def test_layer_decay_needs_a_convnext():
    with pytest.raises(InvalidInputError, match="ConvNeXt"):
        rules(layer_decay={"rate": 0.9, "n_layers": 6})


@pytest.mark.parametrize(("by", "stem", "deep"), [("stage", 0.5**7, 0.5**4), ("layer", 0.5**7, 0.5**3)])
def test_layer_decay_falls_towards_the_stem(by, stem, deep):
    backbone = {"name": "convnext", "depths": [1, 1, 4, 1], "channels": [8, 8, 8, 8]}
    head = {"name": "fcn", "in_channels": 8, "channels": 8}
    network = build_model("composed", n_classes=2, backbone=backbone, decode_head=head)
    found = rules(network, layer_decay={"rate": 0.5, "n_layers": 6, "by": by})
    assert found["backbone.downsample_layers.0.0.weight"] == (stem, 1)
    assert found["backbone.downsample_layers.0.0.bias"] == (stem, 0)
    assert found["backbone.stages.2.3.pointwise_conv1.weight"] == (deep, 1)
    assert found["decode_head.conv_seg.weight"] == (1, 1)


def test_the_optimizer_has_a_rate_and_a_decay_for_each_group():
    settings = OptimizerSettings(lr=0.1, weight_decay=0.5, betas=(0.8, 0.9), by_name={"head": {"lr_mult": 10}})
    optimizer = make_optimizer(Net(), settings, fused=False)
    assert [(group["lr"], group["initial_lr"]) for group in optimizer.param_groups] == [(0.1, 0.1), (1.0, 1.0)]
    assert {group["betas"] for group in optimizer.param_groups} == {(0.8, 0.9)}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.5}
