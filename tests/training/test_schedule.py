import json

import pytest

from glomseg.optimization import SchedulePhase, ScheduleSettings
from glomseg.training.schedule import learning_rate, poly_lr

LR = 0.01


def test_published_values_of_mmengines_poly():
    series = {0: 0.01, 1: 0.009988847862543171, 99: 0.008888835365180587, 399: 0.005411254174119374}
    series |= {798: 0.0001241736980564365, 799: 1e-4, 800: 1e-4, 5000: 1e-4}
    for step, expected in series.items():
        value = poly_lr(step, lr=0.01, min_lr=1e-4, power=0.9, end_step=800)
        assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.real
@pytest.mark.parametrize("end_step", [800, 80000])
def test_the_real_schedulers_series(shared_data, end_step):
    reference = json.loads((shared_data.parent / "openmmlab" / "ref_polylr.json").read_text())
    series = next(value["all"] for key, value in reference.items() if f"end{end_step}_eta1e-4" in key)
    assert len(series) > 800
    for step, expected in enumerate(series):
        assert poly_lr(step, lr=0.01, min_lr=1e-4, power=0.9, end_step=end_step) == pytest.approx(expected, rel=1e-12)


def test_the_schedule_of_today_hardly_decays():
    schedule = ScheduleSettings(power=0.9, min_lr=1e-4, end_step=80000)
    last = learning_rate(799, lr=LR, schedule=schedule, n_steps=800)
    assert last > 0.0099


def test_warm_up_rises_linearly_then_decays_to_the_end():
    schedule = ScheduleSettings(power=1.0, warmup_steps=4)
    rates = [learning_rate(step, lr=LR, schedule=schedule, n_steps=10) for step in range(10)]
    assert rates[:5] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0)


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_the_shortest_runs_have_a_learning_rate(n_steps):
    schedule = ScheduleSettings(warmup_steps=50)
    for step in range(n_steps):
        assert 0 <= learning_rate(step, lr=LR, schedule=schedule, n_steps=n_steps) <= LR
    assert learning_rate(0, lr=LR, schedule=schedule, n_steps=n_steps) > 0


def rates(*phases, lr=1.0, n=12):
    schedule = ScheduleSettings(phases=tuple(SchedulePhase(**phase) for phase in phases))
    return [learning_rate(step, lr=lr, schedule=schedule, n_steps=n) for step in range(n)]


@pytest.mark.real
def test_the_real_warm_up_and_poly(shared_data):
    reference = json.loads((shared_data.parent / "openmmlab" / "ref_polylr.json").read_text())
    series = reference["linear1500x1e-6_then_poly_begin1500_end160000_eta0_p1_lr6e-5"]["all"]
    warm_up = {"kind": "linear", "begin": 0, "end": 1500, "start_factor": 1e-6}
    poly = {"kind": "poly", "begin": 1500, "end": 160_000, "power": 1.0}
    assert len(series) > 1500
    assert rates(warm_up, poly, lr=6e-5, n=len(series)) == pytest.approx(series, rel=1e-9)


def test_no_phases_keep_the_rate():
    assert rates() == [1.0] * 12


def test_a_phase_starts_from_what_the_one_before_left_and_then_stays():
    linear = {"kind": "linear", "begin": 1, "end": 4, "start_factor": 0.5, "end_factor": 0.7}
    poly = {"kind": "poly", "begin": 6, "end": 9, "min_lr": 0.1}
    assert rates(linear, poly) == pytest.approx([1, 0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.4, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (
            {"kind": "steps", "begin": 2, "end": 12, "milestones": (1, 4), "gamma": 0.5},
            [1] * 3 + [0.5] * 3 + [0.25] * 6,
        ),
        ({"kind": "constant", "end": 3, "start_factor": 0.5}, [0.5, 0.5] + [1] * 10),
        ({"kind": "cosine", "end": 4}, [1, 0.853553, 0.5] + [0.146447] * 9),
        ({"kind": "poly", "end": 3, "every": 4, "min_share": 0.5}, [1] * 4 + [0.75] * 4 + [0.5] * 4),
    ],
)
def test_each_kind_of_phase(phase, expected):
    assert rates(phase) == pytest.approx(expected, abs=1e-6)


def test_a_minimum_holds_for_all_rates_alike_and_a_share_for_each():
    absolute, share = {"kind": "poly", "end": 2, "min_lr": 0.1}, {"kind": "poly", "end": 2, "min_share": 0.1}
    assert (rates(absolute, lr=5.0)[-1], rates(share, lr=5.0)[-1]) == pytest.approx((0.1, 0.5))


def test_a_phase_has_a_length():
    with pytest.raises(ValueError, match="has to end after it begins"):
        SchedulePhase(kind="linear", begin=4, end=4)
