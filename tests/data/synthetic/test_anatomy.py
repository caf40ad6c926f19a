from __future__ import annotations

import numpy as np
import pytest
from support.synthetic import REST

from hmr_light.body import joints
from hmr_light.data.synthetic.anatomy import (
    LIMITS,
    MIRROR,
    PARENTS,
    angles,
    foot_flat_pitch,
    mirrored,
    rotations,
)
from hmr_light.data.synthetic.mesh import chain

NAMES = {name: index for index, name in enumerate(joints.JOINT_NAMES_24_SMPL)}


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
