"""People of an image: what a model sees of them, and where that is before the image's camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .boxes import Box
from .joints import COCO_JOINTS

CROP_FOCAL = 5000.0
"""Pixels of the network's crop: SPIN's camera, which the losses project with."""
_NEAR = 0.05
"""Of the box's side: a joint that is so far from the keypoint that the finder sees agrees with it by exp(-1/2)."""


@dataclass(frozen=True)
class PredictedPeople:
    """P people of one image, as float32 arrays. Metres; the camera frame is x right, y down, z forward."""

    width: int
    """Of the image, pixels."""
    height: int
    focal: float
    """Of the whole image's camera, pixels; its principal point is the image's centre."""
    crop_size: int
    """Side of the network's input, pixels."""
    boxes: list[Box]
    rotations: np.ndarray
    """(P, 24, 3, 3): the global orientation, then each joint's rotation relative to its parent."""
    betas: np.ndarray
    """(P, 10): shape, in standard deviations."""
    camera: np.ndarray
    """(P, 3): weak perspective (s, tx, ty) of the crop; see `Predictor` on `align`."""
    vertices: np.ndarray
    """(P, V, 3) about the body's own origin; add `translation` for their place before the image's camera."""
    joints: np.ndarray
    """(P, 49, 3) likewise: SPIN's joints, OpenPose's 25 and 24 that annotations have (docs/python.md)."""
    keypoints: np.ndarray
    """(P, 17, 3): what the finder sees in the box: COCO's keypoints, x, y in pixels as in `joints_2d`, and the score,
    0…1."""
    scores: np.ndarray
    """(P,): how sure the finder is that somebody is in the box, 0…1; see `finding.Found`."""

    def __len__(self) -> int:
        return len(self.boxes)

    @cached_property
    def pose(self) -> np.ndarray:
        """(P, 72): `rotations` as axis-angle, radians."""
        return axis_angle(self.rotations).reshape(len(self), 72)

    @cached_property
    def crop_translation(self) -> np.ndarray:
        """(P, 3) from the body's origin to the crop's camera frame, of `CROP_FOCAL`."""
        scale, x, y = self.camera.T
        return np.stack((x, y, 2 * CROP_FOCAL / (self.crop_size * scale + 1e-9)), axis=-1)

    @cached_property
    def translation(self) -> np.ndarray:
        """(P, 3) from the body's origin to the whole image's camera frame (Li et al., "CLIFF", ECCV 2022, 3.1)."""
        sides = np.array([200 * box.scale for box in self.boxes], np.float32)
        # From the image's centre, which is half a pixel before (W / 2, H / 2) where (0, 0) is a pixel's centre.
        middle = np.array([self.width - 1, self.height - 1], np.float32) / 2
        centers = np.array([box.center for box in self.boxes]).reshape(-1, 2).astype(np.float32)
        scale, x, y = self.camera.T
        pixels = sides * scale + 1e-9  # of two metres at the body's distance
        shift = 2 * (centers - middle) / pixels[:, None]
        return np.stack((x + shift[:, 0], y + shift[:, 1], 2 * self.focal / pixels), axis=-1)

    @cached_property
    def joints_2d(self) -> np.ndarray:
        """(P, 49, 2): where the joints are in the image, pixels; (0, 0) is the centre of the top left pixel."""
        return self.in_image(self.joints)

    @cached_property
    def agreement(self) -> np.ndarray:
        """(P,): how well `joints_2d` agree with `keypoints`, 0…1.

        The mean over the keypoints, weighted by their scores, of exp(-(d / 0.05 a)² / 2), where d is the distance
        between the two and a the side of the box.
        """
        sides = np.array([200 * box.scale for box in self.boxes])[:, None]
        distances = np.linalg.norm(self.joints_2d[:, COCO_JOINTS] - self.keypoints[..., :2], axis=2) / sides
        weights = self.keypoints[..., 2] / self.keypoints[..., 2].sum(1, keepdims=True)
        return np.asarray((weights * np.exp(-((distances / _NEAR) ** 2) / 2)).sum(1))

    @cached_property
    def confidence(self) -> np.ndarray:
        """(P,): how far the person can be trusted, 0…1: the root of `scores` times `agreement`."""
        return np.asarray(np.sqrt(self.scores * self.agreement))

    def in_image(self, points: np.ndarray) -> np.ndarray:
        """Pixels (P, N, 2) of `points` (P, N, 3), such as `vertices`, by the camera of each person's crop.

        The network learned with that camera, so that this is where it sees them.
        """
        moved = points + self.crop_translation[:, None]
        in_crop = moved[..., :2] / moved[..., 2:] * (CROP_FOCAL / (self.crop_size / 2))
        pixels = [box.center + 100 * box.scale * one for box, one in zip(self.boxes, in_crop, strict=True)]
        return np.array(pixels).reshape(*points.shape[:2], 2)


def axis_angle(rotations: np.ndarray) -> np.ndarray:
    """Axis-angle vectors (..., 3), of length 0 to π, of rotation matrices (..., 3, 3); exact near 0 and near π.

    As `hmr_light.geometry.matrix_to_axis_angle`: 4 q qᵀ of the unit quaternion q = (w, x, y, z) is made of the matrix,
    and of its rows, the one with the largest diagonal is q most exactly.
    """
    r = rotations
    trace = np.trace(r, axis1=-2, axis2=-1)[..., None]
    skew = np.stack((r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]), axis=-1)
    first_row = np.concatenate((1 + trace, skew), axis=-1)
    others = r + np.swapaxes(r, -1, -2) + (1 - trace)[..., None] * np.eye(3, dtype=r.dtype)
    outer = np.concatenate((first_row[..., None, :], np.concatenate((skew[..., None], others), axis=-1)), axis=-2)
    largest = np.diagonal(outer, axis1=-2, axis2=-1).argmax(-1)[..., None, None]
    quaternion = np.take_along_axis(outer, largest, axis=-2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    cosine, vector = np.abs(quaternion[..., :1]), quaternion[..., 1:] * np.where(quaternion[..., :1] < 0, -1, 1)
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, cosine)
    factor = np.divide(angle, sine, out=np.full_like(sine, 2), where=sine > 0)
    return np.asarray(vector * factor, r.dtype)
