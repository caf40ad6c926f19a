"""People who were found in an image by their keypoints: which of them count, and the boxes around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .boxes import MARGIN, Box

LEAST_SCORE = 0.35
"""People with a lower score are left out. In the 5 photographs of people that were looked at, they have 0.42 and more;
in 26 images without people, nothing has more than 0.30."""
LEAST_KEYPOINT = 0.2
"""Of a keypoint's score, so that the box is drawn around it."""
FEWEST_KEYPOINTS = 3
SAME_PERSON = 0.1
"""Two who are less `apart` are one person."""
LEAST_CENTER = 0.15
"""Of the score of a person's centre, to be looked at once more."""
MOST_PEOPLE = 12

# How far a body goes on behind its keypoints, as a share of the distance between two of them.
_HAND, _FOOT, _HEAD = 0.3, 0.25, 0.9
_ROUND = 0.6  # of the head that leans, to all sides
_LIMBS = ((7, 9, _HAND), (8, 10, _HAND), (13, 15, _FOOT), (14, 16, _FOOT))
_FACE, _SHOULDERS = slice(0, 5), slice(5, 7)


class Found(NamedTuple):
    """A person as the finder sees it."""

    box: Box
    keypoints: np.ndarray
    """(17, 3) float32: COCO's keypoints (`hmr_light.body.joints.COCO17_NAMES`): x, y in pixels of the image, where
    (0, 0) is the centre of the top left pixel, and the score, 0…1."""
    score: float
    """How sure the finder is that somebody is there, 0…1: the root of the product of the score of the person's centre
    and the mean of the keypoints' scores."""


def box_of_keypoints(keypoints: np.ndarray, width: int, height: int) -> Box | None:
    """The box of a person of whom `keypoints` (17, 3), as in `Found`, are seen, in an image of that size, pixels.

    As annotated boxes it holds what is seen within the image, head, hands and feet included: they go on behind the
    keypoints of face, wrists and ankles. `MARGIN` is added, as in training; centre and side are whole quarters of a
    pixel. None where too few keypoints are seen.
    """
    places, seen = keypoints[:, :2].astype(np.float64), keypoints[:, 2] >= LEAST_KEYPOINT
    if seen.sum() < FEWEST_KEYPOINTS:
        return None
    points = [*places[seen]]
    points += [places[b] + share * (places[b] - places[a]) for a, b, share in _LIMBS if seen[a] and seen[b]]
    if seen[_FACE].any() and seen[_SHOULDERS].all():
        face, shoulders = places[_FACE][seen[_FACE]].mean(0), places[_SHOULDERS].mean(0)
        neck = face - shoulders
        around = _ROUND * np.linalg.norm(neck) * np.array([[0, -1], [0, 1], [-1, 0], [1, 0]])
        points += [face + _HEAD * neck, *(face + around)]
    corners = np.clip(points, -0.5, [width - 0.5, height - 0.5])
    first, last = corners.min(0), corners.max(0)
    side = float((last - first).max())
    if side <= 1:
        return None
    # Where keypoints differ by a rounding error, as between two runtimes, the same pixels are to be cropped.
    return Box(_rounded((first + last) / 2), float(_rounded(MARGIN * side)) / 200)


def _rounded(pixels: np.ndarray | float) -> np.ndarray:
    return np.round(4 * np.asarray(pixels)) / 4


def find_people(
    candidates: Sequence[np.ndarray],
    look: Callable[[Sequence[Box]], list[Found]],
    *,
    width: int,
    height: int,
    least: float,
) -> list[Found]:
    """The people of an image of that size, by the keypoints of those who may be people, the most likely first.

    Each is looked at once more in the own box, which then is drawn around what was seen in it; of those who are seen
    twice, the first stays, and nobody with a score below `least`.
    """
    boxes = [box_of_keypoints(points, width, height) for points in candidates]
    people: list[Found] = []
    for found in look([box for box in boxes if box is not None]):
        if found.score >= least and all(apart(found, other) > SAME_PERSON for other in people):
            better = box_of_keypoints(found.keypoints, width, height)
            people.append(found if better is None else found._replace(box=better))
    return people


def keypoints_in_image(keypoints: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Keypoints (17, 3), pixels from the corner of the crop of `box` of `size` pixels a side, as `Found` has them."""
    pixel = 200 * box.scale / size
    places = box.center - 100 * box.scale + pixel * keypoints[:, :2]
    return np.column_stack([places, keypoints[:, 2]]).astype(np.float32)


def apart(one: Found, other: Found) -> float:
    """The mean distance between the same keypoints of two, over the side of the smaller box."""
    distance = np.linalg.norm(one.keypoints[:, :2] - other.keypoints[:, :2], axis=1).mean()
    return float(distance) / (200 * min(one.box.scale, other.box.scale))
