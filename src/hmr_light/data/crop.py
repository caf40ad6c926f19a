"""From an image file to the square crop of one person, by one affine map that serves pixels and keypoints alike.

Pixel coordinates: (0, 0) is the centre of the top left pixel, in the image and in the crop.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from hmr_light.deployment.runtime.crop import Window, mean_of_blocks
from hmr_light.errors import UserError

# The EXIF orientation is left unread: the public annotations were made on the pixels as stored, and turning the image
# alone would take it away from its labels.
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION
_COLOR = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_JPEG_SIGNATURE = b"\xff\xd8"

CONTEXT = 1.8
"""How much of an image is kept for a person: a square of this many sides of the box, which is enough for any turn of a
box that has grown by a quarter, as in SPIN's augmentation (1.25 times the square root of two)."""


def read_image(path: Path, shrink: int = 1) -> np.ndarray:
    """Read an image; see `decode_image`. Raises `UserError` if the file is missing, unreadable or not an image."""
    return decode_image(read_content(path), path, shrink)


def read_content(path: Path) -> np.ndarray:
    """The bytes of an image file, (N,) uint8. Raises `UserError` if it is missing or unreadable."""
    try:
        return np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise UserError(f"there is no image {path}", "Correct the folder of images, or fetch the image.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the image {path}: {error}", "Look at the file and its permissions.") from None


def decode_image(content: np.ndarray, name: Path | str, shrink: int = 1) -> np.ndarray:
    """BGR uint8 (ceil(H / shrink), ceil(W / shrink), 3) of a file's `content`: means of `shrink` x `shrink` blocks.

    JPEG is decoded at the lower resolution (up to 8), which saves most of the time. `shrink` is a power of two. Raises
    `UserError`, by `name`, if it is not an image.
    """
    reduced = min(shrink, 8) if content[:2].tobytes() == _JPEG_SIGNATURE else 1
    try:
        image = cv2.imdecode(content, _COLOR[reduced] | _AS_STORED)
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"{name} is not an image, or a damaged one", "Fetch it again, or leave it out.")
    return mean_of_blocks(image, shrink // reduced)


def cut_window(
    image: np.ndarray, shrink: int, center: np.ndarray, scale: float, context: float = CONTEXT
) -> tuple[np.ndarray, Window]:
    """The part of `image`, which was read with `shrink`, that a crop of that box can show, and where it is.

    The part is a view of `image`: a square around the box, `context` times its side, as far as the image reaches.
    Raises `UserError` if the image does not reach into the box.
    """
    first = (shrink - 1) / 2
    x, y = (np.asarray(center, np.float64) - first) / shrink
    half, (height, width) = 100 * float(scale) / shrink, image.shape[:2]
    if not (-half < x + 0.5 < width + half and -half < y + 0.5 < height + half):
        raise UserError(
            f"the box at ({center[0]:.0f}, {center[1]:.0f}) with a side of {200 * float(scale):.0f} pixels is outside "
            f"the image of {width * shrink} x {height * shrink}",
            "Correct center and scale, or leave the person out.",
        )
    reach = context * 100 * float(scale) / shrink
    left, right = _span(x, reach, image.shape[1])
    top, bottom = _span(y, reach, image.shape[0])
    return image[top:bottom, left:right], Window(first + left * shrink, first + top * shrink, shrink)


def _span(at: float, reach: float, length: int) -> tuple[int, int]:
    """First pixel and the one after the last, at least one: a pixel more to each side than is asked for."""
    first = min(max(0, math.floor(at - reach) - 1), length - 1)
    return first, max(first + 1, min(length, math.ceil(at + reach) + 2))
