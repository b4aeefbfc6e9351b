import numpy as np
import pytest

from glomseg.slides.resampling import area_weights, line_weights, resample

NO_FILL = np.zeros(3)


def shrink(source, *, start=(0.0, 0.0), step, n, weigh=area_weights, fill=NO_FILL, extent=None):
    """The first `n` (rows, columns) of a source, `step` source pixels each."""
    height, width = extent or source.shape[:2]
    rows = weigh(start[0], step, n=n[0], n_source=source.shape[0], extent=height)
    columns = weigh(start[1], step, n=n[1], n_source=source.shape[1], extent=width)
    (top, bottom), (left, right) = rows.span, columns.span
    return resample(source[top:bottom, left:right], rows, columns, origin=(top, left), fill=np.asarray(fill, float))


def grey(values):
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, axis=2)


def integrated(source, *, start, step, n):
    """An independent mean over areas: differences of the interpolated integral, in float64."""
    sums = np.zeros((source.shape[0] + 1, source.shape[1] + 1, 3))
    sums[1:, 1:] = source.astype(np.float64).cumsum(axis=0).cumsum(axis=1)

    def at(axis_sums, position):
        low = np.minimum(np.floor(position).astype(int), len(axis_sums) - 2)
        share = (position - low)[:, None, None]
        return axis_sums[low] * (1 - share) + axis_sums[low + 1] * share

    rows, columns = (start[axis] + step * np.arange(n[axis] + 1) for axis in (0, 1))
    corner = at(at(sums, rows).transpose(1, 0, 2), columns).transpose(1, 0, 2)
    return np.diff(np.diff(corner, axis=0), axis=1) / step**2


def test_a_pixel_is_the_mean_of_four_by_hand():
    assert shrink(grey([[0, 10], [20, 30]]), step=2, n=(1, 1))[0, 0].tolist() == [15, 15, 15]


def test_halves_are_rounded_up():
    assert shrink(grey([[0, 1], [0, 1]]), step=2, n=(1, 1))[0, 0, 0] == 1


def test_a_fractional_area_counts_by_its_share_by_hand():
    # From 0.5 to 2.0: half of the first pixel and all of the second, (0.5 * 30 + 1 * 90) / 1.5.
    row = grey([[30, 90, 200]])
    rows = area_weights(0, 1, n=1, n_source=1, extent=1)
    columns = area_weights(0.5, 1.5, n=1, n_source=3, extent=3)
    assert resample(row, rows, columns, origin=(0, 0), fill=NO_FILL)[0, 0, 0] == 70


@pytest.mark.parametrize("step", [1.0, 1.3, 1.98, 2.0, 3.7, 17.25])
def test_it_agrees_with_an_integral_image(step):
    source = np.random.default_rng(1).integers(0, 256, (200, 240, 3), dtype=np.uint8)
    n = (int(190 / step), int(220 / step))
    expected = integrated(source, start=(3.4, 5.1), step=step, n=n)
    result = shrink(source, start=(3.4, 5.1), step=step, n=n)
    assert np.abs(result - expected).max() < 0.5 + 255 * 2 / 1024


def test_what_lies_beyond_the_source_is_the_fill():
    result = shrink(grey([[100, 100], [100, 100]]), start=(-2, -1), step=2, n=(3, 2), fill=(200, 0, 40))
    assert result[0].tolist() == [[200, 0, 40], [200, 0, 40]]
    assert result[1].tolist() == [[150, 50, 70], [150, 50, 70]]  # half source, half fill
    assert result[2].tolist() == [[200, 0, 40], [200, 0, 40]]


def test_the_last_pixel_reaches_to_the_end_of_a_slide_that_its_level_does_not_quite_cover():
    result = shrink(grey([[10, 50]]), step=1.25, n=(1, 2), extent=(1.25, 2.5), fill=(255, 255, 255))
    assert result[0, :, 0].tolist() == [18, 50]  # (10 + 0.25 * 50) / 1.25, and 50 alone


def test_enlarging_is_bilinear_by_hand():
    result = shrink(grey([[0, 100]]), step=0.5, n=(2, 4), weigh=line_weights)
    assert result[0, :, 0].tolist() == [0, 25, 75, 100]


def test_whole_pixels_are_copied():
    source = np.random.default_rng(2).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert np.array_equal(shrink(source, start=(5, 7), step=1, n=(20, 30)), source[5:25, 7:37])


@pytest.mark.parametrize("step", [0.3, 1.0, 1.0006, 2.0, 3.0, 6.0, 7.31, 90.7])
def test_a_pixel_does_not_depend_on_the_cut(step):
    weigh = area_weights if step >= 1 else line_weights
    source = np.random.default_rng(3).integers(0, 256, (180, 180, 3), dtype=np.uint8)
    n = 70
    start = 90 - step * n / 2
    whole = shrink(source, start=(start, start), step=step, n=(n, n), weigh=weigh, fill=(9, 99, 200))
    for top, bottom, left, right in ((0, 35, 0, 70), (35, 70, 0, 70), (11, 58, 3, 44), (69, 70, 0, 1)):
        part = shrink(
            source,
            start=(start + top * step, start + left * step),
            step=step,
            n=(bottom - top, right - left),
            weigh=weigh,
            fill=(9, 99, 200),
        )
        assert np.array_equal(part, whole[top:bottom, left:right])
