"""What is behind the person: floor and wall in perspective, light on them, and clutter that is a little human."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

from hmr_light.data.synthetic.anatomy import axis_rotation
from hmr_light.data.synthetic.camera import Camera
from hmr_light.data.synthetic.textures import TILE, cloth_colour, noise, skin_colour, tile


def background(rng: np.random.Generator, camera: Camera, clutter: int) -> np.ndarray:
    """A scene (S, S, 3) without the person, the whole frame filled; `clutter` is the number of things in it."""
    size = camera.size
    light = 1 + np.float32(rng.uniform(0.05, 0.35)) * noise(rng, (size, size), (3, 6))
    image: np.ndarray = cv2.multiply(_walls(rng, camera), cv2.merge([light, light, light]), dtype=cv2.CV_8U)
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
    ahead = camera.rotation[2] @ axis_rotation(1, rng.uniform(-35, 35))
    outward = ahead * (1, 0, 1) / np.hypot(ahead[0], ahead[2])
    person = float(np.hypot(camera.position[0], camera.position[2]))
    behind = person * rng.uniform(1.15, 3)
    to_ray = camera.pixel_to_ray()  # (3, 3): a pixel (x, y, 1) → its direction in the world
    floor_scale, wall_scale = TILE * np.exp(rng.uniform(np.log(0.2), np.log(2), 2))
    height = camera.position[1]
    # A pixel of direction d meets the floor at position - d height / d_y, the wall at position + d behind / d_along.
    along, sideways = outward, np.array([outward[2], 0, -outward[0]])
    on_floor = _plane(np.eye(3)[[0, 2]] * -height, [0, 1, 0], camera.position[[0, 2]], floor_scale) @ to_ray
    wall_origin = np.array([sideways @ camera.position, height])
    on_wall = _plane(np.stack([sideways, np.eye(3)[1]]) * behind, along, wall_origin, wall_scale) @ to_ray
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    floor, wall = (
        cv2.warpPerspective(tile(rng), homography, (size, size), flags=flags, borderMode=cv2.BORDER_WRAP)
        for homography in (on_floor, on_wall)
    )
    # The floor ends where it meets the wall: a straight line in the image.
    edge = (behind * np.array([0, 1, 0]) + height * along) @ to_ray
    pixel = np.arange(size)
    cv2.copyTo(floor, ((edge[0] * pixel + edge[1] * pixel[:, None] + edge[2]) < 0).astype(np.uint8), wall)
    return wall


def _plane(numerator: np.ndarray, denominator: ArrayLike, origin: np.ndarray, scale: float) -> np.ndarray:
    """The homography (3, 3) from a direction d to texels scale * (origin + numerator d / (denominator d))."""
    below = np.asarray(denominator, float)
    return np.vstack([scale * (numerator + np.outer(origin, below)), below])


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
