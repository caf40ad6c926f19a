"""How the person is photographed: a random camera, the square of the photograph that is written, the annotated box."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hmr_light.data.synthetic.anatomy import axis_rotation
from hmr_light.data.synthetic.camera import Camera
from hmr_light.data.synthetic.config import CameraConfig

BOX_MARGIN = 1.2
"""An exact annotated box is this much larger than the tight one (SPIN)."""

_NEAREST, _FARTHEST = 1.2, 15.0  # metres
_LOOKING_BACK = np.diag([1.0, -1.0, -1.0])  # world (y up) → a level camera that looks along the world's -z
_TRIES = 20
_PIXEL_STEPS = 2.0**10


class Shot(NamedTuple):
    """A camera and the box that is annotated."""

    camera: Camera
    centre: np.ndarray
    """(2,) pixels"""
    side: float
    """pixels"""


def sample_shot(rng: np.random.Generator, config: CameraConfig, vertices: np.ndarray, size: int) -> Shot:
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
) -> Shot:
    """The square that is written: the annotated box with a margin, or, truncated, a part of the person."""
    local = (vertices - position) @ rotation.T
    plane = local[:, :2] / local[:, 2:]
    tight_centre, tight_side = tight_box(plane)
    scale = float(np.clip(np.exp(config.crop_scale_std * rng.standard_normal()), *config.crop_scale))
    shift = rng.uniform(-1, 1, 2) * config.crop_shift
    centre, side = tight_centre + shift * tight_side, BOX_MARGIN * tight_side * scale * rng.uniform(*config.context)
    truncated = False
    if rng.random() < config.truncation:
        for _ in range(_TRIES):
            part_centre = tight_centre + rng.uniform(-0.45, 0.45, 2) * BOX_MARGIN * tight_side
            part_side = rng.uniform(0.6, 1.1) * BOX_MARGIN * tight_side
            inside = np.abs(plane - part_centre).max(1) < part_side / 2
            if truncated := bool(0.4 < inside.mean() < 0.95):
                centre, side = part_centre, part_side
                break
    # Rounded to what float32 can hold, for these numbers are labels too.
    focal = float(np.float32(size / side))
    principal_point = np.round(((size - 1) / 2 - focal * centre) * _PIXEL_STEPS) / _PIXEL_STEPS
    camera = Camera(rotation, position, focal, principal_point, size)
    pixels = camera.project(local)
    box_centre, box_side = visible_box(pixels, size) if truncated else tight_box(pixels)
    return Shot(camera, box_centre + shift * box_side, BOX_MARGIN * scale * box_side)


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
