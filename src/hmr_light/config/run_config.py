"""A run's `config.yaml`: so written that a project can be moved; `train resume=RUN` and `evaluate run=RUN` read it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from hmr_light.config.strict import flatten
from hmr_light.paths import atomic_write, conf_dir, home

FILE_NAME = "config.yaml"
HOME = "${oc.env:HMR_LIGHT_HOME}"
_FREE_FORM = (
    *("backbone", "regressor", "protocol", "loss", "distillation", "data.train", "data.evaluation", "body"),
    *("compressed", "searched"),
)
"""Mappings whose options depend on the choice: a run that lacks one of them is not given the default."""


def write_run_config(run_dir: Path, plain_config: dict[str, Any]) -> None:
    """Write `config.yaml`, atomically. Paths inside the home are written relative to it."""
    homes = {str(home()), os.environ.get("HMR_LIGHT_HOME", "").rstrip("/")} - {""}

    def portable(value: str) -> str:
        scheme, mark, path = value.rpartition(":///")
        for root in homes:
            if path == root or path.startswith(f"{root}/"):
                return f"{scheme}{mark}{HOME}{path.removeprefix(root)}"
        return value

    with atomic_write(run_dir / FILE_NAME) as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(_map_text(plain_config, portable))), encoding="utf-8")


def read_run_config(run_dir: Path) -> dict[str, Any]:
    """What `config.yaml` holds, with today's home; a path that is gone is looked for where the run is now.

    Raises any exception for a file that is missing or damaged.
    """
    content = OmegaConf.to_container(OmegaConf.load(run_dir / FILE_NAME))
    if not isinstance(content, dict):
        raise ValueError("it holds no mapping")
    here = os.environ.get("HMR_LIGHT_HOME", "").rstrip("/") or str(home())
    content = _map_text(content, lambda value: value.replace(HOME, here))
    return follow_run(content, content, run_dir)


def follow_run(values: dict[str, Any], config: Mapping[str, Any], run_dir: Path) -> dict[str, Any]:
    """`values` with the paths that are gone as they are now, if the project of the run with `config` was moved."""
    moved = _moved_project(config, run_dir)
    return _moved(values, *moved, only_lost=True) if moved else values


def continue_run(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of `hmr-light train resume=RUN OVERRIDES…`: the run's own, and what is given beside it.

    `config` is what Hydra has composed of the overrides. It is returned as it is if it continues no run, or one whose
    `config.yaml` cannot be read.
    """
    if config.get("resume") in (None, "auto"):
        return config
    run_dir = Path(str(config.resume)).expanduser()
    try:
        merged = read_run_config(run_dir)
    except Exception:  # the run directory is checked, and refused with its reason, where it is opened
        return config
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    # The paths that refer to data.root are the run's, not those of the default data.
    others = [one for one in parsed if one.key_or_group != "data.root"]
    names = [one.key_or_group.replace("/", ".") for one in others]
    is_within_hydra = GlobalHydra.instance().is_initialized()
    with nullcontext() if is_within_hydra else hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        defaults = _flat(hydra.compose("train"))
        given = _flat(hydra.compose("train", [str(one.input_line) for one in others]))
    own = flatten(merged)
    for key, value in given.items():
        is_given = key not in defaults or defaults[key] != value or _is_in(key, names)
        is_new = not _is_in(key, _FREE_FORM) and not any(_is_in(old, [key]) or _is_in(key, [old]) for old in own)
        if is_given or is_new:
            _set(merged, key.split("."), value)
    if len(others) < len(parsed):
        merged["data"] = _moved(merged["data"], str(merged["data"].get("root")), str(config.data.root))
    return OmegaConf.create(_map_text(merged, _literal))


def evaluate_run(
    config: DictConfig, overrides: Sequence[str], run_dir: Path, own_nodes: Iterable[str] = ("data", "protocol", "body")
) -> DictConfig:
    """The configuration of `hmr-light evaluate run=RUN OVERRIDES…`: the run's own sets, by its own protocol and body.

    Those of `own_nodes` that `overrides` choose stay as they are in `config`, which is what Hydra has
    composed; other sets come with their own protocol. A `data.root` moves the run's paths. `config` is returned as it
    is for a run whose `config.yaml` cannot be read.
    """
    try:
        own = read_run_config(run_dir)
    except Exception:  # there may be checkpoints all the same
        return config
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    names = [one.key_or_group for one in parsed]
    nodes = set(own_nodes) - set(names) - ({"protocol"} if "data" in names else set())
    values: dict[str, Any] = {node: own[node] for node in nodes if isinstance(own.get(node), dict)}
    if "data" in values and "data.root" in names:
        values["data"] = _moved(values["data"], str(values["data"].get("root")), str(config.data.root))
    for one in parsed:
        name = one.key_or_group
        if name.partition(".")[0] in values and not one.is_delete():
            _set(values, name.split("."), OmegaConf.select(config, name))
    merged = OmegaConf.to_container(config, resolve=True)
    assert isinstance(merged, dict)
    return OmegaConf.create(_map_text(merged | values, _literal))


def follow_checkpoint(config: DictConfig, overrides: Sequence[str], network: Mapping[str, Any]) -> DictConfig:
    """The configuration of `hmr-light train init=CHECKPOINT OVERRIDES…`: the network is the checkpoint's.

    `config` is what Hydra has composed of the overrides, `network` what the checkpoint's network is built from:
    `backbone`, `regressor` and `image_size`. What the overrides or a preset choose stays as it is chosen; a single
    option of the two nodes (regressor.dropout=0) changes the checkpoint's.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    names = [one.key_or_group.replace("/", ".") for one in parsed]
    is_within_hydra = GlobalHydra.instance().is_initialized()
    with nullcontext() if is_within_hydra else hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        defaults: Any = OmegaConf.to_container(hydra.compose("train"), resolve=True)
    merged: Any = OmegaConf.to_container(config, resolve=True)
    single = [name for name in names if name.startswith(("backbone.", "regressor.")) and name != "backbone.adapter"]
    for node in ("backbone", "regressor"):
        own = {name: OmegaConf.select(config, name) for name in single if name.startswith(f"{node}.")}
        composed, default = (
            {key: value for key, value in flatten({node: each[node]}).items() if not _is_in(key, own)}
            for each in (merged, defaults)
        )
        if composed != default or node in names or (node == "backbone" and "backbone.adapter" in names):
            continue
        # All weights come from the checkpoint, not from those that its training began with.
        merged[node] = {**network[node], "weights": None} if "weights" in network[node] else dict(network[node])
        for name, value in own.items():
            _set(merged, name.split("."), value)
    if "data.image_size" not in names and merged["data"]["image_size"] == defaults["data"]["image_size"]:
        merged["data"]["image_size"] = network["image_size"]
    return OmegaConf.create(_map_text(merged, _literal))


def _flat(config: DictConfig) -> dict[str, Any]:
    return flatten(OmegaConf.to_container(config, resolve=True))


def _map_text(value: Any, change: Callable[[str], str]) -> Any:
    """`value`, plain and perhaps nested, with every text in it changed."""
    if isinstance(value, dict):
        return {key: _map_text(child, change) for key, child in value.items()}
    if isinstance(value, list):
        return [_map_text(child, change) for child in value]
    return change(value) if isinstance(value, str) else value


def _literal(text: str) -> str:
    """`text` as OmegaConf reads it where `${` is a part of a folder's name: all references are worked out already."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _is_in(key: str, nodes: Iterable[str]) -> bool:
    return any(key == node or key.startswith(f"{node}.") for node in nodes)


def _set(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    values[path[-1]] = value


def _moved(value: Any, old: str, new: str, *, only_lost: bool = False) -> Any:
    """`value` with the paths in `old` moved to `new`; with `only_lost`, only those that exist there alone."""

    def change(text: str) -> str:
        scheme, mark, path = text.rpartition(":///")
        target = new + path.removeprefix(old)
        if path != old and not path.startswith(f"{old}/"):
            return text
        if only_lost and (Path(path).exists() or not Path(target).exists()):
            return text
        return f"{scheme}{mark}{target}"

    return _map_text(value, change)


def _moved_project(content: Mapping[str, Any], run_dir: Path) -> tuple[str, str] | None:
    """The folder that the run was made in, and where it is now, if its run directory is elsewhere today."""
    old, new = Path(str(content.get("outputs"))), run_dir.resolve().parents[1]
    if not old.is_absolute() or old == new:
        return None
    while old.name == new.name and old != old.parent and new != new.parent:
        old, new = old.parent, new.parent
    return str(old), str(new)
