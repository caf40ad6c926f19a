"""A drawn person, whom MoveNet takes for one, anywhere in an image; and images without anybody."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

_FOLDER = Path(__file__).parent / "figure"
FIGURE: np.ndarray = cv2.imread(str(_FOLDER / "figure.png"), cv2.IMREAD_COLOR_RGB)  # type: ignore[assignment]
"""(192, 192, 3) RGB: somebody in a red shirt, 20 to 174 pixels from the top, 52 to 132 from the left."""
KEYPOINTS = np.array(json.loads((_FOLDER / "movenet.json").read_text()))
"""(17, 3): what the published graph finds in it, computed by scripts/build_movenet.py: x, y from the corner, score."""
TIGHT = np.array([52, 13, 132, 177])
"""Left, top, right and bottom of the person, pixels."""


def landscape(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A sky, hills and a meadow, RGB."""
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    image = np.empty((height, width, 3))
    image[:] = np.array([150, 180, 220]) + 40 * rows[..., None]
    for tone in (np.array([110, 130, 140]), np.array([90, 120, 70])):
        waves = rng.uniform(3, 12, 3), rng.uniform(0, 6, 3)
        line = rng.uniform(0.25, 0.5) + 0.03 * sum(np.sin(f * columns + p) for f, p in zip(*waves, strict=True))
        image[rows > line] = tone
    return (image + rng.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)


def put(image: np.ndarray, corner: tuple[int, int], side: int) -> np.ndarray:
    """The map (2, 3) from pixels of `FIGURE` to those of `image`, where it now stands at `corner` (x, y), `side` wide.

    Both count from the corner.
    """
    x, y = corner
    image[y : y + side, x : x + side] = cv2.resize(FIGURE, (side, side), interpolation=cv2.INTER_AREA)
    share = side / len(FIGURE)
    return np.array([[share, 0, x], [0, share, y]])
