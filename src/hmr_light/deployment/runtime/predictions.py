"""What a model sees in one image: drawn over it, and as an npz file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .drawing import COLOURS, MeshView, draw, vertex_normals
from .files import atomic_write
from .people import CROP_FOCAL, PredictedPeople

_SIDEWAYS = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)  # a quarter turn about the vertical
_STRIP = 28
"""Height of the caption, pixels."""
_INK = (60, 60, 60)


def draw_people(people: PredictedPeople, image: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Two pictures side by side: the people over `image` (h, w, 3) RGB, the whole image at any size, and from the side.

    Each is drawn by the camera that the network learned with, that of the crop; the distances between people are those
    of `translation`.
    """
    front = _views(people, people.vertices, faces, image.shape[1])
    middle = (people.vertices.min(1, keepdims=True) + people.vertices.max(1, keepdims=True)) / 2
    turned = (people.vertices - middle) @ _SIDEWAYS.T + middle
    side = _views(people, turned, faces, image.shape[1])
    return np.concatenate([draw(image, front, faces), draw(np.full_like(image, 255), side, faces)], axis=1)


def draw_sheet(people: PredictedPeople, image: np.ndarray, faces: np.ndarray, caption: str) -> np.ndarray:
    """`draw_people` with the outline of each person's box and the confidence, and with `caption` in a strip below."""
    ratio = image.shape[1] / people.width
    outlined, labels = image.copy(), []
    for index, (box, confidence) in enumerate(zip(people.boxes, people.confidence.tolist(), strict=True)):
        corners = (ratio * (box.center + 0.5 + np.array([[-1], [1]]) * 100 * box.scale) - 0.5).round().astype(int)
        # A box that is the image itself would be drawn outside it.
        (left, top), (right, bottom) = np.clip(corners, 0, np.array(image.shape[1::-1]) - 1).tolist()
        colour = tuple(round(255 * value) for value in COLOURS[index % len(COLOURS)])
        cv2.rectangle(outlined, (left, top), (right, bottom), colour, max(1, image.shape[1] // 400))
        labels.append((f"{confidence:.2f}", (left, top), colour))
    drawn = draw_people(people, outlined, faces)
    for text, corner, colour in labels:
        _label(drawn, text, corner, colour)
    return np.concatenate([drawn, caption_strip(caption, drawn.shape[1])])


def write_picture(image: np.ndarray, out: Path) -> None:
    """Write the RGB `image` as a PNG."""
    content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    with atomic_write(out) as temporary:
        temporary.write_bytes(content.tobytes())


def write_parameters(people: PredictedPeople, out: Path) -> None:
    """Write an npz of P people, float32; docs/python.md describes it.

    `rotations` (P,24,3,3), `pose` (P,72) the same as axis-angle, `betas` (P,10), `camera` (P,3) = (s, tx, ty) of the
    crop; `crop_translation` (P,3) with `crop_focal` and `crop_size`, pixels of the crop; `translation` (P,3) with
    `focal`, pixels of the whole image of `image_size` (width, height); `center` (P,2), `scale` (P,); `joints` (P,49,3)
    about the body's own origin, and `joints_2d` (P,49,2) in the image, pixels. Metres. `keypoints` (P,17,3), `score`,
    `agreement` and `confidence` (P,), as in `PredictedPeople`.
    """
    with atomic_write(out) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            rotations=people.rotations,
            pose=people.pose,
            betas=people.betas,
            camera=people.camera,
            crop_translation=people.crop_translation,
            crop_focal=np.float32(CROP_FOCAL),
            crop_size=np.int64(people.crop_size),
            translation=people.translation,
            focal=np.float32(people.focal),
            image_size=np.array([people.width, people.height]),
            center=np.array([box.center for box in people.boxes], np.float32),
            scale=np.array([box.scale for box in people.boxes], np.float32),
            joints=people.joints,
            joints_2d=people.joints_2d.astype(np.float32),
            keypoints=people.keypoints,
            score=people.scores,
            agreement=people.agreement.astype(np.float32),
            confidence=people.confidence.astype(np.float32),
        )


def _views(people: PredictedPeople, vertices: np.ndarray, faces: np.ndarray, width: int) -> list[MeshView]:
    """The people with `vertices` in place of their own, for a picture of the image that is `width` pixels wide."""
    ratio = width / people.width
    # What hides what is a matter of the distances in the room, which the crops' cameras do not share.
    depths = vertices[..., 2] + people.translation[:, None, 2]
    views = []
    for index, (points, depth, mesh) in enumerate(zip(people.in_image(vertices), depths, vertices, strict=True)):
        pixels = ratio * (points + 0.5) - 0.5
        views.append(MeshView(pixels, depth, vertex_normals(mesh, faces), COLOURS[index % len(COLOURS)]))
    return views


def _label(image: np.ndarray, text: str, corner: tuple[int, int], colour: tuple[int, ...]) -> None:
    """Write `text` on a ground of `colour` into the box whose top left corner is `corner`, in place."""
    font, size = cv2.FontFace("sans"), max(11, image.shape[1] // 90)
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), font, size)
    cv2.rectangle(image, corner, (corner[0] + width + size, corner[1] + size * 8 // 5), colour, cv2.FILLED)
    cv2.putText(image, text, (corner[0] + size // 2, corner[1] + size * 5 // 4), (0, 0, 0), font, size)


def caption_strip(text: str, width: int) -> np.ndarray:
    """A strip (h, width, 3) with `text`, as large as the width allows."""
    strip = np.full((_STRIP, width, 3), 255, np.uint8)
    font = cv2.FontFace("sans")
    size = _STRIP // 2
    length = cv2.getTextSize((0, 0), text, (0, 0), font, size)[2]
    size = max(4, min(size, size * (width - 12) // max(1, length)))
    cv2.putText(strip, text, (6, _STRIP // 2 + size // 3), _INK, font, size)
    return strip
