"""The square that is cropped for a person."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

MARGIN = 1.2
"""Side of the cropped box over the longer side of the tight one, as in training."""
_LARGEST = 10
"""Times that a box may be as large as its image: a scale that is not the side / 200 is more."""


class Box(NamedTuple):
    """The square that is cropped for one person."""

    center: np.ndarray
    """(2,) pixels; (0, 0) is the centre of the top left pixel."""
    scale: float
    """Side / 200, pixels."""


def box_of_corner(x: float, y: float, width: float, height: float) -> Box:
    """The box around a tight one as COCO writes it: top left corner, from the image's corner, and sides, pixels."""
    if not (math.isfinite(x + y + width + height) and width > 0 and height > 0):
        raise ValueError(f"[{x}, {y}, {width}, {height}] is not a box")
    return Box(np.array([x + width / 2 - 0.5, y + height / 2 - 0.5]), MARGIN * max(width, height) / 200)


def whole_image(width: int, height: int) -> Box:
    """The square around the whole image."""
    return Box(np.array([(width - 1) / 2, (height - 1) / 2]), max(width, height) / 200)


def misfit(box: Box, width: int, height: int) -> str:
    """Why nobody can be in the box in an image of that size, pixels; empty if somebody can.

    A box outside its image is a bad sample in training, too.
    """
    x, y = box.center
    half = 100 * box.scale
    if not (-half < x + 0.5 < width + half and -half < y + 0.5 < height + half):
        return f"outside the image of {width} x {height}"
    if 2 * half > _LARGEST * max(width, height):
        return f"more than {_LARGEST} times as large as the image of {width} x {height}"
    return ""
