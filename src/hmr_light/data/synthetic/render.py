"""From a person, an outfit, lights and a camera to pixels: rasterising, shading, shadow, occluders and the sensor."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from scipy.special import ndtri

from hmr_light.data.synthetic.background import textured_patch
from hmr_light.data.synthetic.camera import Camera
from hmr_light.data.synthetic.config import SceneConfig, SensorConfig

_NEAR, _FAR = 0.05, 100.0
_QUANTILES = ndtri((np.arange(256) + 0.5) / 256)
# OpenCV's rasteriser has OpenGL's axes: y up, z towards the viewer.
_TO_RASTER = np.diag([1, -1, -1, 1]).astype(np.float32)


class Surface(NamedTuple):
    """What the camera sees of the mesh. M pixels are covered."""

    covered: np.ndarray
    """(S, S)"""
    depth: np.ndarray
    """(S, S) metres; about `_FAR` where nothing is."""
    attributes: list[np.ndarray]
    """Each (M, 3): vertex attributes interpolated over the covered pixels."""


def rasterise(camera: Camera, points: np.ndarray, faces: np.ndarray, attributes: list[np.ndarray]) -> Surface:
    """Draw the mesh, `points` (V, 3) in the camera frame, with attributes (V, 3), each inside 0..1."""
    size = camera.size
    # An off-centre principal point is a shear of space along the depth, which keeps lines and depths.
    offset = (camera.principal_point - (size - 1) / 2) / camera.focal
    sheared = points.copy()
    sheared[:, :2] += offset * points[:, 2:]
    sheared = np.ascontiguousarray(sheared, np.float32)
    field_of_view = float(2 * np.arctan(size / (2 * camera.focal)))
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)
    layers = []
    for values in attributes:
        colour = np.zeros((size, size, 3), np.float32)
        depth = np.full((size, size), _FAR, np.float32)
        cv2.triangleRasterize(
            sheared,
            faces,
            np.ascontiguousarray(values, np.float32),
            colour,
            depth,
            _TO_RASTER,
            field_of_view,
            _NEAR,
            _FAR,
            settings,
        )
        layers.append(colour)
    covered = depth < 0.99 * _FAR  # the empty depth comes back rounded
    return Surface(covered, depth, [layer[covered] for layer in layers])


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


def shade(colour: np.ndarray, normals: np.ndarray, lights: Lights, rotation: np.ndarray) -> np.ndarray:
    """Lambert's law on sRGB colours (M, 3) in 0..255 with `normals` (M, 3) in the camera frame; sRGB out.

    Light adds up in linear intensity, for which the square of sRGB is near enough.
    """
    towards = (lights.directions @ rotation.T).astype(np.float32)
    normals = normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-6)
    light = np.maximum(normals @ towards.T, 0) @ lights.colours + lights.ambient
    return np.minimum(colour * np.sqrt(light), 255).astype(np.uint8)


def cast_shadow(image: np.ndarray, camera: Camera, vertices: np.ndarray, lights: Lights, strength: float) -> None:
    """Darken the ground of `image` where `vertices` (V, 3, in the world) keep the first light away, softly."""
    direction = lights.directions[0]
    vertices = vertices[::3]
    on_ground = vertices - direction * (vertices[:, 1:2] / direction[1])
    local = camera.to_camera(on_ground)
    grid = camera.size // 4
    pixel = camera.project(local[local[:, 2] > 0.1]) / 4
    pixel = pixel[(np.abs(pixel - grid / 2) < grid).all(1)].astype(np.int32)
    inside = ((pixel >= 0) & (pixel < grid)).all(1)
    shadow: np.ndarray = np.zeros((grid, grid), np.float32)
    shadow[pixel[inside, 1], pixel[inside, 0]] = strength
    shadow = cv2.GaussianBlur(cv2.dilate(shadow, np.ones((3, 3), np.uint8)), (0, 0), 1.2)
    keep = 1 - cv2.resize(shadow, (camera.size, camera.size), interpolation=cv2.INTER_LINEAR)
    image[:] = (image * keep[..., None]).astype(np.uint8)


def occlude(rng: np.random.Generator, image: np.ndarray, covered: np.ndarray, most: float) -> np.ndarray:
    """Put a thing in front of the person in `image`; gives where it is (S, S).

    It hides at most the share `most` of the pixels `covered` by the person; a draw that hides more is not used.
    """
    rows, columns = np.nonzero(covered)
    size = image.shape[0]
    for _ in range(4):
        pick = rng.integers(len(rows))
        centre = np.array([columns[pick], rows[pick]]) + rng.normal(0, 0.06 * size, 2)
        candidate = image.copy()
        hidden = textured_patch(rng, candidate, centre, size * rng.uniform(0.08, 0.35))
        if (hidden & covered).sum() <= most * len(rows):
            image[:] = candidate
            return hidden
    return np.zeros((size, size), bool)


def expose(rng: np.random.Generator, image: np.ndarray, config: SensorConfig) -> np.ndarray:
    """What lens and sensor make of the scene: blur, motion, white balance, gamma, noise."""
    size = image.shape[0]
    if rng.random() < config.motion_blur:
        length = int(rng.integers(3, 8) * size / 256) | 1
        angle = rng.uniform(0, 180)
        kernel: np.ndarray = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1
        turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), float(angle), 1.0)
        kernel = cv2.warpAffine(kernel, turn, (length, length))
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    sigma = float(rng.uniform(*config.blur_px)) * size / 256
    if sigma > 0.1:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    levels = np.arange(256, dtype=np.float64)[:, None] / 255
    gain = 1 + rng.uniform(-config.white_balance, config.white_balance, 3)
    curve = 255 * np.clip(levels * gain, 0, 1) ** rng.uniform(*config.gamma)
    image = cv2.LUT(image, curve.round().astype(np.uint8)[:, None])
    std = rng.uniform(*config.noise)
    if std > 0.3:
        # Normal deviates in 256 steps, by their quantiles: thrice as fast as drawing them, and no eye sees it.
        grain = (128.5 + std * _QUANTILES).clip(0, 255).astype(np.uint8)
        draw = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
        image = cv2.addWeighted(image, 1, cv2.LUT(draw, grain), 1, -128)
    return image


def encode(rng: np.random.Generator, image: np.ndarray, config: SensorConfig) -> bytes:
    """The image as JPEG, of random quality."""
    quality = int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1))
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV did not encode a JPEG image")
    return content.tobytes()
