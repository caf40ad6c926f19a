"""Parameters: what training moves. Running statistics and mean parameters are state, not parameters."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from hmr_light.model.hmr import HMR


class ParameterCounts(NamedTuple):
    """Numbers of parameters; a parameter that modules share counts once."""

    total: int
    backbone: int
    regressor: int


def count_parameters(model: HMR) -> ParameterCounts:
    """The exact numbers of parameters of `model`."""
    return ParameterCounts(_count(model), _count(model.backbone), _count(model.regressor))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
