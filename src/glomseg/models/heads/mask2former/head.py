"""Masks by queries, and the classes of pixels made from them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glomseg.models.heads.mask2former.pixel_decoder import PixelDecoder
from glomseg.models.heads.mask2former.positions import sine_positions
from glomseg.models.heads.mask2former.transformer_decoder import TransformerDecoder
from glomseg.models.segmentor import Logits, QueryLogits

FINEST_STRIDE = 4
"""Pixels of the image to one cell of the finest feature."""


class Mask2FormerHead(nn.Module):
    """Queries that look for their masks in ever finer maps: OpenMMLab's ``Mask2FormerHead``.

    In evaluation mode it is called with the features and gives (B, C, 4 h, 4 w) scores, where the finest
    feature is (h, w) and has stride 4: masks are enlarged to the image before they are joined, as in OpenMMLab.
    In training mode it gives what every query said after every layer as well.

    Parameters
    ----------
    in_channels
        Channels of each feature, finest first.
    n_classes
        Channels of the scores.
    feat_channels
        Channels of queries and coarse maps, a multiple of 32.
    out_channels
        Channels in which a query's mask is looked up in the finest map.
    num_queries
        Masks that can be found in an image.
    num_heads
        Heads of every attention.
    num_points
        Places that each head of the pixel decoder looks at on each map.
    encoder_layers, encoder_feedforward
        Layers of the pixel decoder, and inner width of their feed-forward networks.
    decoder_layers, decoder_feedforward
        The same of the transformer decoder.

    References
    ----------
    Cheng et al., Masked-attention Mask Transformer for Universal Image Segmentation, CVPR 2022.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        n_classes: int,
        feat_channels: int = 256,
        out_channels: int = 256,
        num_queries: int = 100,
        num_heads: int = 8,
        num_points: int = 4,
        encoder_layers: int = 6,
        encoder_feedforward: int = 1024,
        decoder_layers: int = 9,
        decoder_feedforward: int = 2048,
    ) -> None:
        super().__init__()
        self.pixel_decoder = PixelDecoder(
            in_channels,
            feat_channels=feat_channels,
            out_channels=out_channels,
            num_heads=num_heads,
            num_points=num_points,
            num_layers=encoder_layers,
            feedforward_channels=encoder_feedforward,
        )
        self.transformer_decoder = TransformerDecoder(
            feat_channels,
            num_layers=decoder_layers,
            num_heads=num_heads,
            feedforward_channels=decoder_feedforward,
        )
        self.query_embed = nn.Embedding(num_queries, feat_channels)
        self.query_feat = nn.Embedding(num_queries, feat_channels)
        self.level_embed = nn.Embedding(len(in_channels) - 1, feat_channels)
        self.cls_embed = nn.Linear(feat_channels, n_classes + 1)
        self.mask_embed = nn.Sequential(
            nn.Linear(feat_channels, feat_channels),
            nn.ReLU(inplace=True),
            nn.Linear(feat_channels, feat_channels),
            nn.ReLU(inplace=True),
            nn.Linear(feat_channels, out_channels),
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor | Logits:
        """Return (B, C, 4 h, 4 w) scores in evaluation mode; in training mode they are at (h, w), with the queries."""
        finest, maps = self.pixel_decoder(features)
        states = self._decode(finest, maps)
        if self.training:
            queries = tuple(self._read(state, finest) for state in states)
            return Logits(main=class_scores(queries[-1]), queries=queries)
        last = self._read(states[-1], finest)
        masks = F.interpolate(last.masks, scale_factor=FINEST_STRIDE, mode="bilinear", align_corners=False)
        return class_scores(last._replace(masks=masks))

    def _decode(self, finest: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the (B, Q, C) queries before the first layer of the decoder and after each."""
        cells = [
            coarse.flatten(2).transpose(1, 2) + level
            for coarse, level in zip(maps, self.level_embed.weight, strict=True)
        ]
        positions = [
            sine_positions(coarse.shape[2], coarse.shape[3], channels=coarse.shape[1], like=coarse) for coarse in maps
        ]
        # Shrinking the finest map once is shrinking every query's mask: both are linear.
        shrunk = [
            F.interpolate(finest.detach(), size=coarse.shape[-2:], mode="bilinear", align_corners=False)
            for coarse in maps
        ]
        query = self.query_feat.weight.expand(finest.shape[0], -1, -1)
        states = [query]
        for index, layer in enumerate(self.transformer_decoder.layers):
            level = index % len(maps)
            query = layer(
                query,
                cells[level],
                query_pos=self.query_embed.weight,
                cell_pos=positions[level],
                allowed=self._inside(query, shrunk[level]),
            )
            states.append(query)
        return states

    def _inside(self, query: Tensor, shrunk: Tensor) -> Tensor:
        """Return (B, Q, N) bool: the cells inside each query's mask, or all cells where it has none."""
        with torch.no_grad():
            inside = self._masks(self.transformer_decoder.post_norm(query), shrunk).flatten(2) >= 0
            return inside | ~inside.any(dim=2, keepdim=True)

    def _read(self, query: Tensor, finest: Tensor) -> QueryLogits:
        normalised = self.transformer_decoder.post_norm(query)
        return QueryLogits(classes=self.cls_embed(normalised), masks=self._masks(normalised, finest))

    def _masks(self, normalised: Tensor, cells: Tensor) -> Tensor:
        return torch.einsum("bqc,bchw->bqhw", self.mask_embed(normalised), cells)


def class_scores(queries: QueryLogits) -> Tensor:
    """Return (B, C, h, w) scores of the classes: how probably any query has this class, there.

    Each query counts by the probability of the class times the probability that the pixel is in its mask.
    The scores are not logits: they are not negative, and those of a pixel need not add up to 1.
    """
    classes = queries.classes.softmax(dim=-1)[..., :-1]  # the last one is "no object"
    return torch.einsum("bqc,bqhw->bchw", classes, queries.masks.sigmoid())
