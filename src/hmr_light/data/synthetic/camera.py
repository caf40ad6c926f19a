"""A pinhole camera over the square around the person that is written.

Camera frame: x right, y down, z forward (OpenCV). It is the frame of the *whole* photograph, as in SPIN's and 3DPW's
annotations: poses and joints are annotated in it. The written square is cut out of that photograph, so its principal
point lies off its centre as far as the person stood off the photograph's. Pixel coordinates are whole numbers at pixel
centres (OpenCV): the square spans -0.5 … size - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A pinhole over one square of pixels."""

    rotation: np.ndarray
    """(3, 3) world → camera."""
    position: np.ndarray
    """(3,) in the world (y up, ground at 0), metres."""
    focal: float
    """Pixels of the written square."""
    principal_point: np.ndarray
    """(2,) pixels of the written square."""
    size: int
    """Side of the written square, pixels."""

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) in the camera frame, metres."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of points (N, 3) in the camera frame."""
        return self.focal * points[:, :2] / points[:, 2:] + self.principal_point

    def pixel_to_ray(self) -> np.ndarray:
        """(3, 3): a pixel (x, y, 1) → the direction in the world, of depth one, that it looks in."""
        x, y = self.principal_point / self.focal
        inverse = np.array([[1 / self.focal, 0, -x], [0, 1 / self.focal, -y], [0, 0, 1]])
        return self.rotation.T @ inverse
