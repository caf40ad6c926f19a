"""Meshes drawn over an image: one z-buffer for all people, lit from above the camera, with smooth edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

# RGB; people take them in turn.
COLOURS = ((0.35, 0.65, 0.95), (0.95, 0.60, 0.35), (0.50, 0.80, 0.45), (0.80, 0.50, 0.80), (0.90, 0.80, 0.35))
_OPACITY = 0.9
_AMBIENT = 0.35
_LIGHT = np.array([-0.3, -0.5, -0.81], np.float32)  # towards the light; y is down, z away from the camera
# Each pixel is the mean of so many times so many.
_FINER = 2
# OpenCV's rasteriser has OpenGL's axes: y up, z towards the viewer.
_TO_RASTER = np.diag([1, -1, -1, 1]).astype(np.float32)


class MeshView(NamedTuple):
    """A mesh as an image shows it."""

    pixels: np.ndarray
    """(V, 2) where its vertices are in the image; (0, 0) is the centre of the top left pixel."""
    depth: np.ndarray
    """(V,) distances from the camera along its axis, metres: the nearer hides the farther, other people's too."""
    normals: np.ndarray
    """(V, 3) unit outward normals in the camera frame (x right, y down, z forward)."""
    colour: tuple[float, float, float] = COLOURS[0]


def draw(image: np.ndarray, views: Sequence[MeshView], faces: np.ndarray) -> np.ndarray:
    """The RGB `image` (H, W, 3) uint8 with `views` over it, all of triangles `faces` (F, 3).

    A mesh that is behind the camera, even in part, or that has no finite place, is left out.
    """
    seen = [view for view in views if np.isfinite(view.pixels).all() and view.depth.min() > 0]
    if not seen:
        return image.copy()
    height, width = (_FINER * side for side in image.shape[:2])
    colour = np.zeros((height, width, 3), np.float32)
    near = 0.9 * min(one.depth.min() for one in seen)
    far = 1.1 * max(one.depth.max() for one in seen)
    depth = np.full((height, width), far, np.float32)
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)
    corners = np.ascontiguousarray(faces, np.int32)
    for one in seen:
        # A camera of 90 degrees whose rays go through the given pixels.
        rays = (_FINER * (one.pixels + 0.5) - (width / 2, height / 2)) / (height / 2)
        points = np.column_stack([rays * one.depth[:, None], one.depth]).astype(np.float32)
        light = _AMBIENT + (1 - _AMBIENT) * np.clip(one.normals @ _LIGHT, 0, 1)
        shade = np.clip(light[:, None] * np.array(one.colour), 0.004, 1).astype(np.float32)
        cv2.triangleRasterize(
            points, corners, shade, colour, depth, _TO_RASTER, float(np.pi / 2), float(near), float(far), settings
        )
    size = image.shape[1::-1]
    # Not by the depths: where nothing is drawn, the rasteriser gives them back rounded, on either side of `far`.
    covered = np.any(colour, axis=-1, keepdims=True).astype(np.float32)
    share = _OPACITY * cv2.resize(covered, size, interpolation=cv2.INTER_AREA)[..., None]
    # The mean over the covered parts of a pixel alone, already weighted by their share.
    painted = _OPACITY * 255 * cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
    return np.round((1 - share) * image + painted).clip(0, 255).astype(np.uint8)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3): the faces' around a vertex, weighted by area."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for axis in range(3):
        for corner in range(3):
            total[:, axis] += np.bincount(faces[:, corner], normals[:, axis], len(vertices))
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)
