"""The choices of `backbone=`, and their configurations."""

from __future__ import annotations

from functools import cache
from typing import Any

import hydra
from omegaconf import OmegaConf

from hmr_light.paths import conf_dir

CHOICES = sorted(file.stem for file in (conf_dir() / "backbone").glob("*.yaml"))


@cache
def config_of(choice: str, *overrides: str) -> dict[str, Any]:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose(overrides=[f"+backbone={choice}", *overrides])
    return OmegaConf.to_container(config.backbone)  # type: ignore[return-value]
