"""Commands that are printed for the user to run next."""

from __future__ import annotations

import re
import subprocess

from hmr_light.config.overrides import read_arguments
from hmr_light.config.schema import SCHEMAS
from support.cli import compose

_HINT = re.compile(r"(?:next|or|row of the table): (hmr-light [a-z]+.*)")


def arguments_of(line: str) -> list[str]:
    """The command and its overrides, as a shell and the command line read `hmr-light COMMAND …`."""
    printed = subprocess.run(
        ["bash", "-c", f"hmr-light() {{ printf '%s\\0' \"$@\"; }}\n{line}"], capture_output=True, text=True, timeout=60
    )
    assert printed.returncode == 0, f"{line}: {printed.stderr}"
    command, *overrides = printed.stdout.split("\0")[:-1]
    return [command, *read_arguments(SCHEMAS[command], overrides)]


def hints_in(text: str) -> list[str]:
    """The commands that `text` asks the user to run next."""
    return _HINT.findall(text)


def check_hints(text: str) -> None:
    """Every command that `text` asks for is read without error by the shell and by the command line."""
    for line in hints_in(text):
        compose(*arguments_of(line))
