"""A person's camera from the keypoints that the finder sees, for networks that see a pose better than a place."""

from __future__ import annotations

import numpy as np

from .boxes import Box
from .finding import LEAST_KEYPOINT

_FEWEST = 4
"""Keypoints that must be seen."""
_MOST = 2.0
"""By which factor the size may change at most: more means that the keypoints are not this body's."""


def aligned_camera(camera: np.ndarray, box: Box, joints: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The weak-perspective camera (3,), of the crop of `box`, that brings `joints` (17, 3) over `keypoints` (17, 3).

    `joints` are in metres; `keypoints` x, y in pixels of the image, and a score. Weighted by the scores, of those that
    are seen, both have the same mean and the same variance then. Returns `camera`, the network's, where too few are
    seen, or where the size would change too much.
    """
    weights = np.where(keypoints[:, 2] >= LEAST_KEYPOINT, keypoints[:, 2], 0).astype(np.float64)
    if (weights > 0).sum() < _FEWEST:
        return camera
    weights /= weights.sum()
    body, image = joints[:, :2].astype(np.float64), keypoints[:, :2].astype(np.float64)
    body_mean, image_mean = weights @ body, weights @ image
    body_variance = weights @ ((body - body_mean) ** 2).sum(1)
    pixels = np.sqrt(weights @ ((image - image_mean) ** 2).sum(1) / max(body_variance, 1e-12))  # of a metre
    scale = pixels / (100 * box.scale)
    if not camera[0] / _MOST < scale < camera[0] * _MOST:
        return camera
    shift = (image_mean - box.center) / pixels - body_mean
    return np.array([scale, *shift], np.float32)
