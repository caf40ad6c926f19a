"""What people sit on: blocks, benches and chairs under whoever sits, as high as the seated thighs are."""

from __future__ import annotations

import numpy as np

from hmr_light.data.synthetic.landmarks import BodyLandmarks
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.outfit import Garment
from hmr_light.data.synthetic.render import Solid

_Box = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Least and greatest corner."""
_LOWEST = 0.12  # metres: lower than this one sits on the ground
_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
# The corners of each face, counter-clockwise seen from outside, and its normal.
_SIDES = (
    ((0, 1, 3, 2), (-1, 0, 0)), ((4, 6, 7, 5), (1, 0, 0)), ((0, 4, 5, 1), (0, -1, 0)),
    ((2, 3, 7, 6), (0, 1, 0)), ((0, 2, 6, 4), (0, 0, -1)), ((1, 5, 7, 3), (0, 0, 1)),
)  # fmt: skip
_FACE = np.array([[0, 1, 2], [0, 2, 3]])


def seat(
    rng: np.random.Generator,
    mesh: Mesh,
    landmarks: BodyLandmarks,
    world: np.ndarray,
    pelvis: np.ndarray,
    cloth: Garment,
) -> Solid | None:
    """A seat for the body `world` (V, 3), metres, whose pelvis is turned by `pelvis` (3, 3); None on the ground."""
    below = (np.abs(mesh.template[:, 0]) < 0.25) & (mesh.template[:, 1] < landmarks.hip_y + 0.1)
    below &= mesh.template[:, 1] > landmarks.hip_y - 0.22
    top = float(world[below, 1].min()) + 0.015
    width, depth, thick = rng.uniform(0.2, 0.55), rng.uniform(0.25, 0.45), rng.uniform(0.04, 0.25)
    front, back_height = rng.uniform(0.1, 0.18), rng.uniform(0.25, 0.6)
    block, backed = rng.random() < 0.5, rng.random() < 0.35
    if top < _LOWEST:
        return None
    under = 0.0 if block else max(0.0, top - thick)
    # Boxes as (low, high) in the sitter's frame: x to the left, y up, z to the front.
    boxes: list[_Box] = [((-width, under, -depth), (width, top, front))]
    if not block:
        for x in (-width, width - 0.05):
            boxes += [((x, 0, z), (x + 0.05, under, z + 0.05)) for z in (-depth, front - 0.05)]
    if backed:
        boxes.append(((-width, under, -depth - 0.06), (width, top + back_height, -depth)))
    ahead = pelvis[:, 2] * (1, 0, 1)
    ahead = ahead / np.linalg.norm(ahead)
    frame = np.stack([(ahead[2], 0, -ahead[0]), (0, 1, 0), ahead])
    middle = world[below].mean(0) * (1, 0, 1)
    place, normals, faces = _boxes(boxes)
    return Solid(place @ frame + middle, normals @ frame, place, faces, cloth.at)


def _boxes(boxes: list[_Box]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (24 N, 3), normals and faces (12 N, 3) of N boxes (low, high); every face has corners of its own."""
    points: list[np.ndarray] = []
    normals, faces = [], []
    for low, high in boxes:
        corners = np.array(low) + _CORNERS * (np.array(high) - low)
        for side, normal in _SIDES:
            faces.append(_FACE + 4 * len(points))
            points.append(corners[list(side)])
            normals.append(np.tile(np.array(normal, float), (4, 1)))
    return np.concatenate(points), np.concatenate(normals), np.concatenate(faces).astype(np.int32)
