import json

import pytest

from glomseg.errors import InvalidInputError, MissingInputError, OutputError
from glomseg.recipes import load_recipe
from glomseg.runs import (
    append_metrics,
    create_run,
    open_run,
    read_metrics,
    read_settings,
    rewind_metrics,
    write_settings,
)


def test_a_run_folder_is_made_once(tmp_path):
    run = create_run(tmp_path / "run")
    run.manifest.write_text("{}")
    assert open_run(tmp_path / "run") == run
    with pytest.raises(OutputError, match="already holds a run"):
        create_run(tmp_path / "run")
    with pytest.raises(MissingInputError, match="is not a run folder"):
        open_run(tmp_path)


def test_checkpoints_are_listed_in_order_and_others_ignored(tmp_path):
    run = create_run(tmp_path / "run")
    for name in ("step_00000010.ckpt", "step_00000002.ckpt", "step_x.ckpt", ".glomseg-1.ckpt", "other.txt"):
        (run.checkpoints / name).write_text("")
    assert run.checkpoint_steps() == [2, 10]


def test_settings_come_back(tmp_path):
    run = create_run(tmp_path / "run")
    write_settings(run, load_recipe("homework"))
    assert read_settings(run) == load_recipe("homework")
    run.settings.write_text(json.dumps({"run": {"stepz": 1}}))
    with pytest.raises(InvalidInputError, match=r"settings\.json.*did you mean 'run.steps'"):
        read_settings(run)
    run.settings.write_text("[]")
    with pytest.raises(InvalidInputError, match="holds no settings"):
        read_settings(run)


def test_metrics_survive_a_kill_in_the_middle_of_a_line(tmp_path):
    run = create_run(tmp_path / "run")
    assert read_metrics(run) == []
    for step in (1, 2, 3):
        append_metrics(run, {"event": "train", "step": step, "loss": float("nan")})
    with open(run.metrics, "a") as file:
        file.write('{"event": "tra')
    assert [row["step"] for row in read_metrics(run)] == [1, 2, 3]
    assert read_metrics(run)[0]["loss"] is None
    rewind_metrics(run, 2)
    assert [row["step"] for row in read_metrics(run)] == [1, 2]
    append_metrics(run, {"event": "train", "step": 3})
    assert [row["step"] for row in read_metrics(run)] == [1, 2, 3]
