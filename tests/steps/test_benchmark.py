"""Timing a model: what is timed, and on what. The figures themselves depend on the machine."""

import numpy as np
import pytest

from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.images import write_png
from glomseg.steps import benchmark
from glomseg.steps.benchmark import N_DECODED, benchmark_model

CPU = {"device": "cpu", "precision": "32-true"}


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
