"""People are found where they are, at their size, and nobody where nobody is."""

from __future__ import annotations

import numpy as np
import pytest
from support.figures import FIGURE, KEYPOINTS, TIGHT, landscape, put

from hmr_light.deployment.runtime.boxes import box_of_corner, whole_image
from hmr_light.deployment.runtime.crop import transform_points
from hmr_light.deployment.runtime.finding import LEAST_SCORE, box_of_keypoints
from hmr_light.model.finder import PeopleFinder


@pytest.fixture(scope="module")
def finder() -> PeopleFinder:
    return PeopleFinder()


@pytest.fixture
def rng() -> np.random.Generator:
    seed = int(np.random.default_rng().integers(2**31))
    print("seed", seed)  # shown where the test fails
    return np.random.default_rng(seed)


def test_a_person_anywhere_is_found_and_looked_at_once_more(finder: PeopleFinder, rng: np.random.Generator) -> None:
    # Before hills, MoveNet itself is now and then wrong about the legs.
    image = (np.array([150, 180, 220]) + rng.normal(0, 4, (420, 600, 3))).clip(0, 255).astype(np.uint8)
    side = int(rng.integers(150, 400))
    where = put(image, (int(rng.integers(0, 600 - side)), int(rng.integers(0, 420 - side))), side)
    (person,) = finder.find(image)
    assert person.score > 0.6
    expected = transform_points(where, KEYPOINTS[:, :2]) - 0.5  # of the picture alone, at 192 pixels
    assert np.linalg.norm(person.keypoints[:, :2] - expected, axis=1).mean() < 0.02 * side
    left, top, right, bottom = transform_points(where, TIGHT.reshape(2, 2)).ravel() - 0.5
    reach = 100 * person.box.scale
    assert (person.box.center - reach < [left, top]).all(), "the box cuts the person"
    assert (person.box.center + reach > [right, bottom]).all(), "the box cuts the person"
    assert 1.05 < 2 * reach / (bottom - top) < 1.35  # annotated boxes have a margin of 1.2


def test_the_person_nearest_the_middle_comes_first(finder: PeopleFinder, rng: np.random.Generator) -> None:
    image = landscape(rng, 400, 640)
    middle, side = put(image, (240, 90), 220), put(image, (rng.choice([10, 470]), 100), 160)
    found = finder.find(image)
    assert len(found) == 2
    for person, where in zip(found, (middle, side), strict=True):
        nose = transform_points(where, KEYPOINTS[:1, :2])[0] - 0.5
        assert np.linalg.norm(person.keypoints[0, :2] - nose) < 10


def test_nobody_is_found_where_nobody_is(finder: PeopleFinder, rng: np.random.Generator) -> None:
    images = [np.full((200, 300, 3), grey, np.uint8) for grey in (0, 127, 255)]
    images += [rng.integers(0, 256, (200, 300, 3), dtype=np.uint8), landscape(rng, 300, 450), landscape(rng, 500, 300)]
    images += [np.zeros((1, 1, 3), np.uint8), np.zeros((3, 900, 3), np.uint8)]
    assert [finder.find(image) for image in images] == [[]] * len(images)
    finder.least = 0.95
    assert finder.find(FIGURE) == []
    finder.least = LEAST_SCORE


def test_a_look_leaves_the_boxes_and_says_how_sure_it_is(finder: PeopleFinder, rng: np.random.Generator) -> None:
    image = landscape(rng, 300, 400)
    put(image, (20, 60), 200)
    boxes = [whole_image(400, 300), box_of_corner(20, 60, 200, 200), box_of_corner(280, 20, 90, 90)]
    whole, person, nobody = finder.look(image, boxes)
    assert [found.box for found in (whole, person, nobody)] == boxes
    assert min(whole.score, person.score) > 0.5 > LEAST_SCORE > nobody.score
    assert finder.look(image, []) == []


def test_the_box_of_keypoints_holds_head_hands_and_feet_but_not_more_than_the_image() -> None:
    box = box_of_keypoints(KEYPOINTS, 192, 192)
    assert box is not None
    assert 200 * box.scale == pytest.approx(1.2 * (TIGHT[3] - TIGHT[1]), rel=0.08)
    np.testing.assert_allclose(box.center, [(52 + 132) / 2, (13 + 177) / 2], atol=8)
    # Of an image that ends at the hips, the box ends there too.
    seen = np.where(np.arange(17)[:, None] < 13, KEYPOINTS, [0, 0, 0.1])
    cut = box_of_keypoints(seen, 192, 105)
    assert cut is not None
    assert cut.center[1] + 100 * cut.scale / 1.2 <= 105
    few = np.where(np.arange(17)[:, None] < 2, KEYPOINTS, 0.0)
    assert box_of_keypoints(few, 192, 192) is None
    assert box_of_keypoints(np.tile([[50, 50, 0.9]], (17, 1)), 192, 192) is None
