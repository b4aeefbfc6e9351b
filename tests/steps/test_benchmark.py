"""Timing a model: what is timed, and on what. The figures themselves depend on the machine."""

import numpy as np
import pytest

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.images import write_png
from glomseg.steps import benchmark
from glomseg.steps.benchmark import N_DECODED, BenchmarkResult, EngineTiming, Timing, benchmark_model

CPU = {"device": "cpu", "precision": "32-true", "engines": ["torch"]}


def test_synthetic_tissue_is_drawn_where_no_image_is_given(tiny_model):
    result = benchmark_model(tiny_model, size_px=64, n_images=2, n_warmup=1, **CPU)
    assert result.working_size == (64, 64)
    assert (result.device, result.precision) == ("cpu", "32-true")
    for timing in (result.model, result.end_to_end):
        assert timing.n_images == 2
        assert 0 < timing.low_s <= timing.median_s <= timing.high_s
        assert timing.fps == pytest.approx(1 / timing.median_s)
    assert 2**20 < result.peak_memory_bytes < 2**40


def test_images_take_turns_and_warm_up_is_left_out(tiny_model, tmp_path, monkeypatch):
    for number in range(N_DECODED + 2):
        write_png(tmp_path / f"{number:02}.png", np.zeros((32 + number, 40, 3), np.uint8))
    sizes, paths, reports = [], [], []
    monkeypatch.setattr(
        benchmark, "_time_model", lambda predictor, image, *, mpp: sizes.append(image.shape[0]) or float(len(sizes))
    )
    monkeypatch.setattr(
        benchmark, "_time_end_to_end", lambda predictor, path, out, *, mpp: paths.append(path.name) or 1.0
    )

    class Bars:
        def __call__(self, description, *, unit):
            return self

        def __enter__(self):
            return lambda done, total, note="": reports.append((done, total))

        def __exit__(self, *raised):
            pass

    result = benchmark_model(tiny_model, images=[tmp_path], n_images=9, n_warmup=2, progress=Bars(), **CPU)
    assert sizes == [32, 33, 34, 35, 36, 37, 38, 39, 32, 33, 34]
    assert paths == [f"{number:02}.png" for number in (*range(10), 0)]
    assert result.model.n_images == 9
    assert result.model.median_s == 7  # of 3 to 11
    assert reports == [(done, 11) for done in range(1, 12)] * 2


def test_engines_take_turns_and_ratios_are_image_by_image(fpn_model, graph_at_hand, monkeypatch):
    seconds = iter([9.0, 9.0, 9.0, 2.0, 1.0, 4.0, 4.0, 4.0, 1.0, 6.0, 2.0, 3.0])
    monkeypatch.setattr(benchmark, "_time_model", lambda predictor, image, *, mpp: next(seconds))
    monkeypatch.setattr(benchmark, "_time_end_to_end", lambda predictor, path, out, *, mpp: 1.0)
    result = benchmark_model(fpn_model, size_px=64, n_images=3, n_warmup=1, device="cpu", precision="32-true")
    torch, onnx, openvino = result.engines  # all that are installed
    assert [item.engine for item in result.engines] == ["torch", "onnx", "openvino"]
    assert [item.model.median_s for item in result.engines] == [4, 2, 3]
    assert (result.model, result.fastest) == (torch.model, onnx)
    assert (torch.ratio, torch.ratio_low, torch.ratio_high) == (1, 1, 1)
    assert onnx.ratio == 2
    assert (onnx.ratio_low, onnx.ratio_high) == pytest.approx(np.percentile([2, 1, 3], [5, 95]))
    assert (openvino.device, openvino.precision) == ("cpu", "32-true")


@pytest.mark.parametrize(
    ("median_s", "ratios", "is_clear"),
    [
        (2.0, (1.2, 3.0), True),
        (2.0, (0.9, 3.0), False),
        (5.0, (0.5, 0.9), True),  # PyTorch is faster whenever they meet
        (5.0, (0.5, 1.1), False),
    ],
)
def test_the_fastest_is_clear_where_the_ratios_do_not_cross_one(median_s, ratios, is_clear):
    def engine(name, seconds, low, high):
        timing = Timing(fps=1 / seconds, n_images=9, median_s=seconds, low_s=seconds, high_s=seconds)
        where = {"device": "cpu", "precision": "32-true"}
        return EngineTiming(engine=name, model=timing, ratio=4 / seconds, ratio_low=low, ratio_high=high, **where)

    engines = (engine("torch", 4.0, 1.0, 1.0), engine("onnx", median_s, *ratios))
    result = BenchmarkResult(
        engines=engines, left_out={}, model=engines[0].model, end_to_end=engines[0].model, working_size=(64, 64),
        peak_memory_bytes=0, device="cpu", precision="32-true",
    )  # fmt: skip
    assert result.fastest_is_clear is is_clear


def test_an_exported_network_is_timed_with_its_own_engine(fpn_model, fpn_graph, tmp_path):
    from glomseg.inference.engines.exported_files import save_exported
    from glomseg.models.model_files import load_model

    (path,) = save_exported(tmp_path, fpn_graph, load_model(fpn_model)[1], name="m", engine="onnx")
    result = benchmark_model(path, size_px=64, n_images=1, n_warmup=0)
    assert [item.engine for item in result.engines] == ["onnx"]


def test_in_another_precision_torch_is_alone(fpn_model):
    result = benchmark_model(fpn_model, size_px=64, n_images=1, n_warmup=0, device="cpu", precision="bf16-mixed")
    assert [item.engine for item in result.engines] == ["torch"]


def test_no_engine_at_all(fpn_model):
    with pytest.raises(InvalidInputError, match="--engines names no engine"):
        benchmark_model(fpn_model, engines=[])


def test_mpp_decides_the_working_size(tmp_path, tiny_model):
    import dataclasses

    from glomseg.models.model_files import load_model, save_model
    from glomseg.types import Scaling

    model, card = load_model(tiny_model)
    save_model(tmp_path / "m.safetensors", model, dataclasses.replace(card, scaling=Scaling(mpp=2.0)))
    result = benchmark_model(tmp_path / "m.safetensors", size_px=64, n_images=1, n_warmup=0, mpp=1.0, **CPU)
    assert result.working_size == (32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_images": 0}, "--n 0"),
        ({"n_warmup": -1}, "--warmup -1"),
        ({"size_px": 0}, "--size 0"),
        ({"size_px": 100_000}, "--size 100000"),
        ({"mpp": -1.0}, "--mpp -1.0"),
    ],
)
def test_numbers_that_make_no_sense(tiny_model, options, message):
    with pytest.raises(InvalidInputError, match=message):
        benchmark_model(tiny_model, **options, **CPU)


def test_broken_and_missing_images(tiny_model, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"a\.png.*0 bytes"):
        benchmark_model(tiny_model, images=[tmp_path], **CPU)
    with pytest.raises(MissingInputError, match="fits no file"):
        benchmark_model(tiny_model, images=[tmp_path / "*.jpg"], **CPU)
