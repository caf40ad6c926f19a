"""Models as the choices of `conf/` make them."""

from __future__ import annotations

import hydra
from omegaconf import OmegaConf

from hmr_light.model.hmr import HMR, build_model
from hmr_light.paths import conf_dir


def model_of(backbone: str, regressor: str = "spin", *overrides: str) -> HMR:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose(overrides=[f"+backbone={backbone}", f"+regressor={regressor}", *overrides])
    return build_model(OmegaConf.to_container(config))  # type: ignore[arg-type]
