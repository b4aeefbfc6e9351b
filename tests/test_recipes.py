import pytest

from glomseg.config import Settings
from glomseg.errors import InvalidInputError, MissingInputError
from glomseg.recipes import load_recipe, parse_settings, recipe_names


def test_every_recipe_in_the_package_is_valid_and_carries_its_name():
    assert {"default", "homework"} <= set(recipe_names())
    for name in recipe_names():
        assert load_recipe(name).recipe == name


def test_homework_is_the_recipe_of_today():
    settings = load_recipe("homework")
    assert settings.model.architecture == "pspnet_r50"
    assert (settings.scaling.fit_px, settings.scaling.interpolation) == ((320, 240), "bilinear")
    crop = settings.crop
    assert (crop.method, crop.size_px, crop.scale_range) == ("resize_then_crop", 256, (0.5, 2.0))
    assert (crop.cat_max_ratio, crop.flip) == (0.75, "horizontal")
    optimizer = settings.optimizer
    assert (optimizer.name, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.01, 0.9, 5e-4)
    assert (settings.schedule.power, settings.schedule.min_lr, settings.schedule.end_step) == (0.9, 1e-4, 80000)
    assert (settings.loss.cross_entropy, settings.loss.dice, settings.loss.auxiliary) == (1, 0, 0.4)
    run = settings.run
    assert (run.steps, run.batch_size, run.val_every, run.save_every, run.log_every, run.seed) == (
        800, 8, 400, 400, 100, 0,
    )  # fmt: skip
    augment = settings.augment
    assert augment.stain == augment.gamma == augment.blur_px == augment.noise == augment.grey_share == 0


def test_overrides_are_read_as_toml_and_else_as_text():
    settings = load_recipe(
        "homework",
        ["run.steps=12", "crop.scale_range=[1, 1.5]", "model.weights=my file.pth", "schedule.end_step=none"],
    )
    assert settings.run.steps == 12
    assert settings.crop.scale_range == (1.0, 1.5)
    assert settings.model.weights == "my file.pth"
    assert settings.schedule.end_step is None


def test_none_empties_a_setting_or_is_its_value(tmp_path):
    settings = load_recipe(
        "default", ["crop.flip=none", "colors.normalise=none", "model.freeze=none", "run.average_decay=none"]
    )
    assert (settings.crop.flip, settings.colors.normalise, settings.model.freeze) == ("none", "none", "none")
    assert settings.run.average_decay is None
    path = tmp_path / "none.toml"
    path.write_text('[scaling]\nmpp = "none"\n[crop]\nflip = "none"\n')
    recipe = load_recipe(str(path))
    assert (recipe.recipe, recipe.scaling.mpp, recipe.crop.flip) == ("none", None, "none")
    with pytest.raises(InvalidInputError, match=r"run\.save_every = 'none'"):
        load_recipe("default", ["run.save_every=none"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.stepz=3", "did you mean 'run.steps'"),
        ("steps=3", "did you mean 'run.steps'"),
        ("qwerty.zxcv=3", "the sections are"),
        ("run.steps=-1", "greater than or equal to 1"),
        ("run.steps=many", "valid integer"),
        ("crop.scale_range=[2, 1]", "two positive numbers in order"),
        ("loss.cross_entropy=0", "nothing would be learnt"),
        ("no equals sign", "not of the form key=value"),
        ("recipe.name=3", "'recipe' is a value, not a section"),
    ],
)
def test_a_wrong_override_is_an_error_that_helps(override, message):
    with pytest.raises(InvalidInputError, match=message):
        load_recipe("homework", [override])


def test_recipes_from_files(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[run]\nsteps = 3\n")
    settings = load_recipe(str(path))
    assert (settings.recipe, settings.run.steps) == ("mine", 3)
    path.write_text("run = [")
    with pytest.raises(InvalidInputError, match="not valid TOML"):
        load_recipe(str(path))
    with pytest.raises(MissingInputError, match=r"none\.toml"):
        load_recipe(str(tmp_path / "none.toml"))
    with pytest.raises(MissingInputError, match="the package has default"):
        load_recipe("nonesuch")


def test_settings_survive_json():
    settings = load_recipe("default")
    assert parse_settings(settings.model_dump(mode="json"), origin="test") == settings
    assert isinstance(settings, Settings)
    values = {
        "crop": {"size_px": (64, 96), "flip": (0.1, 0.2, 0.3), "fit_choices_px": [(64, 32)], "padded_px": (64, 128)},
        "loss": {"auxiliary": (0.4, 0.2)},
        "optimizer": {"by_name": {"head": {"lr_mult": 2}}, "layer_decay": {"rate": 0.9, "n_layers": 6}},
        "schedule": {"phases": [{"kind": "poly", "end": 9}]},
        "inference": {"window_px": (32, 32), "stride_px": (16, 16)},
    }
    settings = parse_settings(values, origin="test")
    assert parse_settings(settings.model_dump(mode="json"), origin="test") == settings
    assert settings.crop.input_px == (64, 128)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("crop.flip=[0.5, 0.5, 0.5]", "add up to more than 1"),
        ("inference.window_px=[64, 64]", "belong together"),
        ("optimizer.by_name.head.lr_mul=2", "there is no setting 'optimizer.by_name.head.lr_mul'"),
        ('schedule.phases=[{kind="poly", begin=5, end=5}]', "has to end after it begins"),
        ("crop.size_px=[64, 8]", "greater than or equal to 32"),
    ],
)
def test_settings_of_several_values_are_checked(override, message):
    with pytest.raises(InvalidInputError, match=message):
        load_recipe("homework", [override])
