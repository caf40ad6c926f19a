"""The command line in tests: configurations as a command would see them, and commands in processes of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import hydra

from hmr_light.config import typed
from hmr_light.config.application import SCHEMAS
from hmr_light.paths import conf_dir

Command = Callable[..., subprocess.CompletedProcess[str]]


def compose(command: str, *overrides: str) -> Any:
    """The checked configuration of `hmr-light COMMAND OVERRIDES…`, without running it."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return typed(SCHEMAS[command], hydra.compose(command, list(overrides)))
