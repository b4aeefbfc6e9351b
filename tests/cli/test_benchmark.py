"""glomseg benchmark, every flag once."""


def test_every_flag_on_synthetic_tissue(tiny_model, glomseg):
    words = ["--size", 64, "--n", 2, "--warmup", 0, "--mpp", 0.5, "--device", "cpu", "--precision", "32-true"]
    code, said, _ = glomseg("benchmark", tiny_model, *words)
    assert code == 0
    assert "model alone" in said
    assert "end to end" in said
    assert "working size 64 x 64 px on cpu in 32-true; peak memory" in said


def test_images_of_ones_own(tiny_model, tiny_dataset, glomseg):
    code, said, _ = glomseg("benchmark", tiny_model, tiny_dataset / "images", "--n", 1, "--warmup", 1)
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
