"""The command line: `hmr-light COMMAND key=value group=choice`. Every command is a Hydra application."""

from __future__ import annotations

import os
import signal
import sys
import threading

from hmr_light.paths import conf_dir, home

# Hydra and the commands' own imports wait until a command is known: `hmr-light --help` answers at once.
COMMANDS = {
    "prepare": "make annotations: render the synthetic dataset, or convert a public one",
    "train": "train one run and track it (-m key=a,b: a sweep)",
    "evaluate": "score a run's checkpoints on datasets, and write the scores to the run",
    "table": "rebuild the comparison table from the runs",
    "profile": "what each backbone costs: parameters, multiply-accumulates, memory; needs no run",
    "benchmark": "inference time of models side by side, interleaved in one process",
    "predict": "draw what a model sees in photographs or a video; write meshes and parameters",
    "sync": "send to MLflow what a run's journal holds and MLflow lacks",
    "ui": "open MLflow's pages on the runs, on this machine only",
    "doctor": "what is installed, found and missing, and what to do about it",
}

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


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
            "hmr-light --version",
            "",
            "Start with:  hmr-light prepare source=synthetic  &&  hmr-light train experiment=mobilenet_v2",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the input was wrong, 130 interrupted, 1 a fault of ours."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        sys.exit(0 if arguments else EXIT_USER_ERROR)
    if arguments[0] == "--version":
        from hmr_light import __version__

        print(f"hmr-light {__version__}")
        sys.exit(0)
    command = arguments[0]
    if command not in COMMANDS:
        from hmr_light.errors import did_you_mean

        _complain(f"there is no command '{command}'", did_you_mean(command, COMMANDS))
        sys.exit(EXIT_USER_ERROR)
    sys.exit(_run(command, arguments[1:]))


def _run(command: str, overrides: list[str]) -> int:
    from hmr_light.config.application import run_application
    from hmr_light.errors import Interrupted, UserError

    # Threads that wait by spinning cost a shared machine dearly; torch reads this when it is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What is wrong with an image, our own message says; OpenCV would print lines between.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("HMR_LIGHT_HOME", str(home()))
    if threading.current_thread() is threading.main_thread():
        # A request to stop is one, whoever makes it: a user, the system, or Slurm before it requeues a job.
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.default_int_handler)
    try:
        run_application(command, conf_dir(), overrides)
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
    return 0


def _complain(message: str, remedy: str) -> None:
    print(f"hmr-light: {message}", file=sys.stderr)
    if remedy:
        print(f"  {remedy}", file=sys.stderr)
