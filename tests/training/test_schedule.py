import json

import pytest

from glomseg.config import OptimizerSettings, ScheduleSettings
from glomseg.training.schedule import learning_rate, poly_lr

OPTIMIZER = OptimizerSettings(name="sgd", lr=0.01)


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
    last = learning_rate(799, optimizer=OPTIMIZER, schedule=schedule, n_steps=800)
    assert last > 0.0099


def test_warm_up_rises_linearly_then_decays_to_the_end():
    schedule = ScheduleSettings(power=1.0, warmup_steps=4)
    rates = [learning_rate(step, optimizer=OPTIMIZER, schedule=schedule, n_steps=10) for step in range(10)]
    assert rates[:5] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0)


@pytest.mark.parametrize("n_steps", [1, 2, 3])
def test_the_shortest_runs_have_a_learning_rate(n_steps):
    schedule = ScheduleSettings(warmup_steps=50)
    for step in range(n_steps):
        assert 0 <= learning_rate(step, optimizer=OPTIMIZER, schedule=schedule, n_steps=n_steps) <= OPTIMIZER.lr
    assert learning_rate(0, optimizer=OPTIMIZER, schedule=schedule, n_steps=n_steps) > 0
