"""People of a video are followed, found again when they were lost, and smoothed without leaving their place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.figures import KEYPOINTS, landscape, put
from support.people import random_people

from hmr_light.checkpoints.models import load_model
from hmr_light.deployment.runtime.boxes import Box
from hmr_light.deployment.runtime.crop import transform_points
from hmr_light.deployment.runtime.finding import Found
from hmr_light.deployment.runtime.following import Follower, Smoother
from hmr_light.model.finder import PeopleFinder
from hmr_light.model.predictor import Predictor


class CountingFinder(PeopleFinder):
    """The real one, which also counts how often it searched a whole image."""

    searches = 0

    def find(self, image: np.ndarray) -> list[Found]:
        self.searches += 1
        return super().find(image)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_model("mobile", "cpu"), finder=CountingFinder())


def noses(people: np.ndarray, *places: np.ndarray) -> float:
    """The largest distance between the noses seen and those that were drawn, pixels."""
    expected = np.array([transform_points(place, KEYPOINTS[:1, :2])[0] for place in places]) - 0.5
    return float(np.linalg.norm(people[:, 0, :2] - expected, axis=1).max())


def test_who_moves_is_followed_without_a_search_and_found_again_when_lost(predictor: Predictor) -> None:
    rng = np.random.default_rng()
    ground, empty = landscape(rng, 300, 480), landscape(rng, 300, 480)
    follow = Follower(predictor)
    assert isinstance(predictor.finder, CountingFinder)
    predictor.finder.searches = 0
    for step in range(8):
        frame = ground.copy()
        where = put(frame, (20 + 18 * step, 40 + 3 * step), 200 + 3 * step)
        people = follow(frame)
        assert follow.identities == [0], step
        assert noses(people.keypoints, where) < 12
        (box,) = people.boxes
        assert 0.8 < 200 * box.scale / (1.2 * 164 * (200 + 3 * step) / 192) < 1.25, "the box drifts"
    assert predictor.finder.searches == 1
    assert len(follow(empty)) == 0
    assert len(follow(empty)) == 0
    assert predictor.finder.searches == 3
    where = put(empty, (250, 60), 180)
    people = follow(empty)
    assert noses(people.keypoints, where) < 12
    assert follow.identities == [1]


def test_two_keep_their_numbers_when_one_of_them_goes(predictor: Predictor) -> None:
    ground = landscape(np.random.default_rng(), 300, 480)
    both, one = ground.copy(), ground.copy()
    left, right = put(both, (0, 60), 200), put(both, (250, 60), 200)
    put(one, (250, 60), 200)
    follow = Follower(predictor, search_every=2)
    people = follow(both)
    numbers = dict(zip(people.keypoints[:, 0, 0] < 240, follow.identities, strict=True))
    assert sorted(numbers.values()) == [0, 1]
    assert len(follow(one)) == 1
    assert follow.identities == [numbers[False]]
    assert len(follow(both)) == 1
    again = follow(both)
    order = (left, right) if again.keypoints[0, 0, 0] < 240 else (right, left)
    assert len(again) == 2
    assert noses(again.keypoints, *order) < 12
    assert sorted({*follow.identities} - {numbers[False]}) == [2]


def test_smoothing_keeps_rotations_and_the_place_in_the_image(predictor: Predictor) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    boxes = [Box(np.array([200.0, 210]), 1.5), Box(np.array([400.0, 180]), 1.0)]
    people = random_people(predictor.body, rng, 800.0, boxes)
    smooth = Smoother(predictor)
    first = smooth(people, [3, 7], 0.0)
    np.testing.assert_allclose(first.joints_2d, people.joints_2d, atol=0.01)
    # The same people in other boxes: where they are seen does not move.
    moved = [Box(box.center + rng.uniform(-20, 20, 2), box.scale * rng.uniform(0.8, 1.2)) for box in boxes]
    camera = people.camera.copy()
    for index, (old, new) in enumerate(zip(boxes, moved, strict=True)):
        scale, x, y = people.camera[index]
        place = old.center + 100 * old.scale * scale * np.array([x, y])
        camera[index, 0] = scale * old.scale / new.scale
        camera[index, 1:] = (place - new.center) / (100 * new.scale * camera[index, 0])
    second = smooth(replace(people, boxes=moved, camera=camera), [3, 7], 0.04)
    np.testing.assert_allclose(second.joints_2d, people.joints_2d, atol=2.0, err_msg=str(seed))
    # Turned: the smoothed body is between the two, and its rotations are rotations.
    turn = Rotation.from_rotvec([0, 0.6, 0]).as_matrix().astype(np.float32)
    turned = replace(people, rotations=turn @ people.rotations)
    third = smooth(turned, [3, 7], 0.08)
    r = third.rotations.astype(float)
    np.testing.assert_allclose(r @ r.swapaxes(-1, -2), np.tile(np.eye(3), (2, 24, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(r), 1, atol=1e-5)
    angle = Rotation.from_matrix(np.linalg.inv(people.rotations[0, 0]) @ r[0, 0]).magnitude()
    assert 0.05 < angle < 0.55, seed
    # Somebody new starts where they are.
    new = smooth(turned, [3, 8], 0.12)
    np.testing.assert_allclose(new.rotations[1], turned.rotations[1], atol=1e-5)
