"""What the choices in `conf/` say, for commands that take several of them at once."""

from __future__ import annotations

import contextlib
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from hmr_light.paths import conf_dir


def choices(group: str) -> list[str]:
    """The names of all choices of a config group, sorted; those in its folders too, but for groups of their own."""
    folder = conf_dir() / group
    names = (file.relative_to(folder).with_suffix("") for file in folder.rglob("*.yaml"))
    return sorted(name.as_posix() for name in names if group == "experiment" or len(name.parts) == 1)


def list_backbones() -> list[str]:
    """The names that `backbone=` takes, sorted: the files of `conf/backbone/`."""
    return choices("backbone")


def compose_choice(group: str, name: str) -> dict[str, Any]:
    """The node `group` as `group=name` makes it, as plain values. `name` must be one of `choices(group)`."""
    return _plain(_compose(None, f"+{group}={name}")[group])


def compose_data(name: str) -> dict[str, Any]:
    """The node `data` of `hmr-light evaluate data=…`, as plain values. A set may choose its protocol beside it."""
    return _plain(_compose("evaluate", f"data={name}").data)


def compose_network(experiment: str) -> dict[str, dict[str, Any]]:
    """The nodes `backbone` and `regressor` of `hmr-light train experiment=…`, as plain values."""
    config = _compose("train", f"experiment={experiment}")
    return {node: _plain(config[node]) for node in ("backbone", "regressor")}


def compose_defaults(command: str) -> DictConfig:
    """The configuration of `hmr-light COMMAND` without any option, not yet checked."""
    return _compose(command)


def _compose(command: str | None, *overrides: str) -> DictConfig:
    # Inside a command Hydra is there already, and looks in the same folder.
    is_there = GlobalHydra.instance().is_initialized()
    with contextlib.nullcontext() if is_there else hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose(command, list(overrides))


def _plain(node: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(node, resolve=True)  # type: ignore[return-value]
