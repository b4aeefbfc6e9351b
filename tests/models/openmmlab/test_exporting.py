"""What is written for MMSegmentation is read back as the same model."""

import re
from dataclasses import replace
from functools import partial

import pytest
import torch

from glomseg.errors import InvalidInputError
from glomseg.models.build import ARCHITECTURES, build_model
from glomseg.models.openmmlab.config import read_config
from glomseg.models.openmmlab.exporting import config_values, save_openmmlab
from glomseg.models.openmmlab.importing import load_openmmlab
from glomseg.models.openmmlab.network import describe_network
from glomseg.types import GLOMERULUS, Inference, ModelCard, Scaling, TestTimeAugmentation

from .small import OPTIONS, config, entries, write_config

HEADS = {"head_channels": 8, "auxiliary_channels": 8}
NARROW = {"base_channels": 8, **HEADS}
QUERIES = {"feat_channels": 32, "num_queries": 4, "encoder_layers": 1, "decoder_layers": 2}
SWIN = {"embed_dims": 32, "depths": (1, 2, 1, 1)}
VIT = {"embed_dims": 64, "image_side_px": 48}

SMALLEST = [
    ("pspnet_r18", OPTIONS),
    ("fcn_r50", {**NARROW, "stem_channels": 8, "variant": "v1d", "output_stride": 32, "zero_init_residual": False}),
    ("deeplabv3_r18", {**NARROW, "stem_channels": 8, "variant": "v1", "contract_dilation": False}),
    ("deeplabv3plus_r50", {**NARROW, "stem_channels": 8, "c1_channels": 4}),
    ("fcn_unet", NARROW),
    ("pspnet_unet", NARROW),
    ("deeplabv3_unet", {**NARROW, "dilations": (1, 3)}),
    ("fast_scnn", HEADS),
    ("fcn_mobilenet_v2", {"widen_factor": 0.35, **HEADS}),
    ("pspnet_mobilenet_v2", {"widen_factor": 0.35, **HEADS}),
    ("deeplabv3_mobilenet_v2", {"widen_factor": 0.35, "dilations": (1, 3), **HEADS}),
    ("deeplabv3plus_mobilenet_v2", {"widen_factor": 0.35, "c1_channels": 4, **HEADS}),
    ("segformer_mit_b0", {"embed_dims": 8, "depths": (1, 1, 1, 1), "head_channels": 8}),
    ("upernet_r50", NARROW),
    ("upernet_r50", {**NARROW, "variant": "v1d"}),
    ("upernet_swin_t", {**SWIN, "window_size": 4, **HEADS}),
    ("upernet_convnext_t", {"channels": (8, 8, 16, 16), "depths": (1, 1, 1, 1), **HEADS}),
    ("upernet_vit_b16", {**VIT, **HEADS}),
    ("upernet_vit_b16", {**VIT, **HEADS, "multilevel_neck": False, "final_norm": True, "patch_bias": True}),
    ("segmenter_vit_t", {**VIT, "num_layers": 2}),
    ("segmenter_vit_t", {**VIT, "num_layers": 2, "head": "linear"}),
    ("segnext_mscan_t", {"embed_dims": (32, 32, 32, 32), "depths": (1, 1, 1, 1), "head_channels": 32}),
    ("mask2former_r50", {"base_channels": 4, "stem_channels": 4, **QUERIES}),
    ("mask2former_swin_t", {**SWIN, **QUERIES}),
]
"""A network of each family that OpenMMLab has, narrowed."""
OWN = (
    "fpn_resnet_small",
    "fpn_mobilenet_v2",
    *(name for name in ARCHITECTURES if re.search("_(dinov2|dinov3|uni|h_optimus|virchow2)", name)),
)
"""Networks that OpenMMLab does not have."""


def test_an_imported_model_goes_back_as_it_came(tmp_path):
    torch.save({"state_dict": entries()}, tmp_path / "iter_1.pth")
    model = load_openmmlab(tmp_path / "iter_1.pth", config=write_config(tmp_path / "config.py", config()))
    written, checkpoint = save_openmmlab(tmp_path / "out", model.network, model.card, name="m")
    for again in (load_openmmlab(checkpoint, config=written), load_openmmlab(checkpoint)):
        images = torch.randn(1, 3, 40, 48)
        assert torch.equal(again.network(images).main, model.network(images).main)
        for name in ("classes", "mean", "std", "scaling", "inference"):
            assert getattr(again.card, name) == getattr(model.card, name)
        assert again.notes == ()
    values = read_config(written).values["model"]
    assert values["backbone"]["type"] == "ResNetV1c"
    assert values["test_cfg"] == {"mode": "slide", "crop_size": (48, 64), "stride": (32, 40)}


@pytest.mark.parametrize(("architecture", "options"), SMALLEST)
def test_a_named_network_is_read_back_as_the_same_model(tmp_path, architecture, options):
    network = build_model(architecture, n_classes=2, **options).eval()
    card = ModelCard(
        architecture=architecture,
        options=options,
        classes=GLOMERULUS,
        scaling=Scaling(fit_px=(64, 48), interpolation="bilinear"),
        inference=Inference(window_px=(64, 64), stride_px=(32, 32)),
    )
    _, checkpoint = save_openmmlab(tmp_path, network, card, name="m")
    again = load_openmmlab(checkpoint)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again.network(images).main, network(images).main)
    assert list(again.network.state_dict()) == list(network.state_dict())
    for name in ("classes", "mean", "std", "scaling", "inference"):
        assert getattr(again.card, name) == getattr(card, name)


def test_every_family_is_among_the_smallest():
    def family(architecture):
        described = ARCHITECTURES[architecture]
        return (described.func, described.args) if isinstance(described, partial) else described

    assert {family(name) for name, _ in SMALLEST} | {family(name) for name in OWN} == set(map(family, ARCHITECTURES))


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in OWN])
def test_a_named_network_and_what_it_is_imported_as_are_written_alike(architecture):
    named = ModelCard(architecture=architecture, classes=GLOMERULUS)
    written = config_values(named)
    imported = describe_network(written["model"])
    divisor = written["model"]["data_preprocessor"].get("test_cfg", {}).get("size_divisor", 1)
    options = {**imported.options, "size_divisor": divisor}
    assert config_values(ModelCard(architecture="composed", options=options, classes=GLOMERULUS)) == written


def test_scale_corners_and_a_single_logit_are_written(tmp_path):
    head = {"name": "fcn", "in_channels": 64, "channels": 8, "num_convs": 1, "concat_input": False}
    options = {"backbone": {"name": "resnet", "depth": 18, "base_channels": 8, "stem_channels": 8}, "decode_head": head}
    options |= {"single_logit": True, "size_divisor": 16}
    card = ModelCard(
        architecture="composed",
        options=options,
        classes=GLOMERULUS,
        scaling=Scaling(factor=0.5, interpolation="bilinear"),
        inference=Inference(align_corners=True, threshold=0.6),
    )
    _, checkpoint = save_openmmlab(tmp_path, build_model("composed", n_classes=2, **options), card, name="m")
    again = load_openmmlab(checkpoint).card
    assert (again.scaling, again.inference) == (card.scaling, card.inference)
    assert (again.options["single_logit"], again.options["size_divisor"]) == (True, 16)


def test_corners_inside_and_outside_of_the_head_cannot_differ(tmp_path):
    network = build_model("pspnet_r18", n_classes=2, **OPTIONS)
    card = ModelCard(
        architecture="pspnet_r18", options=OPTIONS, classes=GLOMERULUS, inference=Inference(align_corners=True)
    )
    with pytest.raises(InvalidInputError, match="one align_corners for a head and its logits"):
        save_openmmlab(tmp_path, network, card, name="m")


@pytest.mark.parametrize("architecture", OWN)
def test_a_network_that_openmmlab_does_not_have(tmp_path, architecture):
    with torch.device("meta"):
        network = build_model(architecture, n_classes=2)
    card = ModelCard(architecture=architecture, classes=GLOMERULUS)
    with pytest.raises(InvalidInputError, match=f"a {architecture} cannot be written for MMSegmentation, which has"):
        save_openmmlab(tmp_path, network, card, name="m")
    assert not list(tmp_path.iterdir())


def test_the_views_of_test_time_augmentation_are_written(tmp_path):
    model = build_model("pspnet_r18", n_classes=2, **OPTIONS)
    card = ModelCard(architecture="pspnet_r18", options=OPTIONS, classes=GLOMERULUS, scaling=Scaling(factor=0.5))
    views = TestTimeAugmentation(scales=(0.5, Scaling(factor=2.0, boxed=True)), flips=("none", "vertical"))
    config, checkpoint = save_openmmlab(tmp_path, model, replace(card, tta=views), name="m")
    assert load_openmmlab(checkpoint).card.tta == TestTimeAugmentation(
        scales=(Scaling(factor=0.25), Scaling(factor=2.0, boxed=True)), flips=("none", "vertical")
    )
    assert read_config(config).values["tta_model"] == {"type": "SegTTAModel"}
    for tta in (None, TestTimeAugmentation()):  # MMSegmentation cannot flip both ways at once
        _, checkpoint = save_openmmlab(tmp_path, model, replace(card, tta=tta), name="m")
        assert load_openmmlab(checkpoint).card.tta is None
