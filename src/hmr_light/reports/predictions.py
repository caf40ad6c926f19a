"""What a model sees in one image: its people, where they stand before the camera, and how they look drawn over it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from hmr_light.data.boxes import Box
from hmr_light.geometry import full_image_translation, matrix_to_axis_angle, project, weak_perspective_translation
from hmr_light.model.regressors import SmplParameters
from hmr_light.paths import atomic_write
from hmr_light.reports.drawing import COLOURS, MeshView, draw, vertex_normals

CROP_FOCAL = 5000.0
"""Pixels of the network's crop: SPIN's camera, which the losses project with."""
_SIDEWAYS = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)  # a quarter turn about the vertical


class PredictedPeople(NamedTuple):
    """P people of one image, on the CPU; the camera frame is x right, y down, z forward, in metres."""

    width: int
    """Of the image, pixels."""
    height: int
    focal: float
    """Of the whole image's camera, pixels; its principal point is the image's centre."""
    crop_size: int
    """Side of the network's input, pixels."""
    boxes: list[Box]
    parameters: SmplParameters
    """Of the crops; the same people stand in the whole image, by `translation`."""
    vertices: torch.Tensor
    """(P, V, 3) as the body model gives them, about their own origin."""
    joints: torch.Tensor
    """(P, 49, 3) likewise, SPIN's."""

    @property
    def crop_translation(self) -> torch.Tensor:
        """(P, 3) from the body's origin to the crop's camera frame, of `CROP_FOCAL`."""
        return weak_perspective_translation(self.parameters.camera, CROP_FOCAL, self.crop_size)

    @property
    def translation(self) -> torch.Tensor:
        """(P, 3) from the body's origin to the whole image's camera frame."""
        sides = torch.tensor([200 * box.scale for box in self.boxes])
        # From the image's centre, which is half a pixel before (W / 2, H / 2) where (0, 0) is a pixel's centre.
        middle = torch.tensor([self.width - 1, self.height - 1]) / 2
        offsets = torch.tensor(np.array([box.center for box in self.boxes]), dtype=torch.float32) - middle
        return full_image_translation(self.parameters.camera, offsets, sides, self.focal)


def draw_people(people: PredictedPeople, image: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Two pictures side by side: the people over `image` (h, w, 3) RGB, the whole image at any size, and from the side.

    Each is drawn by the camera that the network learned with, that of the crop; how far they stand from one another is
    taken from `translation`.
    """
    front = _figures(people, people.vertices, faces, image.shape[1])
    middle = (people.vertices.amin(1, keepdim=True) + people.vertices.amax(1, keepdim=True)) / 2
    turned = (people.vertices - middle) @ torch.from_numpy(_SIDEWAYS).T + middle
    side = _figures(people, turned, faces, image.shape[1])
    return np.concatenate([draw(image, front, faces), draw(np.full_like(image, 255), side, faces)], axis=1)


def write_picture(image: np.ndarray, out: Path) -> None:
    """Write the RGB `image` as a PNG."""
    content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    with atomic_write(out) as temporary:
        temporary.write_bytes(content.tobytes())


def write_parameters(people: PredictedPeople, out: Path) -> None:
    """Write an npz of P people: SMPL's parameters, the cameras, the boxes and the 49 joints.

    `rotations` (P,24,3,3), `pose` (P,72) the same as axis-angle, `betas` (P,10), `camera` (P,3) = (s, tx, ty) of the
    crop; `crop_translation` (P,3) with `crop_focal` and `crop_size`, pixels of the crop; `translation` (P,3) with
    `focal`, pixels of the whole image of `image_size` (width, height); `center` (P,2), `scale` (P,); `joints` (P,49,3)
    about the body's own origin. Metres.
    """
    rotations = people.parameters.rotations
    with atomic_write(out) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            rotations=rotations.numpy(),
            pose=matrix_to_axis_angle(rotations).flatten(1).numpy(),
            betas=people.parameters.betas.numpy(),
            camera=people.parameters.camera.numpy(),
            crop_translation=people.crop_translation.numpy(),
            crop_focal=np.float32(CROP_FOCAL),
            crop_size=np.int64(people.crop_size),
            translation=people.translation.numpy(),
            focal=np.float32(people.focal),
            image_size=np.array([people.width, people.height]),
            center=np.array([box.center for box in people.boxes], np.float32),
            scale=np.array([box.scale for box in people.boxes], np.float32),
            joints=people.joints.numpy(),
        )


def _figures(people: PredictedPeople, vertices: torch.Tensor, faces: np.ndarray, width: int) -> list[MeshView]:
    """The people with `vertices` in place of their own, for a picture of the image that is `width` pixels wide."""
    ratio = width / people.width
    in_crop = project(vertices, people.crop_translation, CROP_FOCAL, people.crop_size).numpy()
    # What hides what is a matter of the distances in the room, which the crops' cameras do not share.
    depths = (vertices[..., 2] + people.translation[:, None, 2]).numpy()
    figures = []
    for index, (box, points, depth, mesh) in enumerate(
        zip(people.boxes, in_crop, depths, vertices.numpy(), strict=True)
    ):
        pixels = box.center + points * 100 * box.scale
        pixels = ratio * (pixels + 0.5) - 0.5
        figures.append(MeshView(pixels, depth, vertex_normals(mesh, faces), COLOURS[index % len(COLOURS)]))
    return figures
