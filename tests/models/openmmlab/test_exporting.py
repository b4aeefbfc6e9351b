"""What is written for MMSegmentation is read back as the same model."""

from dataclasses import replace

import pytest
import torch

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.models.openmmlab.config import read_config
from glomseg.models.openmmlab.exporting import save_openmmlab
from glomseg.models.openmmlab.importing import load_openmmlab
from glomseg.types import GLOMERULUS, Inference, ModelCard, Scaling, TestTimeAugmentation

from .small import OPTIONS, config, entries, write_config

NARROW = {"base_channels": 8, "head_channels": 8, "auxiliary_channels": 8}
FAMILIES = {
    "pspnet_r18": OPTIONS,
    "fcn_r50": {**NARROW, "stem_channels": 8, "variant": "v1d", "output_stride": 32},
    "deeplabv3_r18": {**NARROW, "stem_channels": 8, "variant": "v1"},
    "deeplabv3plus_r50": {**NARROW, "stem_channels": 8, "c1_channels": 4},
    "fcn_unet": NARROW,
    "pspnet_unet": NARROW,
    "deeplabv3_unet": NARROW,
}


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


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_family_is_read_back_as_the_same_network(tmp_path, architecture):
    network = build_model(architecture, n_classes=2, **FAMILIES[architecture]).eval()
    card = ModelCard(architecture=architecture, options=FAMILIES[architecture], classes=GLOMERULUS)
    _, checkpoint = save_openmmlab(tmp_path, network, card, name="m")
    again = load_openmmlab(checkpoint).network
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(again(images).main, network(images).main)
    assert list(again.state_dict()) == list(network.state_dict())


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


def test_a_network_that_openmmlab_does_not_have(tmp_path):
    network = build_model("fpn_resnet_small", n_classes=2)
    card = ModelCard(architecture="fpn_resnet_small", classes=GLOMERULUS)
    with pytest.raises(InvalidInputError, match="a fpn_resnet_small cannot be written for MMSegmentation"):
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
