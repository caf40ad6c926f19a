"""Runs one command as a Hydra application, and says what was wrong with an override in the user's words."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hmr_light.config.body_path import expand_body_path
from hmr_light.config.limits import check_paths
from hmr_light.config.schema import SCHEMAS
from hmr_light.config.strict import dotted_keys, typed
from hmr_light.config.sweep import sweep
from hmr_light.errors import Interrupted, UserError, did_you_mean
from hmr_light.paths import without_secret


def run_application(command: str, conf: Path, overrides: list[str]) -> None:
    """Compose the config of `command` with `overrides`, check it, and hand it to `commands/<command>.py`'s `run`."""

    stopped: list[UserError | Interrupted] = []

    def run(config: DictConfig) -> Any:
        checked: Any = typed(SCHEMAS[command], config)
        check_paths(checked)
        return importlib.import_module(f"hmr_light.commands.{command}").run(checked)

    def task(config: DictConfig) -> Any:
        # Hydra prefixes what passes through it with the job's overrides. In a sweep that tells which job it was.
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return runs.run(lambda: run(config)) if runs else run(config)
        try:
            return run(config)
        except (UserError, Interrupted) as error:
            stopped.append(error)

    _refuse_unknown_flags(command, conf, overrides)
    # Hydra would print its own traceback and exit with 1; with this it raises, and the command line decides.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    application = hydra.main(config_path=str(conf), config_name=command, version_base="1.3")(task)
    # Shells complete through sys.argv, and a sweep's launcher reads it: Hydra must see its own arguments only.
    arguments = _flags_first(expand_body_path(command, overrides))
    sys.argv = [f"hmr-light {command}", *map(_without_address, arguments)]
    try:
        with sweep() if {"-m", "--multirun"} & set(overrides) else contextlib.nullcontext() as runs:
            application()
        if stopped:
            raise stopped[0]
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, command, conf) from error
    except ValueError as error:
        if "can be specified" in str(error):  # two of Hydra's flags that exclude each other
            remedy = "-m runs a sweep; --cfg job shows the configuration of a single run."
            raise UserError(str(error), remedy) from error
        raise


def _refuse_unknown_flags(command: str, conf: Path, arguments: list[str]) -> None:
    """`--epochs=5` is what many try first; Hydra would answer with its own usage, and name none of our options."""
    known = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--") and not any(flag.startswith(name) for flag in known):
            key = name.lstrip("-").replace("-", "_")
            raise UserError(
                f"there is no flag '{name}'", f"Options are key=value. {did_you_mean(key, _valid_keys(command, conf))}"
            )


def _flags_first(arguments: list[str]) -> list[str]:
    """Flags with their values, then the overrides: Hydra takes none of those after a flag that stands between them."""
    takes_a_value = {flag for one in get_args_parser()._actions if one.nargs is None for flag in one.option_strings}
    flags: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        (flags if argument.startswith("-") else others).append(argument)
        if argument in takes_a_value:
            flags += [value for value in [next(rest, None)] if value is not None]
    return [*flags, *others]


def _without_address(override: str) -> str:
    """A tracking address with a password goes by way of the environment: a sweep writes its overrides to a file."""
    key, _, value = override.partition("=")
    value = value.strip("'\"")
    if key.lstrip("+") != "tracking.uri" or without_secret(value) == value or "${" in value:
        return override
    os.environ["HMR_LIGHT_TRACKING_URI"] = value
    return f"{key}=${{oc.env:HMR_LIGHT_TRACKING_URI}}"


def _explain(error: Exception, command: str, conf: Path) -> UserError:
    """Hydra's complaint as one message with the nearest valid name."""
    text = str(error)
    if isinstance(error, MissingConfigException) and (match := re.search(r"Could not find '([^']+)'", text)):
        group, _, choice = match[1].rpartition("/")
        if group == "hydra/launcher":
            return UserError(
                f"the launcher '{choice}' is not installed",
                "hydra/launcher=joblib runs a sweep in several processes: pip install 'hmr-light[sweep]'",
            )
        if group:
            choices = [file.stem for file in (conf / group).glob("*.yaml")]
            return UserError(f"there is no choice '{choice}' in '{group}'", did_you_mean(choice, choices))
    if isinstance(error, ConfigCompositionException) and (
        match := re.search(r"Could not (?:override|append|delete).*?'([^']+)'", text)
    ):
        key = match[1].split("@")[0]
        others = [other for other in _valid_keys(command, conf) if other != key]
        return UserError(f"there is no option '{key}'", did_you_mean(key, others))
    if match := re.match(r"Ambiguous value for argument '([^=]+)=([^']*)'", text):
        key, values = match.groups()
        return UserError(
            f"{key}={values} is several values", f"For a sweep over them add -m; as one list write {key}=[{values}]."
        )
    if match := re.match(r"Error parsing override '(.*)'", text):
        return UserError(f"cannot read '{match[1]}'", f"Options are key=value. See hmr-light {command} --help.")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cause = str(error.__cause__).splitlines()[0] if error.__cause__ is not None else ""
    message = "; ".join(part for part in (" ".join(lines[:2]), cause) if part)
    return UserError(message or type(error).__name__, f"See hmr-light {command} --help.")


def _valid_keys(command: str, conf: Path) -> list[str]:
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        config = hydra.compose(command)
    groups = [folder.name for folder in conf.iterdir() if folder.is_dir()]
    return [*dotted_keys(OmegaConf.to_container(config)), *groups]
