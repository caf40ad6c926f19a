from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from support.synthetic import REST

from hmr_light.data.synthetic.anatomy import (
    LIMITS,
    angles,
    axis_rotation,
    rotations,
)
from hmr_light.data.synthetic.archetypes import ARCHETYPES
from hmr_light.data.synthetic.mesh import chain
from hmr_light.data.synthetic.poses import limbs_collide, sample_pose, settled

WEIGHTS = dict.fromkeys(ARCHETYPES, 1.0)


def sample(clip: int, time: float = 0.5, weights: dict[str, float] = WEIGHTS):  # type: ignore[no-untyped-def]
    return sample_pose(np.random.default_rng([17, clip]), time, weights, 1.0, REST)


def test_joints_stay_inside_their_limits() -> None:
    for clip in range(400):
        pose = sample(clip)
        assert (pose.angles >= LIMITS[0] - 1e-9).all(), clip
        assert (pose.angles <= LIMITS[1] + 1e-9).all(), clip
        # The same said without the angles: how far the matrices themselves turn.
        turn = np.degrees(np.arccos(np.clip((np.trace(pose.rotations, axis1=1, axis2=2) - 1) / 2, -1, 1)))
        assert turn[[4, 5, 18, 19]].max() < 165, clip
        assert turn[[3, 6, 9]].max() < 30, clip
        # A knee bends backward only: seen in the thigh's frame the shank never points forward.
        shank = np.einsum("jab,jb->ja", pose.rotations[[4, 5]], REST[[7, 8]] - REST[[4, 5]])
        assert shank[:, 2].max() < 0.02, clip


def test_few_poses_have_limbs_inside_one_another() -> None:
    collisions = sum(limbs_collide(sample(clip).rotations, REST) for clip in range(400))
    assert collisions <= 8


def test_collisions_are_found() -> None:
    assert not limbs_collide(rotations(angles(shoulder=(0, 12))), REST)
    into_the_chest = angles(left_shoulder=(30, -20, 85), left_elbow=(140,))
    assert limbs_collide(rotations(into_the_chest), REST)
    assert limbs_collide(rotations(angles(hip=(0, -15))), REST)


def test_a_clip_is_one_movement() -> None:
    """Its moments differ, are alike, and depend on nothing but clip and time."""
    within, between = [], []
    for clip in range(60):
        first, later = sample(clip, 0.25), sample(clip, 0.375)
        assert first.archetype == later.archetype
        assert np.array_equal(first.rotations, sample(clip, 0.25).rotations)
        within.append(np.abs(first.angles - later.angles).mean())
        between.append(np.abs(first.angles - sample(clip + 1000, 0.25).angles).mean())
    assert 0 < np.median(within) < 0.5 * np.median(between)


@pytest.mark.parametrize("seed", range(6))
def test_who_lies_has_come_to_rest(seed: int) -> None:
    """Lying down, and turned a little either way, the weight would have to rise."""

    def height(pelvis: np.ndarray, pose: np.ndarray) -> float:
        _, position = chain(np.concatenate([pelvis[None], pose[1:]]), REST)
        return float(position[:, 1].mean() - position[:, 1].min())

    rng = np.random.default_rng(seed)
    stance = ARCHETYPES["lie"](rng, rng.random())
    pose = rotations(stance.pose)
    rest = settled(pose, REST, stance.pitch, stance.roll)
    assert height(rest, pose) < 0.3, f"seed {seed}"
    for axis in (0, 2):
        for degrees in (-5, 5):
            turn = axis_rotation(axis, degrees)
            assert height(turn @ rest, pose) > height(rest, pose) - 0.03, f"seed {seed}"


def test_archetypes_come_as_often_as_asked() -> None:
    weights = {"stand": 3.0, "lie": 1.0, "run": 0.0}
    seen = Counter(sample(clip, weights=weights).archetype for clip in range(300))
    assert seen["run"] == 0
    assert 0.6 < seen["stand"] / 300 < 0.88
