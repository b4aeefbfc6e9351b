import torch
from torch import nn

from glomseg.models.heads.fcn import FCNHead


def test_without_convolutions_it_is_the_classifier():
    head = FCNHead(5, channels=5, n_classes=3, num_convs=0, concat_input=False).eval()
    assert [name for name, _ in head.named_parameters()] == ["conv_seg.weight", "conv_seg.bias"]
    x = torch.randn(1, 5, 4, 6)
    assert torch.equal(head([x]), head.conv_seg(x))


def test_it_reads_the_feature_it_is_told_and_joins_it_with_the_result():
    torch.manual_seed(0)
    head = FCNHead(5, channels=4, n_classes=3, in_index=1).eval()
    x = torch.randn(1, 5, 4, 6)
    expected = head.conv_seg(head.conv_cat(torch.cat([x, head.convs(x)], dim=1)))
    assert torch.equal(head([torch.randn(1, 2, 8, 12), x]), expected)
    assert [conv.conv.in_channels for conv in head.convs] == [5, 4]


def test_kernel_and_dilation_keep_the_size():
    for kernel_size, dilation in ((1, 1), (3, 6), (5, 2)):
        head = FCNHead(5, channels=4, n_classes=3, kernel_size=kernel_size, dilation=dilation).eval()
        assert head([torch.randn(1, 5, 7, 9)]).shape == (1, 3, 7, 9)
        assert head.convs[0].conv.dilation == (dilation, dilation)
        assert head.conv_cat.conv.dilation == (1, 1)


def test_separable_convolutions_have_no_relu_inside():
    torch.manual_seed(0)
    head = FCNHead(4, channels=4, n_classes=3, num_convs=1, concat_input=False, separable=True).double().eval()
    first = head.convs[0]
    assert first.depthwise_conv.conv.groups == 4
    assert not any(isinstance(module, nn.ReLU) for module in first.depthwise_conv.modules())
    assert first.depthwise_conv(torch.randn(1, 4, 8, 8, dtype=torch.float64)).min() < 0
    assert first(torch.randn(1, 4, 8, 8, dtype=torch.float64)).min() == 0
