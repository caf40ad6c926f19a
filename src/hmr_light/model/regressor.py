"""Regressors: features (B, F) → SMPL parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from hmr_light.errors import UserError
from hmr_light.geometry import matrix_to_rot6d, rot6d_to_matrix
from hmr_light.model.mean_parameters import t_pose
from hmr_light.registry import Registry


class SmplParameters(NamedTuple):
    """One body an image, in the crop's camera frame (x right, y down, z forward)."""

    rotations: torch.Tensor
    """(B, 24, 3, 3): the global orientation, then each joint's rotation relative to its parent."""
    betas: torch.Tensor
    """(B, 10): shape, in standard deviations."""
    camera: torch.Tensor
    """(B, 3): weak perspective (s, tx, ty); see `hmr_light.geometry.weak_perspective_translation`."""


regressors: Registry[MeanRegressor] = Registry("regressor")


def build_regressor(config: Mapping[str, Any], num_features: int) -> MeanRegressor:
    """The regressor that `config` describes (see `conf/regressor/`), for features (B, `num_features`).

    Raises `UserError` for an unknown name or option.
    """
    return regressors.build(config, num_features)


class MeanRegressor(nn.Module):
    """The mean parameters, whatever the features (B, F): the baseline to beat, and where SPIN's regressor starts.

    The mean is state, not weights: three buffers with SPIN's names, saved with the model. Until `set_mean` it is an
    upright T-pose of mean shape, seen from the front.
    """

    init_pose: torch.Tensor
    init_shape: torch.Tensor
    init_cam: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        rotations, betas, camera = t_pose()
        self.register_buffer("init_pose", matrix_to_rot6d(rotations).reshape(1, 144))
        self.register_buffer("init_shape", betas.reshape(1, 10))
        self.register_buffer("init_cam", camera.reshape(1, 3))

    def set_mean(self, rotations: torch.Tensor, betas: torch.Tensor, camera: torch.Tensor) -> None:
        """Take `rotations` (24, 3, 3), `betas` (10,) and `camera` (3,) as the mean."""
        self.init_pose.copy_(matrix_to_rot6d(rotations).reshape(1, 144))
        self.init_shape.copy_(betas.reshape(1, 10))
        self.init_cam.copy_(camera.reshape(1, 3))

    def forward(self, features: torch.Tensor) -> SmplParameters:
        return _parameters(*self._mean(len(features)))

    def _mean(self, batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.init_pose.expand(batch, -1), self.init_shape.expand(batch, -1), self.init_cam.expand(batch, -1)


class SpinRegressor(MeanRegressor):
    """SPIN's iterative regressor (Kolotouros et al., ICCV 2019; Kanazawa et al., CVPR 2018, section 3.2).

    Each of `iterations` passes sees the features and its own estimate (pose 6D 144, betas 10, camera 3), and adds a
    correction to it. Between its layers stands dropout alone: as in SPIN, no activation. 1,024 F + 1,372,317 parameters
    at the reference width.
    """

    def __init__(self, num_features: int, hidden: int, iterations: int, dropout: float) -> None:
        super().__init__()
        self.iterations = iterations
        self.fc1 = nn.Linear(num_features + 157, hidden)
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
        return _parameters(pose, betas, camera)


def _parameters(pose: torch.Tensor, betas: torch.Tensor, camera: torch.Tensor) -> SmplParameters:
    return SmplParameters(rot6d_to_matrix(pose.unflatten(1, (24, 6))), betas, camera)


@regressors.register("mean")
def mean(num_features: int) -> MeanRegressor:
    """The mean parameters of the training set, whatever the image."""
    if num_features:
        raise UserError("regressor=mean looks at no features, but the backbone makes some", "Add backbone=blank.")
    return MeanRegressor()


@regressors.register("spin")
def spin(num_features: int, *, hidden: int = 1024, iterations: int = 3, dropout: float = 0.5) -> SpinRegressor:
    """SPIN's iterative regressor."""
    for option, value in (("hidden", hidden), ("iterations", iterations)):
        if value < 1:
            raise UserError(f"regressor.{option}={value} is too small", "Give at least 1.")
    if not 0 <= dropout < 1:
        raise UserError(f"regressor.dropout={dropout} is out of range", "Give at least 0 and less than 1.")
    return SpinRegressor(num_features, hidden, iterations, dropout)
