"""Segmenter's head: a transformer in which the classes are tokens."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.backbones.vit import TransformerLayer
from glomseg.models.transformer import drop_path_rates, full_precision, init_transformer

_EPS = 1e-5


class SegmenterMaskTransformerHead(nn.Module):
    """Tokens of patches and of classes attend to each other; a logit is the cosine between a patch and a class.

    Parameters
    ----------
    in_channels
        Channels of the feature that is used.
    embed_dims
        Channels of a token, a multiple of `num_heads`.
    num_layers, num_heads
        Layers, and heads of each layer.
    n_classes
        Channels of the logits.
    in_index
        Which of the features is used.
    drop_path_rate
        Of the last layer in training; it grows evenly from 0 at the first.

    References
    ----------
    Strudel et al., Segmenter: Transformer for Semantic Segmentation, ICCV 2021.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        embed_dims: int,
        num_layers: int,
        num_heads: int,
        n_classes: int,
        in_index: int = -1,
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_index = in_index
        self.cls_emb = nn.Parameter(torch.empty(1, n_classes, embed_dims))
        self.layers = nn.Sequential(
            *(
                TransformerLayer(
                    embed_dims,
                    num_heads=num_heads,
                    drop_path=rate,
                    eps=_EPS,
                )
                for rate in drop_path_rates(drop_path_rate, [num_layers])[0]
            )
        )
        self.dec_proj = nn.Linear(in_channels, embed_dims)
        self.patch_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.classes_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.decoder_norm = nn.LayerNorm(embed_dims, eps=_EPS)
        self.mask_norm = nn.LayerNorm(n_classes, eps=_EPS)
        init_transformer(self)
        nn.init.trunc_normal_(self.cls_emb, std=0.02)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return (B, C, h, w) logits at the resolution of the feature that is used."""
        feature = features[self.in_index]
        patches = self.dec_proj(feature.flatten(2).transpose(1, 2))
        n_patches = patches.shape[1]
        x = torch.cat([patches, self.cls_emb.expand(patches.shape[0], -1, -1)], dim=1)
        x = self.decoder_norm(self.layers(x))
        patches, classes = self.patch_proj(x[:, :n_patches]), self.classes_proj(x[:, n_patches:])
        # The last normalisation enlarges differences of cosines that half precision cannot tell apart.
        with full_precision(x.device):
            kind = self.mask_norm.weight.dtype
            cosines = F.normalize(patches.to(kind), dim=2) @ F.normalize(classes.to(kind), dim=2).transpose(1, 2)
            logits: Tensor = self.mask_norm(cosines)  # (B, h w, C)
        return logits.transpose(1, 2).reshape(logits.shape[0], -1, *feature.shape[-2:])
