"""Predictions drawn over the images that they were made from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from hmr_light.body import SMPL
from hmr_light.data.dataset import MeshDataset
from hmr_light.geometry import weak_perspective_translation
from hmr_light.model.hmr import HMR, normalize
from hmr_light.paths import atomic_write

_COLOUR = np.array([0.35, 0.65, 0.95], np.float32)  # RGB
_NEAR, _FAR = 0.1, 1000.0
# OpenCV's rasteriser has OpenGL's axes: y up, z towards the viewer.
_TO_RASTER = np.diag([1, -1, -1, 1]).astype(np.float32)


@torch.no_grad()
def overlay_sheet(model: HMR, dataset: MeshDataset, body: SMPL, out: Path, count: int = 8) -> None:
    """Write a PNG with a column each for `count` people spread over `dataset`: the crop, and the prediction over it.

    `model` and `body` are on the same device.
    """
    indices = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    images = torch.stack([dataset[int(index)]["image"] for index in indices])
    device = body.faces.device
    parameters = model.eval()(normalize(images.to(device)))
    vertices = body(parameters.rotations.float(), parameters.betas.float()).vertices
    size = dataset.image_size
    vertices = vertices + weak_perspective_translation(parameters.camera.float(), size=size)[:, None]
    columns = []
    for image, mesh in zip(images.permute(0, 2, 3, 1).numpy(), vertices.cpu().numpy(), strict=True):
        columns.append(np.concatenate([image, draw_mesh(image, mesh, body.faces.cpu().numpy())]))
    sheet = cv2.cvtColor(np.concatenate(columns, axis=1), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".png", sheet)[1]
    with atomic_write(out) as temporary:
        temporary.write_bytes(encoded.tobytes())


def draw_mesh(image: np.ndarray, vertices: np.ndarray, faces: np.ndarray, focal: float = 5000.0) -> np.ndarray:
    """The RGB `image` (S, S, 3) uint8 with a mesh over it: `vertices` (V, 3) metres in the camera frame, `faces`.

    The camera looks along z through the image's centre, with `focal` in pixels. Lit from the camera.
    """
    size = len(image)
    vertices = np.ascontiguousarray(vertices, np.float32)
    if not np.isfinite(vertices).all() or vertices[:, 2].min() <= _NEAR:
        return image  # behind the camera, or nowhere: there is nothing to draw
    faces = np.ascontiguousarray(faces, np.int32)
    shade = np.clip(-vertex_normals(vertices, faces)[:, 2:], 0.15, 1) * 0.75 + 0.25
    colour = np.zeros((size, size, 3), np.float32)
    depth = np.full((size, size), _FAR, np.float32)
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)
    field_of_view = 2 * np.arctan(size / (2 * focal))
    cv2.triangleRasterize(
        vertices, faces, shade * _COLOUR, colour, depth, _TO_RASTER, float(field_of_view), _NEAR, _FAR, settings
    )
    covered = colour.any(axis=-1)
    drawn = image.copy()
    drawn[covered] = (0.15 * image[covered] + 0.85 * 255 * colour[covered]).astype(np.uint8)
    return drawn


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3): the faces' around a vertex, weighted by area."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], normals)
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)
