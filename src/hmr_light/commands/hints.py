"""Commands that a command prints for the user to run next."""

from __future__ import annotations

import shlex


def table_command(experiment: str) -> str:
    """What to type for the table of `experiment`."""
    return "hmr-light table" + (
        "" if experiment == "hmr_light" else f" {shlex.quote(f'tracking.experiment={experiment}')}"
    )
