"""What the regressors of one pass share: they see the features alone, and say how the body differs from the mean."""

from __future__ import annotations

import torch
from torch import nn

from hmr_light.model.regressors.base import NUM_OUTPUTS, MeanRegressor


class FeedForwardRegressor(MeanRegressor):
    """The mean plus what `correction`, features (B, F) → (B, 157), says of pose in 6D, betas and camera."""

    def __init__(self, correction: nn.Module) -> None:
        super().__init__()
        self.correction = correction

    def estimate(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pose, betas, camera = self.correction(features).split((144, 10, 3), dim=1)
        return self.init_pose + pose, self.init_shape + betas, self.init_cam + camera

    def output_biases(self) -> list[nn.Parameter]:
        *_, output = self.correction.modules()
        assert isinstance(output, nn.Linear)
        return [output.bias]


def output_layer(num_features: int) -> nn.Linear:
    """The last layer: features (B, `num_features`) → (B, 157)."""
    layer = nn.Linear(num_features, NUM_OUTPUTS)
    # As in SPIN: the first estimate of an untrained network is nearly the mean.
    nn.init.xavier_uniform_(layer.weight, gain=0.01)
    return layer
