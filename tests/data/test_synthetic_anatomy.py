from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hmr_light.body import joints
from hmr_light.data.synthetic.anatomy import (
    LIMITS,
    MIRROR,
    PARENTS,
    angles,
    axis_rotation,
    foot_flat_pitch,
    mirrored,
    rotations,
)
from hmr_light.data.synthetic.archetypes import ARCHETYPES
from hmr_light.data.synthetic.mesh import chain
from hmr_light.data.synthetic.poses import limbs_collide, sample_pose, settled

NAMES = {name: index for index, name in enumerate(joints.JOINT_NAMES_24_SMPL)}
WEIGHTS = dict.fromkeys(ARCHETYPES, 1.0)

# A T-pose of unit-free but human proportions, metres: x left, y up, z front.
REST = np.array(
    [
        *([0, 0, 0], [0.07, -0.09, 0], [-0.07, -0.09, 0], [0, 0.11, -0.02], [0.1, -0.47, 0], [-0.1, -0.47, 0]),
        *([0, 0.24, -0.02], [0.09, -0.87, -0.03], [-0.09, -0.87, -0.03], [0, 0.3, -0.01], [0.11, -0.93, 0.09]),
        *([-0.11, -0.93, 0.09], [0, 0.5, -0.03], [0.08, 0.41, -0.02], [-0.08, 0.41, -0.02], [0, 0.58, 0]),
        *([0.18, 0.43, -0.02], [-0.18, 0.43, -0.02], [0.44, 0.43, -0.02], [-0.44, 0.43, -0.02], [0.7, 0.43, -0.02]),
        *([-0.7, 0.43, -0.02], [0.78, 0.43, -0.02], [-0.78, 0.43, -0.02]),
    ]
)


def bone(pose: np.ndarray, start: str, end: str) -> np.ndarray:
    """The direction from one joint to another in a pose, the pelvis upright."""
    _, position = chain(rotations(pose), REST)
    along = position[NAMES[end]] - position[NAMES[start]]
    return along / np.linalg.norm(along)


def test_tree_and_mirror_are_those_of_the_body() -> None:
    assert PARENTS == joints.SMPL_PARENTS
    assert MIRROR == joints.SMPL_FLIP


def test_arms_raised_sideways_are_the_t_pose() -> None:
    assert np.allclose(rotations(angles(shoulder=(0, 90, 0))), np.eye(3), atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
def test_angles_mean_what_their_names_say(side: str) -> None:
    out = 1.0 if side == "left" else -1.0
    forward, backward, down = np.eye(3)[2], -np.eye(3)[2], -np.eye(3)[1]
    sideways = out * np.eye(3)[0]

    def of(**joint: tuple[float, ...]) -> np.ndarray:
        return angles(**{f"{side}_{name}": value for name, value in joint.items()})

    def limb(pose: np.ndarray, start: str, end: str) -> np.ndarray:
        return bone(pose, f"{side}_{start}", f"{side}_{end}")

    assert limb(of(), "shoulder", "elbow") @ down > 0.999
    assert limb(of(shoulder=(90,)), "shoulder", "elbow") @ forward > 0.999
    assert limb(of(shoulder=(0, 90)), "shoulder", "elbow") @ sideways > 0.999
    assert limb(of(elbow=(90,)), "elbow", "wrist") @ forward > 0.999
    assert limb(of(elbow=(90,), shoulder=(0, 0, 60)), "elbow", "wrist") @ sideways < -0.8  # twist turns inward
    assert limb(of(hip=(90,)), "hip", "knee") @ forward > 0.99
    assert limb(of(hip=(0, 40)), "hip", "knee") @ sideways > 0.5
    assert limb(of(knee=(90,)), "knee", "ankle") @ backward > 0.99
    toes_up = limb(of(ankle=(20,)), "ankle", "foot") - limb(of(), "ankle", "foot")
    assert toes_up[1] > 0.2
    assert limb(of(hip=(0, 0, 40)), "ankle", "foot") @ sideways > limb(of(), "ankle", "foot") @ sideways + 0.3


def test_spine_bends_forward_left_and_turns_left() -> None:
    assert bone(angles(spine=(60,)), "pelvis", "neck")[2] > 0.4
    assert bone(angles(spine=(0, 30)), "pelvis", "neck")[0] > 0.2
    turned = bone(angles(spine=(0, 0, 40), shoulder=(0, 90)), "right_shoulder", "left_shoulder")
    assert turned[2] < -0.5  # turning to the left takes the left shoulder back


def test_feet_are_flat_at_the_lean_that_says_so() -> None:
    pose = angles(hip=(110,), knee=(125,), ankle=(22,))
    lean = np.radians(foot_flat_pitch(pose))
    foot = rotations(pose)
    world = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    for joint in (1, 4, 7):
        world = world @ foot[joint]
    assert np.allclose(world, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_mirrored_pose_has_mirrored_rotations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = rng.uniform(*LIMITS)
    across = np.diag([-1.0, 1.0, 1.0])
    expected = across @ rotations(pose)[list(joints.SMPL_FLIP)] @ across
    assert np.allclose(rotations(mirrored(pose)), expected, atol=1e-12), f"seed {seed}"


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


def test_gait_swings_arms_against_legs() -> None:
    for name in ("walk", "run"):
        hips, arms = [], []
        for step in range(40):
            pose = ARCHETYPES[name](np.random.default_rng(11), step / 40).pose
            hips.append(pose[1, 0] - pose[2, 0])
            arms.append(pose[16, 0] - pose[17, 0])
        assert np.corrcoef(hips, arms)[0, 1] < -0.9, name
