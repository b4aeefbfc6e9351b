"""The command line: one thin module a command, loaded only when it is called."""

import keyword
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from cyclopts import App, CycloptsError

from glomseg._version import __version__
from glomseg.errors import GlomsegError
from glomseg.memory import keep_freed_memory

# Name, one line of help, in the order in which a newcomer needs them. The modules are imported on use,
# so `glomseg --help` stays instant.
COMMANDS = (
    ("doctor", "Check this machine: what works, what will be slow, what is missing."),
    ("synth", "Draw a synthetic kidney data set to try things on."),
    ("inspect", "Count, check and show a data set."),
    ("slide", "Say what is in whole slides, and find their tissue."),
    ("tiles", "Cut annotated slides into tiles and masks for other programs."),
    ("split", "Divide a data set into training, validation and test parts by slide."),
    ("train", "Train a model on a folder of tiles and masks."),
    ("evaluate", "Measure a model on a part of a data set."),
    ("crossval", "Train and evaluate with every slide held out once; keep the models as one."),
    ("calibrate", "Make a model's probabilities what they say."),
    ("compare", "Compare evaluations of the same tiles, paired by slide."),
    ("report", "Write a page on an evaluation that opens in any browser."),
    ("predict", "Find glomeruli in tiles and whole slides."),
    ("measure", "Measure every glomerulus of mask pictures, and write them for QuPath."),
    ("rasterize", "Turn annotations of QuPath or ImageScope into a mask."),
    ("benchmark", "Measure how fast a model is on this machine."),
    ("import", "Turn a model of MMSegmentation into a glomseg model."),
    ("export", "Write a model for MMSegmentation, ONNX Runtime or OpenVINO."),
    ("models", "List the models and the known weights, or show the card of one."),
)

app = App(
    name="glomseg",
    help="Find, measure and honestly evaluate glomeruli in kidney histology.",
    help_epilogue="Every command explains itself with --help. With --debug an error shows its traceback.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` tells of it
)
for _position, (_name, _help) in enumerate(COMMANDS):
    _module = f"{_name}_" if keyword.iskeyword(_name) else _name
    app.command(f"glomseg.cli.{_module}:{_module}", name=_name, help=_help, sort_key=_position)

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 when all went well, 1 on an error, 2 on wrong usage."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    _survive_any_name()
    keep_freed_memory()
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    try:
        result = app(tokens, exit_on_error=False, result_action="return_value")
        sys.stdout.flush()  # here, not at exit, is told that nobody reads any more
    except CycloptsError:  # already printed
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # `glomseg ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to say goes nowhere
        sys.exit(EXIT_ERROR)
    except GlomsegError as error:
        if debug:
            raise
        print(f"glomseg: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    sys.exit(result if isinstance(result, int) else 0)


def _open_closed_streams() -> None:
    """Give a program that was started without an output (a service, `>&-`) one that leads nowhere."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open until the end
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _survive_any_name() -> None:
    """Write what a terminal cannot show (a Chinese file name in ASCII, a name that is no UTF-8) as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
