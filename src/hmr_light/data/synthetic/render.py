"""From solids, lights and a camera to pixels: rasterising, shading, shadows and what stands in front.

What decides the bytes is computed so that every processor agrees: geometry in float64, then rounded to a fine grid;
colours in whole numbers, or in elementary float32 operations, which IEEE 754 fixes to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from hmr_light.data.synthetic.background import textured_patch
from hmr_light.data.synthetic.camera import Camera
from hmr_light.data.synthetic.config import SceneConfig
from hmr_light.data.synthetic.textures import Patterns

_NEAR, _FAR = 0.05, 100.0
# OpenCV's rasteriser has OpenGL's axes: y up, z towards the viewer.
_TO_RASTER = np.diag([1, -1, -1, 1]).astype(np.float32)
_POINT_STEPS, _NORMAL_STEPS = 2.0**14, 2.0**10  # grid of points (a metre), and of unit normals
# Places lie within a few metres; a solid's are moved by its number times this, which tells the solids apart.
_APART = 16.0


class Solid(NamedTuple):
    """A thing to draw. V vertices."""

    points: np.ndarray
    """(V, 3) in the world, metres."""
    normals: np.ndarray
    """(V, 3) unit vectors in the world."""
    place: np.ndarray
    """(V, 3) where on the thing it is, metres: what its colour is a function of."""
    faces: np.ndarray
    """(F, 3)"""
    paint: Callable[[np.ndarray], np.ndarray]
    """Places (M, 3) → sRGB colours (M, 3) in 0..255."""


class Surface(NamedTuple):
    """What the camera sees of some solids. M pixels are covered."""

    depth: np.ndarray
    """(S, S) metres; about `_FAR` where nothing is."""
    covered: np.ndarray
    """(S, S)"""
    at: np.ndarray
    """(M,) number of the pixel."""
    solid: np.ndarray
    """(M,) number of the solid."""
    normals: np.ndarray
    """(M, 3) in the world, not of unit length."""
    place: np.ndarray
    """(M, 3)"""


def rasterise(camera: Camera, solids: Sequence[Solid]) -> Surface:
    """Draw solids that hide one another."""
    size = camera.size
    if len(solids) == 1:
        points, normals, place, faces = solids[0].points, solids[0].normals, solids[0].place, solids[0].faces
    else:
        points, normals, place = (np.concatenate([solid[k] for solid in solids]) for k in range(3))
        lengths = [len(solid.points) for solid in solids]
        place[:, 0] += _APART * np.repeat(np.arange(len(solids)), lengths)
        starts = np.cumsum([0, *lengths[:-1]])
        faces = np.concatenate([solid.faces + start for solid, start in zip(solids, starts, strict=True)])
    # A focal length of half the side, and a principal point in the middle, by stretching and shearing space.
    local = camera.to_camera(points)
    local[:, :2] *= 2 * camera.focal / size
    local[:, :2] += (2 * camera.principal_point - (size - 1)) / size * local[:, 2:]
    local = _on_grid(local, _POINT_STEPS)
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)
    layers = []
    for values in (_on_grid(normals, _NORMAL_STEPS), place.astype(np.float32)):
        layer = np.zeros((size, size, 3), np.float32)
        depth = np.full((size, size), _FAR, np.float32)
        cv2.triangleRasterize(local, faces, values, layer, depth, _TO_RASTER, np.pi / 2, _NEAR, _FAR, settings)
        layers.append(layer)
    covered = depth < 0.99 * _FAR  # the empty depth comes back rounded
    at = np.flatnonzero(covered)
    normals, place = (layer.reshape(-1, 3)[at] for layer in layers)
    solid = np.round(place[:, 0] * np.float32(1 / _APART)).astype(np.uint8)
    place[:, 0] -= np.float32(_APART) * solid
    return Surface(depth, covered, at, solid, normals, place)


def _on_grid(values: np.ndarray, steps: float) -> np.ndarray:
    """The values as float32, rounded to a whole number of `steps` a unit, a power of two."""
    scaled = values * steps
    return np.rint(scaled, out=scaled).astype(np.float32) * np.float32(1 / steps)


def paint(
    image: np.ndarray, surface: Surface, solids: Sequence[Solid], lights: Lights, where: np.ndarray | None = None
) -> None:
    """Draw `surface` into `image`; only its pixels in `where` (S, S), if that is given."""
    at, number, place, normals = surface.at, surface.solid, surface.place, surface.normals
    if where is not None:
        shown = where.reshape(-1)[at]
        at, number, place, normals = at[shown], number[shown], place[shown], normals[shown]
    if len(solids) == 1:
        colour = solids[0].paint(place)
    else:
        colour = np.empty_like(place)
        for k, solid in enumerate(solids):
            mine = np.flatnonzero(number == k)
            colour[mine] = solid.paint(place[mine])
    image.reshape(-1, 3)[at] = shade(colour, normals, lights)


class Lights(NamedTuple):
    """Light from L directions and from everywhere, linear RGB."""

    directions: np.ndarray
    """(L, 3) unit vectors towards the light, in the world; the first is the one that throws the shadow."""
    colours: np.ndarray
    """(L, 3)"""
    ambient: np.ndarray
    """(3,)"""


def sample_lights(rng: np.random.Generator, config: SceneConfig) -> Lights:
    """Lights above the horizon, of slightly different tints; their sum is about one."""
    count = int(rng.integers(config.lights[0], config.lights[1] + 1))
    elevation = np.radians(rng.uniform(15, 80, count))
    elevation[0] = max(elevation[0], np.radians(40))
    azimuth = rng.uniform(0, 2 * np.pi, count)
    directions = np.stack(
        [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)], axis=1
    )
    ambient = rng.uniform(*config.ambient)
    strength = rng.uniform(0.3, 1, count)
    strength *= 1.6 * (1 - ambient) / strength.sum()
    tint = 1 + rng.uniform(-0.12, 0.12, (count + 1, 3))
    level = rng.uniform(0.65, 1.25)
    colours = level * strength[:, None] * tint[:-1]
    return Lights(directions, colours.astype(np.float32), (level * ambient * tint[-1]).astype(np.float32))


def shade(colour: np.ndarray, normals: np.ndarray, lights: Lights) -> np.ndarray:
    """Lambert's law on sRGB colours (M, 3) in 0..255 with `normals` (M, 3) in the world; sRGB out, uint8.

    Light adds up in linear intensity, for which the square of sRGB is near enough.
    """
    x, y, z = np.ascontiguousarray(normals.T)
    length = np.sqrt(x * x + y * y + z * z) + np.float32(1e-6)
    light = [np.full(len(x), ambient) for ambient in lights.ambient]
    for (to_x, to_y, to_z), tint in zip(lights.directions.astype(np.float32), lights.colours, strict=True):
        facing = np.maximum(x * to_x + y * to_y + z * to_z, 0) / length
        for channel in range(3):
            light[channel] += facing * tint[channel]
    return np.minimum(colour * np.sqrt(np.stack(light, 1)), 255).astype(np.uint8)


def cast_shadow(image: np.ndarray, camera: Camera, vertices: np.ndarray, lights: Lights, strength: float) -> None:
    """Darken the ground of `image` softly where `vertices` (V, 3, in the world) keep the first light away, and, more,
    where they touch it or nearly do."""
    direction = lights.directions[0]
    vertices = vertices[::3]
    thrown = vertices - direction * (vertices[:, 1:2] / direction[1])
    touching = vertices[vertices[:, 1] < 0.1] * (1, 0, 1)
    size, grid = camera.size, camera.size // 4
    keep: np.ndarray = np.full((grid, grid), 255, np.uint8)
    for on_ground, factor in ((thrown, strength), (touching, 0.6)):
        local = camera.to_camera(on_ground)
        pixel = camera.project(local[local[:, 2] > 0.1]) / 4
        column, row = pixel[(np.abs(pixel - grid / 2) < grid).all(1)].astype(np.int32).T
        inside = (column >= 0) & (column < grid) & (row >= 0) & (row < grid)
        dark: np.ndarray = np.zeros((grid, grid), np.uint8)
        dark[row[inside], column[inside]] = round(255 * factor)
        dark = cv2.GaussianBlur(cv2.dilate(dark, np.ones((3, 3), np.uint8)), (0, 0), 1.2)
        keep = np.minimum(keep, 255 - dark)
    wide = cv2.resize(keep, (size, size), interpolation=cv2.INTER_LINEAR_EXACT)
    cv2.multiply(image, cv2.merge([wide] * 3), image, 1 / 256)


def occlude(
    rng: np.random.Generator, image: np.ndarray, covered: np.ndarray, most: float, patterns: Patterns
) -> np.ndarray:
    """Put a thing in front of the person in `image`; gives where it is (S, S).

    It hides at most the share `most` of the pixels `covered` by the person; a draw that hides more is not used.
    """
    rows, columns = np.nonzero(covered)
    size = image.shape[0]
    for _ in range(4):
        pick = rng.integers(len(rows))
        centre = np.array([columns[pick], rows[pick]]) + rng.normal(0, 0.06 * size, 2)
        candidate = image.copy()
        hidden = textured_patch(rng, candidate, centre, size * rng.uniform(0.08, 0.35), patterns)
        if (hidden & covered).sum() <= most * len(rows):
            image[:] = candidate
            return hidden
    return np.zeros((size, size), bool)
