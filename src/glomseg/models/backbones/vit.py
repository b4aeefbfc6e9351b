"""The Vision Transformer (ViT), as MMSegmentation builds it, with options for DINOv2, DINOv3 and their kin."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.blocks import pad_to_multiple
from glomseg.models.transformer import (
    DropPath,
    FeedForward,
    MultiheadAttention,
    drop_path_rates,
    init_transformer,
)

_MLP_RATIO = 4
_SCALE_AT_START = 1e-5  # of a residual branch with a layer scale: DINOv2's
_ROTARY_BASE = 100.0  # of the wavelengths of DINOv3's rotary positions


class TransformerLayer(nn.Module):
    """Attention of all tokens to all and feed-forward layers, each on normalised tokens and with a shortcut.

    Parameters
    ----------
    embed_dims, num_heads
        Channels of a token and heads.
    drop_path
        Rate of stochastic depth of the feed-forward layers; OpenMMLab does not drop the attention.
    eps
        Of the layer normalisations.
    hidden_dims, gated
        Of the feed-forward layers; None is four times the channels of a token.
    layer_scale
        Whether each of the two branches is multiplied, channel by channel, with a learnt number.
    """

    def __init__(
        self,
        embed_dims: int,
        *,
        num_heads: int,
        drop_path: float,
        eps: float,
        hidden_dims: int | None = None,
        gated: bool = False,
        layer_scale: bool = False,
    ) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(embed_dims, eps=eps)
        self.attn = nn.ModuleDict({"attn": MultiheadAttention(embed_dims, num_heads=num_heads)})
        self.ln2 = nn.LayerNorm(embed_dims, eps=eps)
        self.ffn = FeedForward(embed_dims, hidden_dims=hidden_dims or _MLP_RATIO * embed_dims, gated=gated)
        self.gamma1, self.gamma2 = (
            nn.Parameter(torch.full((embed_dims,), _SCALE_AT_START)) if layer_scale else None for _ in range(2)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return (B, N, C) for tokens (B, N, C); `rotation` is that of `attend`."""
        normalised = self.ln1(x)
        attended = self.attn["attn"](normalised, normalised, rotation=rotation)
        x = x + (attended if self.gamma1 is None else self.gamma1 * attended)
        fed = self.ffn(self.ln2(x))
        out: Tensor = x + self.drop_path(fed if self.gamma2 is None else self.gamma2 * fed)
        return out


class VisionTransformer(nn.Module):
    """Transformer on square patches of an image, whose features all have the stride of a patch.

    Parameters
    ----------
    img_size
        (height, width) in pixels of the images that the position embedding is for; for others it is resized
        bicubically.
    patch_size
        Side of a patch in pixels.
    embed_dims
        Channels of a token, a multiple of `num_heads`.
    num_layers, num_heads
        Layers, and heads of each layer.
    out_indices
        The layers, counted from 0, whose tokens are given out.
    final_norm
        Whether the tokens of the last layer are normalised.
    drop_path_rate
        Of the last layer in training; it grows evenly from 0 at the first.
    patch_bias
        Whether the embedding of the patches has a bias.
    eps
        Of the layer normalisations.
    hidden_dims, gated, layer_scale
        As in `TransformerLayer`. OpenMMLab has none of these and of the following options.
    n_registers
        Learnt tokens beside the class token that belong to no patch.
    rotary
        Whether attention turns the channels of a patch by angles that tell its place (DINOv3), in place of a learnt
        position embedding. `img_size` then means nothing.

    Conventions
    -----------
    OpenMMLab resizes the position embedding only where the number of patches differs; here also where merely the
    form does (1024 x 256 pixels in place of 512 x 512).

    References
    ----------
    Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, ICLR 2021.
    Registers: Darcet et al., Vision Transformers Need Registers, ICLR 2024. Rotary positions: Siméoni et al., DINOv3,
    arXiv:2508.10104.
    """

    def __init__(
        self,
        *,
        img_size: tuple[int, int] = (224, 224),
        patch_size: int = 16,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        out_indices: Sequence[int] = (11,),
        final_norm: bool = False,
        drop_path_rate: float = 0.0,
        patch_bias: bool = False,
        eps: float = 1e-6,
        hidden_dims: int | None = None,
        gated: bool = False,
        layer_scale: bool = False,
        n_registers: int = 0,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        if rotary and embed_dims // num_heads % 4:
            raise ValueError(f"rotary positions need heads of a multiple of 4 channels, not {embed_dims // num_heads}")
        self.head_dims = embed_dims // num_heads
        self.out_channels = (embed_dims,) * len(out_indices)
        self.out_indices = tuple(out_indices)
        self.patch_size = patch_size
        self.grid = (img_size[0] // patch_size, img_size[1] // patch_size)
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dims))
        n_places = self.grid[0] * self.grid[1] + 1
        self.pos_embed = None if rotary else nn.Parameter(torch.empty(1, n_places, embed_dims))
        projection = nn.Conv2d(3, embed_dims, patch_size, stride=patch_size, bias=patch_bias)
        self.patch_embed = nn.ModuleDict({"projection": projection})
        self.layers = nn.ModuleList(
            TransformerLayer(
                embed_dims,
                num_heads=num_heads,
                drop_path=rate,
                eps=eps,
                hidden_dims=hidden_dims,
                gated=gated,
                layer_scale=layer_scale,
            )
            for rate in drop_path_rates(drop_path_rate, [num_layers])[0]
        )
        self.ln1 = nn.LayerNorm(embed_dims, eps=eps) if final_norm else None
        self.register_tokens = nn.Parameter(torch.empty(1, n_registers, embed_dims)) if n_registers else None
        init_transformer(self)
        for tokens in (self.cls_token, self.pos_embed, self.register_tokens):
            if tokens is not None:
                nn.init.trunc_normal_(tokens, std=0.02)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features (B, C, h, w) of images (B, 3, H, W), padded with zeros until patches cover them."""
        patches = self.patch_embed["projection"](pad_to_multiple(images, self.patch_size))
        height, width = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        if self.pos_embed is not None:
            x = x + self._positions(self.pos_embed, height, width)
        n_prefix = 1
        if self.register_tokens is not None:
            x = torch.cat([x[:, :1], self.register_tokens.expand(x.shape[0], -1, -1), x[:, 1:]], dim=1)
            n_prefix += self.register_tokens.shape[1]
        rotation = self._rotation(height, width, n_prefix=n_prefix) if self.pos_embed is None else None
        features = []
        for index, layer in enumerate(self.layers):
            x = layer(x, rotation)
            if index == len(self.layers) - 1 and self.ln1 is not None:
                x = self.ln1(x)
            if index in self.out_indices:
                features.append(x[:, n_prefix:].transpose(1, 2).unflatten(2, (height, width)))
        return tuple(features)

    def _positions(self, pos_embed: Tensor, height: int, width: int) -> Tensor:
        """Return the (1, 1 + h w, C) position embedding for h x w patches."""
        if (height, width) == self.grid:
            return pos_embed
        return resized_positions(pos_embed, self.grid, size=(height, width))

    def _rotation(self, height: int, width: int, *, n_prefix: int) -> tuple[Tensor, Tensor]:
        """Return cosine and sine, each (N, C / heads), of the angles of all tokens; tokens of no patch are not turned.

        The centres of the patches have coordinates from -1 to 1 along both sides. A quarter of a head's channels turns
        with the row and the next quarter with the column, at wavelengths from 1 up to almost the base.
        """
        like = self.cls_token
        exponents = torch.arange(0, 1, 4 / self.head_dims, device=like.device, dtype=like.dtype)
        row, column = (
            (2 * torch.arange(size, device=like.device, dtype=like.dtype) + 1) / size - 1 for size in (height, width)
        )
        places = torch.stack(torch.meshgrid(row, column, indexing="ij"), dim=-1).flatten(0, 1)  # (h w, 2)
        angles = (2 * torch.pi * places[:, :, None] / _ROTARY_BASE**exponents).flatten(1).tile(2)
        angles = F.pad(angles, (0, 0, n_prefix, 0))
        return angles.cos(), angles.sin()


def resized_positions(pos_embed: Tensor, grid: tuple[int, int], *, size: tuple[int, int]) -> Tensor:
    """Return a position embedding (1, 1 + h w, C) for another grid of patches; that of the class token comes first.

    Parameters
    ----------
    pos_embed
        That of the class token, then those of the patches row by row.
    grid, size
        Rows and columns of patches that it is for, and shall be for.
    """
    of_class, of_patches = pos_embed[:, :1], pos_embed[:, 1:]
    image = of_patches.transpose(1, 2).reshape(1, -1, *grid)
    resized = F.interpolate(image, size=size, mode="bicubic", align_corners=False)
    return torch.cat([of_class, resized.flatten(2).transpose(1, 2)], dim=1)
