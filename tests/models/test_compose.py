"""Networks from descriptions in plain values."""

import pytest
import torch

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model, describe_architecture
from glomseg.models.compose import BACKBONES, HEADS, NECKS
from glomseg.models.model_files import load_model, save_model
from glomseg.types import GLOMERULUS, ModelCard

BACKBONE = {
    "name": "resnet",
    "deep_stem": True,
    "depth": 18,
    "base_channels": 8,
    "stem_channels": 8,
    "strides": [1, 2, 1, 1],
    "dilations": [1, 1, 2, 4],
    "contract_dilation": True,
}
PSP = {"name": "psp", "in_channels": 64, "channels": 8, "in_index": 3}
FCN = {"name": "fcn", "in_channels": 32, "channels": 8, "in_index": 2, "num_convs": 1, "concat_input": False}


def layout(network):
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_a_family_is_a_composition():
    composed = build_model("composed", n_classes=3, backbone=BACKBONE, decode_head=PSP, auxiliary_head=FCN)
    family = build_model(
        "pspnet_r18", n_classes=3, base_channels=8, stem_channels=8, head_channels=8, auxiliary_channels=8
    )
    assert layout(composed) == layout(family)
    composed.load_state_dict(family.state_dict())
    images = torch.randn(1, 3, 40, 48)
    assert torch.equal(composed.eval()(images).main, family.eval()(images).main)


VIT = {"embed_dims": 64, "image_side_px": 32, "head_channels": 8, "auxiliary_channels": 8}
HEADS_FIRST = ("decode_head", "auxiliary_head", "backbone")


@pytest.mark.parametrize(
    ("architecture", "options", "order"),
    [
        ("deeplabv3_r18", {"base_channels": 4, "stem_channels": 4}, ("backbone", "decode_head", "auxiliary_head")),
        ("fcn_unet", {"base_channels": 4}, HEADS_FIRST),
        ("pspnet_unet", {"base_channels": 4}, HEADS_FIRST),
        ("deeplabv3_unet", {"base_channels": 4}, HEADS_FIRST),
        ("upernet_vit_b16", VIT, ("backbone", "neck", "decode_head", "auxiliary_head")),
        (
            "composed",
            {"backbone": BACKBONE, "decode_head": PSP, "auxiliary_head": FCN},
            ("auxiliary_head", "backbone", "decode_head"),
        ),
    ],
)
def test_a_seed_goes_on_giving_the_same_weights(architecture, options, order):
    torch.manual_seed(0)
    network = build_model(architecture, n_classes=2, **options)
    torch.manual_seed(0)
    for place in order:
        part = describe_architecture(architecture, options)[place]
        chosen = {key: value for key, value in part.items() if key != "name"}
        of_head = {"n_classes": 2} if place.endswith("head") else {}
        drawn = (BACKBONES | NECKS | HEADS)[part["name"]](**chosen, **of_head).state_dict()
        found = network.get_submodule(place).state_dict()
        assert all(torch.equal(found[name], value) for name, value in drawn.items())


def test_a_named_network_may_be_wider_than_a_description_from_elsewhere():
    with torch.device("meta"):
        network = build_model("fcn_r18", n_classes=2, base_channels=1100)
    assert network.decode_head.convs[0].conv.in_channels == 8800


def test_several_auxiliary_heads_are_numbered():
    network = build_model("composed", n_classes=2, backbone=BACKBONE, decode_head=PSP, auxiliary_head=[FCN, FCN])
    assert "auxiliary_head.1.conv_seg.weight" in network.state_dict()
    assert len(network.train()(torch.randn(2, 3, 32, 32)).auxiliary) == 2


def test_a_single_logit_tells_two_classes_apart():
    network = build_model("composed", n_classes=2, backbone=BACKBONE, decode_head=PSP, single_logit=True)
    assert network.state_dict()["decode_head.conv_seg.weight"].shape == (1, 8, 1, 1)
    with pytest.raises(InvalidInputError, match="two classes apart, not 3"):
        build_model("composed", n_classes=3, backbone=BACKBONE, decode_head=PSP, single_logit=True)


def test_a_composed_network_is_stored_with_its_description(tmp_path):
    options = {"backbone": BACKBONE, "decode_head": PSP, "auxiliary_head": [FCN]}
    network = build_model("composed", n_classes=2, **options)
    card = ModelCard(architecture="composed", classes=GLOMERULUS, options=options)
    save_model(tmp_path / "m.safetensors", network, card)
    read, _ = load_model(tmp_path / "m.safetensors")
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(read(images).main, network.eval()(images).main)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": {**BACKBONE, "name": "resnett"}}, "no backbone 'resnett'; did you mean 'resnet'"),
        ({"backbone": {"depth": 18}}, "no backbone None"),
        ({"backbone": {**BACKBONE, "name": ["x"]}}, "no backbone"),
        ({"backbone": {**BACKBONE, "dept": 18}}, "no option 'dept'; did you mean 'depth'"),
        ({"backbone": {**BACKBONE, "depth": 19}}, "cannot be built"),
        ({"backbone": {**BACKBONE, "base_channels": "wide"}}, "option base_channels = 'wide'"),
        ({"backbone": {**BACKBONE, "base_channels": 10**9}}, "above 8192"),
        ({"backbone": {**BACKBONE, "base_channels": -8}}, "cannot be built"),
        ({"backbone": {**BACKBONE, "strides": [1, 2]}}, "cannot be built"),
        ({"decode_head": {**PSP, "pool_scales": [1] * 1000}}, "above 8192"),
        ({"neck": {"name": "x"}}, "no neck 'x'"),
        ({"decode_head": None}, "decode_head"),
    ],
)
def test_a_wrong_description_is_explained(change, message):
    parts = {"backbone": BACKBONE, "decode_head": PSP, **change}
    with pytest.raises(InvalidInputError, match=message), torch.device("meta"):
        build_model("composed", n_classes=2, **parts)
