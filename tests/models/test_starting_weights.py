import re

import pytest
import torch
from safetensors.torch import save_file

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.models.model_files import save_model
from glomseg.models.pretrained.hub import HubWeights
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


def as_swins_repository_has_it(entries):
    """The entries of a current Swin backbone as Swin's own repository names and orders them."""
    original = {}
    for name, value in entries.items():
        name = name.removeprefix("backbone.").replace("stages.", "layers.").replace(".w_msa.", ".")
        name = name.replace(".ffn.layers.0.0.", ".mlp.fc1.").replace(".ffn.layers.1.", ".mlp.fc2.")
        name = name.replace("patch_embed.projection.", "patch_embed.proj.")
        if ".downsample." in name:  # there: upper left, lower left, upper right, lower right, each with all channels
            by_patch = value.reshape(*value.shape[:-1], -1, 4).transpose(-1, -2)
            value = by_patch[..., [0, 2, 1, 3], :].reshape(value.shape)
        original[name] = value
    return original


def as_segformers_repository_has_it(entries):
    """The entries of a current MiT backbone as SegFormer's own repository names and cuts them."""
    original = {}
    for name, value in entries.items():
        stage, kind, rest = re.fullmatch(r"backbone\.layers\.(\d)\.(\d)\.(.*)", name).groups()
        rest = rest.replace("projection.", "proj.").replace("attn.attn.out_proj.", "attn.proj.")
        rest = rest.replace("ffn.layers.0.", "mlp.fc1.").replace("ffn.layers.1.", "mlp.dwconv.dwconv.")
        rest = rest.replace("ffn.layers.4.", "mlp.fc2.")
        start = {"0": "patch_embed", "1": "block", "2": "norm"}[kind] + str(int(stage) + 1)
        if "attn.in_proj_" in rest:
            width = len(value) // 3
            original[f"{start}.{rest.replace('attn.attn.in_proj_', 'attn.q.')}"] = value[:width]
            original[f"{start}.{rest.replace('attn.attn.in_proj_', 'attn.kv.')}"] = value[width:]
        else:
            original[f"{start}.{rest}"] = value[..., 0, 0] if re.search(r"fc[12]\.weight", rest) else value
    return original


LAYOUTS = {
    "upernet_swin_t": (
        {"embed_dims": 32, "depths": (1, 1, 1, 1), "head_channels": 8, "auxiliary_channels": 8},
        as_swins_repository_has_it,
        "Swin's own repository",
    ),
    "segformer_mit_b0": (
        {"embed_dims": 8, "depths": (1, 1, 1, 1), "head_channels": 8},
        as_segformers_repository_has_it,
        "SegFormer's own repository",
    ),
}


@pytest.mark.parametrize("prefix", ["", "backbone."], ids=["ImageNet", "0.x"])
@pytest.mark.parametrize("architecture", LAYOUTS)
def test_names_of_original_repositories_are_converted_and_told(tmp_path, architecture, prefix):
    options, original, whose = LAYOUTS[architecture]
    theirs, own = (build_model(architecture, n_classes=2, **options) for _ in range(2))
    with torch.no_grad():
        for value in theirs.parameters():
            torch.nn.init.normal_(value)
    backbone = {name: value for name, value in theirs.state_dict().items() if name.startswith("backbone.")}
    entries = {f"{prefix}{name}": value for name, value in original(backbone).items()}
    entries[f"{prefix}head.weight"] = torch.zeros(10, 3)  # of ImageNet's classes
    torch.save({"model" if prefix == "" else "state_dict": entries}, tmp_path / "original.pth")
    report = load_starting_weights(own, str(tmp_path / "original.pth"))
    assert report.renamed_from == whose
    assert f"the file has the names of {whose}; they were brought to those of the network" in report.lines()[1]
    assert report.skipped == (("backbone.head.weight", "the network has no such entry"),)
    assert all(not name.startswith("backbone.") for name in report.missing)
    filled = own.state_dict()
    assert all(torch.equal(filled[name], value) for name, value in backbone.items())


def test_current_names_are_not_said_to_be_converted():
    report = load_matching(network(), network(seed=1).state_dict(), source="m.pth")
    assert report.renamed_from == ""
    assert not any("names" in line for line in report.lines())


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"block1.0.attn.q.weight": torch.zeros(2, 2)}, r"has no \.kv\. that fits"),
        (
            {"block1.0.attn.q.weight": torch.zeros(2, 2), "block1.0.attn.kv.weight": torch.zeros(4, 3)},
            r"has no \.kv\. that fits",
        ),
        (
            {"layers.0.blocks.0.norm1.bias": torch.zeros(2), "layers.0.downsample.norm.bias": torch.zeros(6)},
            "patches of 2 x 2",
        ),
    ],
)
def test_damaged_originals_name_the_file(tmp_path, entries, reason):
    torch.save(entries, tmp_path / "odd.pth")
    with pytest.raises(InvalidInputError, match=rf"weights '.*odd\.pth': .*{reason}"):
        load_starting_weights(network(), str(tmp_path / "odd.pth"))


def test_weights_of_the_hub_are_fetched_and_their_commit_is_told(tmp_path, monkeypatch):
    theirs, own = network(seed=1), network()
    save_file(theirs.backbone.state_dict(), tmp_path / "model.safetensors")
    asked = []

    def fetched(name, *, progress):
        asked.append(name)
        return HubWeights(name=f"{name}@0123", folder=tmp_path)

    monkeypatch.setattr("glomseg.models.starting_weights.fetch_from_hub", fetched)
    report = load_starting_weights(own, "hf:lab/net")
    assert (asked, report.source) == (["hf:lab/net"], "hf:lab/net@0123")
    assert torch.equal(own.backbone.layer4[0].conv1.weight, theirs.backbone.layer4[0].conv1.weight)


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_backbones_of_another_depth_name_the_option_that_fits(tmp_path, prefix):
    theirs = build_model("pspnet_r50", n_classes=2, **OPTIONS).backbone.state_dict()
    torch.save({f"{prefix}{name}": value for name, value in theirs.items()}, tmp_path / "r50.pth")
    with pytest.raises(InvalidInputError, match=r"r50\.pth': .* depth 50, .* --set model\.options\.depth=50"):
        load_starting_weights(network(), str(tmp_path / "r50.pth"))
