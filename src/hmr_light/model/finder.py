"""Where the people of an image are: MoveNet looks at the whole image, and once more at each person that it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import max_pool2d

from hmr_light.data.boxes import MARGIN, Box, whole_image
from hmr_light.data.pictures import crop_person
from hmr_light.model.movenet import IMAGE_SIZE, Maps, center_weights, keypoints_of, load_movenet

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


class PeopleFinder:
    """MoveNet with the weights in the package; it takes 30 ms of one core for each look."""

    def __init__(self, device: torch.device | str = "cpu", least: float = LEAST_SCORE) -> None:
        """People whose score is less than `least` are not found."""
        self.device = torch.device(device)
        self.least = least
        self._network = load_movenet().to(self.device)

    def find(self, image: np.ndarray) -> list[Found]:
        """The people in an RGB image uint8 (H, W, 3), the one nearest the middle first; empty where nobody is found.

        Each has been looked at once more in its own box, which then is drawn around what was seen in it. People who are
        smaller than about a tenth of the image are often missed.
        """
        height, width = image.shape[:2]
        whole = whole_image(width, height)
        boxes = [box_of_keypoints(points, width, height) for points in self._candidates(image, whole)]
        people: list[Found] = []
        for found in self.look(image, [box for box in boxes if box is not None]):
            if found.score >= self.least and all(apart(found, other) > SAME_PERSON for other in people):
                better = box_of_keypoints(found.keypoints, width, height)
                people.append(found if better is None else found._replace(box=better))
        return people

    @torch.no_grad()
    def look(self, image: np.ndarray, boxes: Sequence[Box]) -> list[Found]:
        """What is seen in each of `boxes`: of the person nearest its middle, whatever the score."""
        if not boxes:
            return []
        maps = self._maps(image, boxes)
        best = (maps.centers * center_weights(maps)).flatten(1).argmax(1)
        centers = maps.centers.flatten(1).gather(1, best[:, None])[:, 0]
        keypoints = keypoints_of(maps, torch.arange(len(boxes), device=self.device), best).cpu().numpy()
        scores = (centers.cpu().numpy() * keypoints[..., 2].mean(1)) ** 0.5
        return [
            Found(box, _in_image(points, box), float(score))
            for box, points, score in zip(boxes, keypoints, scores, strict=True)
        ]

    @torch.no_grad()
    def _candidates(self, image: np.ndarray, whole: Box) -> list[np.ndarray]:
        """The keypoints of those who may be people, by their place in the middle and how sure it is."""
        maps = self._maps(image, [whole])
        centers = maps.centers[0, 0]
        peaks = (max_pool2d(maps.centers, 3, 1, 1)[0, 0] == centers) & (centers >= LEAST_CENTER)
        rank = (centers * center_weights(maps)).flatten()
        best = torch.where(peaks.flatten(), rank, 0).topk(MOST_PEOPLE)
        chosen = best.indices[best.values > 0]
        keypoints = keypoints_of(maps, torch.zeros_like(chosen), chosen).cpu().numpy()
        return [_in_image(points, whole) for points in keypoints]

    def _maps(self, image: np.ndarray, boxes: Sequence[Box]) -> Maps:
        crops = np.stack([crop_person(image, box, IMAGE_SIZE) for box in boxes])
        return self._network(torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2) / 127.5 - 1)


def box_of_keypoints(keypoints: np.ndarray, width: int, height: int) -> Box | None:
    """The box of a person of whom `keypoints` (17, 3), as in `Found`, are seen, in an image of that size, pixels.

    As annotated boxes it holds what is seen within the image, head, hands and feet included: they go on behind the
    keypoints of face, wrists and ankles. `MARGIN` is added, as in training. None where too few keypoints are seen.
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
    return Box((first + last) / 2, MARGIN * side / 200) if side > 1 else None


def _in_image(keypoints: np.ndarray, box: Box) -> np.ndarray:
    """Keypoints in pixels from the corner of the crop of `box`, as `Found` has them."""
    pixel = 200 * box.scale / IMAGE_SIZE
    places = box.center - 100 * box.scale + pixel * keypoints[:, :2]
    return np.column_stack([places, keypoints[:, 2]]).astype(np.float32)


def apart(one: Found, other: Found) -> float:
    """The mean distance between the same keypoints of two, over the side of the smaller box."""
    distance = np.linalg.norm(one.keypoints[:, :2] - other.keypoints[:, :2], axis=1).mean()
    return float(distance) / (200 * min(one.box.scale, other.box.scale))
