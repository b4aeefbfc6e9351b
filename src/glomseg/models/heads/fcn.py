"""Convolutions and a classifier."""

from collections.abc import Sequence

from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, conv_seg, init_conv_bn


class FCNHead(nn.Module):
    """One 3x3 convolution and a classifier; PSPNet's auxiliary head during training.

    Parameters
    ----------
    in_channels, channels
        Channels of the feature that is used and of the convolution.
    n_classes
        Channels of the logits.
    in_index
        Which of the backbone's features is used.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015.
    """

    def __init__(
        self, in_channels: int, *, channels: int, n_classes: int, in_index: int = -1, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.in_index = in_index
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.convs = nn.Sequential(ConvBNReLU(in_channels, channels, kernel_size=3))
        init_conv_bn(self.convs)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the feature that is used."""
        logits: Tensor = self.conv_seg(self.dropout(self.convs(features[self.in_index])))
        return logits
