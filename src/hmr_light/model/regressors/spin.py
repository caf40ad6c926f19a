"""SPIN's iterative regressor, and the one affine map that it is in evaluation."""

from __future__ import annotations

import torch
from torch import nn

from hmr_light.model.regressors.base import (
    NUM_OUTPUTS,
    MeanRegressor,
    check_dropout,
    check_widths,
    regressors,
)
from hmr_light.model.regressors.linear import LinearRegressor


class SpinRegressor(MeanRegressor):
    """SPIN's iterative regressor (Kolotouros et al., ICCV 2019; Kanazawa et al., CVPR 2018, section 3.2).

    Each of `iterations` passes sees the features and its own estimate (pose 6D 144, betas 10, camera 3), and adds a
    correction to it. Between its layers stands dropout alone: as in SPIN, no activation. 1,024 F + 1,372,317 parameters
    at the reference width.
    """

    def __init__(self, num_features: int, hidden: int, iterations: int, dropout: float) -> None:
        super().__init__()
        self.iterations = iterations
        self.fc1 = nn.Linear(num_features + NUM_OUTPUTS, hidden)
        self.drop1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, hidden)
        self.drop2 = nn.Dropout(dropout)
        self.decpose = nn.Linear(hidden, 144)
        self.decshape = nn.Linear(hidden, 10)
        self.deccam = nn.Linear(hidden, 3)
        for layer in (self.decpose, self.decshape, self.deccam):
            # The first estimate of an untrained network is nearly the mean.
            nn.init.xavier_uniform_(layer.weight, gain=0.01)

    def estimate(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pose, betas, camera = self._mean(features.shape[0])
        for _ in range(self.iterations):
            x = torch.cat((features, pose, betas, camera), dim=1)
            x = self.drop1(self.fc1(x))
            x = self.drop2(self.fc2(x))
            pose = pose + self.decpose(x)
            betas = betas + self.decshape(x)
            camera = camera + self.deccam(x)
        return pose, betas, camera

    def output_biases(self) -> list[nn.Parameter]:
        return [self.decpose.bias, self.decshape.bias, self.deccam.bias]

    @torch.no_grad()
    def fold(self) -> LinearRegressor:
        """The same function in evaluation as one affine map: 157 F + 157 parameters, however many passes.

        Without dropout a pass adds A [f; x] + c to its estimate x, f being the features; passes of affine maps are an
        affine map. Folded in float64, given in this regressor's own type.
        """
        decoders = (self.decpose, self.decshape, self.deccam)
        decode = torch.cat([layer.weight for layer in decoders]).double()
        constant = torch.cat([layer.bias for layer in decoders]).double()
        through = decode @ self.fc2.weight.double()
        a = through @ self.fc1.weight.double()
        c = through @ self.fc1.bias.double() + decode @ self.fc2.bias.double() + constant
        num_features = a.shape[1] - NUM_OUTPUTS
        of_features, of_estimate = a.split((num_features, NUM_OUTPUTS), dim=1)
        mean = torch.cat((self.init_pose, self.init_shape, self.init_cam), dim=1)[0].double()

        # The estimate so far is mean + weight f + bias.
        weight, bias = torch.zeros_like(of_features), torch.zeros_like(mean)
        for _ in range(self.iterations):
            bias = bias + of_estimate @ (mean + bias) + c
            weight = weight + of_estimate @ weight + of_features

        with torch.device("meta"):  # drawing its first weights would move the random generator
            folded = LinearRegressor(num_features)
        folded = folded.to_empty(device=self.init_pose.device).to(self.init_pose.dtype).train(self.training)
        folded.correction.weight.copy_(weight)
        folded.correction.bias.copy_(bias)
        for name, value in self.named_buffers(recurse=False):  # not those of layers that share weights
            folded.get_buffer(name).copy_(value)
        return folded


@regressors.register("spin")
def spin(num_features: int, *, hidden: int = 1024, iterations: int = 3, dropout: float = 0.5) -> SpinRegressor:
    """SPIN's iterative regressor."""
    check_widths(hidden=hidden)
    check_widths(100, iterations=iterations)
    check_dropout(dropout)
    return SpinRegressor(num_features, hidden, iterations, dropout)
