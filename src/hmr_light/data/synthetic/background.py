"""What is behind the person: floor and wall in perspective, light on them, and clutter that is a little human."""

from __future__ import annotations

import cv2
import numpy as np

from hmr_light.data.synthetic.anatomy import axis_rotation
from hmr_light.data.synthetic.camera import Camera
from hmr_light.data.synthetic.textures import TILE, cloth_colour, noise, skin_colour, tile


def background(rng: np.random.Generator, camera: Camera, clutter: int) -> np.ndarray:
    """A scene (S, S, 3) without the person, the whole frame filled; `clutter` is the number of things in it."""
    size = camera.size
    scene = _walls(rng, camera)
    light = 1 + rng.uniform(0.05, 0.35) * noise(rng, (size, size), (3, 6))
    image: np.ndarray = np.clip(scene * light[..., None], 0, 255).astype(np.uint8)
    for _ in range(clutter):
        _thing(rng, image)
    if rng.random() < 0.35:  # out of focus
        return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.5) * size / 256))
    return image


def _walls(rng: np.random.Generator, camera: Camera) -> np.ndarray:
    """Textured floor below a textured wall that stands some metres behind the person; or scenery of pure noise."""
    size = camera.size
    if rng.random() < 0.25:
        octaves = (4, 8, 16, 32, 64)
        first, second, third = (cloth_colour(rng) for _ in range(3))
        mix, other = (noise(rng, (size, size), octaves, rng.uniform(0.5, 0.9))[..., None] for _ in range(2))
        return np.clip(first + (second - first) * (0.5 + mix) + (third - first) * other, 0, 255).astype(np.uint8)
    ray = camera.rays()
    with np.errstate(divide="ignore"):
        to_floor = np.where(ray[..., 1] < -1e-3, np.float32(-camera.position[1]) / ray[..., 1], np.inf)
    ahead = camera.rotation[2] @ axis_rotation(1, rng.uniform(-35, 35))
    outward = (ahead * (1, 0, 1) / np.hypot(ahead[0], ahead[2])).astype(np.float32)
    along = ray @ outward
    person = float(np.hypot(camera.position[0], camera.position[2]))
    behind = np.float32(person * rng.uniform(1.15, 3))
    to_wall = np.where(along > 1e-3, behind / np.maximum(along, 1e-3), np.inf)
    on_floor = to_floor < to_wall
    far = np.minimum(np.minimum(to_floor, to_wall), 60).astype(np.float32)
    x, y, z = (far * ray[..., axis] + np.float32(camera.position[axis]) for axis in range(3))
    floor_scale, wall_scale = (float(v) for v in TILE * np.exp(rng.uniform(np.log(0.2), np.log(2), 2)))
    u = np.where(on_floor, x * floor_scale, (x * outward[2] - z * outward[0]) * wall_scale).astype(np.int32) % TILE
    v = np.where(on_floor, z * floor_scale, y * wall_scale).astype(np.int32) % TILE + TILE * on_floor
    return np.concatenate([tile(rng), tile(rng)])[v, u]


def _thing(rng: np.random.Generator, image: np.ndarray) -> None:
    """Draw one thing into `image`: a textured polygon or box, an edge, or a limb or head of skin or cloth."""
    size = image.shape[0]
    centre = rng.uniform(-0.05, 1.05, 2) * size
    reach = size * np.exp(rng.uniform(np.log(0.03), np.log(0.3)))
    colour = cloth_colour(rng)
    kind = rng.choice(["polygon", "patch", "line", "limb", "head"], p=[0.25, 0.25, 0.1, 0.27, 0.13])
    if kind == "patch":
        textured_patch(rng, image, centre, reach)
    elif kind == "polygon":
        corners = int(rng.integers(3, 7))
        turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
        points = centre + reach * rng.uniform(0.4, 1, (corners, 1)) * np.stack([np.cos(turn), np.sin(turn)], 1)
        cv2.fillPoly(image, [points.astype(np.int32)], colour.tolist(), cv2.LINE_AA)
    elif kind == "line":
        end = centre + rng.normal(0, 2 * reach, 2)
        cv2.line(image, _pixel(centre), _pixel(end), colour.tolist(), int(rng.integers(1, 5)), cv2.LINE_AA)
    elif kind == "limb":
        # A bent limb: two thick strokes, cloth above and skin below.
        direction = rng.uniform(0, 2 * np.pi)
        width = max(2, int(reach * rng.uniform(0.15, 0.3)))
        for shade in (colour, skin_colour(rng)):
            end = centre + reach * np.array([np.cos(direction), np.sin(direction)])
            cv2.line(image, _pixel(centre), _pixel(end), shade.tolist(), width, cv2.LINE_AA)
            centre, direction = end, direction + rng.normal(0, 0.9)
    else:
        axes = (max(1, int(reach * 0.3)), max(1, int(reach * 0.4)))
        cv2.ellipse(
            image, _pixel(centre), axes, float(rng.normal(0, 20)), 0, 360, skin_colour(rng).tolist(), -1, cv2.LINE_AA
        )


def textured_patch(rng: np.random.Generator, image: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    """Draw a turned box or an ellipse with a pattern into `image`; gives where it is, (S, S) of bool."""
    size = image.shape[0]
    half = reach * rng.uniform(0.35, 1, 2)
    angle, zoom = float(rng.uniform(-90, 90)), float(rng.uniform(0.5, 2.5))
    round_, texels = rng.random() < 0.5, tile(rng)
    covered = np.zeros((size, size), bool)
    margin = float(np.hypot(*half)) + 2
    left, top = np.clip(centre - margin, 0, size).astype(int)
    right, bottom = np.clip(centre + margin, 0, size).astype(int)
    if right <= left or bottom <= top:
        return covered
    shape = np.zeros((bottom - top, right - left), np.uint8)
    middle = centre - (left, top)
    if round_:
        cv2.ellipse(shape, _pixel(middle), (max(1, int(half[0])), max(1, int(half[1]))), angle, 0, 360, 255, -1)
    else:
        corners = cv2.boxPoints((tuple(map(float, middle)), tuple(map(float, 2 * half)), angle))
        cv2.fillConvexPoly(shape, corners.astype(np.int32), 255)
    warp = cv2.getRotationMatrix2D((0.0, 0.0), angle, zoom)
    surface = cv2.warpAffine(texels, warp, shape.shape[::-1], borderMode=cv2.BORDER_WRAP)
    covered[top:bottom, left:right] = shape > 0
    image[covered] = surface[shape > 0]
    return covered


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])
