"""The mean pose, shape and camera: where the regressor's estimate starts."""

from __future__ import annotations

import numpy as np
import torch

from hmr_light.geometry import axis_angle_to_matrix, chordal_mean

Mean = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""rotations (24, 3, 3), betas (10,), camera (3,); float32."""

# SPIN's: the person fills nine tenths of the crop and stands in its middle.
MEAN_CAMERA = (0.9, 0.0, 0.0)


def t_pose() -> Mean:
    """An upright T-pose of mean shape, seen from the front: what to start from where no pose is known."""
    rotations = torch.eye(3).repeat(24, 1, 1)
    rotations[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # the camera's y points down, the body's up
    return rotations, torch.zeros(10), torch.tensor(MEAN_CAMERA)


def compute_mean_parameters(pose: np.ndarray, betas: np.ndarray) -> Mean:
    """The mean of a training set's SMPL fits: `pose` (N, 72) axis-angle in the camera frame, `betas` (N, 10).

    Each joint's rotation is the chordal mean; the camera is SPIN's. Without any fit (N = 0) it is `t_pose()`.
    """
    if not len(pose):
        return t_pose()
    # In parts, so that a million poses need no gigabytes; in float64, so that the parts do not matter.
    total = torch.zeros(24, 3, 3, dtype=torch.float64)
    for start in range(0, len(pose), 8192):
        part = torch.from_numpy(np.asarray(pose[start : start + 8192], dtype=np.float64))
        total += axis_angle_to_matrix(part.unflatten(1, (24, 3))).sum(0)
    rotations = chordal_mean(total[None] / len(pose)).float()
    return rotations, torch.from_numpy(betas.mean(0, dtype=np.float64)).float(), torch.tensor(MEAN_CAMERA)
