"""People in the frames of a video: each is looked for where the frame before had them, and may be smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

from .boxes import Box
from .finding import LEAST_KEYPOINT, SAME_PERSON, Found, apart, box_of_keypoints
from .joints import COCO_JOINTS
from .one_euro import OneEuro
from .people import PredictedPeople
from .predicting import PeoplePredictor

_LEAST_CONFIDENCE = 0.15
"""Who has less is lost: the whole of the next frame is searched."""
_NEARBY = 0.5
"""Who is found again is the one of the last frame who is less `apart`."""
# Hz, and Hz for each unit a second: of rotation matrices, of the shape, of the place (in metres of the body).
_ROTATION, _SHAPE, _PLACE = (1.5, 2.0), (0.3, 0.1), (1.5, 2.0)


class Follower:
    """The people of frames that are given one after another."""

    def __init__(self, predictor: PeoplePredictor, search_every: int = 30) -> None:
        """The whole of every `search_every`-th frame is searched for others, though nobody was lost."""
        self.predictor = predictor
        self.search_every = search_every
        self.identities: list[int] = []
        """Of the people of the last frame: who is followed keeps the number, others get new ones."""
        self._last: list[Found] = []
        """The same people: where they are looked for in the next frame."""
        self._doubted: set[int] = set()
        self._numbers = count()
        self._since_search = 0

    def __call__(self, image: np.ndarray) -> PredictedPeople:
        """The people of the next frame, an RGB image uint8 (H, W, 3)."""
        finder = self.predictor.finder
        people: dict[int, Found] = {}
        for number, found in zip(self.identities, finder.look(image, [one.box for one in self._last]), strict=True):
            if number not in self._doubted and found.score >= finder.least and _is_new(found, people):
                people[number] = found
        self._since_search += 1
        if not people or len(people) < len(self.identities) or self._since_search >= self.search_every:
            self._since_search = 0
            for found in finder.find(image):
                if _is_new(found, people):
                    people[self._number(found, people)] = found
        predicted = self.predictor.people([self.predictor.cropped(image, [*people.values()])])[0]
        self.identities = [*people]
        self._last = [
            found._replace(box=_next_box(predicted, index) or found.box) for index, found in enumerate(people.values())
        ]
        self._doubted = {
            number
            for number, confidence in zip(people, predicted.confidence.tolist(), strict=True)
            if confidence < _LEAST_CONFIDENCE
        }
        return predicted

    def _number(self, found: Found, taken: dict[int, Found]) -> int:
        """The number of whom the last frame had nearby and this one has not yet, or a new one."""
        near = [
            (apart(found, other), number)
            for number, other in zip(self.identities, self._last, strict=True)
            if number not in taken
        ]
        distance, number = min(near, default=(_NEARBY, 0))
        return number if distance < _NEARBY else next(self._numbers)


def _is_new(found: Found, people: dict[int, Found]) -> bool:
    return all(apart(found, other) > SAME_PERSON for other in people.values())


def _next_box(people: PredictedPeople, index: int) -> Box | None:
    """Where to look in the next frame: around the keypoints that were seen, and the mesh's joints for the others."""
    keypoints, joints = people.keypoints[index], people.joints_2d[index, COCO_JOINTS]
    joints = np.column_stack([joints, np.ones(len(joints))])
    places = np.where(keypoints[:, 2:] >= LEAST_KEYPOINT, keypoints, joints)
    return box_of_keypoints(places, people.width, people.height)


class Smoother:
    """One-euro smoothing of people over frames, each by their own number."""

    def __init__(self, predictor: PeoplePredictor) -> None:
        self.predictor = predictor
        self._filters: dict[int, tuple[OneEuro, OneEuro, OneEuro]] = {}

    def __call__(self, people: PredictedPeople, identities: Sequence[int], time: float) -> PredictedPeople:
        """`people`, seen at `time` in seconds, with smoothed rotations, betas and places; boxes stay as they are.

        Who is not among `identities`, a number for each of the people, is forgotten.
        """
        self._filters = {
            identity: self._filters.get(identity) or (OneEuro(*_ROTATION), OneEuro(*_SHAPE), OneEuro(*_PLACE))
            for identity in identities
        }
        if not len(people):
            return people
        rotations, betas, camera = people.rotations.copy(), people.betas.copy(), people.camera.copy()
        for index, identity in enumerate(identities):
            of_rotations, of_betas, of_place = self._filters[identity]
            turned = of_rotations(people.rotations[index].reshape(24, 9).astype(np.float64), time).reshape(24, 3, 3)
            rotations[index] = _nearest_rotations(turned)
            betas[index] = of_betas(people.betas[index].astype(np.float64), time)
            # Boxes jump with the keypoints: what is smooth is the place in the image.
            box, (scale, x, y) = people.boxes[index], people.camera[index].astype(np.float64)
            pixels = 100 * box.scale * scale  # of a metre
            place = np.array([np.log(pixels), *(box.center / pixels + (x, y))])
            log_pixels, x, y = of_place(place, time)
            pixels = np.exp(log_pixels)
            camera[index] = (pixels / (100 * box.scale), *((x, y) - box.center / pixels))
        return self.predictor.posed(people, rotations, betas, camera)


def _nearest_rotations(matrices: np.ndarray) -> np.ndarray:
    """The rotation matrices (N, 3, 3) nearest to `matrices`."""
    u, _, v = np.linalg.svd(matrices)
    u[..., 2] *= np.linalg.det(u @ v)[..., None]
    return u @ v
