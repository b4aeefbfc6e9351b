"""Options of the Vision Transformer that OpenMMLab's does not have; figures of the rest are with its families."""

import pytest
import torch

from glomseg.errors import InvalidInputError
from glomseg.models.backbones.vit import VisionTransformer, resized_positions
from glomseg.models.build import build_model, describe_architecture
from glomseg.models.compose import compose

SMALL = {"img_size": (32, 32), "embed_dims": 64, "num_layers": 2, "num_heads": 2, "out_indices": (1,)}
ALL = {"layer_scale": True, "n_registers": 2, "gated": True, "hidden_dims": 48, "final_norm": True}


def test_the_options_add_entries_and_change_none():
    plain = {name: value.shape for name, value in VisionTransformer(**SMALL).state_dict().items()}
    full = VisionTransformer(**SMALL, **ALL).state_dict()
    added = {name for name in full if name not in plain}
    assert added == {"register_tokens", "ln1.weight", "ln1.bias"} | {
        f"layers.{layer}.gamma{branch}" for layer in range(2) for branch in (1, 2)
    }
    assert full["layers.0.ffn.layers.0.0.weight"].shape == (96, 64)
    assert full["layers.0.ffn.layers.1.weight"].shape == (64, 48)
    assert "pos_embed" not in VisionTransformer(**SMALL, rotary=True).state_dict()


@pytest.mark.parametrize("rotary", [False, True])
def test_every_parameter_is_trained(rotary):
    torch.manual_seed(0)
    model = VisionTransformer(**SMALL, **ALL, rotary=rotary).train()
    (feature,) = model(torch.randn(2, 3, 48, 32))
    assert feature.shape == (2, 64, 3, 2)
    (feature * torch.randn_like(feature)).sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in model.parameters())


def test_rotary_positions_know_places_and_nothing_else_does():
    torch.manual_seed(0)
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    turned = images.rot90(2, (2, 3))
    blind = VisionTransformer(**SMALL, rotary=True).double().eval()
    weight = blind.patch_embed["projection"].weight
    with torch.no_grad():
        weight.copy_((weight + weight.rot90(2, (2, 3))) / 2)  # so that a turned patch is the same token
        there, back = blind(images)[0], blind(turned)[0].rot90(2, (2, 3))
        assert not torch.allclose(there, back)
        blind._rotation = lambda *_, **__: (torch.ones(1, 32), torch.zeros(1, 32))
        torch.testing.assert_close(blind(images)[0], blind(turned)[0].rot90(2, (2, 3)), rtol=0, atol=1e-12)


def test_attention_of_turned_tokens_depends_on_their_distance_only():
    model = VisionTransformer(**{**SMALL, "num_heads": 1}, rotary=True).double()
    cosine, sine = model._rotation(1, 3, n_prefix=1)
    assert torch.equal(cosine[0], torch.ones(64))  # the class token is not turned
    assert not sine[0].any()
    query, key = torch.randn(2, 64, dtype=torch.float64)

    def turned(vector, place):
        first, second = vector.chunk(2)
        return vector * cosine[place] + torch.cat([-second, first]) * sine[place]

    torch.testing.assert_close(turned(query, 1) @ turned(key, 2), turned(query, 2) @ turned(key, 3))


def test_rotary_positions_in_half_precision():
    model = VisionTransformer(**SMALL, **ALL, rotary=True).eval()
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        exact = model(images)[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(images)[0]
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=0.1)


def test_heads_that_cannot_be_turned():
    options = {**SMALL, "embed_dims": 60, "num_heads": 10, "rotary": True}
    head = {"name": "fcn", "in_channels": 60, "channels": 8}
    with pytest.raises(InvalidInputError, match="multiple of 4 channels, not 6"):
        compose({"backbone": {"name": "vit", **options}, "decode_head": head}, n_classes=2)


def test_positions_of_the_same_grid_are_kept_and_the_class_token_is_apart():
    positions = torch.arange(10.0).reshape(1, 10, 1)
    assert torch.equal(resized_positions(positions, (3, 3), size=(3, 3)), positions)
    larger = resized_positions(positions, (3, 3), size=(6, 6))
    assert larger.shape == (1, 37, 1)
    assert larger[0, 0, 0] == 0
    assert larger[0, 1:].mean().item() == pytest.approx(5)


def test_a_patch_of_14_pixels_keeps_the_logits_in_place():
    model = build_model("segmenter_dinov2_s", n_classes=2, embed_dims=64, num_layers=1, image_side_px=28).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 28, 42)).main.shape == (1, 2, 2, 3)
        assert model(torch.randn(1, 3, 30, 42)).main.shape == (1, 2, 30, 42)  # padded to 42, cut back


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("upernet_dinov2_s", {"num_layers": 3}, "3 layers .* too few"),
        ("upernet_vit_b16", {"head_width": 40}, "768 channels have no heads of 40"),
        ("segmenter_dinov2_s", {"patch_size": 2}, "patch_size"),
        ("segmenter_dinov2_s", {"n_registers": -1}, "n_registers"),
    ],
)
def test_options_that_cannot_be(architecture, options, message):
    with pytest.raises(InvalidInputError, match=message):
        describe_architecture(architecture, options)


@pytest.mark.parametrize(
    ("architecture", "theirs", "more"),
    [
        ("upernet_dinov2_s", 22_056_192, 0),
        ("upernet_dinov2_g", 1_136_479_232, 0),
        ("upernet_uni", 303_350_784, 0),
        ("upernet_h_optimus", 1_134_774_272, 1536),  # the position of the class token, which is 0 there
        ("upernet_virchow2", 631_239_424, -4 * 1280),  # positions of registers, which are added to them here
        ("upernet_dinov3_l", 303_079_424, 24 * 3 * 1024),  # biases of query, key and value, which are 0 there
    ],
)
def test_sizes_of_published_networks(architecture, theirs, more):
    """Parameters as timm 1.0.31 counts them, with its normalisation of the last layer."""
    options = {**describe_architecture(architecture, {})["backbone"], "final_norm": True}
    del options["name"]
    with torch.device("meta"):
        model = VisionTransformer(**options)
    assert sum(value.numel() for value in model.parameters()) == theirs + more
