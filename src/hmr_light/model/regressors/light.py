"""The light regressor: one narrow hidden layer with ReLU."""

from __future__ import annotations

from torch import nn

from hmr_light.model.regressors.base import check_dropout, check_widths, regressors
from hmr_light.model.regressors.feedforward import FeedForwardRegressor, output_layer


class LightRegressor(FeedForwardRegressor):
    """One narrow hidden layer of `hidden` units with ReLU: (F + 158) hidden + 157 parameters."""

    def __init__(self, num_features: int, hidden: int, dropout: float) -> None:
        layer = nn.Linear(num_features, hidden)
        super().__init__(nn.Sequential(layer, nn.ReLU(inplace=True), nn.Dropout(dropout), output_layer(hidden)))


@regressors.register("light")
def light(num_features: int, *, hidden: int = 128, dropout: float = 0.0) -> LightRegressor:
    """One narrow hidden layer with ReLU."""
    check_widths(hidden=hidden)
    check_dropout(dropout)
    return LightRegressor(num_features, hidden, dropout)
