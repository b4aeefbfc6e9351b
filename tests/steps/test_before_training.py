"""What a training settles and says from its tiles."""

import pytest

from glomseg.data.dataset import open_dataset
from glomseg.data.statistics import scan_masks
from glomseg.models.build import build_model
from glomseg.models.profile import training_bytes
from glomseg.progress import no_progress
from glomseg.recipes import load_recipe
from glomseg.stain import ReinhardLook
from glomseg.steps.before_training import choose_weights, say_advice, settle_reference
from glomseg.types import Split


@pytest.fixture
def dataset(tiny_dataset):
    return open_dataset(tiny_dataset)


def settings_of(*overrides):
    numbers = ["scaling.factor=1.0", "scaling.mpp=2", "crop.size_px=32", "run.batch_size=4", "run.val_every=2"]
    return load_recipe("default", [*numbers, *overrides])


def test_facts_come_first_and_warnings_last(dataset):
    said = []
    network = build_model("fpn_resnet_small", n_classes=2)
    settings = settings_of("run.steps=5")
    say_advice(settings, dataset, scan_masks(dataset), network=network, n_processes=2, message=said.append)
    assert said[0].startswith("at the working size an object is 26 px wide")
    assert said[1] == "6 of 12 training tiles (50%) show no foreground"
    n_bytes = training_bytes(network, height=32, width=32, batch_size=2)  # of one process
    assert said[3] == (
        f"a step holds about {n_bytes / 2**30:.2g} GB for the network, in fp32; the decoded tiles come on top"
    )
    assert said[4].startswith("warning: there are more training tiles (12) than steps (5)")
    assert len(said) == 5


def test_a_reference_is_settled_only_where_one_is_wanted_and_none_is_named(dataset):
    split = Split(train=tuple(sample.name for sample in dataset.samples[:6]), val=())
    plain = settings_of()
    assert settle_reference(plain, dataset, split, progress=no_progress) is plain
    named = settings_of("colors.normalise=reinhard", "colors.reference={mean=[50, 0, 0], std=[1, 1, 1]}")
    assert settle_reference(named, dataset, split, progress=no_progress) is named
    settled = settle_reference(settings_of("colors.normalise=reinhard"), dataset, split, progress=no_progress)
    assert isinstance(settled.colors.reference, ReinhardLook)


def test_the_model_in_the_box_is_the_start_of_its_own_network_only():
    weights, reason = choose_weights(load_recipe("default").model, n_classes=2)
    assert weights == "box"
    assert "none would start from random numbers" in reason
    for other in ("model.architecture=pspnet_r18", "model.options={head_channels=32}"):
        weights, reason = choose_weights(load_recipe("default", [other]).model, n_classes=2)
        assert weights is None
        assert "this network is another" in reason
