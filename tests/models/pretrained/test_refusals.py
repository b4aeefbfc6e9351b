"""What cannot be taken from a published network is refused by name, with what would fit."""

import re

import pytest
import torch
from safetensors.torch import save_file

from glomseg.errors import InvalidInputError
from glomseg.models.build import build_model
from glomseg.models.pretrained.fitting import fit, kind_of
from glomseg.models.pretrained.layout import translate
from glomseg.models.starting_weights import LAYOUTS, load_starting_weights

from .published import fitting, published


def load(tmp_path, entries, *, case="transformers_vit", **options):
    """Load entries into the network that fits a case, with options changed."""
    architecture, fitting_options = fitting(case)
    network = build_model(architecture, n_classes=2, **{**fitting_options, **options})
    save_file({name: value.contiguous() for name, value in entries.items()}, tmp_path / "theirs.safetensors")
    return network, load_starting_weights(network, str(tmp_path / "theirs.safetensors"))


def without(entries, *parts):
    return {name: value for name, value in entries.items() if not any(part in name for part in parts)}


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        ("transformers_resnet50", {"depth": 101}, r"depth 50, and the network has 101: --set model\.options\.depth=50"),
        ("transformers_resnet18", {"variant": "v1c"}, r"variant v1, and .* v1c: --set model\.options\.variant=v1"),
        ("timm_resnet50d", {"variant": "v1"}, r"--set model\.options\.variant=v1d"),
        ("timm_resnet18", {"depth": 34}, r"--set model\.options\.depth=18"),
        ("timm_convnext", {"depths": (1, 2, 3, 1)}, r"--set model\.options\.depths=\[1,2,1,1\]"),
        ("transformers_convnext", {"channels": (16, 16, 24, 32)}, r"options\.channels=\[8,16,24,32\]"),
        ("transformers_segformer", {"depths": (1, 1, 1, 1)}, r"options\.depths=\[1,2,1,1\]"),
        ("timm_swin", {"embed_dims": 64}, r"options\.embed_dims=32"),
        (
            "transformers_vit",
            {"num_layers": 3, "patch_bias": False},
            r"num_layers=2 --set model\.options\.patch_bias=tr",
        ),
        ("timm_uni", {"layer_scale": False}, r"options\.layer_scale=true"),
        ("timm_hoptimus", {"patch_size": 16}, r"options\.patch_size=14"),
        ("timm_virchow2", {"n_registers": 0, "gated": False}, r"gated=true --set model\.options\.n_registers=4"),
        ("timm_virchow2", {"hidden_dims": None}, r"hidden_dims=340"),
        ("timm_dinov3", {"rotary": False}, r"options\.rotary=true"),
        ("timm_vit", {"hidden_dims": 256}, r"options\.hidden_dims=none"),
    ],
)
def test_other_sizes_are_refused_with_the_options_that_fit(tmp_path, case, options, message):
    with pytest.raises(InvalidInputError, match=rf"weights '.*theirs\.safetensors': they are of a .*{message}"):
        load(tmp_path, published(case), case=case, **options)


def test_another_kind_of_backbone_names_the_architectures_that_have_it(tmp_path):
    with pytest.raises(
        InvalidInputError, match=r"of a vit, and the network stands on a resnet; choose upernet_vit_b16 or"
    ):
        load(tmp_path, published("timm_vit"), case="transformers_resnet18")


def test_a_known_size_names_its_architecture(tmp_path):
    with torch.device("meta"):
        known = build_model("segmenter_vit_t", n_classes=2).backbone.state_dict()
    theirs = {f"backbone.{name}": torch.zeros(value.shape, dtype=torch.bfloat16) for name, value in known.items()}
    with pytest.raises(InvalidInputError, match=r"num_layers=12.*; or choose segmenter_vit_t \(--set model\.archit"):
        load(tmp_path, theirs)
    theirs = published("timm_uni")  # of no named network
    with pytest.raises(InvalidInputError) as refused:
        load(tmp_path, theirs)
    assert "or choose" not in str(refused.value)


VIT, CONVNEXT, SWIN = published("timm_vit"), published("timm_convnext"), published("transformers_swin")
TRANSFORMERS_VIT = published("transformers_vit")


@pytest.mark.parametrize(
    ("case", "entries", "reason"),
    [
        ("timm_vit", {**VIT, "norm_pre.weight": torch.zeros(128)}, "before the first layer, as CLIP"),
        ("timm_vit", {**VIT, "blocks.0.attn.q_norm.weight": torch.zeros(64)}, "normalises queries and keys"),
        ("timm_vit", {**VIT, "blocks.0.attn.relative_position_bias_table": torch.zeros(9, 2)}, "relative pos.*BEiT"),
        ("timm_vit", {**VIT, "blocks.0.extra": torch.zeros(1)}, r"'blocks\.0\.extra', which has no place"),
        ("timm_vit", without(VIT, "cls_token"), "no class token"),
        ("timm_vit", {**VIT, "pos_embed": torch.zeros(1, 40, 128)}, "40 places.* no square"),
        ("timm_vit", {**VIT, "pos_embed": torch.zeros(1, 37, 64)}, "position embedding has the shape"),
        ("timm_vit", {**VIT, "reg_token": torch.zeros(1, 4, 64)}, "register tokens do not fit"),
        ("timm_vit", without(VIT, "blocks.0.norm1"), r"2 missing, the first is 'layers\.0\.ln1"),
        ("timm_vit", {**VIT, "blocks.1.norm1.weight": torch.zeros(64)}, "1 of another shape"),
        ("timm_vit", {**VIT, "blocks.0.attn.proj.weight": torch.zeros(128, 128).char()}, "int8: quantised"),
        (
            "timm_vit",
            {**VIT, "blocks.0.mlp.fc1_g.weight": torch.zeros(4, 128), "blocks.0.mlp.fc1_x.weight": torch.zeros(4, 128)},
            "EVA-02",
        ),
        ("timm_convnext", {**CONVNEXT, "stages.0.blocks.0.mlp.grn.weight": torch.zeros(32)}, "ConvNeXt V2"),
        (
            "transformers_swin",
            {**SWIN, "swin.encoder.layers.0.blocks.0.attention.self.logit_scale": torch.zeros(1)},
            "Swin V2",
        ),
        (
            "transformers_vit",
            without(TRANSFORMERS_VIT, "layer.0.attention.attention.value"),
            r"query, key and value of 'layers\.0\.attn\.attn' do not fit",
        ),
        (
            "transformers_vit",
            {**TRANSFORMERS_VIT, "vit.encoder.layer.0.attention.attention.value.bias": torch.zeros(3)},
            "a bias of .* does not fit",
        ),
        ("timm_vit", {**VIT, **{f"student.{name}": value.clone() for name, value in VIT.items()}}, "several networks"),
    ],
)
def test_what_has_no_place_is_refused_with_the_reason(tmp_path, case, entries, reason):
    with pytest.raises(InvalidInputError, match=rf"weights '.*theirs\.safetensors': .*{reason}"):
        load(tmp_path, entries, case=case)


def test_resnets_of_other_forms(tmp_path):
    theirs = published("transformers_resnet50")
    grouped = {name: value[:, :1] if ".layer.1.convolution" in name else value for name, value in theirs.items()}
    with pytest.raises(InvalidInputError, match="ResNeXt"):
        load(tmp_path, grouped, case="transformers_resnet50")
    wide = {
        name: value.repeat(2, *[1] * (value.ndim - 1)) if ".layer.2.convolution" in name else value
        for name, value in theirs.items()
    }
    with pytest.raises(InvalidInputError, match="Wide ResNet"):
        load(tmp_path, wide, case="transformers_resnet50")
    with pytest.raises(InvalidInputError, match=r"ResNet with 3, 4, 5, 3 blocks; there are those with 18, 34, 50, 101"):
        load(tmp_path, without(theirs, "stages.2.layers.5"), case="transformers_resnet50")


def test_heads_and_what_the_file_lacks_are_told(tmp_path):
    network, report = load(tmp_path, published("transformers_segformer"), case="transformers_segformer")
    assert report.renamed_from == "transformers' SegFormer"
    assert len(report.heads) == 16
    assert all(name.startswith("decode_head.") for name in report.heads)
    assert all(name.startswith("decode_head.") for name in report.missing)
    text = "\n".join(report.lines())
    assert "heads of the file, not used: decode_head.batch_norm.bias" in text
    assert len(report.loaded) == len(network.backbone.state_dict())


def test_positions_are_resized_to_the_grid_of_the_network(tmp_path):
    network, report = load(tmp_path, published("timm_vit"), case="timm_vit", image_side_px=128)
    assert report.notes == ("the position embedding was resized from 6 x 6 to 8 x 8 patches",)
    assert report.notes[0] in report.lines()[-1]
    theirs = published("timm_vit")["pos_embed"].float()
    torch.testing.assert_close(network.backbone.pos_embed[:, 0], theirs[:, 0])
    assert network.backbone.pos_embed.mean().item() == pytest.approx(theirs.mean().item(), abs=0.02)


def test_relative_positions_are_resized_to_the_window_of_the_network(tmp_path):
    network, report = load(tmp_path, published("timm_swin"), case="timm_swin", window_size=12)
    assert "from windows of 7 to 12 tokens; --set model.options.window_size=7" in report.notes[0]
    table = network.backbone.stages[0].blocks[0].attn.w_msa.relative_position_bias_table
    theirs = published("timm_swin")["layers.0.blocks.0.attn.relative_position_bias_table"]
    centre = (len(table) // 2, len(theirs) // 2)
    torch.testing.assert_close(table[centre[0]], theirs[centre[1]].float(), rtol=0, atol=1e-5)


def test_mmpretrains_vit(tmp_path):
    theirs = {}
    for name, value in published("timm_uni").items():
        name = name.replace("patch_embed.proj.", "patch_embed.projection.").replace("blocks.", "layers.")
        name = name.replace(".norm", ".ln").replace("mlp.fc1.", "ffn.layers.0.0.").replace("mlp.fc2.", "ffn.layers.1.")
        name = name.replace(".ls1.gamma", ".attn.gamma1.weight").replace(".ls2.gamma", ".ffn.gamma2.weight")
        theirs["backbone." + ("ln1" + name[4:] if name.startswith("norm.") else name)] = value
    theirs["head.layers.head.weight"] = torch.zeros(3, 128)
    mapped, report = load(tmp_path, theirs, case="timm_uni")
    assert report.renamed_from == "MMPretrain's ViT"
    assert report.heads == ("head.layers.head.weight",)
    same, _ = load(tmp_path, published("timm_uni"), case="timm_uni")
    for name, value in same.backbone.state_dict().items():
        assert torch.equal(value, mapped.backbone.state_dict()[name])


def test_dinov2s_and_convnexts_own_repositories(tmp_path):
    theirs = {
        name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3").replace("reg_token", "register_tokens"): value
        for name, value in published("timm_hoptimus").items()
    }
    mapped, _ = load(tmp_path, {**theirs, "mask_token": torch.zeros(1, 128)}, case="timm_hoptimus")
    same, _ = load(tmp_path, published("timm_hoptimus"), case="timm_hoptimus")
    assert torch.equal(mapped.backbone.layers[1].ffn.layers[1].weight, same.backbone.layers[1].ffn.layers[1].weight)
    theirs = {}
    for name, value in published("transformers_convnext").items():
        name = name.removeprefix("convnext.").replace("embeddings.patch_embeddings", "downsample_layers.0.0")
        name = name.replace("embeddings.layernorm", "downsample_layers.0.1").replace("encoder.stages.", "stages.")
        name = name.replace(".layers.", ".").replace("layer_scale_parameter", "gamma")
        if ".downsampling_layer." in name:
            name = "downsample_layers." + name.removeprefix("stages.").replace("downsampling_layer.", "")
        theirs[name.replace("layernorm", "norm").replace("classifier", "head")] = value
    mapped, report = load(tmp_path, theirs, case="transformers_convnext")
    assert report.renamed_from == "ConvNeXt's own repository"
    same, _ = load(tmp_path, published("transformers_convnext"), case="transformers_convnext")
    for name, value in same.backbone.state_dict().items():
        if "norm" not in name or name.startswith(("stages", "norm3")):
            assert torch.equal(value, mapped.backbone.state_dict()[name])


@pytest.mark.parametrize("case", ["transformers_segformer", "transformers_dinov3_gated", "timm_virchow2", "timm_swin"])
def test_entries_of_any_shape_are_an_error_of_ours(case, monkeypatch):
    monkeypatch.setattr("glomseg.models.pretrained.fitting._fitting", lambda *_: [])  # which takes its time
    architecture, options = fitting(case)
    with torch.device("meta"):
        backbone = build_model(architecture, n_classes=2, **options).backbone
    entries = published(case)
    accepted = set()
    for name in entries:
        for shape in ((), (0,), (2, 3), (1, 2, 3)):
            damaged = {**entries, name: torch.zeros(shape, dtype=torch.float64)}
            try:
                fit(backbone, translate(damaged, LAYOUTS).entries, kind=kind_of(backbone))
            except InvalidInputError:
                continue
            accepted.add(name)
    assert all(re.search("head|classifier|decode_head|mask_token", name) for name in accepted)
