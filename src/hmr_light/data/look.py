"""Random changes of a crop's pixels that leave the person where it is."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from hmr_light.config.schema import AugmentationConfig

# Ranges of the draws; lengths are in sides of the crop. A blur of 0.01 is about two pixels of 192.
_BLUR = (0.002, 0.01)
_LOW_RESOLUTION = (1.5, 4.0)
_CUTOUT = (0.1, 0.4)


class Look(NamedTuple):
    """One draw. The changes are made in the order of the fields."""

    contrast: float = 1.0
    """Factor of each value's distance from the middle grey."""
    grey: bool = False
    low_resolution: float = 1.0
    """How many pixels become one, along a side."""
    blur: float = 0.0
    """Standard deviation in sides of the crop."""
    cutout: tuple[float, float, float, float] | None = None
    """Left, top, width and height of a covered rectangle, in sides of the crop."""
    colour: tuple[int, int, int] = (0, 0, 0)
    """Of the covered rectangle."""


PLAIN = Look()


def draw_look(config: AugmentationConfig, rng: np.random.Generator) -> Look:
    """Draw a look. The same numbers are taken from `rng` whatever the options, so that each changes what it names."""
    grey, low, blurred, covered = rng.random(4)
    contrast, pixels, blur = rng.uniform(-1, 1), rng.uniform(*_LOW_RESOLUTION), rng.uniform(*_BLUR)
    (width, height), (x, y), colour = rng.uniform(*_CUTOUT, 2), rng.random(2), rng.integers(0, 256, 3)
    look = Look(
        contrast=float(1 + config.contrast * contrast),
        grey=bool(grey < config.grey_probability),
        low_resolution=float(pixels) if low < config.low_resolution_probability else 1.0,
        blur=float(blur) if blurred < config.blur_probability else 0.0,
    )
    if covered >= config.cutout_probability:
        return look
    # The rectangle's centre is anywhere in the crop.
    rectangle = (float(x - width / 2), float(y - height / 2), float(width), float(height))
    return look._replace(cutout=rectangle, colour=(int(colour[0]), int(colour[1]), int(colour[2])))


def change_look(image: np.ndarray, look: Look) -> np.ndarray:
    """The square crop `image` (S, S, 3) uint8, RGB, with another look; itself where nothing changes."""
    if look == PLAIN:
        return image
    size = len(image)
    if look.contrast != 1:
        table = 127.5 + look.contrast * (np.arange(256) - 127.5)
        image = cv2.LUT(image, np.clip(table + 0.5, 0, 255).astype(np.uint8))
    if look.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if look.low_resolution > 1:
        few = max(1, round(size / look.low_resolution))
        image = cv2.resize(image, (few, few), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    if look.blur:
        image = cv2.GaussianBlur(image, (0, 0), look.blur * size)
    if look.cutout is not None:
        left, top, width, height = look.cutout
        columns = np.rint(np.clip([left, left + width], 0, 1) * size).astype(int)
        rows = np.rint(np.clip([top, top + height], 0, 1) * size).astype(int)
        image = image.copy()
        image[slice(*rows), slice(*columns)] = look.colour
    return image
