"""The pieces that both transformers of Mask2Former are made of."""

import torch.nn.functional as F
from torch import Tensor, nn


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them, added to the input.

    Parameters
    ----------
    embed_dims, feedforward_channels
        Channels outside and between the layers.
    """

    def __init__(self, embed_dims: int, *, feedforward_channels: int) -> None:
        super().__init__()
        widen = nn.Sequential(nn.Linear(embed_dims, feedforward_channels), nn.ReLU(inplace=True))
        self.layers = nn.Sequential(widen, nn.Linear(feedforward_channels, embed_dims))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


class MultiheadAttention(nn.Module):
    """Queries gather values by the likeness of keys, added to the queries.

    Parameters
    ----------
    embed_dims
        Channels of queries, keys and values.
    num_heads
        Groups of channels that attend by themselves.

    References
    ----------
    Vaswani et al., Attention Is All You Need, NeurIPS 2017, section 3.2.
    """

    def __init__(self, embed_dims: int, *, num_heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, batch_first=True)

    def forward(
        self, query: Tensor, values: Tensor, *, query_pos: Tensor, key_pos: Tensor, allowed: Tensor | None = None
    ) -> Tensor:
        """Return the queries (B, Q, C) with what they gathered from the values (B, N, C).

        Parameters
        ----------
        query_pos, key_pos
            (Q, C) and (N, C), added to the queries, and to the values where they serve as keys.
        allowed
            (B, Q, N) bool: which values a query may look at; all where it is None.
        """
        # Not called as a module, which wants a copy of the mask for every head.
        attn = self.attn
        q_weight, k_weight, v_weight = attn.in_proj_weight.chunk(3)
        q_bias, k_bias, v_bias = attn.in_proj_bias.chunk(3)
        gathered = F.scaled_dot_product_attention(
            self._split(F.linear(query + query_pos, q_weight, q_bias)),
            self._split(F.linear(values + key_pos, k_weight, k_bias)),
            self._split(F.linear(values, v_weight, v_bias)),
            attn_mask=None if allowed is None else allowed[:, None],
        )
        out: Tensor = query + attn.out_proj(gathered.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        batch, n, _ = x.shape
        return x.reshape(batch, n, self.attn.num_heads, -1).transpose(1, 2)  # (B, heads, N, C / heads)


def init_xavier_normal(module: nn.Module) -> None:
    """Initialise every parameter with more than one axis normally, keeping the variance on both ways [1]_.

    References
    ----------
    .. [1] Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
    """
    for parameter in module.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_normal_(parameter)
