"""A body is brought over the keypoints that are seen of it, or left where the network sees it."""

from __future__ import annotations

import numpy as np
import pytest

from hmr_light.deployment.runtime.aligning import aligned_camera
from hmr_light.deployment.runtime.boxes import Box


@pytest.fixture
def rng() -> np.random.Generator:
    seed = int(np.random.default_rng().integers(2**31))
    print("seed", seed)  # shown where the test fails
    return np.random.default_rng(seed)


def seen_by(camera: np.ndarray, box: Box, joints: np.ndarray) -> np.ndarray:
    """Where a weak-perspective camera of the box's crop sees joints, pixels of the image."""
    return box.center + 100 * box.scale * camera[0] * (joints[:, :2] + camera[1:])


def test_what_another_camera_sees_gives_that_camera(rng: np.random.Generator) -> None:
    box = Box(rng.uniform(50, 400, 2), rng.uniform(0.5, 3))
    joints = rng.normal(0, 0.4, (17, 3))
    camera, true = (np.array([rng.uniform(0.7, 1.1), *rng.normal(0, 0.2, 2)], np.float32) for _ in range(2))
    places = seen_by(true, box, joints)
    scores = rng.uniform(0.25, 1, 17)
    scores[rng.choice(17, 9, replace=False)] = 0.1  # not seen, and anywhere
    places[scores < 0.2] = rng.uniform(-1e3, 1e3, (9, 2))
    found = aligned_camera(camera, box, joints, np.column_stack([places, scores]))
    np.testing.assert_allclose(found, true, atol=1e-5)


def test_the_means_and_the_spread_agree_where_the_pose_does_not(rng: np.random.Generator) -> None:
    box, camera = Box(np.array([200.0, 150]), 1.4), np.array([0.9, 0.1, -0.1], np.float32)
    joints = rng.normal(0, 0.4, (17, 3))
    keypoints = np.column_stack([seen_by(camera, box, joints + rng.normal(0, 0.1, (17, 3))), rng.uniform(0.3, 1, 17)])
    places = seen_by(aligned_camera(camera, box, joints, keypoints), box, joints)
    weights = keypoints[:, 2:] / keypoints[:, 2].sum()
    means = [(weights * one).sum(0) for one in (places, keypoints[:, :2])]
    np.testing.assert_allclose(*means, atol=1e-3)
    spreads = [(weights * (one - means[0]) ** 2).sum() for one in (places, keypoints[:, :2])]
    assert spreads[0] == pytest.approx(spreads[1], rel=1e-4)


@pytest.mark.parametrize("case", ["too few are seen", "far too large", "far too small", "all in one place"])
def test_the_networks_camera_stays_where_keypoints_cannot_be_this_bodys(rng: np.random.Generator, case: str) -> None:
    box, camera = Box(np.array([200.0, 150]), 1.4), np.array([0.9, 0.1, -0.1], np.float32)
    joints = rng.normal(0, 0.4, (17, 3))
    places, scores = seen_by(camera, box, joints), np.full(17, 0.9)
    if case == "too few are seen":
        scores[3:] = 0.1
    elif case == "all in one place":
        joints[:] = joints[0]
    else:
        places *= 2.5 if case == "far too large" else 0.4
    assert aligned_camera(camera, box, joints, np.column_stack([places, scores])) is camera
