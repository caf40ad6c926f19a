"""The baseline: the mean parameters of the training set, whatever the image."""

from __future__ import annotations

from hmr_light.errors import UserError
from hmr_light.model.regressors.base import MeanRegressor, regressors


@regressors.register("mean")
def mean(num_features: int) -> MeanRegressor:
    """The mean parameters of the training set, whatever the image."""
    if num_features:
        raise UserError("regressor=mean looks at no features, but the backbone makes some", "Add backbone=blank.")
    return MeanRegressor()
