import pytest
import torch
import torch.nn.functional as F

from glomseg.models.blocks import DepthwiseSeparableConv
from glomseg.models.heads.aspp import ASPPHead, DepthwiseSeparableASPPHead


def plain_pyramid(head, x):
    """The joined branches as the paper writes them: the average enlarged bilinearly beside the convolutions."""
    average = F.interpolate(head.image_pool(x), size=x.shape[-2:], mode="bilinear", align_corners=False)
    return head.bottleneck(torch.cat([average, *(branch(x) for branch in head.aspp_modules)], dim=1))


@pytest.mark.parametrize("size", [(1, 1), (5, 8)])
def test_deeplabv3_is_the_plain_pyramid_classified(size):
    torch.manual_seed(0)
    head = ASPPHead(6, channels=4, n_classes=3, in_index=1, dilations=(1, 2, 5)).double().eval()
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    torch.testing.assert_close(head([x[:, :2], x]), head.conv_seg(plain_pyramid(head, x)), rtol=0, atol=1e-12)
    kernels = [branch.conv.kernel_size[0] for branch in head.aspp_modules]
    assert kernels == [1, 3, 3]
    assert [branch.conv.dilation[0] for branch in head.aspp_modules] == [1, 2, 5]


@pytest.mark.parametrize("align_corners", [False, True])
def test_deeplabv3plus_refines_with_the_finest_feature(align_corners):
    torch.manual_seed(0)
    head = DepthwiseSeparableASPPHead(
        6,
        channels=4,
        n_classes=3,
        c1_in_channels=5,
        c1_channels=2,
        dilations=(1, 2),
        align_corners=align_corners,
    )
    head = head.double().eval()
    fine = torch.randn(1, 5, 10, 14, dtype=torch.float64)
    coarse = torch.randn(1, 6, 5, 7, dtype=torch.float64)
    enlarged = F.interpolate(plain_pyramid(head, coarse), size=(10, 14), mode="bilinear", align_corners=align_corners)
    expected = head.conv_seg(head.sep_bottleneck(torch.cat([enlarged, head.c1_bottleneck(fine)], dim=1)))
    torch.testing.assert_close(head([fine, coarse]), expected, rtol=0, atol=1e-12)
    assert [isinstance(branch, DepthwiseSeparableConv) for branch in head.aspp_modules] == [False, True]


def test_classifiers_start_with_small_logits_and_convolutions_by_their_fan_out():
    torch.manual_seed(0)
    head = ASPPHead(64, channels=64, n_classes=3, dilations=(2,))
    assert float(head.conv_seg.weight.detach().abs().max()) < 0.1
    assert float(head.bottleneck.conv.weight.detach().std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)
