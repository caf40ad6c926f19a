"""Regressors: features (B, F) → SMPL parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hmr_light.model.direct import LightRegressor, LinearRegressor
from hmr_light.model.estimate import MeanRegressor, SmplParameters, regressors
from hmr_light.model.iterative import HmrRegressor, SpinRegressor

__all__ = [
    "HmrRegressor",
    "LightRegressor",
    "LinearRegressor",
    "MeanRegressor",
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
