import pytest
import torch
from torch import nn

from glomseg.models.transformer import (
    DropPath,
    LayerNorm2d,
    MultiheadAttention,
    PatchEmbed,
    drop_path_rates,
    init_transformer,
)


def test_drop_path_leaves_whole_images_out_and_scales_the_others():
    torch.manual_seed(0)
    drop = DropPath(0.25)
    out = drop(torch.ones(4000, 2, 3))
    kept = out[:, 0, 0] > 0
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.03)
    assert torch.equal(out[kept], torch.full((int(kept.sum()), 2, 3), 1 / 0.75))
    assert not out[~kept].any()


def test_drop_path_does_nothing_in_prediction_or_at_rate_zero():
    x = torch.randn(8, 2)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0)(x) is x


def test_rates_grow_evenly_over_all_stages():
    assert drop_path_rates(0.3, (1, 2, 1)) == [[0.0], [pytest.approx(0.1), pytest.approx(0.2)], [pytest.approx(0.3)]]
    assert drop_path_rates(0.3, (1,)) == [[0.0]]


def test_attention_is_torchs_with_the_same_entries():
    torch.manual_seed(0)
    torchs = nn.MultiheadAttention(12, 3, batch_first=True).double()
    ours = MultiheadAttention(12, num_heads=3).double()
    with torch.no_grad():
        torchs.in_proj_bias.normal_()
        torchs.out_proj.bias.normal_()
    assert list(ours.state_dict()) == list(torchs.state_dict())
    ours.load_state_dict(torchs.state_dict())
    x, context = torch.randn(2, 7, 12, dtype=torch.float64), torch.randn(2, 4, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x, context), torchs(x, context, context)[0], rtol=0, atol=1e-12)


def test_patches_without_overlap_are_padded_and_others_have_a_rim():
    images = torch.randn(1, 3, 10, 13)
    assert PatchEmbed(3, 5, kernel_size=4, stride=4, eps=1e-6)(images).shape == (1, 3, 4, 5)
    assert PatchEmbed(3, 5, kernel_size=7, stride=4, eps=1e-6)(images).shape == (1, 3, 4, 5)
    assert PatchEmbed(3, 5, kernel_size=3, stride=2, eps=1e-6)(images).shape == (1, 5, 7, 5)


def test_layer_norm_2d_is_over_the_channels_of_a_pixel():
    out = LayerNorm2d(2, eps=0)(torch.tensor([1.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 2, 3))
    assert torch.equal(out, torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 2, 3))


def test_initial_weights_have_the_deviations_that_openmmlab_gives_them():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(200, 200), nn.Conv2d(50, 100, 3), nn.Conv2d(200, 200, 7, groups=200))
    init_transformer(network)
    deviations = [float(layer.weight.detach().std()) for layer in network]
    assert deviations == pytest.approx([0.02, (2 / 900) ** 0.5, (2 / 49) ** 0.5], rel=0.05)
    assert not any(layer.bias.any() for layer in network)
