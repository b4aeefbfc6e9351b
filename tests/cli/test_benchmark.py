"""glomseg benchmark, every flag once."""


def test_every_flag_on_synthetic_tissue(tiny_model, glomseg):
    words = ["--size", 64, "--n", 2, "--warmup", 0, "--mpp", 0.5, "--device", "cpu", "--precision", "32-true"]
    words += ["--engines", "torch"]
    code, said, _ = glomseg("benchmark", tiny_model, *words)
    assert code == 0
    assert "model alone" in said
    assert "end to end" in said
    assert "working size 64 x 64 px on cpu in 32-true; peak memory" in said


def test_images_of_ones_own(tiny_model, tiny_dataset, glomseg):
    code, said, _ = glomseg(
        "benchmark", tiny_model, tiny_dataset / "images", "--n", 1, "--warmup", 1, "--engines", "torch"
    )
    assert code == 0
    assert "working size 64 x 64 px" in said


def test_errors_are_1(tiny_model, tmp_path, glomseg):
    for words, reason in [
        ((tmp_path / "none",), "does not exist"),
        ((tiny_model, "--n", 0), "--n 0"),
        ((tiny_model, tmp_path), "holds no image"),
    ]:
        code, said, complained = glomseg("benchmark", *words)
        assert (code, said) == (1, "")
        assert reason in complained


def test_engines_side_by_side(fpn_model, graph_at_hand, glomseg):
    words = ["--size", 64, "--n", 3, "--warmup", 0, "--engines", "torch, onnx, openvino", "--precision", "32-true"]
    code, said, complained = glomseg("benchmark", fpn_model, "--device", "cpu", *words)
    assert code == 0
    assert "left out" not in complained
    assert "the model alone, engines in turns" in said
    for name in ("torch", "onnx", "openvino"):
        assert f"│ {name}" in said
    assert "fastest here: " in said


def test_an_engine_that_cannot_compute_it_is_left_out(fpn_model, graph_at_hand, glomseg):
    code, said, complained = glomseg("benchmark", fpn_model, "--size", 64, "--n", 1, "--engines", "torch,tensorrt")
    assert code == 0
    assert "engines in turns" not in said
    assert "tensorrt left out: --engine 'tensorrt' is not known" in complained
    code, _, complained = glomseg("benchmark", fpn_model, "--size", 64, "--engines", "tensorrt")
    assert code == 1
    assert "--engine 'tensorrt' is not known" in complained
