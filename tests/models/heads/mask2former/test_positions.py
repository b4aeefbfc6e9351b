import math

import pytest
import torch

from glomseg.models.heads.mask2former.positions import TEMPERATURE, cell_centers, sine_positions


def test_rows_come_before_columns_and_each_is_scaled_to_a_full_turn():
    positions = sine_positions(2, 3, channels=8, like=torch.zeros((), dtype=torch.float64))
    assert positions.shape == (6, 8)
    row, column = 2 * math.pi * 1 / (2 + 1e-6), 2 * math.pi * 3 / (3 + 1e-6)  # of the first row's last cell
    slow = TEMPERATURE**0.5
    expected = [f(angle / wave) for angle in (row, column) for wave in (1, slow) for f in (math.sin, math.cos)]
    assert positions[2].tolist() == pytest.approx(expected, abs=1e-12)


def test_centers_are_x_and_y_as_shares_in_row_major_order():
    centers = cell_centers(1, 2, like=torch.zeros(()))
    assert centers.tolist() == [[0.25, 0.5], [0.75, 0.5]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_positions_are_never_in_half_precision(dtype):
    like = torch.zeros((), dtype=dtype)
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    assert sine_positions(2, 2, channels=4, like=like).dtype == cell_centers(2, 2, like=like).dtype == wanted
