import pytest
import torch
import torch.nn.functional as F

from glomseg.models.heads.psp import PSPHead, SplitPSPHead, pyramid_convolution


def plain_forward(head, x):
    """The head as the paper writes it: enlarge the pooled branches, join, convolve."""
    pooled = [
        F.interpolate(pool(x), size=x.shape[-2:], mode="bilinear", align_corners=head.align_corners)
        for pool in head.psp_modules
    ]
    return head.conv_seg(head.bottleneck(torch.cat([x, *pooled], dim=1)))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (8, 8), (13, 15)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("align_corners", [False, True])
def test_folded_pyramid_gives_the_plain_logits_and_gradients(size, training, align_corners):
    torch.manual_seed(0)
    head = PSPHead(24, channels=8, n_classes=3, align_corners=align_corners, dropout=0.0).double().train(training)
    x = torch.randn(3, 24, *size, dtype=torch.float64, requires_grad=True)
    inputs = [x, *head.parameters()]
    found, expected = head([x]), plain_forward(head, x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    gradients = [torch.autograd.grad(logits.square().sum(), inputs) for logits in (found, expected)]
    for own, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(own, plain, rtol=0, atol=1e-9)


def test_one_cell_fills_the_picture_and_the_border_pads_with_zeros():
    weight = torch.arange(9.0).view(1, 1, 3, 3)
    out = pyramid_convolution([torch.full((1, 1, 1, 1), 2.0)], [weight], size=(3, 3))
    # In the upper left corner the taps above and to the left see nothing: 2 * (4 + 5 + 7 + 8) remains.
    assert out[0, 0].tolist() == [[48.0, 66.0, 40.0], [54.0, 72.0, 42.0], [24.0, 30.0, 16.0]]


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_split_head_gives_the_same_logits(align_corners):
    torch.manual_seed(0)
    head = PSPHead(24, channels=8, n_classes=3, align_corners=align_corners).double().eval()
    for module in [head.bottleneck, *(pool[1] for pool in head.psp_modules)]:
        module.bn = torch.nn.Identity()
    x = torch.randn(2, 24, 9, 6, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(SplitPSPHead(head)([x]), head([x]), rtol=0, atol=1e-12)
