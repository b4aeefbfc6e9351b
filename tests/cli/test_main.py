"""The command line as a whole: help, exit codes, how errors are told."""

import os
import subprocess
import sys

import pytest

from glomseg.cli import main as main_module
from glomseg.cli.main import COMMANDS, app


@pytest.fixture
def failing(monkeypatch):
    """Makes `glomseg doctor` end with an exception."""

    def fail_with(error):
        def check_machine():
            raise error

        monkeypatch.setattr("glomseg.steps.doctor.check_machine", check_machine)

    return fail_with


def test_help_lists_every_command_in_the_order_of_use(glomseg):
    code, said, _ = glomseg("--help")
    assert code == 0
    places = [said.index(f"│ {name} ") for name, _ in COMMANDS]
    assert places == sorted(places)
    assert "--debug" in said


def test_without_a_command_it_helps(glomseg):
    code, said, _ = glomseg()
    assert code == 0
    assert "evaluate" in said


@pytest.mark.parametrize("command", [name for name, _ in COMMANDS])
def test_every_command_explains_itself(glomseg, command):
    code, said, complained = glomseg(command, "--help")
    assert code == 0
    assert complained == ""
    assert said.startswith(f"Usage: glomseg {command}")
    for argument in app[command].assemble_argument_collection(parse_docstring=True):
        assert argument.name in said
        assert argument.parameter.help, f"{argument.name} has no help"
    assert "None" not in said


def test_help_needs_neither_torch_nor_numpy():
    program = (
        "import sys\n"
        "from glomseg.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'numpy', 'cv2', 'matplotlib', 'pydantic'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_mistyped_command_is_answered_with_the_right_one(glomseg):
    code, said, complained = glomseg("evalute", "model", "data")
    assert (code, said) == (2, "")
    assert 'Did you mean "evaluate"?' in complained
    assert "Traceback" not in complained


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["fly"], "fly"),
        (["predict", "model", "a.png", "--nope", "1"], "--nope"),
        (["evaluate", "model"], "data"),
        (["split", "data", "--val", "much"], "much"),
        (["split", "data", "--by", "patient"], "patient"),
    ],
)
def test_wrong_usage_is_2_and_on_stderr(glomseg, words, complaint):
    code, said, complained = glomseg(*words)
    assert code == 2
    assert said == ""
    assert complaint in complained


def test_version(glomseg):
    from glomseg import __version__

    assert glomseg("--version")[:2] == (0, f"{__version__}\n")


def test_an_error_is_one_paragraph_on_stderr(glomseg, tmp_path):
    code, said, complained = glomseg("predict", tmp_path / "none\nhere.safetensors", "a.png")
    assert code == 1
    assert said == ""
    assert complained.startswith("glomseg: model file '")
    assert complained.count("\n") == 1
    assert "Traceback" not in complained


@pytest.mark.parametrize("place", [0, -1])
def test_debug_shows_where_an_error_comes_from(place):
    words = ["predict", "no-model", "a.png"]
    words.insert(place if place == 0 else len(words), "--debug")
    done = subprocess.run([sys.executable, "-m", "glomseg", *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "MissingInputError" in done.stderr


def test_ctrl_c_is_130(glomseg, failing):
    failing(KeyboardInterrupt())
    code, _, complained = glomseg("doctor")
    assert code == 130
    assert complained == "\ninterrupted\n"


def test_a_bug_is_not_hidden(failing):
    failing(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main_module.main(["doctor"])


@pytest.mark.parametrize("words", ["models --help", "doctor --json"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_traceback(words, unbuffered):
    # Little output is held back until the end, where Python itself would complain and exit with 120.
    command = f"{sys.executable} -m glomseg {words} | sleep 0; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment)
    assert done.stdout == "1\n"
    assert done.stderr == ""


@pytest.mark.parametrize("words", ["--version", "doctor --json", "doctor", "evaluate none none"])
def test_closed_outputs_are_no_crash(words):
    command = f"{sys.executable} -m glomseg {words} >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if "none" in words else 0)
    assert subprocess.run(["bash", "-c", f"{command} 2>&-"]).returncode == done.returncode


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "glomseg", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(".") >= 2


def test_a_name_that_the_terminal_cannot_show_is_told_in_escapes(tmp_path):
    command = [sys.executable, "-m", "glomseg", "split", str(tmp_path / "肾")]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "\\u80be' does not exist" in done.stderr


def test_every_command_can_be_loaded():
    for name, _ in COMMANDS:
        assert app[name].name == (name,)
