"""Posing for the embedded body: from the source's A-pose to SMPL's T-pose, and to random poses."""

from __future__ import annotations

import numpy as np

from hmr_light.body.joints import SMPL_FLIP, SMPL_PARENTS

# Joints whose bones are turned to the T-pose, parents first: (joint, the joint its bone ends in, direction for the left
# side). None keeps a component of the shape's own direction.
T_POSE = (
    (16, 18, (1.0, 0.0, 0.0)),  # upper arm
    (18, 20, (1.0, 0.0, 0.0)),  # forearm
    (20, 22, (1.0, 0.0, 0.0)),  # hand
    (1, 4, (0.04, None, None)),  # thigh: nearly straight down
    (4, 7, (0.0, None, None)),  # shank
)


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that turns unit vector `source` to unit vector `target`."""
    axis, cosine = np.cross(source, target), source @ target
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def t_pose_rotations(joints: np.ndarray) -> np.ndarray:
    """World rotations (24, 3, 3) that turn the limbs of `joints` (24, 3) from the model's A-pose to the T-pose."""
    world = np.stack([np.eye(3)] * 24)
    for joint, end, direction in T_POSE:
        for start, stop, side in ((joint, end, 1.0), (SMPL_FLIP[joint], SMPL_FLIP[end], -1.0)):
            inherited = world[SMPL_PARENTS[start]]
            bone = inherited @ (joints[stop] - joints[start])
            bone /= np.linalg.norm(bone)
            target = np.array([bone[i] if d is None else d for i, d in enumerate(direction)])
            target[0] *= side
            world[start] = rotation_between(bone, target / np.linalg.norm(target)) @ inherited
    world[22], world[23] = world[20], world[21]  # fingers go with the hand; feet keep their direction
    return world


def unpose(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T-posed vertices (V, 3) and joints (24, 3), pelvis at the origin, of an A-posed body.

    The inverse of linear blend skinning, vertex by vertex: posing the result back gives the A-pose exactly, so the
    error that skinning makes at the shoulders is spent on the T-pose, in which people are seen less often.
    """
    world = t_pose_rotations(joints)
    straight = np.zeros_like(joints)
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        straight[joint] = straight[parent] + world[parent] @ (joints[joint] - joints[parent])
    back = np.transpose(world, (0, 2, 1))
    offset = joints - np.einsum("jab,jb->ja", back, straight)
    blended = np.einsum("vj,jab->vab", weights, back)
    return np.linalg.solve(blended, (vertices - weights @ offset)[..., None])[..., 0], straight


def skin(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Linear blend skinning in numpy: T-posed `vertices` (V, 3) under relative `rotations` (24, 3, 3)."""
    world, moved = [rotations[0]], [joints[0]]
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        world.append(world[parent] @ rotations[joint])
        moved.append(moved[parent] + world[parent] @ (joints[joint] - joints[parent]))
    turned = np.stack(world)
    offset = np.stack(moved) - np.einsum("jab,jb->ja", turned, joints)
    return np.einsum("vj,jab,vb->va", weights, turned, vertices, optimize=True) + weights @ offset
