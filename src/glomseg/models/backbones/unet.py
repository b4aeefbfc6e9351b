"""U-Net as a backbone."""

import itertools
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import ConvBNReLU, init_conv_bn


class UNet(nn.Module):
    """U-Net: the image halved stage by stage, then doubled again with the features of the same size at hand.

    Its features come **coarsest first**, as the decoder makes them: heads in OpenMMLab's configs count so
    (``in_index=4`` is the finest of five).

    Parameters
    ----------
    base_channels
        Width of the first stage; each further stage doubles it.
    num_stages
        Number of sizes; 5 makes the coarsest stride 16 ("S5-D16").

    References
    ----------
    Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015.
    """

    def __init__(self, *, base_channels: int = 64, num_stages: int = 5) -> None:
        super().__init__()
        widths = [base_channels * 2**i for i in range(num_stages)]
        self.encoder = nn.ModuleList([nn.Sequential(_two_convolutions(3, widths[0]))])
        self.decoder = nn.ModuleList()
        for fine, coarse in itertools.pairwise(widths):
            # Rounded up, so that images of any size pass; OpenMMLab refuses those the strides do not divide.
            halve = nn.MaxPool2d(2, ceil_mode=True)
            self.encoder.append(nn.Sequential(halve, _two_convolutions(fine, coarse)))
            self.decoder.append(_Rise(coarse, fine))
        self.out_channels = tuple(reversed(widths))
        init_conv_bn(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of all sizes, coarsest first, from (B, 3, H, W) normalised images."""
        skips = []
        x = images
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        features = [x]
        for rise, skip in zip(reversed(self.decoder), reversed(skips[:-1]), strict=True):
            x = rise(x, skip)
            features.append(x)
        return tuple(features)


class _Rise(nn.Module):
    """One step up: the coarse feature doubled, joined with the fine one, and convolved."""

    def __init__(self, coarse_channels: int, fine_channels: int) -> None:
        super().__init__()
        self.conv_block = _two_convolutions(2 * fine_channels, fine_channels)
        self.upsample = _Double(coarse_channels, fine_channels)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        height, width = fine.shape[-2:]
        doubled = self.upsample(coarse)[..., :height, :width]
        out: Tensor = self.conv_block(torch.cat([fine, doubled], dim=1))
        return out


class _Double(nn.Module):
    """Bilinear doubling and a 1x1 convolution with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        double = nn.Upsample(scale_factor=2, mode="bilinear")
        self.interp_upsample = nn.Sequential(double, ConvBNReLU(in_channels, out_channels, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        double, mix = self.interp_upsample
        assert isinstance(mix, ConvBNReLU)
        # Doubling and mixing channels can change places, and mixing first is a quarter of the work.
        return F.relu(mix.bn(double(mix.conv(x))), inplace=True)


def _two_convolutions(in_channels: int, channels: int) -> nn.Sequential:
    convs = nn.Sequential(
        ConvBNReLU(in_channels, channels, kernel_size=3), ConvBNReLU(channels, channels, kernel_size=3)
    )
    return nn.Sequential(OrderedDict(convs=convs))
