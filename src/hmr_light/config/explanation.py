"""What was wrong with an override: Hydra's complaint as one message, with the nearest valid name."""

from __future__ import annotations

import re
from pathlib import Path

import hydra
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import OmegaConf

from hmr_light.config.choices import groups_of, suggest
from hmr_light.config.strict import dotted_keys
from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import conf_dir


def explain(error: Exception, command: str, own: list[Path]) -> UserError:
    """The message for an error of Hydra or OmegaConf; `own` are the user's folders of configs."""
    text = str(error)
    if isinstance(error, MissingConfigException) and (match := re.search(r"Could not find '([^']+)'", text)):
        groups = [one for one in groups_of(command, *own) if match[1].startswith(f"{one}/")]
        group = max(groups, key=len, default=match[1].rpartition("/")[0])
        choice = match[1].removeprefix(f"{group}/")
        if group == "hydra/launcher":
            return UserError(
                f"the launcher '{choice}' is not installed",
                "hydra/launcher=joblib runs a sweep in several processes: pip install 'hmr-light[sweep]'",
            )
        if group:
            return UserError(f"there is no choice '{choice}' in '{group}'", suggest(group, choice, *own))
    if isinstance(error, ConfigCompositionException) and (
        match := re.search(r"Could not (?:override|append|delete).*?'([^']+)'", text)
    ):
        key = match[1].split("@")[0]
        others = [other for other in valid_keys(command, own) if other != key]
        return UserError(f"there is no option '{key}'", did_you_mean(key, others))
    if match := re.match(r"Ambiguous value for argument '([^=]+)=([^']*)'", text):
        key, values = match.groups()
        return UserError(
            f"{key}={values} is several values", f"For a sweep over them add -m; as one list write {key}=[{values}]."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cause = str(error.__cause__).splitlines()[0] if error.__cause__ is not None else ""
    message = "; ".join(part for part in (" ".join(lines[:2]), cause) if part)
    return UserError(message or type(error).__name__, f"See hmr-light {command} --help.")


def valid_keys(command: str, own: list[Path]) -> list[str]:
    """Everything that may stand before the `=` of an override."""
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose(command)
    return [*dotted_keys(OmegaConf.to_container(config)), *groups_of(command, *own)]
