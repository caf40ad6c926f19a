"""Random surfaces: colours of skin and cloth, and small tiles of pattern that clothes, walls and objects share.

That people and their surroundings take colours and patterns from one source is on purpose: no network can find the
person by colour or by texture alone.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping

import cv2
import numpy as np

TILE = 128
"""Side of a tile, texels; a tile repeats without a seam in noise, stripes, checks and dots."""

_SKIN = np.array(
    # From light to dark, sRGB: three points of the range of human skin, between which tones are mixed.
    [[244, 208, 177], [187, 125, 84], [72, 44, 30]],
    np.float32,
)
_RELIEFS, _MASKS = 48, 320
_LEVELS = np.arange(256)[:, None]
_KINDS = {"stripes": 0.28, "checks": 0.23, "dots": 0.15, "blots": 0.17, "print": 0.17}


def skin_colour(rng: np.random.Generator) -> np.ndarray:
    """A skin tone (3,), sRGB in 0..255, spread evenly from light to dark."""
    tone = rng.uniform(0, 2)
    low = min(int(tone), 1)
    colour = _SKIN[low] + (tone - low) * (_SKIN[low + 1] - _SKIN[low])
    return np.clip(colour * rng.uniform(0.92, 1.08, 3), 0, 255).round().astype(np.float32)


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of clothes or things (3,), sRGB in 0..255: muted more often than loud, dark more often than light."""
    hue, saturation, value = rng.random(), rng.beta(1.1, 1.7), rng.beta(1.6, 1.5)
    return (255 * np.array(colorsys.hsv_to_rgb(hue, saturation, max(value, 0.05)))).round().astype(np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], octaves: tuple[int, ...], decay: float = 0.6) -> np.ndarray:
    """Smooth random field (H, W) uint8 about 128: grids of `octaves` cells across, each weaker by `decay`.

    All in whole numbers, so that every processor makes the same bytes.
    """
    total = sum(decay**k for k in range(len(octaves)))
    field: np.ndarray = np.full((2, 2), 128 * 256, np.uint16)
    for k, cells in enumerate(octaves):
        reach = int(127 * 256 * decay**k / total)
        rows = max(2, round(cells * shape[0] / max(shape)))
        field = cv2.resize(field, (cells, rows), interpolation=cv2.INTER_LINEAR_EXACT)
        field += rng.integers(-reach, reach, (rows, cells)).astype(np.uint16)  # wraps, and so may be negative
    return cv2.resize((field >> 8).astype(np.uint8), shape[::-1], interpolation=cv2.INTER_LINEAR_EXACT)


def pick(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """One of the names, as often as its weight, relative to the others', says."""
    left = rng.random() * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return name
    return [name for name, weight in weights.items() if weight][-1]  # rounding left a crumb


class Patterns:
    """The reliefs and patterns of one split, of which its tiles are made; no two splits share one."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._reliefs = [_relief(rng) for _ in range(_RELIEFS)]
        self._masks = {kind: [_mask(rng, kind) for _ in range(round(share * _MASKS))] for kind, share in _KINDS.items()}

    def tile(self, rng: np.random.Generator, base: np.ndarray | None = None, patterned: float = 0.7) -> np.ndarray:
        """A tile (TILE, TILE, 3) uint8 of cloth, with a pattern in the share `patterned`, weave and folds over it.

        One texel is meant to be about 4 mm of cloth. `base` is the ground's colour, sRGB in 0..255; random when left
        out, and when given there are blots at most (hair).
        """
        ground = cloth_colour(rng) if base is None else base
        kind = None
        if rng.random() < patterned:
            kind = pick(rng, _KINDS) if base is None else "blots" if rng.random() < 0.17 else None
        relief, strength = self._reliefs[rng.integers(_RELIEFS)], int(rng.integers(10, 54)) / 64
        if kind is None:
            return cv2.applyColorMap(relief, _bytes(ground + strength * (_LEVELS - 128)))
        figure, masks = cloth_colour(rng), self._masks[kind]
        image = cv2.applyColorMap(masks[rng.integers(len(masks))], _bytes(ground + _LEVELS / 255 * (figure - ground)))
        return cv2.addWeighted(image, 1, cv2.merge([relief] * 3), strength, -128 * strength)


def _bytes(colours: np.ndarray) -> np.ndarray:
    """Colours (N, 3) as (N, 1, 3) bytes."""
    return np.minimum(np.maximum(colours, 0), 255).astype(np.uint8)[:, None]


def _relief(rng: np.random.Generator) -> np.ndarray:
    """Weave and folds as grey levels about 128, (TILE, TILE) uint8."""
    weave = rng.integers(-64, 65, (TILE, TILE), np.int16) * int(rng.integers(1, 6)) // 5
    folds = noise(rng, (TILE, TILE), (4, 9, 20)).astype(np.int16) - 128
    return np.clip(128 + weave + folds * int(rng.integers(2, 7)) // 4, 0, 255).astype(np.uint8)


def _mask(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Where the figure's colour shows, (TILE, TILE) uint8."""
    across = np.arange(TILE) / TILE
    if kind in ("stripes", "checks"):
        count, duty = int(rng.integers(3, 26)), rng.uniform(0.2, 0.7)
        line = np.where((across * count) % 1 < duty, 255, 0).astype(np.uint8)
        if kind == "stripes":
            mask = np.tile(line, (TILE, 1))
            return mask if rng.random() < 0.5 else np.ascontiguousarray(mask.T)
        return line[:, None] // 2 + line[None, :] // 2
    if kind == "dots":
        count, radius = int(rng.integers(4, 16)), rng.uniform(0.2, 0.42)
        cell = (across * count) % 1 - 0.5
        return np.where(cell[:, None] ** 2 + cell[None, :] ** 2 < radius**2, 255, 0).astype(np.uint8)
    if kind == "blots":
        cells = int(rng.integers(4, 16))
        return np.where(noise(rng, (TILE, TILE), (cells, 2 * cells)) > rng.integers(115, 160), 255, 0).astype(np.uint8)
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
    return canvas
