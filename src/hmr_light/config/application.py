"""Runs one command as a Hydra application."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hmr_light.config.body_path import expand_body_path
from hmr_light.config.choices import own_configs
from hmr_light.config.explanation import explain, valid_keys
from hmr_light.config.help import help_text
from hmr_light.config.hints import hydra_quoted
from hmr_light.config.limits import check_places
from hmr_light.config.names import Run, Trained
from hmr_light.config.overrides import name_experiment, read_arguments
from hmr_light.config.renamed import refuse_old_names
from hmr_light.config.run_config import continue_run, evaluate_run, follow_checkpoint
from hmr_light.config.schema import SCHEMAS
from hmr_light.config.strict import typed
from hmr_light.config.sweep import sweep
from hmr_light.errors import Interrupted, UserError, as_user_error, did_you_mean
from hmr_light.paths import conf_dir, without_secret

_SWEEP = {"-m", "--multirun"}
_HELP = {"-h", "--help"}
_SHOW = {"job", "--cfg=job"}
_OF_RUNS = {
    "evaluate": ("data", "protocol", "body"),
    "compress": ("data", "protocol", "body", "loss"),
    "export": ("data", "protocol", "body"),
}
"""What commands with run=RUN take from the run, where nothing else is given."""


def run_application(command: str, arguments: list[str]) -> None:
    """Compose the config of `command` with `arguments`, check it, and hand it to `commands/<command>.py`'s `run`."""
    own = own_configs(arguments)
    flags, overrides = _split(arguments)
    _refuse_unknown_flags(command, flags, own)
    refuse_old_names(command, overrides)
    overrides = name_experiment(command, overrides)
    is_sweep = bool(_SWEEP & set(flags))
    overrides = read_arguments(SCHEMAS[command], expand_body_path(command, overrides), sweep=is_sweep)
    overrides = [*map(_without_address, overrides)]
    try:
        if _HELP & set(flags):
            _print_help(command, overrides, own)
        else:
            _run(command, [*flags, *(f"--config-dir={folder}" for folder in own)], overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, command, own) from error
    except ValueError as error:
        if "can be specified" in str(error):  # two of Hydra's flags that exclude each other
            remedy = "-m runs a sweep; --cfg job shows the configuration of a single run."
            raise UserError(str(error), remedy) from error
        raise


def _run(command: str, flags: list[str], overrides: list[str]) -> None:
    stopped: list[UserError | Interrupted] = []
    # Hydra itself would show the configuration before a run's own options have come into it.
    is_shown = any(one.partition("=")[0] in ("resume", "run", "init") for one in overrides) and _SHOW & set(flags)
    flags, shown = _without_show(flags) if is_shown else (flags, None)

    def run(config: DictConfig) -> Any:
        config = _follow(command, config)
        if shown is not None:
            node = OmegaConf.select(config, shown) if shown else config
            print(OmegaConf.to_yaml(node) if OmegaConf.is_config(node) else node)
            return None
        checked: Any = typed(SCHEMAS[command], config)
        check_places(checked)
        return importlib.import_module(f"hmr_light.commands.{command}").run(checked)

    def task(config: DictConfig) -> Any:
        # Hydra prefixes what passes through it with the job's overrides. In a sweep that tells which job it was.
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return runs.run(lambda: run(config)) if runs else run(config)
        try:
            return run(config)
        except (UserError, Interrupted) as error:
            stopped.append(error)
        except Exception as error:
            if (told := as_user_error(error)) is None:
                raise
            stopped.append(told)

    # Hydra would print its own traceback and exit with 1; with this it raises, and the command line decides.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    application = hydra.main(config_path=str(conf_dir()), config_name=command, version_base="1.3")(task)
    # A sweep's launcher reads sys.argv: Hydra must see its own arguments only.
    sys.argv = [f"hmr-light {command}", *flags, *overrides]
    with sweep() if _SWEEP & set(flags) else contextlib.nullcontext() as runs:
        application()
    if stopped:
        raise stopped[0]


def _follow(command: str, config: DictConfig) -> DictConfig:
    """The configuration with what a run or a checkpoint that it names has chosen."""
    if command == "train":
        config = continue_run(config, HydraConfig.get().overrides.task)
        config = _follow_init(config)
    if command in _OF_RUNS and config.run is not None and config.checkpoint is None:
        Run().check("run", str(config.run))
        find = importlib.import_module("hmr_light.tracking").find_run_dir
        run_dir = find(str(config.run), config.tracking.uri)
        config = evaluate_run(config, HydraConfig.get().overrides.task, run_dir, _OF_RUNS[command])
    return config


def _without_show(flags: list[str]) -> tuple[list[str], str]:
    """`flags` without those that show the configuration, and the node that is to be shown; empty for all of it."""
    flags = [flag for flag in flags if flag not in (*_SHOW, "--cfg", "-c", "--resolve")]
    shown = next((flags[at + 1] for at, flag in enumerate(flags) if flag in ("--package", "-p")), "")
    return [flag for flag in flags if flag not in ("--package", "-p", shown)], shown


def _follow_init(config: DictConfig) -> DictConfig:
    """The configuration of `hmr-light train`, with the network of the checkpoint that `init=` names."""
    if config.init is None or config.resume not in (None, "auto"):
        return config
    Trained().check("init", str(config.init))
    network = importlib.import_module("hmr_light.checkpoints.loading").network_config(Path(str(config.init)))
    return follow_checkpoint(config, HydraConfig.get().overrides.task, network)


def _print_help(command: str, overrides: list[str], own: list[Path]) -> None:
    search = [f"hydra.searchpath=[{','.join(hydra_quoted(f'file://{folder}') for folder in own)}]"] if own else []
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose(command, [*overrides, *search], return_hydra_config=True)
        print(help_text(command, config, *own))


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and the overrides: Hydra takes none of those after a flag that stands between them.

    The flag `--config-dir` is left out.
    """
    takes_a_value = {flag for one in get_args_parser()._actions if one.nargs is None for flag in one.option_strings}
    flags: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            others.append(argument)
            continue
        values = [value for value in [next(rest, None)] if value is not None] if argument in takes_a_value else []
        if argument.partition("=")[0] not in ("--config-dir", "-cd"):
            flags += [argument, *values]
    return flags, others


def _refuse_unknown_flags(command: str, flags: list[str], own: list[Path]) -> None:
    """`--epochs=5` is what many try first; Hydra would answer with its own usage, and name none of our options."""
    known = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    for flag in flags:
        name = flag.partition("=")[0]
        if name.startswith("--") and not any(one.startswith(name) for one in known):
            key = name.lstrip("-").replace("-", "_")
            raise UserError(
                f"there is no flag '{name}'", f"Options are key=value. {did_you_mean(key, valid_keys(command, own))}"
            )


def _without_address(override: str) -> str:
    """A tracking address with a password goes by way of the environment: a sweep writes its overrides to a file."""
    key, _, value = override.partition("=")
    value = value.strip("'\"")
    if key.lstrip("+") != "tracking.uri" or without_secret(value) == value or "${" in value:
        return override
    os.environ["HMR_LIGHT_TRACKING_URI"] = value
    return f"{key}=${{oc.env:HMR_LIGHT_TRACKING_URI}}"
