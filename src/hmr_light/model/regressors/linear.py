"""The linear regressor: one affine map of the features."""

from __future__ import annotations

from torch import nn

from hmr_light.model.regressors.base import regressors
from hmr_light.model.regressors.feedforward import FeedForwardRegressor, output_layer


class LinearRegressor(FeedForwardRegressor):
    """One affine map of the features, 157 F + 157 parameters: what SPIN's regressor is in evaluation."""

    correction: nn.Linear

    def __init__(self, num_features: int) -> None:
        super().__init__(output_layer(num_features))


@regressors.register("linear")
def linear(num_features: int) -> LinearRegressor:
    """One affine map of the features."""
    return LinearRegressor(num_features)
