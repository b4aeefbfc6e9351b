"""Checkpoints of MMSegmentation become models: every entry from the file, or an error that names it."""

import numpy as np
import pytest
import torch

from glomseg.errors import InvalidInputError
from glomseg.images import read_image
from glomseg.inference.predictor import Predictor
from glomseg.models.build import build_model
from glomseg.models.openmmlab.importing import load_openmmlab

from .small import OPTIONS, config, entries, write_config


@pytest.fixture
def load(tmp_path):
    """Imports a checkpoint of these entries with this config."""

    def load(values, tensors, meta=None):
        torch.save({"meta": meta or {}, "state_dict": tensors}, tmp_path / "iter_1.pth")
        return load_openmmlab(tmp_path / "iter_1.pth", config=write_config(tmp_path / "config.py", values))

    return load


def test_network_and_card_are_those_of_the_files(load):
    tensors = entries()
    model = load(config(), tensors, meta={"iter": 7, "mmengine_version": "0.10.7"})
    family = build_model("pspnet_r18", n_classes=2, **OPTIONS).eval()
    family.load_state_dict(tensors)
    images = torch.randn(1, 3, 40, 48)
    assert torch.equal(model.network(images).main, family(images).main)
    card = model.card
    assert card.classes.names == ("background", "glomerulus")
    assert card.classes.colors[1] == (1, 2, 3)
    assert (card.mean, card.std) == ((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))
    assert (card.scaling.fit_px, card.scaling.interpolation) == ((2048, 512), "bilinear")
    assert (card.inference.window_px, card.inference.stride_px) == ((48, 64), (32, 40))
    assert not card.inference.align_corners
    assert len(card.provenance["checkpoint_sha256"]) == 64
    assert card.provenance["iter"] == 7
    assert card.provenance["config"] == "config.py"
    assert model.notes == ()


def test_a_checkpoint_that_holds_its_config_needs_no_other(tmp_path):
    text = "".join(f"{name} = {value!r}\n" for name, value in config().items())
    meta = {"cfg": text, "dataset_meta": {"classes": ("a", "b"), "palette": [[9, 9, 9], [8, 8, 8]]}}
    torch.save({"meta": meta, "state_dict": entries()}, tmp_path / "x.pth")
    model = load_openmmlab(tmp_path / "x.pth")
    assert model.card.classes.names == ("a", "b")  # the checkpoint's before the config's
    assert model.card.provenance["config"] == "in x.pth"
    torch.save({"state_dict": entries()}, tmp_path / "y.pth")
    with pytest.raises(InvalidInputError, match=r"y\.pth.* holds no config.*glomseg import CONFIG\.py"):
        load_openmmlab(tmp_path / "y.pth")


def test_a_checkpoint_of_mmsegmentation_0(load):
    values = config(model__test_cfg={"mode": "whole"})
    del values["test_dataloader"], values["model"]["data_preprocessor"]
    values["data"] = {
        "test": {
            "type": "KidneyDataset",
            "pipeline": [
                {"type": "LoadImageFromFile"},
                {
                    "type": "MultiScaleFlipAug",
                    "img_scale": (512, 256),
                    "flip": False,
                    "transforms": [
                        {"type": "Resize", "keep_ratio": True},
                        {"type": "RandomFlip"},
                        {"type": "Normalize", "mean": [3.0, 2.0, 1.0], "std": [6.0, 5.0, 4.0], "to_rgb": True},
                        {"type": "ImageToTensor", "keys": ["img"]},
                        {"type": "Collect", "keys": ["img"]},
                    ],
                },
            ],
        }
    }
    tensors = {f"module.{name}": value for name, value in entries().items()}
    model = load(values, tensors, meta={"CLASSES": ["tissue", "glom"], "PALETTE": [[0, 0, 0], [255, 0, 0]]})
    assert model.card.classes.names == ("tissue", "glom")
    assert (model.card.mean, model.card.std) == ((3.0, 2.0, 1.0), (6.0, 5.0, 4.0))
    assert model.card.scaling.fit_px == (512, 256)
    assert model.notes == ()


def test_missing_and_mismatched_entries_are_all_named(load):
    tensors = entries()
    del tensors["backbone.layer1.0.conv1.weight"], tensors["decode_head.conv_seg.bias"]
    tensors["decode_head.conv_seg.weight"] = torch.zeros(3, 8, 1, 1)
    tensors["decode_head.other.weight"] = torch.zeros(1)
    with pytest.raises(InvalidInputError) as raised:
        load(config(), tensors)
    for part in (
        "2 missing in the checkpoint: backbone.layer1.0.conv1.weight, decode_head.conv_seg.bias",
        "1 of another shape: decode_head.conv_seg.weight ((3, 8, 1, 1) there, (2, 8, 1, 1) here)",
        "1 in the checkpoint only: decode_head.other.weight",
    ):
        assert part in str(raised.value)


def test_entries_that_are_not_used_are_named(load):
    model = load(config(), {**entries(), "decode_head.other.weight": torch.zeros(1), "backbone.fc.bias": torch.ones(2)})
    assert model.notes == ("1 entries of the checkpoint are not used: decode_head.other.weight",)


def test_a_model_without_auxiliary_head_is_one_without_it(load):
    tensors = {name: value for name, value in entries().items() if not name.startswith("auxiliary_head")}
    model = load(config(), tensors)
    assert model.network.auxiliary_head is None
    assert "auxiliary_head" not in model.card.options
    assert "no auxiliary head" in model.notes[0]


def test_counts_of_batches_may_be_missing(load):
    tensors = {name: value for name, value in entries().items() if not name.endswith("num_batches_tracked")}
    assert load(config(), tensors).notes == ()


def test_a_network_that_saw_blue_first_sees_red_first(load, tmp_path):
    tensors = entries()
    rgb = load(config(), tensors)
    bgr_tensors = {**tensors, "backbone.stem.0.weight": tensors["backbone.stem.0.weight"].flip(1)}
    mean, std = [100.0, 110.0, 120.0], [40.0, 50.0, 60.0]
    bgr = load(
        config(
            model__data_preprocessor__bgr_to_rgb=False,
            model__data_preprocessor__mean=mean,
            model__data_preprocessor__std=std,
        ),
        bgr_tensors,
    )
    assert (bgr.card.mean, bgr.card.std) == (rgb.card.mean, rgb.card.std)
    assert torch.equal(bgr.network.backbone.stem[0].weight, rgb.network.backbone.stem[0].weight)
    assert any("saw blue first" in note for note in bgr.notes)


def test_a_single_logit_keeps_its_threshold(load):
    head = {"num_classes": 2, "out_channels": 1}
    values = config()
    values["model"]["decode_head"] |= head
    values["model"]["auxiliary_head"] |= head
    tensors = entries()
    for name in ("decode_head.conv_seg", "auxiliary_head.conv_seg"):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = torch.zeros(1, 8, 1, 1), torch.tensor([-0.5])
    model = load(values, tensors)
    assert model.card.inference.threshold == 0.3
    image = np.zeros((64, 64, 3), np.uint8)
    prediction = Predictor(model.network, model.card, device="cpu", precision="32-true").predict(image)
    assert prediction.mask.all()  # 1 / (1 + e^0.5) = 0.38
    values["model"]["decode_head"]["threshold"] = 0.4
    model = load(values, tensors)
    assert not Predictor(model.network, model.card, device="cpu", precision="32-true").predict(image).mask.any()


@pytest.mark.real
@pytest.mark.parametrize("with_config", [True, False])
def test_a_real_checkpoint_gives_mmsegmentations_masks(shared_data, with_config):
    folder = shared_data.parent / "openmmlab"
    model = load_openmmlab(
        folder / "tiny_pspnet_r18_iter_60.pth", config=folder / "tiny_pspnet_r18.py" if with_config else None
    )
    assert model.notes == ()
    predictor = Predictor(model.network, model.card, device="cpu", precision="32-true")
    reference = np.load(folder / "tiny_pspnet_reference.npz")
    for tile in ("AIDPATH_D_1", "AIDPATH_E_2"):
        mask = np.unpackbits(reference[f"{tile}_mask_packed"])[: 1024 * 1024].reshape(1024, 1024)
        found = predictor.predict(read_image(shared_data / "aidpath_pas" / "images" / f"{tile}.png")).mask
        assert np.array_equal(found, mask)
