"""SegNeXt's head: global context by factorising the features ("Hamburger")."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import conv_seg, init_conv_bn
from glomseg.models.transformer import full_precision

_N_GROUPS = 32
_EPS = 1e-6
_SEED = 0


class ConvGN(nn.Module):
    """1x1 convolution and group normalisation, with OpenMMLab's entry names ``conv`` and ``gn``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.gn = nn.GroupNorm(_N_GROUPS, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.gn(self.conv(x))
        return out


class NMF2D(nn.Module):
    """Replaces a map without negative numbers by a product of two small matrices that comes close to it.

    The bases that the iteration starts from are random. In training each image of each step has its own; in
    prediction they come from a generator with a fixed seed and are the same for every image, so that a prediction can
    be repeated and does not depend on the other images of the batch. (OpenMMLab draws them anew each time.)

    Parameters
    ----------
    n_bases
        Columns of the first matrix: the rank of the product.
    train_steps, eval_steps
        Multiplicative updates in training and in prediction.

    Attributes
    ----------
    drawn
        (1, C, R) bases that prediction starts from, where they are kept instead of drawn anew for every batch.

    References
    ----------
    Lee and Seung, Algorithms for Non-negative Matrix Factorization, NeurIPS 2000; as a layer: Geng et al., Is
    Attention Better Than Matrix Decomposition?, ICLR 2021.
    """

    drawn: Tensor | None = None

    def __init__(self, n_bases: int, *, train_steps: int = 6, eval_steps: int = 7) -> None:
        super().__init__()
        self.n_bases = n_bases
        self.train_steps = train_steps
        self.eval_steps = eval_steps

    def forward(self, x: Tensor) -> Tensor:
        """Return the (B, C, h, w) product for a map (B, C, h, w)."""
        # Half precision has not the range for products of sums over all pixels.
        with full_precision(x.device):
            wide = x if x.dtype == torch.float64 else x.float()
            return self._factorise(wide.flatten(2)).view_as(x).to(x.dtype)

    def _factorise(self, data: Tensor) -> Tensor:
        """Return the product for data (B, C, N)."""
        bases = self._start(data)  # (B, C, R)
        codes = F.softmax(data.transpose(1, 2) @ bases, dim=-1)  # (B, N, R)
        for _ in range(self.train_steps if self.training else self.eval_steps):
            codes = _update(codes, bases, data.transpose(1, 2))
            bases = _update(bases, codes, data)
        codes = _update(codes, bases, data.transpose(1, 2))
        return bases @ codes.transpose(1, 2)

    def _start(self, data: Tensor) -> Tensor:
        n_images, channels, _ = data.shape
        if self.training:
            bases = torch.rand(n_images, channels, self.n_bases, device=data.device, dtype=data.dtype)
        else:
            drawn = self._draw(channels) if self.drawn is None else self.drawn
            bases = drawn.to(data).expand(n_images, -1, -1)
        return F.normalize(bases, dim=1)

    def _draw(self, channels: int) -> Tensor:
        generator = torch.Generator("cpu").manual_seed(_SEED)
        return torch.rand(1, channels, self.n_bases, generator=generator, device="cpu")

    def keep_bases(self, channels: int) -> None:
        """Keep what prediction draws for maps of so many channels: an exported network cannot draw."""
        self.drawn = self._draw(channels)


def _update(factor: Tensor, other: Tensor, data: Tensor) -> Tensor:
    """Return `factor` (B, M, R) moved so that factor x other' is nearer to `data` (B, M, N); `other` is (B, N, R)."""
    return factor * (data @ other) / (factor @ (other.transpose(1, 2) @ other) + _EPS)


class Hamburger(nn.Module):
    """The factorisation between two 1x1 convolutions, with a shortcut."""

    def __init__(self, channels: int, *, n_bases: int) -> None:
        super().__init__()
        self.channels = channels
        self.ham_in = nn.Sequential(OrderedDict(conv=nn.Conv2d(channels, channels, 1)))
        self.ham = NMF2D(n_bases)
        self.ham_out = ConvGN(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.ham_out(self.ham(F.relu(self.ham_in(x)))))


class LightHamHead(nn.Module):
    """Features joined at the finest resolution among them, given global context, and classified.

    Parameters
    ----------
    in_channels
        Channels of each feature that is used, finest first.
    channels, ham_channels
        Channels before the classifier and of the factorisation, multiples of 32.
    n_classes
        Channels of the logits.
    in_index
        Which of the features are used.
    n_bases
        Rank of the factorisation.
    align_corners
        How features are enlarged: whether the centres of their corner pixels lie on those of the larger ones.
    dropout
        Probability that a channel is dropped before the classifier in training.

    References
    ----------
    Guo et al., SegNeXt: Rethinking Convolutional Attention Design for Semantic Segmentation, NeurIPS 2022.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        channels: int,
        ham_channels: int,
        n_classes: int,
        in_index: Sequence[int] = (1, 2, 3),
        n_bases: int = 16,
        align_corners: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_index = tuple(in_index)
        self.align_corners = align_corners
        self.conv_seg = conv_seg(channels, n_classes)
        self.dropout = nn.Dropout2d(dropout)
        self.squeeze = ConvGN(sum(in_channels), ham_channels)
        self.hamburger = Hamburger(ham_channels, n_bases=n_bases)
        self.align = ConvGN(ham_channels, channels)
        for part in (self.squeeze, self.hamburger, self.align):
            init_conv_bn(part)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the first feature that is used."""
        used = [features[index] for index in self.in_index]
        size = used[0].shape[-2:]
        joined = torch.cat(
            [F.interpolate(x, size=size, mode="bilinear", align_corners=self.align_corners) for x in used], dim=1
        )
        x = F.relu(self.align(self.hamburger(F.relu(self.squeeze(joined)))))
        logits: Tensor = self.conv_seg(self.dropout(x))
        return logits
