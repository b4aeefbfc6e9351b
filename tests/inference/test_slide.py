"""Prediction of whole slides: blending, what the result may not depend on, and going on after a stop."""

import dataclasses
import itertools
import threading

import numpy as np
import pytest
import torch
from torch import nn

from glomseg.errors import InvalidInputError, OutputError
from glomseg.inference.slide import predict_slide
from glomseg.inference.slide_grid import blend_weights, slide_grid
from glomseg.inference.slide_store import open_store
from glomseg.inference.stage_times import StageTimes
from glomseg.models.segmentor import Logits
from glomseg.stain import ReinhardLook, normalise
from glomseg.types import Region

from .array_slide import ArraySlide, blobs, blur_predictor


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def run(folder, predictor, slide, *, downsample=1.0, tissue=None, made_of=None, **options):
    grid = slide_grid(
        slide.size_px,
        downsample=downsample,
        inference=predictor.card.inference,
        tissue=tissue,
        tissue_downsample=1.0 if tissue is None else slide.size_px[1] / len(tissue),
    )
    with open_store(folder, height=grid.height, width=grid.width, made_of=made_of or {}) as store:
        predict_slide(predictor, slide, grid=grid, store=store, **{"batch_size": 4, **options})
        return np.array(store.mask), np.array(store.foreground)


def blended(predictor, slide, *, downsample=1.0, tissue=None):
    """The same by the plainest of means: all windows of the whole slide, in float64."""
    grid = slide_grid(
        slide.size_px,
        downsample=downsample,
        inference=predictor.card.inference,
        tissue=tissue,
        tissue_downsample=1.0 if tissue is None else slide.size_px[1] / len(tissue),
    )
    seen = Region(x=0, y=0, width=grid.width * downsample, height=grid.height * downsample)
    pixels = slide.read(seen, downsample=downsample)
    n_classes = len(predictor.card.classes)
    total, weight = np.zeros((n_classes, grid.height, grid.width)), np.zeros((grid.height, grid.width))
    weights = np.outer(*(blend_weights(side) for side in grid.window_px)).astype(float)
    for row, column in zip(*np.nonzero(grid.chosen), strict=True):
        place = (slice(*grid.rows[row]), slice(*grid.columns[column]))
        found = predictor.predict(pixels[place], keep_probabilities=True).probabilities
        total[(slice(None), *place)] += found * weights
        weight[place] += weights
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)


@pytest.mark.parametrize(
    ("size", "window", "stride", "downsample"),
    [
        ((90, 70), 32, 24, 1.0),
        ((90, 70), 32, 10, 1.0),  # a pixel is in up to four bands
        ((90, 70), 32, 32, 1.0),  # windows side by side
        ((150, 130), 32, 24, 2.0),
        ((150, 131), 32, 24, 2.3),
        ((20, 90), 32, 24, 1.0),  # lower than a window
        ((9, 11), 32, 24, 1.0),
        ((1, 1), 32, 24, 4.0),
    ],
)
def test_the_probabilities_of_overlapping_windows_are_blended(tmp_path, size, window, stride, downsample):
    slide = ArraySlide(blobs(*size))
    predictor = blur_predictor(window_px=(window, window), stride_px=(stride, stride))
    mask, foreground = run(tmp_path, predictor, slide, downsample=downsample)
    expected = blended(predictor, slide, downsample=downsample)
    assert np.abs(foreground - 255 * expected[1]).max() <= 0.51
    sure = np.abs(expected[1] - 0.5) > 1e-5
    assert np.array_equal(mask[sure], expected.argmax(axis=0)[sure])
    if min(size) > 20:
        assert 0.2 < mask.mean() < 0.8


def test_a_slide_within_one_window_is_what_the_tile_is(tmp_path):
    slide = ArraySlide(blobs(30, 25))
    predictor = blur_predictor()
    mask, foreground = run(tmp_path, predictor, slide)
    found = predictor.predict(slide.pixels, keep_probabilities=True)
    assert np.array_equal(mask, found.mask)
    assert np.abs(foreground - 255 * found.probabilities[1]).max() <= 0.51


def test_it_does_not_depend_on_how_much_is_read_or_predicted_at_once(tmp_path):
    slide = ArraySlide(blobs(130, 170))
    tissue = np.random.default_rng(1).random((13, 17)) < 0.1
    results = [
        run(tmp_path / str(number), blur_predictor(), slide, tissue=tissue, batch_size=b, tile_px=t, n_threads=n)
        for number, (b, t, n) in enumerate([(1, 512, 1), (4, 13, 1), (3, 512, 4), (64, 24, 3)])
    ]
    for (mask, foreground), (other_mask, other_foreground) in itertools.pairwise(results):
        assert np.abs(foreground.astype(int) - other_foreground).max() <= 1
        assert (mask != other_mask).mean() < 1e-3


def test_only_windows_on_tissue_are_read_and_predicted(tmp_path):
    slide = ArraySlide(blobs(128, 160))
    tissue = np.zeros((16, 20), np.bool_)
    tissue[14, 2] = True
    mask, foreground = run(tmp_path, blur_predictor(), slide, tissue=tissue)
    assert sum(region.width * region.height for region in slide.regions) == 32 * 32
    expected = blended(blur_predictor(), slide, tissue=tissue)
    assert np.abs(foreground - 255 * expected[1]).max() <= 0.51
    assert not foreground[:90].any()
    assert mask.any()

    slide.regions.clear()
    mask, foreground = run(tmp_path / "none", blur_predictor(), slide, tissue=np.zeros((4, 4), np.bool_))
    assert not mask.any() and not foreground.any() and not slide.regions


class ThreeClasses(nn.Module):
    def forward(self, images):
        return Logits(main=images.clone())


class OneLogit(nn.Module):
    def forward(self, images):
        return Logits(main=images[:, :1] * 2)


def test_the_background_is_what_the_classes_leave(tmp_path):
    slide = ArraySlide(blobs(60, 50))
    predictor = blur_predictor(model=ThreeClasses(), n_classes=3)
    mask, foreground = run(tmp_path, predictor, slide)
    expected = blended(predictor, slide)
    assert set(np.unique(mask)) == {0, 1, 2}
    assert (mask == expected.argmax(axis=0)).mean() > 0.999
    assert np.abs(foreground - 255 * expected[1:].sum(axis=0)).max() <= 0.51


def test_a_single_logit_is_held_against_its_threshold(tmp_path):
    slide = ArraySlide(blobs(60, 50))
    for threshold in (0.3, 0.8):
        predictor = blur_predictor(model=OneLogit(), threshold=threshold)
        mask, _ = run(tmp_path / str(threshold), predictor, slide)
        assert (mask == (blended(predictor, slide)[1] > threshold)).mean() > 0.999


class Overflowing(nn.Module):
    def forward(self, images):
        return Logits(main=images[:, :2] * float("inf"))


def test_overflow_is_an_error_not_background(tmp_path):
    with pytest.raises(InvalidInputError, match="NaN or infinite numbers in 32-true; the model is damaged"):
        run(tmp_path, blur_predictor(model=Overflowing()), ArraySlide(blobs(40, 40)))


class Hungry(nn.Module):
    def forward(self, images):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_too_large_a_batch_says_so(tmp_path):
    with pytest.raises(InvalidInputError, match=r"4 windows of 32x32 pixels at once .* --batch-size"):
        run(tmp_path, blur_predictor(model=Hungry()), ArraySlide(blobs(40, 40)))


class Failing(ArraySlide):
    """Cannot be read from some row on."""

    row = 60

    def read(self, region, **options):
        if region.y + region.height > self.row:
            raise InvalidInputError("slide 'array' is damaged")
        return super().read(region, **options)


def test_a_damaged_slide_ends_it_and_no_thread_is_left(tmp_path):
    before = threading.active_count()
    with pytest.raises(InvalidInputError, match="damaged"):
        run(tmp_path, blur_predictor(), Failing(blobs(90, 90)), n_threads=3)
    assert threading.active_count() == before


@pytest.mark.parametrize("stop_after", range(1, 12, 2))
@pytest.mark.parametrize(("stride", "downsample", "share"), [(10, 1.0, 0.06), (24, 2.3, 1.0), (32, 1.0, 1.0)])
def test_it_goes_on_where_it_was_stopped_with_the_same_bytes(tmp_path, stop_after, stride, downsample, share):
    slide = ArraySlide(blobs(int(110 * downsample), int(75 * downsample)))
    predictor = blur_predictor(stride_px=(stride, 32))
    tissue = np.random.default_rng(3).random((11, 8)) < share
    options = {"downsample": downsample, "batch_size": 2, "tile_px": 17, "tissue": tissue}
    straight = run(tmp_path / "straight", predictor, slide, **options)

    def stopping(done, total, note=""):
        if done >= stop_after:
            raise StoppedError

    with pytest.raises(StoppedError):
        run(tmp_path / "stopped", predictor, slide, **options, progress=stopping)
    reports = []
    resumed = run(
        tmp_path / "stopped",
        predictor,
        slide,
        **options,
        progress=lambda done, total, note="": reports.append((done, total)),
    )
    assert all(np.array_equal(one, other) for one, other in zip(straight, resumed, strict=True))
    assert reports[-1][0] == reports[-1][1]
    if stop_after > 7:
        assert reports[0][0] > 3  # finished bands are not predicted again


def test_a_finished_store_is_not_predicted_again(tmp_path):
    slide = ArraySlide(blobs(60, 60))
    first = run(tmp_path, blur_predictor(), slide)
    slide.regions.clear()
    again = run(tmp_path, blur_predictor(model=Hungry()), slide)
    assert np.array_equal(first[0], again[0])
    assert not slide.regions


def test_what_was_made_of_something_else_is_not_used(tmp_path):
    slide = ArraySlide(blobs(60, 60))
    run(tmp_path, blur_predictor(), slide, made_of={"model": "a"})
    with open_store(tmp_path, height=60, width=60, made_of={"model": "b"}) as store:
        assert "another model, slide or setting" in store.fresh_reason
        assert store.n_bands_done == 0
        assert not store.mask.any()


@pytest.mark.parametrize("name", ["state.json", "mask.u8", "carry-0.npy"])
def test_a_damaged_store_is_begun_anew(tmp_path, name):
    slide = ArraySlide(blobs(60, 60))
    straight = run(tmp_path / "straight", blur_predictor(), slide)

    def stopping(done, total, note=""):
        if done > 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        run(tmp_path / "cut", blur_predictor(), slide, progress=stopping)
    (tmp_path / "cut" / name).write_bytes((tmp_path / "cut" / name).read_bytes()[:7])
    assert np.array_equal(run(tmp_path / "cut", blur_predictor(), slide)[0], straight[0])


def test_two_processes_do_not_write_into_one_store(tmp_path):
    with (
        open_store(tmp_path, height=4, width=4, made_of={}),
        pytest.raises(OutputError, match="another process"),
        open_store(tmp_path, height=4, width=4, made_of={}),
    ):
        pass


def test_every_stage_is_timed(tmp_path):
    times = StageTimes()
    run(tmp_path, blur_predictor(), ArraySlide(blobs(60, 60)), times=times)
    assert set(times.seconds) == {"read", "wait", "prepare", "model", "blend", "save"}
    assert all(seconds > 0 for seconds in times.seconds.values())


def test_all_windows_are_brought_to_the_reference_by_the_look_of_the_slide(tmp_path):
    slide = ArraySlide(blobs(80, 60))
    look, reference = (ReinhardLook(mean=(m, 0.0, 0.0), std=(20.0, 10.0, 10.0)) for m in (50.0, 70.0))
    plain, other = blur_predictor(), blur_predictor()
    other.card = dataclasses.replace(other.card, stain=reference)
    changed = ArraySlide(normalise(slide.pixels, look=look, reference=reference))
    expected = run(tmp_path / "changed", plain, changed)
    assert all(
        np.array_equal(*pair) for pair in zip(run(tmp_path / "by look", other, slide, look=look), expected, strict=True)
    )
    as_reference = run(tmp_path / "unknown", other, slide)  # a slide whose stains cannot be told keeps its colours
    untouched = run(tmp_path / "untouched", plain, slide)
    assert np.abs(as_reference[1].astype(int) - untouched[1]).max() <= 2
