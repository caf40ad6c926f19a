"""From an image to the square crop of one person, by one affine map that serves pixels and keypoints alike.

Pixel coordinates: (0, 0) is the centre of the top left pixel, in the image and in the crop.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from .boxes import Box

# Image pixels to a pixel of the crop, along a side: what is left at least when an image is shrunk, so that a box that
# augmentation makes a quarter smaller is not enlarged; and up to what bilinear interpolation alone is as good as
# drawing the crop at twice its size. On photographs, crops come within 35 dB or better of exact ones.
_FINER = 1.4
_DIRECT = 1.75
# By which no image need be shrunk: it would have a side of a hundred crops. Untrusted files have boxes of any size.
_MOST_SHRUNK = 256


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


class Window(NamedTuple):
    """A part of an image, perhaps at a lower resolution: where its pixels are in the whole image."""

    x: float
    """Of the centre of the top left pixel, in pixels of the whole image."""
    y: float
    pixel: float
    """Side of a pixel, in pixels of the whole image."""


WHOLE = Window(0, 0, 1)


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


def crop_person(image: np.ndarray, box: Box, size: int, contrast: str | None = None) -> np.ndarray:
    """The crop (size, size, 3) that the network sees of the person in `box`; black outside the image.

    `contrast` is that of `MeshDataset`.
    """
    matrix = crop_matrix(box.center, box.scale, size)
    if contrast == "spin":
        return crop_image(stretch_contrast(image, WHOLE, box.center, box.scale), matrix, size)
    shrink = shrink_factor(matrix)
    first = (shrink - 1) / 2  # where the first block's centre is
    return crop_image(mean_of_blocks(image, shrink), matrix, size, Window(first, first, shrink))
