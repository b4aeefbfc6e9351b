import pytest
import torch
from torch import nn

from glomseg.inference.runtime import fold_batchnorm, prepare_for_inference
from glomseg.models.build import ARCHITECTURES, build_model, resolved_options
from glomseg.models.winograd import WinogradConv2d

CPU = torch.device("cpu")
WIDE = (
    "mask2former_swin",
    "segformer",
    "segmenter",
    "segnext",
    "upernet",
)  # families tested with the narrow networks below
NARROW = {
    "mask2former_swin_t": {
        "embed_dims": 32,
        "depths": (1, 2, 1, 1),
        "feat_channels": 32,
        "encoder_layers": 1,
        "decoder_layers": 2,
    },
    "segformer_mit_b0": {"embed_dims": 8, "depths": (1, 2, 1, 1), "head_channels": 16},
    "upernet_r50": {"base_channels": 8, "head_channels": 128},
    "upernet_swin_t": {"embed_dims": 32, "depths": (1, 2, 1, 1), "head_channels": 32},
    "upernet_convnext_t": {"channels": (16, 24, 32, 48), "depths": (1, 1, 1, 1), "head_channels": 32},
    "upernet_vit_b16": {"embed_dims": 64, "head_channels": 32},
    "segmenter_vit_t": {"embed_dims": 64, "num_layers": 2},
    "segnext_mscan_t": {"embed_dims": (32, 32, 48, 64), "depths": (1, 1, 1, 1), "head_channels": 64},
}


def network(architecture, **options):
    torch.manual_seed(0)
    built = build_model(architecture, n_classes=2, **options).eval()
    with torch.no_grad():
        for module in built.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.3, 0.6)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    return built


def narrow(architecture):
    """Options that make a network quick, where it has them."""
    return {"base_channels": 16} if "base_channels" in resolved_options(architecture, {}) else {}


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        *((name, narrow(name)) for name in ARCHITECTURES if not name.startswith(WIDE) and "r101" not in name),
        ("fcn_r18", {"variant": "v1", "base_channels": 16}),
        ("fcn_r18", {"variant": "v1d", "base_channels": 16}),
    ],
)
def test_folding_leaves_no_normalisation_and_the_same_logits(architecture, options):
    given = network(architecture, **options).double()
    entries = {name: value.clone() for name, value in given.state_dict().items()}
    folded = fold_batchnorm(given)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    images = torch.randn(1, 3, 65, 47, dtype=torch.float64)
    with torch.no_grad():
        expected, found = given(images).main, folded(images).main
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    assert given.state_dict().keys() == entries.keys()  # the given network is as it was
    assert all(torch.equal(value, entries[name]) for name, value in given.state_dict().items())


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("pspnet_r18", {}),
        ("fpn_resnet_small", {}),
        ("deeplabv3plus_r18", {"variant": "v1d"}),
        ("pspnet_unet", {"base_channels": 16}),
        ("fast_scnn", {}),
        ("fpn_mobilenet_v2", {}),
    ],
)
def test_the_prepared_network_gives_the_same_logits(architecture, options):
    given = network(architecture, **options)
    prepared = prepare_for_inference(given, device=CPU, precision="32-true")
    images = torch.randn(1, 3, 264, 280)
    with torch.no_grad():
        expected, found = given(images).main, prepared(images).main
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("architecture", NARROW)
def test_folding_transformers_gives_the_same_logits(architecture):
    given = network(architecture, **NARROW[architecture]).double()
    folded = fold_batchnorm(given)
    n_given, n_folded = (sum(isinstance(part, nn.BatchNorm2d) for part in net.modules()) for net in (given, folded))
    assert n_folded == (8 if architecture == "segnext_mscan_t" else 0)  # two before the convolutions of each block
    assert n_folded < n_given or n_given == 0
    images = torch.randn(1, 3, 65, 47, dtype=torch.float64)
    with torch.no_grad():
        expected, found = given(images).main, folded(images).main
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("architecture", NARROW)
def test_prepared_transformers_give_the_same_logits(architecture):
    given = network(architecture, **NARROW[architecture])
    prepared = prepare_for_inference(given, device=CPU, precision="32-true")
    images = torch.randn(1, 3, 96, 136)
    with torch.no_grad():
        expected, found = given(images).main, prepared(images).main
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("architecture", NARROW)
def test_transformers_compute_in_half_precision_as_well(architecture):
    given = network(architecture, **NARROW[architecture])
    prepared = prepare_for_inference(given, device=CPU, precision="bf16-mixed")
    images = torch.randn(1, 3, 96, 136)
    with torch.no_grad():
        expected = given(images).main
        with torch.autocast("cpu", torch.bfloat16):
            found = prepared(images).main.float()
    assert float((found - expected).abs().mean()) < 0.05 * float(expected.abs().mean())


def test_fp32_on_a_processor_convolves_by_winograds_algorithm_and_bf16_does_not():
    def n_fast(precision):
        prepared = prepare_for_inference(network("pspnet_r18"), device=CPU, precision=precision)
        return sum(isinstance(module, WinogradConv2d) for module in prepared.modules())

    assert n_fast("32-true") > 0
    assert n_fast("bf16-mixed") == 0
