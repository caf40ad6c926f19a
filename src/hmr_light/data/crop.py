"""From an image file to the square crop of one person, by one affine map that serves pixels and keypoints alike.

Pixel coordinates: (0, 0) is the centre of the top left pixel, in the image and in the crop.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

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

# Image pixels to a pixel of the crop, along a side: what is left at least when an image is shrunk, so that a box that
# augmentation makes a quarter smaller is not enlarged; and up to what bilinear interpolation alone is as good as
# drawing the crop at twice its size. On photographs, crops come within 35 dB or better of exact ones.
_FINER = 1.4
_DIRECT = 1.75
# By which no image need be shrunk: it would have a side of a hundred crops. Untrusted files have boxes of any size.
_MOST_SHRUNK = 256

CONTEXT = 1.8
"""How much of an image is kept for a person: a square of this many sides of the box, which is enough for any turn of a
box that has grown by a quarter, as in SPIN's augmentation (1.25 times the square root of two)."""


def turn(rotation_degrees: float, flip: bool) -> np.ndarray:
    """The (2,2) float64 map of image directions that mirrors left and right, if `flip`, and then turns clockwise."""
    angle = math.radians(rotation_degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    mirror = -1.0 if flip else 1.0
    return np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])


def crop_matrix(
    center: np.ndarray, scale: float, size: int, rotation_degrees: float = 0.0, flip: bool = False
) -> np.ndarray:
    """The affine map (2,3) float64 from image pixels to the pixels of the crop of `size` x `size`.

    The box has its centre at `center` (2,) and a side of 200 * `scale` pixels; its edges become the crop's edges.
    """
    linear = turn(rotation_degrees, flip) * (size / (200.0 * scale))
    offset = (size - 1) / 2 - linear @ np.asarray(center, np.float64)
    return np.column_stack([linear, offset])


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply the affine map (2,3) to points (...,2)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def shrink_factor(matrix: np.ndarray) -> int:
    """The greatest power of two, at most 256, by which the image can be shrunk and stay finer than the crop."""
    finer = math.log2(_pixels_per_crop_pixel(matrix) / _FINER)
    return min(_MOST_SHRUNK, 2 ** max(0, math.floor(finer + 1e-9)))


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


class Window(NamedTuple):
    """A part of an image, perhaps at a lower resolution: where its pixels are in the whole image."""

    x: float
    """Of the centre of the top left pixel, in pixels of the whole image."""
    y: float
    pixel: float
    """Side of a pixel, in pixels of the whole image."""


WHOLE = Window(0, 0, 1)


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


def crop_image(image: np.ndarray, matrix: np.ndarray, size: int, window: Window = WHOLE) -> np.ndarray:
    """The crop (size, size, 3) of `image`, which is a `window` of the whole one; black where the box leaves it.

    `matrix` is for the whole image, from `crop_matrix`. Where the crop is much coarser than `image`, it is drawn at
    twice its size and averaged, so that fine texture does not alias.
    """
    matrix = matrix @ np.array([[window.pixel, 0, window.x], [0, window.pixel, window.y], [0, 0, 1]])
    if _pixels_per_crop_pixel(matrix) <= _DIRECT:
        return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
    matrix = 2 * matrix + np.array([[0, 0, 0.5], [0, 0, 0.5]])
    return cv2.resize(
        cv2.warpAffine(image, matrix, (2 * size, 2 * size), flags=cv2.INTER_LINEAR),
        (size, size),
        interpolation=cv2.INTER_AREA,
    )


def stretch_contrast(
    image: np.ndarray, window: Window, center: np.ndarray, scale: float, *, turned: bool = False
) -> np.ndarray:
    """`image` (H,W,3) uint8 with the values that the box holds stretched to 0...255, as SPIN's crops are.

    SPIN cuts whole pixels out, black where the box leaves the image, and `scipy.misc` stretches what is not uint8 from
    its least to its greatest value over all channels (`imutils.py`, `crop`). A crop that is to be turned is cut larger.
    """
    half = 100 * float(scale)
    edge = np.asarray(center, np.float64) + 0.5  # SPIN counts from the edge of the first pixel
    first, last = np.trunc(edge - half), np.trunc(edge + half)
    if turned:
        margin = math.floor((last[1] - first[1]) * (math.sqrt(2) - 1) / 2)
        first, last = first - margin, last + margin
    origin = (window.x - (window.pixel - 1) / 2, window.y - (window.pixel - 1) / 2)
    (left, top), (right, bottom) = (np.rint((one - origin) / window.pixel).astype(int) for one in (first, last))
    height, width = image.shape[:2]
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    leaves = left < 0 or top < 0 or right > width or bottom > height
    if not inside.size:
        return image
    low, high = (0 if leaves else int(inside.min())), int(inside.max())
    table = (np.arange(256) - low) * (255 / ((high - low) or 1))
    return cv2.LUT(image, (np.clip(table, 0, 255) + 0.5).astype(np.uint8))


def _pixels_per_crop_pixel(matrix: np.ndarray) -> float:
    (a, b, _), (c, d, _) = matrix
    return 1 / math.sqrt(abs(a * d - b * c))


def mean_of_blocks(image: np.ndarray, side: int) -> np.ndarray:
    """The image (ceil(H / side), ceil(W / side), 3) of the means of blocks of `side` x `side` pixels."""
    if side == 1:
        return image
    height, width = image.shape[:2]
    # The last blocks are filled by repeating the edge, as the JPEG decoder does.
    image = cv2.copyMakeBorder(image, 0, -height % side, 0, -width % side, cv2.BORDER_REPLICATE)
    return cv2.resize(image, (image.shape[1] // side, image.shape[0] // side), interpolation=cv2.INTER_AREA)
