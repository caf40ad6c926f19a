"""The contact sheet of the rendered dataset: labels as read back from disk, drawn over the images as read back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from hmr_light.body import SMPL
from hmr_light.data.annotations import Annotations
from hmr_light.data.contact_sheet import contact_sheet
from hmr_light.data.dataset import MeshDataset, Sample
from hmr_light.deployment.runtime.crop import crop_matrix, transform_points
from hmr_light.geometry import axis_angle_to_matrix

_ROWS, _COLUMNS = 5, 8
_OUTLINE = (80, 255, 80)
_SUBPIXEL_BITS = 4


def synthetic_sheet(out: Path, split: str, body: SMPL) -> None:
    """Write `out/contact_sheet.png`: samples spread over a split in `out`, with skeleton and mesh outline."""
    dataset = MeshDataset(out / f"{split}.npz", out, image_size=224)
    labels = dataset.annotations
    indices = np.unique(np.linspace(0, len(dataset) - 1, _ROWS * _COLUMNS).round().astype(int)).tolist()

    def outline(image: np.ndarray, sample: Sample, index: int) -> np.ndarray:
        matrix = crop_matrix(sample["center"].numpy(), float(sample["scale"]), image.shape[0])
        pixels = transform_points(matrix, project_mesh(labels, index, body))
        mask = silhouette(pixels, body.faces.numpy(), image.shape[0])
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        return cv2.drawContours(image, contours, -1, _OUTLINE, 1, cv2.LINE_AA)

    contact_sheet(dataset, out / "contact_sheet.png", indices, columns=_COLUMNS, draw=outline)


def project_mesh(labels: Annotations, index: int, body: SMPL) -> np.ndarray:
    """Pixels (V, 2), float64, of the mesh that the labels of one image describe."""
    pose = torch.tensor(labels.pose[index].reshape(24, 3)).double()
    betas = torch.tensor(labels.shape[index])
    with torch.no_grad():
        vertices = body(axis_angle_to_matrix(pose).float()[None], betas[None]).vertices[0].double().numpy()
    points = vertices + labels.extras["camera_translation"][index]
    focal, centre = float(labels.extras["focal"][index]), labels.extras["principal_point"][index]
    return focal * points[:, :2] / points[:, 2:] + centre


def silhouette(pixels: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """Where the triangles `faces` (F, 3) of `pixels` (V, 2) fall, (size, size) uint8: 255 there, else 0."""
    mask = np.zeros((size, size), np.uint8)
    corners = np.rint(pixels[faces] * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    for triangle in corners:
        cv2.fillConvexPoly(mask, triangle, 255, cv2.LINE_8, _SUBPIXEL_BITS)
    return mask
