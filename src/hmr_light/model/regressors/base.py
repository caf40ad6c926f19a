"""What every regressor gives and starts from: SMPL's parameters, and their mean over the training set."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from hmr_light.config.registry import Registry
from hmr_light.errors import UserError
from hmr_light.geometry import matrix_to_rot6d, rot6d_to_matrix
from hmr_light.model.mean_parameters import t_pose

NUM_OUTPUTS = 144 + 10 + 3
"""Pose in 6D, betas, camera."""


class SmplParameters(NamedTuple):
    """One body an image, in the crop's camera frame (x right, y down, z forward)."""

    rotations: torch.Tensor
    """(B, 24, 3, 3): the global orientation, then each joint's rotation relative to its parent."""
    betas: torch.Tensor
    """(B, 10): shape, in standard deviations."""
    camera: torch.Tensor
    """(B, 3): weak perspective (s, tx, ty); see `hmr_light.geometry.weak_perspective_translation`."""


class MeanRegressor(nn.Module):
    """The mean parameters, whatever the features (B, F): the baseline to beat, and where every regressor starts.

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

    def output_biases(self) -> list[nn.Parameter]:
        """What is added to the estimate whatever the image: the biases of the last layers."""
        return []

    def fold(self) -> MeanRegressor:
        """The regressor that computes in evaluation what this one does, with the fewest parameters; may be itself."""
        return self

    def estimate(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pose, betas (B, 10) and camera (B, 3) of `features` (B, F), before the pose becomes rotations.

        The pose is in 6D (B, 144), unless the regressor says otherwise.
        """
        return self._mean(features.shape[0])

    def forward(self, features: torch.Tensor) -> SmplParameters:
        return to_parameters(*self.estimate(features))

    def _mean(self, batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.init_pose.expand(batch, -1), self.init_shape.expand(batch, -1), self.init_cam.expand(batch, -1)


regressors: Registry[MeanRegressor] = Registry("regressor")


def to_parameters(pose: torch.Tensor, betas: torch.Tensor, camera: torch.Tensor) -> SmplParameters:
    """`SmplParameters` of `pose` (B, 144) in SPIN's 6D layout, `betas` (B, 10) and `camera` (B, 3)."""
    return SmplParameters(rot6d_to_matrix(pose.unflatten(1, (24, 6))), betas, camera)


def check_widths(greatest: int = 16384, **options: int) -> None:
    """Raise `UserError` for an option of a regressor that is not from 1 to `greatest`."""
    for option, value in options.items():
        if not 1 <= value <= greatest:
            size = "small" if value < 1 else "large"
            raise UserError(f"regressor.{option}={value} is too {size}", f"Give from 1 to {greatest}.")


def check_dropout(dropout: float, option: str = "dropout") -> None:
    """Raise `UserError` for a rate, the value of `option`, that is none."""
    if not 0 <= dropout < 1:
        raise UserError(f"regressor.{option}={dropout} is out of range", "Give at least 0 and less than 1.")
