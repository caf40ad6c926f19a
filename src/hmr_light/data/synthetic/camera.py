"""The camera that photographs the person, and the square around the person that is written.

Camera frame: x right, y down, z forward (OpenCV). It is the frame of the *whole* photograph, as in SPIN's and 3DPW's
annotations: poses and joints are annotated in it. The written square is cut out of that photograph, so its principal
point lies off its centre as far as the person stood off the photograph's. Pixel coordinates are whole numbers at pixel
centres (OpenCV): the square spans -0.5 … size - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmr_light.data.synthetic.anatomy import axis_rotation
from hmr_light.data.synthetic.config import CameraConfig

BOX_MARGIN = 1.2
"""An annotated box is this much larger than the tight one (SPIN)."""

_NEAREST, _FARTHEST = 1.2, 15.0  # metres
_LOOKING_BACK = np.diag([1.0, -1.0, -1.0])  # world (y up) → a level camera that looks along the world's -z
_TRIES = 20


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


def sample_camera(rng: np.random.Generator, config: CameraConfig, vertices: np.ndarray, size: int) -> Camera:
    """A camera that has the person, `vertices` (V, 3) in the world above the origin, in view.

    Height, field of view and share of the photograph that the person fills are drawn; the distance follows from them,
    and the pitch from where in the photograph the person stands, inside the configured range.
    """
    low, high = bounds(vertices)
    extent = float((high - low).max())
    for _ in range(_TRIES):
        view = np.radians(rng.uniform(*config.field_of_view_degrees))
        height = rng.uniform(*config.height_m)
        distance = np.clip(extent / (2 * np.tan(view / 2) * rng.uniform(*config.fill)), _NEAREST, _FARTHEST)
        elevation = np.degrees(np.arctan2((low[1] + high[1]) / 2 - height, distance))
        off_axis = np.degrees(view) * rng.uniform(-0.35, 0.35, 2)
        pitch = np.clip(elevation + off_axis[0], *config.pitch_degrees)
        if abs(pitch - elevation) < 0.45 * np.degrees(view):
            break
    roll = rng.normal(0, config.roll_std_degrees)
    rotation = axis_rotation(2, roll) @ axis_rotation(0, -pitch) @ _LOOKING_BACK @ axis_rotation(1, off_axis[1])
    position = np.array([(low[0] + high[0]) / 2, height, high[2] + distance])
    return _cut(rng, config, rotation, position, vertices, size)


def _cut(
    rng: np.random.Generator,
    config: CameraConfig,
    rotation: np.ndarray,
    position: np.ndarray,
    vertices: np.ndarray,
    size: int,
) -> Camera:
    """The square that is written: the person with a margin, or, truncated, a part of the person."""
    local = (vertices - position) @ rotation.T
    plane = local[:, :2] / local[:, 2:]
    centre, side = tight_box(plane)
    box = BOX_MARGIN * side
    context = rng.uniform(*config.context)
    offset = rng.uniform(-1, 1, 2) * min(config.shift, (context - 1) / 2)
    if rng.random() < config.truncation:
        for _ in range(_TRIES):
            new_context, new_offset = rng.uniform(0.6, 1.1), rng.uniform(-0.45, 0.45, 2)
            inside = np.abs(plane - centre - new_offset * box).max(1) < new_context * box / 2
            if 0.4 < inside.mean() < 0.95:
                context, offset = new_context, new_offset
                break
    focal = size / (context * box)
    principal_point = (size - 1) / 2 - focal * (centre + offset * box)
    return Camera(rotation, position, float(focal), principal_point, size)


def bounds(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest coordinates (D,) of points (N, D)."""
    columns = np.ascontiguousarray(points.T)  # numpy reduces along rows ten times faster
    return columns.min(1), columns.max(1)


def tight_box(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The centre (2,) and the larger side of the smallest upright box around points (N, 2)."""
    low, high = bounds(points)
    return (low + high) / 2, float((high - low).max())


def visible_box(pixels: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """`tight_box` of the part of the person, projected to `pixels` (V, 2), that lies inside the square."""
    low, high = (np.clip(corner, -0.5, size - 0.5) for corner in bounds(pixels))
    return (low + high) / 2, float((high - low).max())
