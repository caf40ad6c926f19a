"""The body as plain arrays: shape, pose and skinning of one person in numpy, for processes that need no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hmr_light.data.synthetic.anatomy import PARENTS

if TYPE_CHECKING:
    from hmr_light.body import SMPL


class Person(NamedTuple):
    """A posed body, metres, in the frame of its root rotation, the pelvis at the origin."""

    vertices: np.ndarray
    """(V, 3)"""
    normals: np.ndarray
    """(V, 3) unit outward normals."""
    joints: np.ndarray
    """(49, 3) in SPIN's order."""
    pelvis: np.ndarray
    """(3,) the pelvis of the rest pose, about which the root rotates; SMPL's own output is these vertices + pelvis."""
    transforms: np.ndarray
    """(24, 3, 4) what each joint does to points of the shaped rest pose."""


@dataclass(frozen=True)
class Mesh:
    """A body model's arrays. V vertices, F faces.

    They are float64, so that processors that add in another order differ far below what is drawn or written.
    """

    template: np.ndarray
    """(V, 3) rest pose, metres."""
    shapedirs: np.ndarray
    """(3V, 10)"""
    posedirs: np.ndarray | None
    """(207, 3V); None when all are zero."""
    weights: np.ndarray
    """(24, V) skinning weights."""
    faces: np.ndarray
    """(F, 3)"""
    joint_template: np.ndarray
    """(24, 3) joints of the rest pose."""
    joint_shapedirs: np.ndarray
    """(24, 3, 10)"""
    landmark_vertices: np.ndarray
    """(21,) vertices that count as joints."""
    landmark_regressor: np.ndarray
    """(9, V) the further joints."""
    joint_map: np.ndarray
    """(49,) SPIN's joints among the 24 + 21 + 9."""
    normals: np.ndarray
    """(V, 3) of the rest pose."""

    @classmethod
    def of(cls, smpl: SMPL) -> Mesh:
        """The arrays of a body model."""
        from hmr_light.body.joints import SPIN_JOINTS_49

        layer = smpl.layer
        template = layer.v_template.numpy().astype(np.float64)
        regressor = layer.J_regressor.numpy().astype(np.float64)
        shapedirs = layer.shapedirs.numpy()[..., :10]
        posedirs = layer.posedirs.numpy()
        faces = smpl.faces.numpy().astype(np.int32)
        return cls(
            template=template,
            shapedirs=np.ascontiguousarray(shapedirs.reshape(-1, 10), np.float64),
            posedirs=np.ascontiguousarray(posedirs, np.float64) if posedirs.any() else None,
            weights=np.ascontiguousarray(layer.lbs_weights.numpy().T, np.float64),
            faces=faces,
            joint_template=regressor @ template,
            joint_shapedirs=np.einsum("jv,vck->jck", regressor, shapedirs.astype(np.float64)),
            landmark_vertices=layer.vertex_joint_selector.extra_joints_idxs.numpy().astype(np.int64),
            landmark_regressor=smpl.extra_regressor.numpy().astype(np.float64),
            joint_map=np.array(SPIN_JOINTS_49, np.int64),
            normals=_normals(template, faces),
        )

    def pose(self, rotations: np.ndarray, betas: np.ndarray) -> Person:
        """Shape, pose and skin one body: rotations (24, 3, 3) relative to the parents, betas (10,); as SMPL's layer."""
        shaped = self.template + (self.shapedirs @ betas).reshape(-1, 3)
        rest = self.joint_template + self.joint_shapedirs @ betas
        if self.posedirs is not None:
            shaped = shaped + ((rotations[1:] - np.eye(3)).reshape(-1) @ self.posedirs).reshape(-1, 3)
        world, position = chain(rotations, rest)
        transforms = np.empty((24, 3, 4))
        transforms[:, :, :3] = world
        transforms[:, :, 3] = position - np.einsum("jab,jb->ja", world, rest) - rest[0]
        vertices, normals = skin(transforms, self.weights, shaped, self.normals)
        further = self.landmark_regressor @ vertices
        joints = np.concatenate([position - rest[0], vertices[self.landmark_vertices], further])[self.joint_map]
        return Person(vertices, normals, joints, rest[0], transforms)


def skin(
    transforms: np.ndarray, weights: np.ndarray, points: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points and unit normals (V, 3) of the rest pose, moved by the joints' `transforms` (24, 3, 4)."""
    # Planes of x, y and z: numpy is several times faster along them than over rows of three.
    blended = (transforms.reshape(24, 12).T @ weights).reshape(3, 4, -1)
    moved = (blended[:, :3] * points.T).sum(1) + blended[:, 3]
    turned = (blended[:, :3] * normals.T).sum(1)
    turned /= np.sqrt((turned**2).sum(0)) + 1e-9
    return np.ascontiguousarray(moved.T), np.ascontiguousarray(turned.T)


def chain(local: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (24, 3, 3) and positions (24, 3) of the joints: `local` rotations, joints `rest` (24, 3) at rest.

    The pelvis stays where it rests.
    """
    world, position = np.empty((24, 3, 3)), np.empty((24, 3))
    world[0], position[0] = local[0], rest[0]
    for joint in range(1, 24):
        parent = PARENTS[joint]
        world[joint] = world[parent] @ local[joint]
        position[joint] = position[parent] + world[parent] @ (rest[joint] - rest[parent])
    return world, position


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], area)
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)
