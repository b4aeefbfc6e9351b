"""Optimizers, schedules and losses of configs as settings."""

import pytest

from glomseg.config import LossSettings
from glomseg.errors import InvalidInputError
from glomseg.models.openmmlab.network import NetworkDescription
from glomseg.optimization import OptimizerSettings, ScheduleSettings
from glomseg.steps.openmmlab.account import Account
from glomseg.steps.openmmlab.losses import describe_losses
from glomseg.steps.openmmlab.optimizer import describe_optimizer
from glomseg.steps.openmmlab.schedule import Length, describe_schedule
from glomseg.training.schedule import learning_rate

ADAMW = {"type": "AdamW", "lr": 6e-5, "betas": (0.9, 0.99), "weight_decay": 0.01}
CE = {"type": "CrossEntropyLoss"}


def optimizer_of(backbone="ResNet", optimizer=ADAMW, **wrapper):
    account = Account()
    section = describe_optimizer({"optimizer": optimizer, **wrapper}, backbone=backbone, account=account)
    return OptimizerSettings(**section), account


def test_adamw_with_rules_and_clipping():
    keys = {"norm": {"decay_mult": 0.0}, "head": {"lr_mult": 10.0}}
    config = {"custom_keys": keys, "norm_decay_mult": 0.5, "bias_lr_mult": 2.0, "bypass_duplicate": True}
    settings, account = optimizer_of(paramwise_cfg=config, clip_grad={"max_norm": 0.01, "norm_type": 2})
    assert (settings.name, settings.lr, settings.weight_decay, settings.betas) == ("adamw", 6e-5, 0.01, (0.9, 0.99))
    assert settings.clip_grad_norm == 0.01
    assert settings.by_name["head"].lr_mult == 10
    assert settings.by_name["norm"].decay_mult == 0
    assert (settings.norm_decay_mult, settings.bias_lr_mult, settings.bias_decay_mult) == (0.5, 2, None)
    assert account.notes == []


def test_layer_decay():
    config = {"num_layers": 6, "decay_rate": 0.9, "decay_type": "stage_wise"}
    wrapper = {"constructor": "LearningRateDecayOptimizerConstructor", "paramwise_cfg": config}
    decay = optimizer_of("mmpretrain.ConvNeXt", **wrapper)[0].layer_decay
    assert (decay.rate, decay.n_layers, decay.by) == (0.9, 6, "stage")
    with pytest.raises(InvalidInputError, match="for ConvNeXt only"):
        optimizer_of("SwinTransformer", **wrapper)


def test_adam_without_decay_is_adamw():
    settings, _ = optimizer_of(optimizer={"type": "Adam", "lr": 1e-3})
    assert (settings.name, settings.weight_decay) == ("adamw", 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": {"type": "Adam", "lr": 1e-3, "weight_decay": 0.1}}, "take AdamW"),
        ({"optimizer": {"type": "SGD"}}, "lr is None"),
        ({"clip_grad": {"type": "value", "clip_value": 1}}, "Euclidean norm only"),
        ({"clip_grad": {"max_norm": 1, "norm_type": 1}}, "Euclidean norm only"),
        ({"constructor": "LayerDecayOptimizerConstructor"}, "BEiT and MAE"),
        ({"constructor": "Mine"}, "constructor Mine is not known"),
    ],
)
def test_optimizers_that_are_refused(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        optimizer_of(**changes)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"optimizer": {"type": "SGD", "lr": 1, "nesterov": True}}, "optimizer.nesterov=True is not carried over"),
        ({"optimizer": {**ADAMW, "eps": 1e-6}}, "it is 1e-8"),
        ({"paramwise_cfg": {"norm_decay_mul": 0}}, "norm_decay_mul is not known"),
        ({"paramwise_cfg": {"custom_keys": {"head": {"lr": 1}}}}, "lr is not carried over"),
    ],
)
def test_optimizers_that_are_otherwise(changes, note):
    assert any(note in item for item in optimizer_of(**changes)[1].notes)


def rates(schedulers, *, n_steps=100, epoch_steps=None, **values):
    account = Account()
    values = {"param_scheduler": schedulers, **values}
    section = describe_schedule(values, Length(steps=n_steps, epoch_steps=epoch_steps), lr=1.0, account=account)
    schedule = ScheduleSettings(**section)
    return [learning_rate(step, lr=1.0, schedule=schedule, n_steps=n_steps) for step in range(n_steps)], account


def mmengines(n_steps, *schedulers):
    """The rates by the recursions of MMEngine, written down anew."""
    rate, series = 1.0, []
    for step in range(n_steps):
        for item in schedulers:
            passed = step - item["begin"]
            if not 0 <= passed < item["end"] - item["begin"]:
                continue
            total = item["end"] - item["begin"] - 1
            if item["type"] == "LinearLR":
                start = item["start_factor"]
                rate *= start if passed == 0 else 1 + (1 - start) / (total * start + (passed - 1) * (1 - start))
            elif passed > 0:
                share = (1 - 1 / (total - passed + 1)) ** item["power"]
                rate = (rate - item["eta_min"]) * share + item["eta_min"]
        series.append(rate)
    return series


def test_a_chain_is_mmengines_number_for_number():
    warm_up = {"type": "LinearLR", "start_factor": 1e-3, "begin": 0, "end": 20, "by_epoch": False}
    poly = {"type": "PolyLR", "eta_min": 0.01, "power": 0.9, "begin": 20, "end": 100, "by_epoch": False}
    series, account = rates([warm_up, poly])
    assert series == pytest.approx(mmengines(100, warm_up, poly), rel=1e-9)
    assert rates([poly, warm_up])[0] == series
    assert account.notes == []
    free = {**poly, "eta_min": 0.0, "begin": 0}
    assert rates([warm_up, free])[0] == pytest.approx(mmengines(100, warm_up, free), rel=1e-9)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"policy": "poly", "power": 0.9, "min_lr": 0.1}, lambda t: 0.9 * (1 - t / 100) ** 0.9 + 0.1),
        (
            {"policy": "poly", "power": 1.0, "min_lr": 0.1, "warmup": "linear", "warmup_iters": 9, "warmup_ratio": 0.2},
            lambda t: (0.9 * (1 - t / 100) + 0.1) * (1 if t >= 9 else 1 - (1 - t / 9) * 0.8),
        ),
        ({"policy": "fixed", "warmup": "constant", "warmup_iters": 5}, lambda t: 0.1 if t < 5 else 1.0),
        ({"policy": "step", "step": [30, 60]}, lambda t: 0.1 ** ((t >= 30) + (t >= 60))),
        ({"policy": "step", "step": 40, "gamma": 0.5}, lambda t: 0.5 ** (t // 40)),
    ],
)
def test_schedules_of_0x_by_their_own_formulas(config, expected):
    series, _ = rates([], lr_config={"by_epoch": False, **config})
    assert series == pytest.approx([expected(step) for step in range(100)], rel=1e-9)


def test_schedulers_that_count_epochs():
    steps = {"type": "MultiStepLR", "milestones": [1], "gamma": 0.5}
    assert rates([steps], n_steps=8, epoch_steps=4)[0] == [1] * 4 + [0.5] * 4
    poly = {"type": "PolyLR", "begin": 0, "end": 2, "convert_to_iter_based": True}
    assert rates([poly], n_steps=8, epoch_steps=4)[0] == pytest.approx([1 - step / 7 for step in range(8)])
    # In a loop over iterations such a scheduler stands still: MMEngine steps it after the only epoch.
    series, account = rates([{"type": "LinearLR", "start_factor": 0.5, "end": 20}, {"type": "PolyLR", "begin": 20}])
    assert series == [0.5] * 100
    assert any("LinearLR has no by_epoch=False" in note for note in account.notes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedulers": [{"type": "CosineAnnealingLR", "by_epoch": False, "T_max": 30}]}, "T_max=30"),
        ({"schedulers": [{"type": "PolyLR", "begin": 5, "end": 5, "by_epoch": False}]}, "has to end after it begins"),
        (
            {
                "schedulers": [
                    {"type": "LinearLR", "end": 9, "by_epoch": False},
                    {"type": "PolyLR", "eta_min": 0.1, "by_epoch": False},
                ]
            },
            "let the second begin where the first ends",
        ),
        ({"schedulers": [], "lr_config": {"policy": "cyclic", "by_epoch": False}}, "policy 'cyclic'"),
        ({"schedulers": [], "lr_config": {"policy": "poly"}}, "write by_epoch=False"),
        ({"schedulers": [], "lr_config": {"policy": "fixed", "by_epoch": False, "warmup": "exp"}}, "warms up by 'exp'"),
    ],
)
def test_schedules_that_are_refused(values, message):
    with pytest.raises(InvalidInputError, match=message):
        rates(**values)


def losses(*parts, auxiliary=(), threshold=None, **head):
    account = Account()
    network = NetworkDescription(n_classes=2, options={}, align_corners=False, threshold=threshold)
    model = {"decode_head": {"type": "FCNHead", "loss_decode": list(parts) or CE, **head}}
    model["auxiliary_head"] = [{"loss_decode": part} for part in auxiliary]
    return LossSettings(**describe_losses(model, network, account)), account


def test_losses_and_their_weights():
    loss, account = losses({**CE, "loss_weight": 2.0}, {"type": "DiceLoss", "loss_weight": 3.0})
    assert (loss.cross_entropy, loss.dice, loss.divide_by, loss.auxiliary) == (2, 3, "pixels", 0)
    assert any("DiceLoss is glomseg's own" in note for note in account.notes)
    assert losses({**CE, "avg_non_ignore": True})[0].divide_by == "labelled"
    weighed = losses({**CE, "class_weight": [1, 4]})[0]
    assert (weighed.class_weights, weighed.divide_by) == ((1, 4), "weights")
    assert losses({**CE, "use_sigmoid": True})[0].sigmoid


def test_auxiliary_heads_weigh_relative_to_the_main_one():
    one = {**CE, "loss_weight": 2.0}
    assert losses(one, auxiliary=[{**CE, "loss_weight": 0.4}])[0].auxiliary == 0.2
    assert losses(one, auxiliary=[{**CE, "loss_weight": 0.4}, {**CE, "loss_weight": 0.8}])[0].auxiliary == (0.2, 0.4)
    notes = losses(CE, auxiliary=[{**CE, "class_weight": [1, 2]}])[1].notes
    assert any("of the decode head's kind" in note for note in notes)
    notes = losses({"type": "DiceLoss"}, auxiliary=[CE])[1].notes
    assert any("auxiliary heads have none here" in note for note in notes)


def test_masks_have_a_loss_of_their_own():
    loss, account = losses(type="Mask2FormerHead", loss_cls={"loss_weight": 1.0, "class_weight": [1, 2, 0.1]})
    assert (loss.cross_entropy, loss.auxiliary) == (1, 0)
    assert any("loss_cls weighs 2 here" in note for note in account.notes)
    assert any("class_weight is not carried over" in note for note in account.notes)


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        ({"type": "LovaszLoss"}, {}, "'LovaszLoss' is not known"),
        ({**CE, "reduction": "sum"}, {}, "reduction other than mean"),
        ({**CE, "class_weight": "weights.npy"}, {}, "write its numbers"),
        (CE, {"threshold": 0.3}, "no use_sigmoid=True"),
        ({**CE, "use_sigmoid": True, "class_weight": [1, 2]}, {"threshold": 0.3}, "write one number"),
        (CE, {"ignore_index": 0}, "ignores the label 0"),
        (CE, {"auxiliary": [{"type": "DiceLoss"}]}, "auxiliary_head has the loss 'DiceLoss'"),
    ],
)
def test_losses_that_are_refused(part, settings, message):
    with pytest.raises(InvalidInputError, match=message):
        losses(part, **settings)


def test_two_kinds_of_cross_entropy_are_refused():
    with pytest.raises(InvalidInputError, match="differ in their options"):
        losses(CE, {**CE, "avg_non_ignore": True})


def test_hard_example_mining():
    loss, account = losses(CE, sampler={"type": "OHEMPixelSampler", "thresh": 0.7, "min_kept": 5000})
    assert (loss.ohem_threshold, loss.ohem_min_kept, account.notes) == (0.7, 5000, [])
    by_number = losses(CE, sampler={"type": "mmseg.OHEMPixelSampler"})[0]
    assert (by_number.ohem_threshold, by_number.ohem_min_kept) == (0, 100_000)  # its defaults
    assert losses(CE)[0].ohem_threshold is None
    for wrong in ({"thresh": "0.7"}, {"min_kept": [1]}):
        with pytest.raises(InvalidInputError, match="numbers are needed"):
            losses(CE, sampler={"type": "OHEMPixelSampler", **wrong})


def test_other_samplers_and_those_of_auxiliary_heads_are_told():
    loss, account = losses(CE, sampler={"type": "RandomSampler"})
    assert loss.ohem_threshold is None
    assert any("RandomSampler is not carried over" in note for note in account.notes)
    auxiliary = {"loss_decode": CE, "sampler": {"type": "OHEMPixelSampler"}}
    model = {"decode_head": {"type": "FCNHead", "loss_decode": CE}, "auxiliary_head": auxiliary}
    account = Account()
    describe_losses(model, NetworkDescription(n_classes=2, options={}, align_corners=False, threshold=None), account)
    assert any("sampler of an auxiliary head" in note for note in account.notes)
