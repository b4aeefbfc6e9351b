"""The pieces that networks are made of."""

from torch import Tensor, nn


class ConvBNReLU(nn.Module):
    """Convolution, batch normalisation, ReLU, with OpenMMLab's entry names ``conv`` and ``bn``.

    Parameters
    ----------
    in_channels, out_channels
        Number of channels.
    kernel_size
        Side of the kernel in pixels, odd; the padding keeps the size at stride 1.
    stride, dilation
        Of the convolution, in pixels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.activate = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activate(self.bn(self.conv(x)))
        return out


def init_conv_bn(module: nn.Module) -> None:
    """Initialise every convolution and batch normalisation inside `module` as OpenMMLab does.

    Convolutions: normal with variance 2 / fan-out [1]_ and bias 0. Batch normalisations: weight 1, bias 0.

    References
    ----------
    .. [1] He et al., Delving Deep into Rectifiers, ICCV 2015, section 2.2.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def conv_seg(in_channels: int, n_classes: int) -> nn.Conv2d:
    """Return a 1x1 convolution to class logits, initialised normal with standard deviation 0.01.

    Small logits make the first loss that of an even guess, whatever the features are.
    """
    conv = nn.Conv2d(in_channels, n_classes, 1)
    nn.init.normal_(conv.weight, std=0.01)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
