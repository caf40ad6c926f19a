"""The command line: `hmr-light COMMAND key=value group=choice`. Every command is a Hydra application."""

from __future__ import annotations

import atexit
import codecs
import gc
import os
import re
import signal
import sys
import threading

from hmr_light.errors import Interrupted, UserError, as_user_error, did_you_mean
from hmr_light.paths import home

# Hydra and the commands' own imports wait until a command is known: `hmr-light --help` answers at once.
COMMANDS = {
    "prepare": "make annotations: render the synthetic dataset, or convert a public one",
    "train": "train one run and track it (-m key=a,b: a sweep)",
    "evaluate": "score a run's checkpoints on datasets, and write the scores to the run",
    "compress": "make a smaller model of a trained one, as a new run",
    "search": "look for a network within limits of size and time; resumable, with any number of workers",
    "export": "write a trained model as a file for other runtimes, once it is found to give the same",
    "table": "rebuild the comparison table from the runs",
    "profile": "what each backbone costs: parameters, multiply-accumulates, memory; needs no run",
    "benchmark": "inference time of models side by side, in turns in one process",
    "predict": "draw what a model sees in photographs or a video; write meshes and parameters",
    "sync": "send to MLflow what a run's journal holds and MLflow lacks",
    "ui": "open MLflow's pages on the runs, on this machine only",
    "doctor": "what is installed, found and missing, and what to do about it",
}

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

_PLAIN = {"…": "...", "–": "-", "—": "-", "−": "-", "±": "+-", "×": "x", "→": "->", "✓": "ok", "✗": "X", "≤": "<="}
"""How typographic marks are written where the terminal has none."""
_AS_BYTES = re.compile("[\udc80-\udcff]+")
"""How Python holds the bytes of a text that is none in the locale."""


def usage() -> str:
    """The text of `hmr-light --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "hmr-light: train, track, measure and compare lightweight 3D human mesh regressors",
            "",
            "usage: hmr-light COMMAND [key=value …] [group=choice …]",
            "",
            *lines,
            "",
            "hmr-light COMMAND --help      the command's options, with two examples",
            "hmr-light COMMAND --cfg job   the configuration that it would run with",
            'hmr-light --completion        completion at the Tab key: eval "$(hmr-light --completion)"',
            "hmr-light --version",
            "",
            "Start with:  hmr-light prepare source=synthetic  &&  hmr-light train experiment=mobilenet_v2",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the input was wrong, 130 interrupted, 1 a fault of ours."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _write_any_letter()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        sys.exit(0 if arguments else EXIT_USER_ERROR)
    command, *rest = arguments
    if command == "--version":
        from hmr_light import __version__

        print(f"hmr-light {__version__}")
    elif command == "--complete":
        from hmr_light.config.completion import complete

        print("\n".join(complete(" ".join(rest))))
    elif command == "--completion" or any(one in ("--shell-completion", "-sc") for one in rest):
        from hmr_light.config.completion import SCRIPT

        print(SCRIPT, end="")
    elif command not in COMMANDS:
        _complain(f"there is no command '{command}'", did_you_mean(command, COMMANDS))
        sys.exit(EXIT_USER_ERROR)
    else:
        sys.exit(_run(command, rest))
    sys.exit(0)


def _run(command: str, arguments: list[str]) -> int:
    # Threads that wait by spinning cost a shared machine dearly; torch reads this when it is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What is wrong with an image, our own message says; OpenCV would print lines between.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    atexit.register(_end_soon)
    if threading.current_thread() is threading.main_thread():
        # Ctrl-C, the system, and Slurm before it requeues a job ask to stop in the same way.
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.default_int_handler)
    try:
        # The configs refer to the variable: they must mean the folder that the code means.
        os.environ["HMR_LIGHT_HOME"] = str(home())
        from hmr_light.config.application import run_application

        run_application(command, arguments)
    except UserError as error:
        _complain(error.message, error.remedy)
        return EXIT_USER_ERROR
    except Interrupted as stop:
        print(f"\nhmr-light: stopped. {stop}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        print("\nhmr-light: stopped.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if (told := as_user_error(error)) is None:
            raise
        _complain(told.message, told.remedy)
        return EXIT_USER_ERROR
    return 0


def _end_soon() -> None:
    """Keep Python from looking at every object of torch once more for what can be freed: half a second for nothing."""
    # Triton, which training imports, would print a page of leaks: what nobody has freed.
    if "triton" not in sys.modules:
        gc.freeze()


def _write_any_letter() -> None:
    """Print to a terminal or a pipe that is not UTF-8, too: a letter that it lacks is written plainly, or as `?`.

    A path that was given in letters which the locale lacks is written in the bytes that it was given in.
    """

    def plainly(error: UnicodeError) -> tuple[str | bytes, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        letters = error.object[error.start : error.end]
        if _AS_BYTES.fullmatch(letters[:1]):
            given = _AS_BYTES.match(letters)
            assert given is not None
            return given[0].encode("ascii", "surrogateescape"), error.start + given.end()
        return "".join(_PLAIN.get(letter, "?") for letter in letters), error.end

    codecs.register_error("hmr_light.plainly", plainly)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="hmr_light.plainly")


def _complain(message: str, remedy: str) -> None:
    print(f"hmr-light: {message}", file=sys.stderr)
    if remedy:
        print(f"  {remedy}", file=sys.stderr)
