"""Commands that are printed for the user to run: quoted for the shell, and for the command line that reads them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmr_light.paths import home, without_secret

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+-]*[A-Za-z_/][A-Za-z0-9_./:@%+-]*")
"""Text that Hydra's grammar reads as itself, unless it is a number or one of a few words."""
_WORDS = {"null", "true", "false", "inf", "nan", "none"}


class Shell(str):
    """A value that is for the shell to work out, and is printed as it is."""


def hydra_quoted(text: str, *, literal: bool = False) -> str:
    """`text` in the quotes of Hydra's grammar. `literal`: `${…}` in it is text, too, and no reference to an option."""
    mark = "'" if '"' in text else '"'
    if literal:
        text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    # A backslash is one, unless a quote follows.
    text = re.sub(rf"(\\*){mark}", rf"\1\1\\{mark}", text)
    text = re.sub(r"(\\+)$", r"\1\1", text)
    return f"{mark}{text}{mark}"


def command_line(command: str, options: Mapping[str, Any]) -> str:
    """`hmr-light COMMAND key=value …`, as it can be typed into a shell."""
    words = [
        f"{key}={value}" if isinstance(value, Shell) else shlex.quote(f"{key}={_value(value)}")
        for key, value in options.items()
    ]
    return " ".join(["hmr-light", command, *words])


def newest_run() -> Shell:
    """The value of `run=` that is the newest run below the home, for a hint that is printed before there is any."""
    pattern = f"{shlex.quote(str(home() / 'outputs'))}/*/*/checkpoints"
    return Shell(f'"$(dirname "$(ls -td {pattern} | head -1)")"')


def tracking_options(uri: str | None, experiment: str) -> dict[str, str]:
    """The options by which a command finds the store that a run was written to; none for the default store."""
    options = {}
    if uri is None:
        options["tracking"] = "journal"
    elif uri == os.environ.get("MLFLOW_TRACKING_URI"):
        options["tracking"] = "server"
    elif uri != f"sqlite:///{home()}/mlflow.db":
        options["tracking.uri"] = without_secret(uri)
    return options | ({} if experiment == "hmr_light" else {"tracking.experiment": experiment})


def table_command(uri: str | None, experiment: str, run_dir: Path | None = None, *, lineage: bool = False) -> str:
    """What to type for the table of the runs of a store; without a store, what sends `run_dir` to the default one.

    With `lineage`, the table that shows models beside those that they were made from.
    """
    if uri is None and run_dir is not None:
        return command_line("sync", {"run_dir": run_dir})
    return command_line("table", ({"lineage": True} if lineage else {}) | tracking_options(uri, experiment))


def evaluate_command(run_dir: Path, config: Any) -> str:
    """What to type to score the run of a `TrainConfig` on its own sets, or on the rendered set's test split."""
    options: dict[str, Any] = {"run": run_dir}
    if config.data.name.startswith("synthetic") and "synthetic" in config.data.evaluation:
        options |= {"data": "synthetic_test", "data.root": config.data.root}
    return command_line("evaluate", options | tracking_options(config.tracking.uri, config.tracking.experiment))


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_value, value))}]"
    text = str(value)
    is_number = re.fullmatch(r"[-+]?[\d_.]+(e[-+]?\d+)?", text, re.IGNORECASE)
    is_plain = _PLAIN.fullmatch(text) and not is_number and text.lower() not in _WORDS
    return text if is_plain else hydra_quoted(text, literal=True)
