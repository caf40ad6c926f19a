"""Random surfaces: colours of skin and cloth, and small tiles of pattern that clothes, walls and objects share.

That people and their surroundings take colours and patterns from one source is on purpose: no network can find the
person by colour or by texture alone.
"""

from __future__ import annotations

import cv2
import numpy as np

TILE = 128
"""Side of a tile, texels; a tile repeats without a seam in noise, stripes, checks and dots."""

_SKIN = np.array(
    # From light to dark, sRGB: three points of the range of human skin, between which tones are mixed.
    [[244, 208, 177], [187, 125, 84], [72, 44, 30]],
    np.float32,
)


def skin_colour(rng: np.random.Generator) -> np.ndarray:
    """A skin tone (3,), sRGB in 0..255, spread evenly from light to dark."""
    tone = rng.uniform(0, 2)
    low = min(int(tone), 1)
    colour = _SKIN[low] + (tone - low) * (_SKIN[low + 1] - _SKIN[low])
    return np.clip(colour * rng.uniform(0.92, 1.08, 3), 0, 255).astype(np.float32)


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of clothes or things (3,), sRGB in 0..255: muted more often than loud, dark more often than light."""
    hue, saturation, value = rng.uniform(0, 180), 255 * rng.beta(1.1, 1.7), 255 * rng.beta(1.6, 1.5)
    pixel = np.array([[[hue, saturation, max(value, 12)]]], np.float32).astype(np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], octaves: tuple[int, ...], decay: float = 0.6) -> np.ndarray:
    """Smooth random field (H, W) in -1..1: grids of `octaves` cells across, each weaker than the last by `decay`."""
    field = np.zeros(shape, np.float32)
    weight = total = 0.0
    for k, cells in enumerate(octaves):
        weight = decay**k
        total += weight
        rows = max(2, round(cells * shape[0] / max(shape)))
        grid = rng.random((rows, cells), np.float32) * np.float32(2 * weight) - np.float32(weight)
        field += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_LINEAR)
    field *= np.float32(1 / total)
    return field


def tile(rng: np.random.Generator, base: np.ndarray | None = None) -> np.ndarray:
    """A tile (TILE, TILE, 3) of plain cloth, stripes, checks, dots, blots or print, with weave and folds over it.

    One texel is meant to be about 4 mm of cloth. `base` is the ground's colour, sRGB in 0..255; random when left out.
    """
    ground = cloth_colour(rng) if base is None else base
    figure = cloth_colour(rng)
    kind = rng.choice(["plain", "stripes", "checks", "dots", "blots", "print"], p=[0.3, 0.2, 0.16, 0.1, 0.12, 0.12])
    if base is not None and kind != "blots":  # hair
        kind = "plain"
    weave = rng.random((TILE, TILE), np.float32) - np.float32(0.5)
    relief = np.float32(rng.uniform(8, 50)) * weave
    relief += np.float32(rng.uniform(10, 45)) * noise(rng, (TILE, TILE), (4, 9, 20))
    planes = np.empty((3, TILE, TILE), np.float32)
    planes[:] = ground[:, None, None]
    if kind != "plain":
        planes += np.multiply.outer(figure - ground, _mask(rng, str(kind)))
    planes += relief
    return cv2.merge(list(np.clip(planes, 0, 255).astype(np.uint8)))


def _mask(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Where the figure's colour shows, (TILE, TILE) in 0..1."""
    if kind == "plain":
        return np.zeros((TILE, TILE), np.float32)
    across = np.arange(TILE, dtype=np.float32) / TILE
    if kind in ("stripes", "checks"):
        count, duty = int(rng.integers(3, 26)), rng.uniform(0.2, 0.7)
        line = ((across * count) % 1 < duty).astype(np.float32)
        if kind == "stripes":
            mask = np.broadcast_to(line, (TILE, TILE))
            return np.ascontiguousarray(mask if rng.random() < 0.5 else mask.T)
        return (line[:, None] + line[None, :]) / 2
    if kind == "dots":
        count, radius = int(rng.integers(4, 16)), rng.uniform(0.2, 0.42)
        cell = (across * count) % 1 - 0.5
        return (cell[:, None] ** 2 + cell[None, :] ** 2 < radius**2).astype(np.float32)
    if kind == "blots":
        cells = int(rng.integers(4, 16))
        return (noise(rng, (TILE, TILE), (cells, 2 * cells)) > rng.uniform(-0.1, 0.25)).astype(np.float32)
    canvas = np.zeros((TILE, TILE), np.uint8)
    for _ in range(int(rng.integers(6, 22))):
        x, y = (int(v) for v in rng.integers(0, TILE, 2))
        side = int(rng.integers(4, 32))
        level = int(rng.integers(80, 256))
        shape = rng.integers(0, 4)
        if shape == 0:
            cv2.circle(canvas, (x, y), side // 2, level, int(rng.choice([-1, 1, 3])))
        elif shape == 1:
            cv2.rectangle(canvas, (x, y), (x + side, y + side // 2), level, -1)
        elif shape == 2:
            cv2.putText(canvas, chr(rng.integers(65, 91)), (x, y), cv2.FONT_HERSHEY_SIMPLEX, side / 20, level, 2)
        else:
            triangle = rng.integers(-side, side, (3, 2)) + np.array([x, y])
            cv2.fillPoly(canvas, [triangle.astype(np.int32)], level)
    return canvas.astype(np.float32) / 255
