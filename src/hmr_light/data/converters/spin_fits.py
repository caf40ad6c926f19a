"""SPIN's static fits (Kolotouros et al., ICCV 2019): SMPL bodies fitted to 2D keypoints, some of them badly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from hmr_light.body import SMPL
from hmr_light.body.joints import J24_NAMES, OPENPOSE25_NAMES
from hmr_light.data.annotations import Annotations
from hmr_light.geometry import axis_angle_to_matrix

MAX_BETA = 3.0
"""SPIN and 4D-Humans take betas beyond this for a failure."""
# SPIN's crop, pixels, and its camera.
_SIZE, _FOCAL = 224, 5000.0
# Scale of the robust error, pixels.
_SIGMA = 100.0
# Joints that the loss leaves out: the hips and the neck of SMPL are other points than the annotated ones.
_IGNORED = [OPENPOSE25_NAMES.index(name) for name in ("neck", "right_hip", "left_hip")] + [
    25 + J24_NAMES.index(name) for name in ("right_hip_lsp", "left_hip_lsp")
]
_CHUNK = 1024


class Fits(NamedTuple):
    """The fits of N people, as SPIN learns from them."""

    pose: np.ndarray
    """(N,72)"""
    betas: np.ndarray
    """(N,10): zeros where one was beyond `MAX_BETA`."""
    joint_loss: np.ndarray
    """(N,): see `joint_losses`; zeros where they were not asked for, NaN where there is no fit."""
    extreme: np.ndarray
    """(N,) bool: whether the betas were set to zero."""


def judge_fits(fits: np.ndarray, labels: Annotations, body: SMPL | None) -> Fits:
    """Judge `fits` (N,82: pose and betas) as SPIN's `trainer.py` does; `labels` are as SPIN's file has them.

    The loss is that of the betas as they were fitted; extreme ones become zeros after it. A fit that is zero, or not
    finite, is none. Without a `body` no loss is computed.
    """
    pose, betas = fits[:, :72].copy(), fits[:, 72:].copy()
    there = np.isfinite(fits).all(1) & fits.any(1)
    loss = np.where(there, 0.0, np.nan)
    if body is not None:
        for part in np.array_split(np.flatnonzero(there), -(-int(there.sum()) // _CHUNK) or 1):
            loss[part] = joint_losses(body, pose[part], betas[part], keypoints_in_crop(labels, part))
    extreme = there & (np.abs(betas) > MAX_BETA).any(1)
    betas[extreme] = 0
    return Fits(pose, betas, loss, extreme)


def keypoints_in_crop(labels: Annotations, indices: np.ndarray) -> np.ndarray:
    """The keypoints (M,49,3) of the people `indices` in SPIN's unaugmented crop of 224 pixels, and their confidence.

    `labels.center` counts from the edge of the first pixel. SPIN rounds to whole pixels so: towards zero, and adds one.
    """
    keypoints = np.concatenate([labels.openpose[indices], labels.part[indices]], 1).astype(np.float64)
    scale = _SIZE / (200 * labels.scale[indices].astype(np.float64))[:, None, None]
    inside = (keypoints[..., :2] - labels.center[indices][:, None]) * scale + _SIZE / 2
    return np.concatenate([np.trunc(inside) + 1, keypoints[..., 2:]], -1)


@torch.no_grad()
def joint_losses(body: SMPL, pose: np.ndarray, betas: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """SPIN's joint loss (M,) of bodies (M,72 and M,10) against `keypoints` (M,49,3) in its crop; SPIN's limit is 100.

    The mean over the 49 joints of confidence² times the Geman-McClure error in pixels², after the translation that
    brings the 24 annotated joints nearest to their keypoints (`smplify.py`, `losses.py`, `geometry.py`). Infinite where
    the keypoints do not determine that translation.
    """
    rotations = axis_angle_to_matrix(torch.from_numpy(pose).float().view(-1, 24, 3))
    joints = body.joints(rotations, torch.from_numpy(betas).float()).double().cpu().numpy()
    goal, confidence = keypoints[..., :2] - _SIZE / 2, keypoints[..., 2]
    translation = _translations(joints[:, 25:], goal[:, 25:], confidence[:, 25:])
    moved = joints + translation[:, None]
    squared = (_FOCAL * moved[..., :2] / moved[..., 2:] - goal) ** 2
    error = (_SIGMA**2 * squared / (_SIGMA**2 + squared)).sum(-1)
    weight = confidence**2
    weight[:, _IGNORED] = 0
    loss = (weight * error).mean(1)
    return np.where(np.isfinite(loss), loss, np.inf)


def _translations(joints: np.ndarray, goal: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The translations (M,3) that minimise the weighted algebraic error of f (X + t) = u (Z + t_z); NaN where none."""
    count = goal.shape[0]
    rows = np.zeros((count, goal.shape[1], 2, 3))
    rows[:, :, 0, 0] = rows[:, :, 1, 1] = _FOCAL
    rows[..., 2] = -goal
    right = goal * joints[..., 2:] - _FOCAL * joints[..., :2]
    weight = np.sqrt(np.clip(confidence, 0, None))[..., None]
    rows, right = (rows * weight[..., None]).reshape(count, -1, 3), (right * weight).reshape(count, -1, 1)
    square = rows.mT @ rows
    solvable = np.linalg.matrix_rank(square) == 3
    translation = np.full((count, 3), np.nan)
    translation[solvable] = np.linalg.solve(square[solvable], rows[solvable].mT @ right[solvable])[..., 0]
    return translation
