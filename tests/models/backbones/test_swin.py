import torch

from glomseg.models.backbones.swin import ShiftedWindows, SwinTransformer, WindowAttention


def test_the_index_of_a_pair_is_its_offset_in_rows_and_columns():
    # A window of 2 x 2 tokens has offsets from -1 to 1 in both directions: rows 0 to 8 of the table.
    index = WindowAttention(4, num_heads=1, window_size=2).relative_position_index
    assert index.tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


def reached(size, *, shift, token):
    """Return where changing a token of a map of size x size changes the output."""
    torch.manual_seed(0)
    layer = ShiftedWindows(4, num_heads=2, window_size=4, shift=shift).double().eval()
    x = torch.randn(1, size, size, 4, dtype=torch.float64)
    changed = x.clone()
    changed[0, token[0], token[1]] += 1
    with torch.no_grad():
        difference = (layer(changed) - layer(x))[0].abs().amax(dim=-1)
    return {tuple(place) for place in (difference > 1e-9).nonzero().tolist()}


def box(rows, columns):
    return {(row, column) for row in rows for column in columns}


def test_tokens_reach_those_of_their_window():
    assert reached(8, shift=0, token=(1, 6)) == box(range(4), range(4, 8))


def test_shifted_windows_begin_half_a_window_later_and_do_not_join_opposite_borders():
    assert reached(8, shift=2, token=(3, 4)) == box(range(2, 6), range(2, 6))
    assert reached(8, shift=2, token=(0, 7)) == box(range(2), range(6, 8))


def test_maps_that_windows_do_not_cover_are_padded():
    assert reached(6, shift=0, token=(5, 5)) == box(range(4, 6), range(4, 6))


def test_features_are_at_strides_4_to_32_of_any_size():
    backbone = SwinTransformer(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1)).eval()
    shapes = [tuple(feature.shape[1:]) for feature in backbone(torch.randn(1, 3, 50, 33))]
    assert shapes == [(8, 13, 9), (16, 7, 5), (32, 4, 3), (64, 2, 2)]
    assert backbone.out_channels == (8, 16, 32, 64)
