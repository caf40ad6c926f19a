"""Predictions drawn over the crops that they were made from."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import cv2
import numpy as np
import torch

from hmr_light.body import SMPL
from hmr_light.data.dataset import MeshDataset
from hmr_light.errors import UserError
from hmr_light.geometry import project, weak_perspective_translation
from hmr_light.model.hmr import HMR, normalize
from hmr_light.reports.drawing import MeshView, draw, vertex_normals
from hmr_light.reports.predictions import write_picture

_LEAST_SIDE = 192
"""Pixels; smaller crops are enlarged to see something."""


@torch.no_grad()
def overlay_sheet(model: HMR, dataset: MeshDataset, body: SMPL, out: Path, count: int = 8) -> None:
    """Write a PNG with a column each for `count` people spread over `dataset`: the crop, and the prediction over it.

    `model` and `body` are on the same device. People whose image cannot be read are left out: whether that is an error
    was decided when the set was evaluated.
    """
    indices = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    readable = []
    for index in indices:
        with contextlib.suppress(UserError):
            readable.append(dataset[int(index)]["image"])
    if not readable:
        return
    images = torch.stack(readable)
    parameters = model.eval()(normalize(images.to(body.faces.device)))
    vertices = body(parameters.rotations.float(), parameters.betas.float()).vertices.cpu()
    size = dataset.image_size * math.ceil(_LEAST_SIDE / dataset.image_size)
    translation = weak_perspective_translation(parameters.camera.float().cpu(), size=size)
    columns = []
    for crop, mesh, place in zip(images.permute(0, 2, 3, 1).numpy(), vertices, translation, strict=True):
        image = cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC)
        columns.append(np.concatenate([image, draw_mesh(image, mesh, place, body.faces.cpu().numpy())]))
    write_picture(np.concatenate(columns, axis=1), out)


def draw_mesh(
    image: np.ndarray, vertices: torch.Tensor, translation: torch.Tensor, faces: np.ndarray, focal: float = 5000.0
) -> np.ndarray:
    """The RGB crop `image` (S, S, 3) uint8 with a mesh over it: `vertices` (V, 3) moved by `translation` (3,), metres.

    The camera looks along z through the crop's centre, with `focal` in pixels, as the losses have it.
    """
    size = len(image)
    points = project(vertices[None], translation[None], focal, size)[0].numpy()
    pixels = (points + 1) * size / 2 - 0.5
    depth = (vertices[:, 2] + translation[2]).numpy()
    return draw(image, [MeshView(pixels, depth, vertex_normals(vertices.numpy(), faces))], faces)
