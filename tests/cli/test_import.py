"""glomseg import."""

import pytest
import torch

from glomseg.models.build import build_model
from glomseg.models.model_files import load_model


@pytest.fixture
def files(tmp_path):
    """A config and a checkpoint of a narrow network, as MMSegmentation leaves them."""
    backbone = {"type": "ResNetV1c", "depth": 18, "base_channels": 8, "stem_channels": 8}
    head = {"type": "FCNHead", "in_channels": 64, "channels": 8, "num_convs": 1, "concat_input": False}
    head |= {"num_classes": 2, "norm_cfg": {"type": "BN"}}
    colors = {"type": "SegDataPreProcessor", "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "bgr_to_rgb": True}
    model = {"type": "EncoderDecoder", "data_preprocessor": colors, "backbone": backbone, "decode_head": head}
    text = (
        f"model = {model!r}\ntest_pipeline = [dict(type='Resize', scale=(64, 48), keep_ratio=True)]\nenv_cfg = {{}}\n"
    )
    (tmp_path / "config.py").write_text(text)
    ours = {"name": "fcn", "in_channels": 64, "channels": 8, "num_convs": 1, "concat_input": False}
    stem = {"name": "resnet", "deep_stem": True, "depth": 18, "base_channels": 8, "stem_channels": 8}
    network = build_model("composed", n_classes=2, backbone=stem, decode_head=ours)
    torch.save({"meta": {"cfg": text}, "state_dict": network.state_dict()}, tmp_path / "iter_9.pth")
    return tmp_path, network


def test_a_config_and_a_checkpoint_become_a_model_file(files, glomseg):
    folder, network = files
    out = folder / "m.safetensors"
    code, said, complained = glomseg("import", folder / "config.py", folder / "iter_9.pth", "-o", out)
    assert code == 0
    assert f"All {len(network.state_dict())} entries" in said
    assert "class 0, class 1" in said
    assert "names the 2 classes" in complained
    model, card = load_model(out)
    assert torch.equal(model.decode_head.conv_seg.weight, network.decode_head.conv_seg.weight)
    assert card.mean == (1.0, 2.0, 3.0)


def test_the_checkpoint_alone_is_enough_where_it_holds_its_config(files, glomseg):
    folder, _ = files
    assert glomseg("import", folder / "iter_9.pth", "-o", folder / "m.safetensors")[0] == 0
    assert load_model(folder / "m.safetensors")[1].scaling.fit_px == (64, 48)


def test_explain_says_what_becomes_of_each_part_and_writes_nothing(files, glomseg):
    folder, _ = files
    before = sorted(folder.iterdir())
    code, said, _ = glomseg("import", "--explain", folder / "config.py")
    assert code == 0
    said = " ".join(said.replace("│", " ").split())
    assert "backbone: ResNetV1c" in said
    assert "decode_head: FCNHead" in said
    assert "as large as fits into 64 x 48 pixels" in said
    assert "env_cfg" in said
    assert "for MMEngine's own processes" in said
    assert "not carried over" not in said
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a config and a checkpoint"),
        (["a.py", "b.py", "c.pth"], "give a config and a checkpoint"),
        (["--explain", "c.pth"], "give one config"),
        (["c.pth", "-o", "m.pth"], "has to end in .safetensors"),
        (["none.pth"], "'none.pth' does not exist"),
    ],
)
def test_wrong_words(glomseg, words, message):
    code, _, complained = glomseg("import", *words)
    assert code == 1
    assert message in complained


def test_a_checkpoint_is_predicted_and_evaluated_as_it_is(files, tiny_dataset, glomseg):
    folder, _ = files
    image = tiny_dataset / "images" / "SITE_S01_T01.png"
    for name, words in {
        "a": [folder / "iter_9.pth"],
        "b": [folder / "config.py", "--weights", folder / "iter_9.pth"],
    }.items():
        code, _, complained = glomseg("predict", words[0], image, "-o", folder / name, "--no-overlays", *words[1:])
        assert code == 0
        assert "names the 2 classes" in complained
    assert (folder / "a" / "masks" / image.name).read_bytes() == (folder / "b" / "masks" / image.name).read_bytes()
    names = ["--classes", "class 0,class 1"]
    out = folder / "measured"
    code, *_ = glomseg(
        "evaluate", folder / "config.py", tiny_dataset, "--weights", folder / "iter_9.pth", "-o", out, *names
    )
    assert code == 0
    assert "iter_9.pth" in (out / "evaluation.json").read_text()


def test_classes_get_other_names(files, glomseg):
    folder, _ = files
    words = ["import", folder / "iter_9.pth", "-o", folder / "m.safetensors", "--classes"]
    assert glomseg(*words, "background,glomerulus")[0] == 0
    assert load_model(folder / "m.safetensors")[1].classes.names == ("background", "glomerulus")
    code, _, complained = glomseg(*words, "glomerulus")
    assert code == 1
    assert "1 class names for 2 classes" in complained
