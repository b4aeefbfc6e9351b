"""What the files beside weights say: colours, heads of attention, activations."""

import json

import pytest
from safetensors.torch import save_file

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.models.pretrained.description import check_description, colors_of
from glomseg.models.starting_weights import load_starting_weights
from glomseg.types import IMAGENET_MEAN

from .published import fitting, published


@pytest.mark.parametrize(
    ("config", "preprocessor", "mean", "std"),
    [
        ({}, {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.25, 1]}, (127.5,) * 3, (127.5, 63.75, 255)),
        ({}, {"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "rescale_factor": 1 / 255}, (0,) * 3, (255,) * 3),
        (
            {},
            {"image_mean": [1, 1, 1], "image_std": [1, 1, 1], "rescale_factor": 1 / 127.5},
            (127.5,) * 3,
            (127.5,) * 3,
        ),
        ({}, {"do_normalize": False}, (0,) * 3, (255,) * 3),
        ({"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5]}, {}, (25.5, 51, 76.5), (127.5,) * 3),
        ({"pretrained_cfg": {"mean": [1, 0, 0], "std": [1, 1, 0.2]}}, {}, (255, 0, 0), (255, 255, 51)),
        (
            {"mean": [0, 0, 0], "std": [1, 1, 1]},
            {"image_mean": [0.5] * 3, "image_std": [0.5] * 3},
            (127.5,) * 3,
            (127.5,) * 3,
        ),
    ],
)
def test_colours_from_0_to_255(config, preprocessor, mean, std):
    found_mean, found_std = colors_of(config, preprocessor)
    assert found_mean == pytest.approx(mean)
    assert found_std == pytest.approx(std)


def test_imagenets_colours_are_ours():
    mean, _ = colors_of({}, {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})
    assert mean == pytest.approx(IMAGENET_MEAN)


def test_nothing_said():
    assert colors_of({}, {}) is None
    assert colors_of({"pretrained_cfg": 3, "mean": [1, 1, 1]}, {"size": 3}) is None


@pytest.mark.parametrize(
    ("preprocessor", "message"),
    [
        ({"image_mean": "grey"}, "mean is 'grey', not three numbers"),
        ({"image_mean": [0.5], "image_std": [0.5]}, "not three numbers"),
        ({"image_mean": [0.5, 0.5, None], "image_std": [1, 1, 1]}, "not three numbers"),
        ({"image_mean": [0.5, 0.5, float("nan")], "image_std": [1, 1, 1]}, "not three numbers"),
        ({"image_mean": [0.5, 0.5, True], "image_std": [1, 1, 1]}, "not three numbers"),
        ({"image_mean": [0.5, 0.5, 0.5]}, "std is None"),
        ({"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 0]}, "not those of colours"),
        ({"image_mean": [123, 116, 103], "image_std": [1, 1, 1]}, "not those of colours"),
        ({"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1], "rescale_factor": 0}, "rescale_factor is 0"),
        ({"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1], "rescale_factor": "x"}, "rescale_factor is 'x'"),
    ],
)
def test_colours_that_cannot_be(preprocessor, message):
    with pytest.raises(InvalidInputError, match=message):
        colors_of({}, preprocessor)


def backbone(architecture="segmenter_vit_t", **options):
    return build_model(architecture, n_classes=2, **options).backbone


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_attention_heads": 2}, r"has 2 heads, and the network's has 3: --set model\.options\.head_width=96"),
        ({"model_args": {"num_heads": 12}}, r"has 12 heads, .* 3: --set model\.options\.head_width=16"),
        ({"num_attention_heads": 5}, "has 5 heads, and the network's has 3$"),
        ({"num_attention_heads": 0}, "has 0 heads, and the network's has 3$"),
        ({"hidden_act": "quick_gelu"}, "activation is 'quick_gelu'"),
        ({"hidden_act": "gelu", "use_gated_mlp": True}, "activation is 'gelu'"),
        ({"rope_theta": 10000.0}, "base 10000.0, not 100"),
        ({"rope_parameters": {"rope_theta": 7}}, "base 7, not 100"),
    ],
)
def test_what_tensors_do_not_show_is_checked(config, message):
    with pytest.raises(InvalidInputError, match=message):
        check_description(config, backbone(), kind="vit")


def test_strides_and_activations_of_a_resnet():
    resnet = backbone("pspnet_r18", base_channels=8)
    assert check_description({"hidden_act": "relu", "downsample_in_bottleneck": False}, resnet, kind="resnet") == ()
    with pytest.raises(InvalidInputError, match="stride in the first convolution"):
        check_description({"downsample_in_bottleneck": True}, resnet, kind="resnet")
    with pytest.raises(InvalidInputError, match="'gelu'"):
        check_description({"hidden_act": "gelu"}, resnet, kind="resnet")


def test_heads_of_several_stages():
    swin = backbone("upernet_swin_t", embed_dims=32, depths=(1, 1, 1, 1))
    assert check_description({"num_heads": [1, 2, 4, 8], "layer_norm_eps": 1e-5}, swin, kind="swin") == ()
    with pytest.raises(InvalidInputError, match="has 3, 6, 12, 24 heads, and the network's has 1, 2, 4, 8"):
        check_description({"num_heads": [3, 6, 12, 24]}, swin, kind="swin")


def test_another_eps_is_told():
    (note,) = check_description({"layer_norm_eps": 1e-12}, backbone(), kind="vit")
    assert note == "its layer normalisations add 1e-12 to the variance, those of the network 1e-06"


@pytest.mark.parametrize(
    "config",
    [
        {"num_attention_heads": "many", "hidden_act": 3, "layer_norm_eps": [], "rope_theta": None, "model_args": 4},
        {"num_heads": {}, "rope_parameters": [1], "model_args": None, "pretrained_cfg": []},
    ],
)
def test_wrong_types_are_passed_over(config):
    assert check_description(config, backbone(), kind="vit") == ()


def test_the_report_has_colours_and_notes_and_errors_name_the_file(tmp_path):
    architecture, options = fitting("transformers_vit")
    network = build_model(architecture, n_classes=2, **options)
    save_file(published("transformers_vit"), tmp_path / "model.safetensors")
    config = {"num_attention_heads": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    report = load_starting_weights(network, str(tmp_path))
    assert report.colors == ((127.5,) * 3, (127.5,) * 3)
    assert "1e-12 to the variance" in report.lines()[-1]
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4}))
    with pytest.raises(InvalidInputError, match=rf"weights '.*{tmp_path.name}': its attention has 4 heads"):
        load_starting_weights(network, str(tmp_path))
