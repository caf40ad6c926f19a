"""Regressors that correct their own estimate: each pass sees the features and the estimate so far."""

from __future__ import annotations

import torch
from torch import nn

from hmr_light.geometry import axis_angle_to_matrix, matrix_to_axis_angle, rot6d_to_matrix
from hmr_light.model.direct import LinearRegressor
from hmr_light.model.estimate import (
    NUM_OUTPUTS,
    MeanRegressor,
    SmplParameters,
    check_dropout,
    check_widths,
    regressors,
    to_parameters,
)


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

    def forward(self, features: torch.Tensor) -> SmplParameters:
        pose, betas, camera = self._mean(len(features))
        for _ in range(self.iterations):
            x = torch.cat((features, pose, betas, camera), dim=1)
            x = self.drop1(self.fc1(x))
            x = self.drop2(self.fc2(x))
            pose = pose + self.decpose(x)
            betas = betas + self.decshape(x)
            camera = camera + self.deccam(x)
        return to_parameters(pose, betas, camera)

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
        for name, value in self.named_buffers():
            folded.get_buffer(name).copy_(value)
        return folded


class HmrRegressor(MeanRegressor):
    """HMR's iterative regressor (Kanazawa et al., CVPR 2018, section 3.2), with its 85 numbers of a body.

    As SPIN's, but with ReLU after both hidden layers, so that nothing can be folded, and with the pose in axis-angle:
    camera 3, pose 72, betas 10. 1,024 F + 1,224,789 parameters at the reference width.
    """

    mean_axis_angle: torch.Tensor

    def __init__(self, num_features: int, hidden: int, iterations: int, dropout: float) -> None:
        super().__init__()
        self.iterations = iterations
        self.register_buffer("mean_axis_angle", self._axis_angle())
        self.fc1 = nn.Linear(num_features + 85, hidden)
        self.drop1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, hidden)
        self.drop2 = nn.Dropout(dropout)
        self.decode = nn.Linear(hidden, 85)
        # HMR's code scales the variance of this layer by 0.01.
        nn.init.xavier_uniform_(self.decode.weight, gain=0.1)

    def set_mean(self, rotations: torch.Tensor, betas: torch.Tensor, camera: torch.Tensor) -> None:
        """Take `rotations` (24, 3, 3), `betas` (10,) and `camera` (3,) as the mean."""
        super().set_mean(rotations, betas, camera)
        self.mean_axis_angle.copy_(self._axis_angle())

    def _axis_angle(self) -> torch.Tensor:
        # Kept beside the mean, for it would take longer than a pass does.
        return matrix_to_axis_angle(rot6d_to_matrix(self.init_pose.unflatten(1, (24, 6)))).flatten(1)

    def forward(self, features: torch.Tensor) -> SmplParameters:
        mean = torch.cat((self.init_cam, self.mean_axis_angle, self.init_shape), dim=1)
        body = mean.expand(len(features), -1)
        for _ in range(self.iterations):
            x = self.drop1(self.fc1(torch.cat((features, body), dim=1)).relu())
            x = self.drop2(self.fc2(x).relu())
            body = body + self.decode(x)
        camera, pose, betas = body.split((3, 72, 10), dim=1)
        return SmplParameters(axis_angle_to_matrix(pose.unflatten(1, (24, 3))), betas, camera)

    def output_biases(self) -> list[nn.Parameter]:
        return [self.decode.bias]


@regressors.register("spin")
def spin(num_features: int, *, hidden: int = 1024, iterations: int = 3, dropout: float = 0.5) -> SpinRegressor:
    """SPIN's iterative regressor."""
    check_widths(hidden=hidden, iterations=iterations)
    check_dropout(dropout)
    return SpinRegressor(num_features, hidden, iterations, dropout)


@regressors.register("hmr")
def hmr(num_features: int, *, hidden: int = 1024, iterations: int = 3, dropout: float = 0.5) -> HmrRegressor:
    """HMR's iterative regressor."""
    check_widths(hidden=hidden, iterations=iterations)
    check_dropout(dropout)
    return HmrRegressor(num_features, hidden, iterations, dropout)
