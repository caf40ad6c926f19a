"""What the regressors of one pass share: they see the features alone, and say how the body differs from the mean."""

from __future__ import annotations

import copy

import torch
from torch import nn

from hmr_light.errors import UserError
from hmr_light.model.integers import Int8Weights
from hmr_light.model.low_rank import LowRankLinear
from hmr_light.model.regressors.base import NUM_OUTPUTS, MeanRegressor
from hmr_light.model.sharing import SharedWeights


class FeedForwardRegressor(MeanRegressor):
    """The mean plus what `correction`, features (B, F) → (B, 157), says of pose in 6D, betas and camera."""

    def __init__(self, correction: nn.Module) -> None:
        super().__init__()
        self.correction = correction
        self.norm: nn.BatchNorm1d | None = None
        """Before all of it; learns nothing. See `normalised`."""

    def estimate(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if self.norm is not None:
            features = self.norm(features)
        pose, betas, camera = self.correction(features).split((144, 10, 3), dim=1)
        return self.init_pose + pose, self.init_shape + betas, self.init_cam + camera

    @property
    def first(self) -> nn.Module:
        """The layer that reads the features."""
        return next(iter(self.correction)) if isinstance(self.correction, nn.Sequential) else self.correction

    @torch.no_grad()
    def normalised(self, mean: torch.Tensor, variance: torch.Tensor) -> FeedForwardRegressor:
        """The same function behind a batch norm of the features of `mean` and `variance`, (F,) or (): `fold` undoes it.

        Raises `UserError` for a regressor that has one already, or whose first layer is no linear layer of its own.
        """
        if self.norm is not None or type(self.first) is not nn.Linear:
            raise UserError("the regressor has a batch norm already, or its first layer is no plain linear layer")
        made = copy.deepcopy(self)
        layer = made.first
        assert isinstance(layer, nn.Linear)
        norm = nn.BatchNorm1d(layer.in_features, affine=False).to(layer.weight).train(self.training)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        weight = layer.weight.double()
        layer.bias.copy_(layer.bias.double() + weight @ norm.running_mean.double())
        layer.weight.copy_(weight * (norm.running_var.double() + norm.eps).sqrt())
        made.norm = norm
        return made

    def fold(self) -> FeedForwardRegressor:
        """The same function in evaluation without a batch norm of the features.

        Itself where there is none, and where the first layer computes in integers or shares weights, which are of
        normalised features.
        """
        if self.norm is None or isinstance(self.first, Int8Weights | SharedWeights):
            return self
        made = copy.deepcopy(self)
        made.norm = None
        fold_norm(self.norm, made.first)
        return made

    def output_biases(self) -> list[nn.Parameter]:
        *_, output = self.correction.modules()
        assert isinstance(output, nn.Linear)
        return [output.bias]


@torch.no_grad()
def fold_norm(norm: nn.BatchNorm1d, layer: nn.Module) -> None:
    """Let `layer` compute, in place, what it did behind `norm` in evaluation."""
    assert isinstance(layer, nn.Linear | LowRankLinear)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # A layer of low rank is two.
    first, last = (layer.down, layer.up) if isinstance(layer, LowRankLinear) else (layer, layer)
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    weight = layer.weight.double() * scale
    last.bias.copy_(last.bias.double() - weight @ norm.running_mean.double())
    first.weight.copy_(first.weight.double() * scale)


def output_layer(num_features: int) -> nn.Linear:
    """The last layer: features (B, `num_features`) → (B, 157)."""
    layer = nn.Linear(num_features, NUM_OUTPUTS)
    # As in SPIN: the first estimate of an untrained network is nearly the mean.
    nn.init.xavier_uniform_(layer.weight, gain=0.01)
    return layer
