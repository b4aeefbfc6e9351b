import pytest
import torch
from safetensors.torch import save_file

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.models.model_files import save_model
from glomseg.models.starting_weights import load_matching, load_starting_weights
from glomseg.types import Classes, ModelCard

OPTIONS = {"base_channels": 8, "stem_channels": 8, "head_channels": 8, "auxiliary_channels": 8}


def network(n_classes: int = 2, seed: int = 0):
    torch.manual_seed(seed)
    return build_model("pspnet_r18", n_classes=n_classes, **OPTIONS)


def test_another_number_of_classes_keeps_fresh_heads_and_says_so(tmp_path):
    theirs, own = network(19, seed=1), network(2)
    fresh = own.decode_head.conv_seg.weight.clone()
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "city.pth")
    report = load_starting_weights(own, str(tmp_path / "city.pth"))
    assert torch.equal(own.decode_head.conv_seg.weight, fresh)
    assert torch.equal(own.backbone.layer1[0].conv1.weight, theirs.backbone.layer1[0].conv1.weight)
    skipped = dict(report.skipped)
    assert skipped["decode_head.conv_seg.weight"] == "shape 19x8x1x1 in the file, 2x8x1x1 in the network"
    assert set(skipped) == {
        f"{head}.conv_seg.{part}" for head in ("decode_head", "auxiliary_head") for part in ("weight", "bias")
    }
    assert report.missing == ()
    text = "\n".join(report.lines())
    assert f"{len(theirs.state_dict()) - 4} entries loaded" in text
    assert "auxiliary_head.conv_seg.bias" in text


def test_a_bare_backbone_is_recognised():
    theirs, own = network(seed=1), network()
    tensors = {**theirs.backbone.state_dict(), "fc.weight": torch.zeros(10, 3)}
    report = load_matching(own, tensors, source="imagenet.pth")
    assert torch.equal(own.backbone.layer4[0].conv1.weight, theirs.backbone.layer4[0].conv1.weight)
    assert all(not name.startswith("backbone.") for name in report.missing)
    assert any(name.startswith("decode_head.") for name in report.missing)
    assert report.skipped == (("backbone.fc.weight", "the network has no such entry"),)


def test_a_glomseg_model_starts_another(tmp_path):
    theirs, own = network(seed=1), network()
    card = ModelCard(architecture="pspnet_r18", classes=Classes.of(("a", "b")), options=OPTIONS)
    save_model(tmp_path / "m.safetensors", theirs, card)
    report = load_starting_weights(own, str(tmp_path / "m.safetensors"))
    assert len(report.loaded) == len(own.state_dict())
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in own.state_dict().items())


def test_safetensors_without_a_card_and_pickles_under_their_name(tmp_path):
    theirs = network(seed=1)
    save_file(theirs.state_dict(), tmp_path / "foreign.safetensors")
    torch.save(theirs.state_dict(), tmp_path / "pickle.safetensors")
    for name in ("foreign", "pickle"):
        own = network()
        load_starting_weights(own, str(tmp_path / f"{name}.safetensors"))
        assert torch.equal(own.backbone.layer1[0].conv1.weight, theirs.backbone.layer1[0].conv1.weight)


def test_damaged_safetensors(tmp_path):
    save_file({"decode_head.conv_seg.bias": torch.full((2,), float("nan"))}, tmp_path / "nan.safetensors")
    with pytest.raises(InvalidInputError, match=r"nan\.safetensors.*NaN"):
        load_starting_weights(network(), str(tmp_path / "nan.safetensors"))
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "nan.safetensors").read_bytes()[:40])
    with pytest.raises(InvalidInputError, match=r"cut\.safetensors.*damaged"):
        load_starting_weights(network(), str(tmp_path / "cut.safetensors"))


def test_weights_of_another_network_are_an_error(tmp_path):
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(InvalidInputError, match=r"no weights in .*other\.pth.* fit the network.*model\.architecture"):
        load_starting_weights(network(), str(tmp_path / "other.pth"))
