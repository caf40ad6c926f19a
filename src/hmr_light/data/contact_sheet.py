"""One picture of many crops with their labels drawn over them, for a person to see whether labels and pixels agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from hmr_light.body import SMPL
from hmr_light.body.joints import J24_NAMES, J24_SKELETON
from hmr_light.data.dataset import Sample
from hmr_light.deployment.runtime.boxes import MARGIN
from hmr_light.errors import UserError
from hmr_light.geometry import axis_angle_to_matrix
from hmr_light.paths import atomic_write

Draw = Callable[[np.ndarray, Sample, int], np.ndarray]
"""(image (S,S,3) uint8 RGB, sample, index) → the image with something drawn on it."""

_RIGHT, _LEFT, _MIDDLE = (255, 120, 40), (40, 160, 255), (240, 240, 90)
_DETECTED = (240, 240, 240)
# Coordinates are given to OpenCV in 1/16 pixels.
_SUBPIXEL_BITS = 4
_GAP = 4


def contact_sheet(
    dataset: Dataset[Sample],
    out: Path,
    indices: Sequence[Any],
    columns: int = 8,
    draw: Draw | None = None,
    body: SMPL | None = None,
) -> list[str]:
    """Write the samples `dataset[i] for i in indices` as a PNG, `columns` a row; an index may be (epoch, index).

    The 24 joints are drawn with their limbs (orange: the person's right, blue: left), OpenPose's 25 as white rings.
    Of people who have 3D labels alone, the joints of SMPL (with a `body`) or else the 3D joints are drawn in the middle
    of the box. `draw` adds to each crop, under the joints. Samples that cannot be read are left out, and why is
    returned; without any other nothing is written. Raises `UserError` if `out` cannot be written.
    """
    tiles, problems = [], []
    for index in indices:
        try:
            sample = dataset[index]
        except UserError as error:
            problems.append(error.message)
            continue
        image = np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())
        if draw is not None:
            image = draw(image, sample, index)
        tiles.append(draw_keypoints(image, _points(sample, body)))
    if tiles:
        _write(tiles, out, columns)
    return problems


def pose_sheet(pose: np.ndarray, out: Path, body: SMPL, columns: int = 6, size: int = 224) -> None:
    """Write poses (N,72), axis-angle in a world whose z is up, as a PNG of stick figures seen along its y axis."""
    rotations = axis_angle_to_matrix(torch.from_numpy(pose).float().view(-1, 24, 3))
    with torch.no_grad():
        joints = body.joints(rotations, torch.zeros(len(pose), 10))[:, 25:].numpy()
    tiles = []
    for figure in joints:
        keypoints = np.zeros((49, 3))
        seen = _centred(np.stack([figure[:, 0], -figure[:, 2]], -1))
        keypoints[25:, :2], keypoints[25:, 2] = seen / 1.1, 1  # metres from the middle of the tile to its edge
        tiles.append(draw_keypoints(np.full((size, size, 3), 60, np.uint8), keypoints))
    _write(tiles, out, columns)


def draw_keypoints(image: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """A copy of `image` (S,S,3) with the 49 keypoints (49,3: x, y in [-1,1], confidence) that have a confidence."""
    image = image.copy()
    size = image.shape[0]
    pixels = (keypoints[:, :2] + 1) * (size / 2) - 0.5
    points = np.rint(pixels * (1 << _SUBPIXEL_BITS)).astype(int)
    known = keypoints[:, 2] > 0
    radius = round(size / 75 * (1 << _SUBPIXEL_BITS))
    for point in points[:25][known[:25]]:
        cv2.circle(image, point.tolist(), round(1.6 * radius), _DETECTED, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    joints, known = points[25:], known[25:]
    for start, end in J24_SKELETON:
        if known[start] and known[end]:
            colour = _colour(start) if _colour(end) == _MIDDLE else _colour(end)
            line = joints[start].tolist(), joints[end].tolist()
            cv2.line(image, *line, colour, max(1, size // 110), cv2.LINE_AA, _SUBPIXEL_BITS)
    for index in np.flatnonzero(known).tolist():
        cv2.circle(image, joints[index].tolist(), radius, _colour(index), -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return image


def _points(sample: Sample, body: SMPL | None) -> np.ndarray:
    """The keypoints to draw (49,3): the sample's own, else its 3D labels from the front, as large as in a box."""
    keypoints = sample["keypoints_2d"].numpy()
    if (keypoints[:, 2] > 0).any():
        return keypoints
    if sample["has_smpl"] and body is not None:
        with torch.no_grad():
            joints = body.joints(sample["pose"][None], sample["betas"][None])[0, 25:].numpy()
        known = np.ones(24, bool)
    else:
        joints, known = sample["joints_3d"][:, :3].numpy(), sample["joints_3d"][:, 3].numpy() > 0
    if known.any():
        keypoints = np.zeros((49, 3))
        seen = _centred(joints[known, :2])
        keypoints[25:][known, :2] = seen / (MARGIN * max(np.abs(seen).max(), 1e-6))
        keypoints[25:, 2] = known
    return keypoints


def _centred(points: np.ndarray) -> np.ndarray:
    """Points (N,2) around the middle of what they span."""
    return points - (points.min(0) + points.max(0)) / 2


def _colour(joint: int) -> tuple[int, int, int]:
    return {"right": _RIGHT, "left": _LEFT}.get(J24_NAMES[joint].split("_")[0], _MIDDLE)


def _write(tiles: list[np.ndarray], out: Path, columns: int) -> None:
    with atomic_write(out) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(_grid(tiles, columns), cv2.COLOR_RGB2BGR))


def _grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    columns = min(columns, len(tiles))
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 32, np.uint8)
    for position, tile in enumerate(tiles):
        y, x = (
            _GAP + place * (side + _GAP) for place, side in zip(divmod(position, columns), (height, width), strict=True)
        )
        sheet[y : y + height, x : x + width] = tile
    return sheet
