"""HMR's iterative regressor, with the pose in axis-angle."""

from __future__ import annotations

import torch
from torch import nn

from hmr_light.geometry import axis_angle_to_matrix, matrix_to_axis_angle, rot6d_to_matrix
from hmr_light.model.regressors.base import MeanRegressor, SmplParameters, check_dropout, check_widths, regressors


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

    def estimate(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pose in axis-angle (B, 72), betas and camera."""
        mean = torch.cat((self.init_cam, self.mean_axis_angle, self.init_shape), dim=1)
        body = mean.expand(features.shape[0], -1)
        for _ in range(self.iterations):
            x = self.drop1(self.fc1(torch.cat((features, body), dim=1)).relu())
            x = self.drop2(self.fc2(x).relu())
            body = body + self.decode(x)
        camera, pose, betas = body.split((3, 72, 10), dim=1)
        return pose, betas, camera

    def forward(self, features: torch.Tensor) -> SmplParameters:
        pose, betas, camera = self.estimate(features)
        return SmplParameters(axis_angle_to_matrix(pose.unflatten(1, (24, 3))), betas, camera)

    def output_biases(self) -> list[nn.Parameter]:
        return [self.decode.bias]


@regressors.register("hmr")
def hmr(num_features: int, *, hidden: int = 1024, iterations: int = 3, dropout: float = 0.5) -> HmrRegressor:
    """HMR's iterative regressor."""
    check_widths(hidden=hidden)
    check_widths(100, iterations=iterations)
    check_dropout(dropout)
    return HmrRegressor(num_features, hidden, iterations, dropout)
