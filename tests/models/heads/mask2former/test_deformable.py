import pytest
import torch

from glomseg.models.heads.mask2former.deformable import MultiScaleDeformableAttention, sample_maps
from glomseg.models.heads.mask2former.positions import cell_centers

SIZES = [(2, 3), (4, 2)]
N_CELLS = 2 * 3 + 4 * 2


def test_a_place_in_the_middle_of_a_cell_gives_that_cell_of_the_chosen_map():
    values = torch.arange(N_CELLS, dtype=torch.float64).view(1, -1, 1).repeat(1, 1, 2)
    values[..., 1] += 100  # the second head's own channel
    centers = cell_centers(4, 2, like=values)
    places = centers[None, :, None, None, None].expand(1, 8, 2, 2, 1, 2)
    weights = torch.tensor([0.0, 1.0], dtype=torch.float64).view(1, 1, 1, 2, 1).expand(1, 8, 2, 2, 1)
    samples = sample_maps(values, places, weights=weights, sizes=SIZES)
    torch.testing.assert_close(samples[0, :, 0], torch.arange(6, 14, dtype=torch.float64))
    torch.testing.assert_close(samples[0, :, 1], torch.arange(106, 114, dtype=torch.float64))


def test_points_and_maps_are_weighed_and_beyond_the_border_is_zero():
    values = torch.ones(1, N_CELLS, 1)
    places = torch.full((1, 1, 1, 2, 2, 2), 0.5)
    places[0, 0, 0, 1, 1] = 1.5
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 1, 1, 2, 2)
    assert sample_maps(values, places, weights=weights, sizes=SIZES).item() == pytest.approx(0.6)


def test_fresh_heads_look_along_rays_all_around_cell_by_cell():
    attention = MultiScaleDeformableAttention(16, num_heads=8, num_levels=2, num_points=3)
    offsets = attention.sampling_offsets.bias.view(8, 2, 3, 2)
    torch.testing.assert_close(offsets[0, 0], torch.tensor([[1.0, 0], [2, 0], [3, 0]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(offsets[3, 1], torch.tensor([[-1.0, 1], [-2, 2], [-3, 3]]), atol=1e-5, rtol=0)


def test_offsets_are_in_cells_of_the_map_they_look_at():
    attention = MultiScaleDeformableAttention(1, num_heads=1, num_levels=2, num_points=1).double()
    with torch.no_grad():
        for layer in (attention.value_proj, attention.output_proj):
            layer.weight.fill_(1)
        attention.sampling_offsets.bias.copy_(torch.tensor([1.0, 0, 0, 1]))  # a column on, and a row on
        attention.attention_weights.bias.copy_(torch.tensor([0.0, -1000]))
        x = torch.arange(N_CELLS, dtype=torch.float64).view(1, -1, 1)
        centers = torch.cat([cell_centers(*size, like=x) for size in SIZES])
        ask = {"positions": torch.zeros(N_CELLS, 1), "centers": centers, "sizes": SIZES}
        assert attention(x, **ask)[0, :6, 0].tolist() == pytest.approx([1, 2, 0, 4, 5, 0])
        attention.attention_weights.bias.copy_(torch.tensor([-1000.0, 0]))
        assert attention(x, **ask)[0, 6:, 0].tolist() == pytest.approx([8, 9, 10, 11, 12, 13, 0, 0])
