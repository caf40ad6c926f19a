"""Regressors: features (B, F) → SMPL parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hmr_light.model.regressors import mean  # noqa: F401 - registers its builder
from hmr_light.model.regressors.base import MeanRegressor, SmplParameters, regressors
from hmr_light.model.regressors.hmr import HmrRegressor
from hmr_light.model.regressors.light import LightRegressor
from hmr_light.model.regressors.linear import LinearRegressor
from hmr_light.model.regressors.mlp import MlpRegressor
from hmr_light.model.regressors.spin import SpinRegressor

__all__ = [
    "HmrRegressor",
    "LightRegressor",
    "LinearRegressor",
    "MeanRegressor",
    "MlpRegressor",
    "SmplParameters",
    "SpinRegressor",
    "build_regressor",
    "regressors",
]


def build_regressor(config: Mapping[str, Any], num_features: int) -> MeanRegressor:
    """The regressor that `config` describes (see `conf/regressor/`), for features (B, `num_features`).

    Raises `UserError` for an unknown name or option.
    """
    return regressors.build(config, num_features)
