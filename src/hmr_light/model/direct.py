"""Regressors of one pass: they see the features alone, and say how the body differs from the mean."""

from __future__ import annotations

import torch
from torch import nn

from hmr_light.model.estimate import (
    NUM_OUTPUTS,
    MeanRegressor,
    SmplParameters,
    check_dropout,
    check_widths,
    regressors,
    to_parameters,
)


class DirectRegressor(MeanRegressor):
    """The mean plus what `correction`, features (B, F) → (B, 157), says of pose in 6D, betas and camera."""

    def __init__(self, correction: nn.Module) -> None:
        super().__init__()
        self.correction = correction

    def forward(self, features: torch.Tensor) -> SmplParameters:
        pose, betas, camera = self.correction(features).split((144, 10, 3), dim=1)
        return to_parameters(self.init_pose + pose, self.init_shape + betas, self.init_cam + camera)

    def output_biases(self) -> list[nn.Parameter]:
        *_, output = self.correction.modules()
        assert isinstance(output, nn.Linear)
        return [output.bias]


class LinearRegressor(DirectRegressor):
    """One affine map of the features, 157 F + 157 parameters: what SPIN's regressor is in evaluation."""

    correction: nn.Linear

    def __init__(self, num_features: int) -> None:
        super().__init__(_output_layer(num_features))


class LightRegressor(DirectRegressor):
    """One narrow hidden layer of `hidden` units with ReLU: (F + 158) hidden + 157 parameters."""

    def __init__(self, num_features: int, hidden: int, dropout: float) -> None:
        layer = nn.Linear(num_features, hidden)
        super().__init__(nn.Sequential(layer, nn.ReLU(inplace=True), nn.Dropout(dropout), _output_layer(hidden)))


def _output_layer(num_features: int) -> nn.Linear:
    layer = nn.Linear(num_features, NUM_OUTPUTS)
    # As in SPIN: the first estimate of an untrained network is nearly the mean.
    nn.init.xavier_uniform_(layer.weight, gain=0.01)
    return layer


@regressors.register("linear")
def linear(num_features: int) -> LinearRegressor:
    """One affine map of the features."""
    return LinearRegressor(num_features)


@regressors.register("light")
def light(num_features: int, *, hidden: int = 128, dropout: float = 0.0) -> LightRegressor:
    """One narrow hidden layer with ReLU."""
    check_widths(hidden=hidden)
    check_dropout(dropout)
    return LightRegressor(num_features, hidden, dropout)
