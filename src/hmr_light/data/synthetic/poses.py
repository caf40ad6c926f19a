"""Random poses: a clip moves between two archetypes, with noise that neighbouring and opposite joints share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hmr_light.data.synthetic.anatomy import (
    LEGS,
    PARENTS,
    axis_rotation,
    by_joint,
    clipped,
    mirrored,
    rotations,
)
from hmr_light.data.synthetic.archetypes import ARCHETYPES, UPRIGHT, Stance
from hmr_light.data.synthetic.mesh import chain

_NOISE_DEGREES = by_joint(
    # Standard deviation of (flexion, side, twist).
    spine=(3, 2, 3), neck=(5, 3, 5), head=(6, 4, 6), hip=(7, 4, 5), knee=(7, 0, 2), ankle=(5, 3, 3), toes=(5, 0, 0),
    collar=(3, 2, 0), shoulder=(14, 9, 12), elbow=(14, 0, 15), wrist=(14, 7, 0), hand=(10, 2, 0),
)  # fmt: skip
# The share of a joint's noise that it takes over from the other side, and from its parent.
_SHARED_SIDES, _SHARED_PARENT = 0.4, 0.3
_TRIES = 12


class Pose(NamedTuple):
    """A pose in the world: y up, ground at y = 0, the pelvis above the origin."""

    angles: np.ndarray | None
    """(24, 3) degrees, inside `anatomy.LIMITS`; None of a recorded pose."""
    rotations: np.ndarray
    """(24, 3, 3) relative to the parent; the first is the pelvis in the world, facing +z but for lean and tilt."""
    lift: float
    """Height of the lowest point above the ground, metres."""
    archetype: str


def sample_pose(
    clip: np.random.Generator,
    time: float,
    weights: Mapping[str, float],
    noise: float,
    joints_of_rest: np.ndarray,
) -> Pose:
    """The pose at `time` in [0, 1) of the clip that the generator `clip` (freshly seeded) stands for.

    `weights` are the archetypes' relative frequencies, `noise` scales the joint noise, `joints_of_rest` (24, 3) m are
    the joints of the rest pose, for finding limbs that run into each other; such draws are discarded.
    """
    names = sorted(weights)
    share = np.array([weights[name] for name in names], float)
    first, second = clip.choice(names, size=2, p=share / share.sum())
    start, mirror, amount = clip.random(), clip.random() < 0.5, clip.beta(0.6, 1.2)
    for attempt in range(_TRIES):
        # The last tries are near the bare archetype, whose limbs are apart.
        calm = 1 - attempt / (_TRIES - 1)
        stance = _mix(clip, str(first), str(second), (start + 0.5 * time) % 1, amount * calm * _smooth(time))
        pose = clipped(stance.pose + noise * calm * _correlated_noise(clip))
        if mirror:
            pose = mirrored(pose)
        local = rotations(pose)
        if not limbs_collide(local, joints_of_rest):
            break
    lean = (stance.pitch, -stance.roll if mirror else stance.roll)
    local[0] = _upright(*lean) if not stance.settles else settled(local, joints_of_rest, *lean)
    return Pose(pose, local, stance.lift, str(first))


def _smooth(time: float) -> float:
    return 0.4 + 0.6 * time * time * (3 - 2 * time)


def _mix(rng: np.random.Generator, first: str, second: str, phase: float, amount: float) -> Stance:
    """The stance of `first`, moved by `amount` towards `second`."""
    one, other = ARCHETYPES[first](rng, phase), ARCHETYPES[second](rng, phase)
    share = np.full((24, 1), amount)
    legs_too = first in UPRIGHT and second in UPRIGHT
    if not legs_too:
        # Half-lying or half-sitting legs would hang in the air; arms and trunk may come from anywhere.
        share[[0, *LEGS]] = 0
    pose = one.pose + share * (other.pose - one.pose)
    lean = amount if legs_too else 0.0
    pitch = one.pitch + lean * (other.pitch - one.pitch)
    return one._replace(pose=pose, pitch=pitch)


def _upright(pitch: ArrayLike, roll: ArrayLike) -> np.ndarray:
    """The rotation of a pelvis that leans `pitch` degrees forward and `roll` to the left."""
    return axis_rotation(2, -np.asarray(roll)) @ axis_rotation(0, np.asarray(pitch))


def settled(local: np.ndarray, joints_of_rest: np.ndarray, pitch: float, roll: float) -> np.ndarray:
    """The rotation of the pelvis, near the given lean, at which a rigid body with these joints lies still.

    That is where its weight, taken as equal at every joint, is lowest above the joint that touches the ground.
    """
    _, position = chain(np.concatenate([np.eye(3)[None], local[1:]]), joints_of_rest)
    for reach in (30.0, 6.0):
        offset = np.linspace(-reach, reach, 11)
        candidates = _upright(*np.meshgrid(pitch + offset, roll + offset)).reshape(-1, 3, 3)
        height = candidates[:, 1] @ position.T
        best = int((height.mean(1) - height.min(1)).argmin())
        roll, pitch = roll + offset[best // 11], pitch + offset[best % 11]
    return candidates[best]


def _correlated_noise(rng: np.random.Generator) -> np.ndarray:
    """(24, 3) degrees: each joint's draw is mixed with the other side's and with its parent's."""
    draw = rng.standard_normal((24, 3))
    draw = np.sqrt(1 - _SHARED_SIDES**2) * draw + _SHARED_SIDES * mirrored(draw)
    for joint, parent in enumerate(PARENTS):
        if parent > 0:
            draw[joint] = np.sqrt(1 - _SHARED_PARENT**2) * draw[joint] + _SHARED_PARENT * draw[parent]
    return draw * _NOISE_DEGREES


# Limbs as capsules: (joint, joint, radius in metres); a hand is the end of its forearm.
_CAPSULES = np.array([
    (0, 9, 0.11), (9, 12, 0.10), (12, 15, 0.07), (18, 22, 0.03), (19, 23, 0.03), (16, 18, 0.035), (17, 19, 0.035),
    (1, 4, 0.06), (2, 5, 0.06), (4, 10, 0.045), (5, 11, 0.045),
])  # fmt: skip
_PAIRS = np.array([
    *((trunk, forearm) for trunk in (0, 1, 2) for forearm in (3, 4)),
    *((forearm, leg) for forearm in (3, 4) for leg in (7, 8, 9, 10)),
    (3, 4), (3, 6), (4, 5), (7, 8), (9, 10), (7, 10), (8, 9),
])  # fmt: skip
# Skin gives way and arms rest on thighs: nearer than this share of the two radii is a collision.
_TOUCH = 0.85


def limbs_collide(local: np.ndarray, joints_of_rest: np.ndarray) -> bool:
    """Whether two limbs, taken as capsules around the bones, run into each other."""
    _, position = chain(local, joints_of_rest)
    along = np.linspace(0, 1, 9)[:, None]
    start, end = position[_CAPSULES[:, 0].astype(int)], position[_CAPSULES[:, 1].astype(int)]
    points = start[:, None] + along * (end - start)[:, None]
    gap = points[_PAIRS[:, 0], :, None] - points[_PAIRS[:, 1], None]
    nearest = np.sqrt((gap**2).sum(-1).min((1, 2)))
    reach = _CAPSULES[_PAIRS[:, 0], 2] + _CAPSULES[_PAIRS[:, 1], 2]
    return bool((nearest < _TOUCH * reach).any())
