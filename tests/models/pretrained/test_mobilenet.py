"""Files of MobileNetV2 that are not of the network, and OpenMMLab's own."""

import pytest
import torch
from safetensors.torch import save_file

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.models.starting_weights import load_starting_weights

from .published import published


def network(**options):
    return build_model("fpn_mobilenet_v2", n_classes=2, widen_factor=0.35, head_channels=8, **options)


def load(entries, tmp_path, own=None):
    save_file(entries, tmp_path / "model.safetensors")
    return load_starting_weights(own or network(), str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_mmpretrains_file_has_our_names_and_two_parts_more(tmp_path, prefix):
    own = network()
    torch.manual_seed(1)
    entries = {f"{prefix}{name}": torch.rand(value.shape) for name, value in own.backbone.state_dict().items()
               if value.is_floating_point()}  # fmt: skip
    more = {f"{prefix}conv2.conv.weight": torch.rand(1280, 112, 1, 1), "head.fc.weight": torch.rand(10, 1280)}
    report = load({**entries, **more}, tmp_path, own)
    assert report.renamed_from == ""
    assert len(report.loaded) == len(entries)
    assert len(report.skipped) == 2
    assert torch.equal(own.backbone.layer7[0].conv[2].conv.weight, entries[f"{prefix}layer7.0.conv.2.conv.weight"])


@pytest.mark.parametrize("case", ["timm_mobilenet_v2", "torchvision_mobilenet_v2"])
def test_what_is_not_of_the_backbone_is_listed_and_nothing_else_is_left_out(tmp_path, case):
    own = network()
    report = load(published(case), tmp_path, own)
    assert not any(name.startswith("backbone.") for name in report.missing)
    assert report.skipped == ()
    assert all(name.startswith(("conv_head", "bn2", "classifier", "features.18")) for name in report.heads)


def test_another_width_is_refused_with_the_option_that_fits(tmp_path):
    own = build_model("fpn_mobilenet_v2", n_classes=2)
    with pytest.raises(InvalidInputError, match=r"factor 0.35, and the network has 1.0: --set model.options.widen_"):
        load(published("timm_mobilenet_v2"), tmp_path, own)


def test_another_number_of_blocks_is_refused(tmp_path):
    entries = published("torchvision_mobilenet_v2")
    entries["features.19.conv.0.0.weight"] = entries["features.17.conv.0.0.weight"].clone()
    with pytest.raises(InvalidInputError, match="it has a block 19, and a MobileNetV2 has 17"):
        load(entries, tmp_path)


def test_squeeze_and_excitation_is_refused_by_name(tmp_path):
    entries = published("timm_mobilenet_v2")
    entries["blocks.1.0.se.conv_reduce.weight"] = torch.rand(4, 4, 1, 1)
    with pytest.raises(InvalidInputError, match="its blocks weigh channels"):
        load(entries, tmp_path)


def test_a_file_without_some_of_its_entries_is_refused(tmp_path):
    entries = published("torchvision_mobilenet_v2")
    del entries["features.3.conv.2.weight"], entries["features.3.conv.3.weight"]
    with pytest.raises(InvalidInputError, match="they are not those of the network's mobilenet_v2"):
        load(entries, tmp_path)
