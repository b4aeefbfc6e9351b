"""Queries that look at maps where they expect their mask."""

from torch import Tensor, nn

from glomseg.models.heads.mask2former.attention import FeedForward, MultiheadAttention, init_xavier_normal


class DecoderLayer(nn.Module):
    """Queries look at a map, then at each other, then think; each step is normalised."""

    def __init__(self, embed_dims: int, *, num_heads: int, feedforward_channels: int) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(embed_dims, num_heads=num_heads)
        self.cross_attn = MultiheadAttention(embed_dims, num_heads=num_heads)
        self.ffn = FeedForward(embed_dims, feedforward_channels=feedforward_channels)
        self.norms = nn.ModuleList(nn.LayerNorm(embed_dims) for _ in range(3))

    def forward(
        self, query: Tensor, cells: Tensor, *, query_pos: Tensor, cell_pos: Tensor, allowed: Tensor | None
    ) -> Tensor:
        """Return the queries (B, Q, C) after a look at the cells (B, N, C) that are allowed (B, Q, N)."""
        query = self.cross_attn(query, cells, query_pos=query_pos, key_pos=cell_pos, allowed=allowed)
        query = self.norms[0](query)
        query = self.norms[1](self.self_attn(query, query, query_pos=query_pos, key_pos=query_pos))
        out: Tensor = self.norms[2](self.ffn(query))
        return out


class TransformerDecoder(nn.Module):
    """The decoder's layers, and the normalisation before anything is read off a query.

    Parameters
    ----------
    embed_dims
        Channels of a query.
    num_layers
        Decoder layers.
    num_heads
        Heads of the attention.
    feedforward_channels
        Inner width of the feed-forward networks.

    References
    ----------
    Cheng et al., Masked-attention Mask Transformer for Universal Image Segmentation, CVPR 2022, section 3.2.
    """

    def __init__(self, embed_dims: int, *, num_layers: int, num_heads: int, feedforward_channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(embed_dims, num_heads=num_heads, feedforward_channels=feedforward_channels)
            for _ in range(num_layers)
        )
        self.post_norm = nn.LayerNorm(embed_dims)
        init_xavier_normal(self)
