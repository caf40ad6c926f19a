"""What the files in `conf/` offer: groups, their choices, and what a choice holds."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from hmr_light.config.renamed import new_choice
from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import conf_dir, home, is_there

PRESETS = "experiment"
"""The group whose choices may stand in folders; a folder in any other group is a group of its own."""


def config_folders() -> list[Path]:
    """The folders of configs: ours, and inside a command the user's own (`--config-dir`) too."""
    if not GlobalHydra.instance().is_initialized():
        return [conf_dir()]
    places = GlobalHydra.instance().config_loader().get_search_path().get_path()
    return [Path(one.path.removeprefix("file://")) for one in places if one.path.startswith(("file://", "/"))]


def own_configs(arguments: list[str]) -> list[Path]:
    """The user's own folder of configs: that of `--config-dir`, else `conf/` in the current folder or in the home."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        flag, equals, value = argument.partition("=")
        if flag in ("--config-dir", "-cd"):
            folder = Path(value if equals else following).expanduser().resolve()
            if not folder.is_dir():
                raise UserError(
                    f"{flag}: there is no folder {folder}", "Name the folder that holds your config groups."
                )
            return [folder]
    places = dict.fromkeys(place.resolve() / "conf" for place in (Path.cwd(), home()))
    return [place for place in places if is_there(place) and place.is_dir() and place != conf_dir()][:1]


def choices(group: str, *more: Path) -> list[str]:
    """The names of all choices of a config group, sorted; `more` are further folders of configs."""
    found: set[str] = set()
    for folder in (*config_folders(), *more):
        files = (file.relative_to(folder / group) for file in (folder / group).rglob("*.yaml"))
        found |= {file.with_suffix("").as_posix() for file in files if group == PRESETS or len(file.parts) == 1}
    return sorted(found)


def choice_file(group: str, name: str, *more: Path) -> Path | None:
    """The file of a choice; None if there is none."""
    files = (folder / group / f"{name}.yaml" for folder in (*config_folders(), *more))
    return next((file for file in files if file.is_file()), None)


def groups_of(command: str, *more: Path) -> dict[str, str | None]:
    """The config groups of a command, with the default choice of each; those inside of a group too (null: none)."""
    defaults = yaml.safe_load((conf_dir() / f"{command}.yaml").read_text(encoding="utf-8"))["defaults"]
    found: dict[str, str | None] = {}
    for entry in (one for one in defaults if isinstance(one, dict)):
        for group, name in entry.items():
            found[group] = name
            inner = {file.parent.name for folder in (conf_dir(), *more) for file in (folder / group).glob("*/*.yaml")}
            if group != PRESETS:
                found |= {f"{group}/{one}": None for one in sorted(inner)}
    return found


def suggest(group: str, name: str, *more: Path, also: Sequence[str] = ()) -> str:
    """A remedy for a choice that does not exist: its new name, or the nearest of the choices and of those in `also`."""
    known = [*choices(group, *more), *also]
    if renamed := new_choice(group, name) or next((one for one in known if one.endswith(f"/{name}")), None):
        return f"It is called '{renamed}' now."
    return did_you_mean(name, known)


def list_backbones() -> list[str]:
    """The names that `backbone=` takes, sorted: the files of `conf/backbone/`."""
    return choices("backbone")


def compose_choice(group: str, name: str) -> dict[str, Any]:
    """The node `group` as `group=name` makes it, as plain values. `name` must be one of `choices(group)`."""
    return _plain(_compose(None, f"+{group}={name}")[group])


def compose_choices(group: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """`compose_choice` for several choices of one group, in a small part of the time."""
    config = _compose(None, *(f"+{group}@number{index}={name}" for index, name in enumerate(names)))
    return [_plain(config[f"number{index}"]) for index in range(len(names))]


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
