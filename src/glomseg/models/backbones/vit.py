"""The Vision Transformer (ViT), as MMSegmentation builds it; DeiT has the same form."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.transformer import (
    DropPath,
    FeedForward,
    MultiheadAttention,
    drop_path_rates,
    init_transformer,
    pad_to_multiple,
)

_MLP_RATIO = 4


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
    """

    def __init__(self, embed_dims: int, *, num_heads: int, drop_path: float, eps: float) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(embed_dims, eps=eps)
        self.attn = nn.ModuleDict({"attn": MultiheadAttention(embed_dims, num_heads=num_heads)})
        self.ln2 = nn.LayerNorm(embed_dims, eps=eps)
        self.ffn = FeedForward(embed_dims, hidden_dims=_MLP_RATIO * embed_dims)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, C) for tokens (B, N, C)."""
        normalised = self.ln1(x)
        x = x + self.attn["attn"](normalised, normalised)
        out: Tensor = x + self.drop_path(self.ffn(self.ln2(x)))
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

    Conventions
    -----------
    OpenMMLab resizes the position embedding only where the number of patches differs; here also where merely the
    form does (1024 x 256 pixels in place of 512 x 512).

    References
    ----------
    Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, ICLR 2021.
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
    ) -> None:
        super().__init__()
        self.out_channels = (embed_dims,) * len(out_indices)
        self.out_indices = tuple(out_indices)
        self.patch_size = patch_size
        self.grid = (img_size[0] // patch_size, img_size[1] // patch_size)
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(torch.empty(1, self.grid[0] * self.grid[1] + 1, embed_dims))
        projection = nn.Conv2d(3, embed_dims, patch_size, stride=patch_size, bias=patch_bias)
        self.patch_embed = nn.ModuleDict({"projection": projection})
        self.layers = nn.ModuleList(
            TransformerLayer(
                embed_dims,
                num_heads=num_heads,
                drop_path=rate,
                eps=eps,
            )
            for rate in drop_path_rates(drop_path_rate, [num_layers])[0]
        )
        self.ln1 = nn.LayerNorm(embed_dims, eps=eps) if final_norm else None
        init_transformer(self)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features (B, C, h, w) of images (B, 3, H, W), padded with zeros until patches cover them."""
        patches = self.patch_embed["projection"](pad_to_multiple(images, self.patch_size))
        height, width = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + self._positions(height, width)
        features = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index == len(self.layers) - 1 and self.ln1 is not None:
                x = self.ln1(x)
            if index in self.out_indices:
                features.append(x[:, 1:].transpose(1, 2).unflatten(2, (height, width)))
        return tuple(features)

    def _positions(self, height: int, width: int) -> Tensor:
        """Return the (1, 1 + h w, C) position embedding for h x w patches."""
        if (height, width) == self.grid:
            return self.pos_embed
        of_class, of_patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = of_patches.transpose(1, 2).reshape(1, -1, *self.grid)
        resized = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
        return torch.cat([of_class, resized.flatten(2).transpose(1, 2)], dim=1)
