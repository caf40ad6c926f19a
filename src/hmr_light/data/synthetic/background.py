"""What is behind the person: floor and wall in perspective, light on them, and clutter that is a little human."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike

from hmr_light.data.synthetic.anatomy import axis_rotation
from hmr_light.data.synthetic.camera import Camera
from hmr_light.data.synthetic.textures import TILE, Patterns, cloth_colour, noise, pick, skin_colour
from hmr_light.errors import UserError


def background(
    rng: np.random.Generator, camera: Camera, clutter: int, kind: str, patterns: Patterns, photograph: Path | None
) -> np.ndarray:
    """A scene (S, S, 3) without the person, the whole frame filled; `clutter` is the number of things in it.

    It is a `kind` of `BACKGROUNDS`, or a part of a `photograph`.
    """
    size = camera.size
    if photograph is not None:
        image = _part(rng, photograph, size)
    else:
        amount = int(rng.integers(13, 90))  # of 256: unevenness of the light
        level = (128 + (np.arange(256) - 128) * amount // 256).astype(np.uint8)
        light = cv2.LUT(noise(rng, (size, size), (3, 6)), level)
        image = cv2.multiply(BACKGROUNDS[kind](rng, camera, patterns), cv2.merge([light] * 3), scale=1 / 128)
    for _ in range(clutter):
        _thing(rng, image, patterns)
    if rng.random() < 0.35:  # out of focus
        return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.5) * size / 256))
    return image


def _part(rng: np.random.Generator, path: Path, size: int) -> np.ndarray:
    """A random square of a photograph, half of its shorter side or more, now and then mirrored."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"cannot read {path} as an image", "Remove it from the folder of source.scene.photographs.")
    height, width = image.shape[:2]
    side = max(1, int(min(height, width) * rng.uniform(0.5, 1)))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    part = image[top : top + side, left : left + side]
    part = part if rng.random() < 0.5 else part[:, ::-1]
    part = cv2.resize(np.ascontiguousarray(part), (size, size), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(part, cv2.COLOR_BGR2RGB)


def _walls(rng: np.random.Generator, camera: Camera, patterns: Patterns) -> np.ndarray:
    """Textured floor below a textured wall that stands some metres behind the person."""
    floor_scale, wall_scale = TILE * np.exp(rng.uniform(np.log(0.2), np.log(2), 2))
    return _scene(rng, camera, patterns.tile(rng), floor_scale, patterns.tile(rng), wall_scale, None)


def _noise(rng: np.random.Generator, camera: Camera, patterns: Patterns) -> np.ndarray:
    """Scenery of pure noise."""
    size, octaves, level = camera.size, (4, 8, 16, 32, 64), np.arange(256)[:, None]
    first, second, third = (cloth_colour(rng) for _ in range(3))
    share = np.clip((level - 64) / 128, 0, 1)
    mix = cv2.applyColorMap(noise(rng, (size, size), octaves, 0.7), _palette(first + share * (second - first)))
    other = cv2.applyColorMap(noise(rng, (size, size), octaves, 0.8), _palette(first + share * (third - first)))
    return cv2.addWeighted(mix, 0.5, other, 0.5, 0)


def _street(rng: np.random.Generator, camera: Camera, patterns: Patterns) -> np.ndarray:
    """A road before houses with rows of windows, under a sky."""
    wall, pane = np.full((TILE, TILE, 3), cloth_colour(rng).astype(np.uint8)), cloth_colour(rng).tolist()
    step_x, step_y = (TILE // int(n) for n in rng.integers(2, 6, 2))
    width, height = int(step_x * rng.uniform(0.3, 0.7)), int(step_y * rng.uniform(0.4, 0.8))
    for x in range(step_x // 4, TILE - width, step_x):
        for y in range(step_y // 5, TILE - height, step_y):
            cv2.rectangle(wall, (x, y), (x + width, y + height), pane, -1)
            cv2.rectangle(wall, (x, y), (x + width, y + height), (230, 230, 225), 1)
    road = patterns.tile(rng, np.full(3, rng.uniform(50, 150)), 0.0)
    top, bottom = np.array((90, 140, 210)) * rng.uniform(0.6, 1.1), np.array((225, 228, 232))
    sky = _palette(top + np.linspace(0, 1, camera.size)[:, None] * (bottom - top))
    sky = np.broadcast_to(sky, (camera.size, camera.size, 3))
    roof = (float(rng.uniform(3, 12)), np.ascontiguousarray(sky))
    return _scene(rng, camera, road, TILE * rng.uniform(0.2, 1), wall, TILE / rng.uniform(4, 12), roof)


def _foliage(rng: np.random.Generator, camera: Camera, patterns: Patterns) -> np.ndarray:
    """Leaves, blades and trunks, in layers from dark to light."""
    size, hue = camera.size, rng.uniform(-25, 45)
    image = np.full((size, size, 3), (28, 34, 22), np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        x, width = int(rng.uniform(0, size)), int(size * rng.uniform(0.03, 0.1))
        cv2.rectangle(image, (x, 0), (x + width, int(size * rng.uniform(0.6, 1))), (70, 52, 38), -1)
    count = 220
    centres, lengths = rng.integers(0, size, (count, 2)), rng.uniform(0.015, 0.07, count) * size
    turns, brightness = rng.uniform(0, 180, count), np.linspace(0.35, 1.25, count)
    for centre, length, turn, light in zip(centres.tolist(), lengths, turns, brightness, strict=True):
        colour = np.clip(np.array((95 + hue, 130, 60)) * light, 0, 255).round()
        axes = (max(2, int(length)), max(1, int(length * 0.35)))
        cv2.ellipse(image, centre, axes, turn, 0, 360, colour.tolist(), -1)
    return image


BACKGROUNDS: dict[str, Callable[[np.random.Generator, Camera, Patterns], np.ndarray]] = {
    "walls": _walls,
    "noise": _noise,
    "street": _street,
    "foliage": _foliage,
}


def _palette(colours: np.ndarray) -> np.ndarray:
    """Colours (N, 3) as (N, 1, 3) bytes."""
    return np.clip(colours, 0, 255).round().astype(np.uint8)[:, None]


def _scene(
    rng: np.random.Generator,
    camera: Camera,
    floor_tile: np.ndarray,
    floor_scale: float,
    wall_tile: np.ndarray,
    wall_scale: float,
    roof: tuple[float, np.ndarray] | None,
) -> np.ndarray:
    """Floor and wall, scales in texels a metre; above the `roof`, (metres, image), the image."""
    size = camera.size
    ahead = camera.rotation[2] @ axis_rotation(1, rng.uniform(-35, 35))
    outward = ahead * (1, 0, 1) / np.hypot(ahead[0], ahead[2])
    person = float(np.hypot(camera.position[0], camera.position[2]))
    behind = person * rng.uniform(1.15, 3)
    to_ray = camera.pixel_to_ray()  # (3, 3): a pixel (x, y, 1) → its direction in the world
    height = camera.position[1]
    # A pixel of direction d meets the floor at position - d height / d_y, the wall at position + d behind / d_along.
    along, sideways, up = outward, np.array([outward[2], 0, -outward[0]]), np.array([0, 1, 0])
    on_floor = _plane(np.eye(3)[[0, 2]] * -height, up, camera.position[[0, 2]], floor_scale) @ to_ray
    wall_origin = np.array([sideways @ camera.position, height])
    on_wall = _plane(np.stack([sideways, up]) * behind, along, wall_origin, wall_scale) @ to_ray
    pixel = np.arange(size)

    def above(metres: float) -> np.ndarray:
        """Where the wall is higher than that: it is bounded by a straight line in the image."""
        edge = (behind * up + (height - metres) * along) @ to_ray
        return (edge[0] * pixel + (edge[1] * pixel[:, None] + edge[2]) > 0).astype(np.uint8)

    texel = np.where(above(0.0), _texels(on_wall, size) + TILE * TILE, _texels(on_floor, size))
    # Four bytes a texel: one is fetched several times faster than three.
    both = cv2.cvtColor(np.concatenate([floor_tile, wall_tile]), cv2.COLOR_RGB2RGBA)
    fetched = both.reshape(-1, 4).view(np.uint32)[:, 0][texel].view(np.uint8).reshape(size, size, 4)
    image: np.ndarray = cv2.cvtColor(fetched, cv2.COLOR_RGBA2RGB)
    if roof is not None:
        cv2.copyTo(roof[1], above(roof[0]), image)
    return image


def _texels(homography: np.ndarray, size: int) -> np.ndarray:
    """Number of the texel (S, S) of a repeated tile that each pixel shows.

    Written out, for OpenCV's warps, unlike the rest of it, differ in the last bit from processor to processor.
    """
    pixel = np.arange(size, dtype=np.float32)
    rows = homography.astype(np.float32)
    x, y, depth = (row[0] * pixel + (row[1] * pixel + row[2])[:, None] for row in rows)
    inverse = 1 / np.maximum(np.abs(depth), np.float32(1e-3))
    x *= inverse
    y *= inverse
    return ((y.astype(np.int32) & (TILE - 1)) << (TILE.bit_length() - 1)) | (x.astype(np.int32) & (TILE - 1))


def _plane(numerator: np.ndarray, denominator: ArrayLike, origin: np.ndarray, scale: float) -> np.ndarray:
    """The homography (3, 3) from a direction d to texels scale * (origin + numerator d / (denominator d))."""
    below = np.asarray(denominator, float)
    return np.vstack([scale * (numerator + np.outer(origin, below)), below])


_THINGS = {"polygon": 0.25, "patch": 0.25, "line": 0.1, "limb": 0.27, "head": 0.13}


def _thing(rng: np.random.Generator, image: np.ndarray, patterns: Patterns) -> None:
    """Draw one thing into `image`: a textured polygon or box, an edge, or a limb or head of skin or cloth."""
    size = image.shape[0]
    centre = rng.uniform(-0.05, 1.05, 2) * size
    reach = 0.03 * size * 10 ** rng.random()
    colour = cloth_colour(rng)
    kind = pick(rng, _THINGS)
    if kind == "patch":
        textured_patch(rng, image, centre, reach, patterns)
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


def textured_patch(
    rng: np.random.Generator, image: np.ndarray, centre: np.ndarray, reach: float, patterns: Patterns
) -> np.ndarray:
    """Draw a turned box or an ellipse with a pattern into `image`; gives where it is, (S, S) of bool."""
    size = image.shape[0]
    half = reach * rng.uniform(0.35, 1, 2)
    angle, zoom = float(rng.uniform(-90, 90)), float(rng.uniform(0.5, 2.5))
    round_, texels = rng.random() < 0.5, patterns.tile(rng)
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
    surface = cv2.warpAffine(texels, warp, shape.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_WRAP)
    covered[top:bottom, left:right] = shape > 0
    cv2.copyTo(surface, shape, image[top:bottom, left:right])
    return covered


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])
