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


@dataclass(frozen=True)
class Mesh:
    """A body model's arrays. V vertices, F faces."""

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
            template=template.astype(np.float32),
            shapedirs=np.ascontiguousarray(shapedirs.reshape(-1, 10), np.float32),
            posedirs=np.ascontiguousarray(posedirs, np.float32) if posedirs.any() else None,
            weights=np.ascontiguousarray(layer.lbs_weights.numpy().T, np.float32),
            faces=faces,
            joint_template=regressor @ template,
            joint_shapedirs=np.einsum("jv,vck->jck", regressor, shapedirs.astype(np.float64)),
            landmark_vertices=layer.vertex_joint_selector.extra_joints_idxs.numpy().astype(np.int64),
            landmark_regressor=smpl.extra_regressor.numpy().astype(np.float32),
            joint_map=np.array(SPIN_JOINTS_49, np.int64),
            normals=_normals(template, faces),
        )

    def pose(self, rotations: np.ndarray, betas: np.ndarray) -> Person:
        """Shape, pose and skin one body: rotations (24, 3, 3) relative to the parents, betas (10,); as SMPL's layer."""
        shaped = self.template + (self.shapedirs @ betas.astype(np.float32)).reshape(-1, 3)
        rest = self.joint_template + self.joint_shapedirs @ betas
        if self.posedirs is not None:
            feature = (rotations[1:] - np.eye(3)).reshape(-1).astype(np.float32)
            shaped = shaped + (feature @ self.posedirs).reshape(-1, 3)
        world, position = chain(rotations, rest)
        transform = np.empty((24, 3, 4))
        transform[:, :, :3] = world
        transform[:, :, 3] = position - np.einsum("jab,jb->ja", world, rest) - rest[0]
        # Planes of x, y and z: numpy is several times faster along them than over rows of three.
        blended = (transform.reshape(24, 12).T.astype(np.float32) @ self.weights).reshape(3, 4, -1)
        vertices = (blended[:, :3] * shaped.T).sum(1) + blended[:, 3]
        normals = (blended[:, :3] * self.normals.T).sum(1)
        normals /= np.sqrt((normals**2).sum(0)) + 1e-9
        vertices, normals = np.ascontiguousarray(vertices.T), np.ascontiguousarray(normals.T)
        further = self.landmark_regressor @ vertices
        joints = np.concatenate([position - rest[0], vertices[self.landmark_vertices], further])[self.joint_map]
        return Person(vertices.astype(np.float64), normals, joints, rest[0])


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
    return (total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)).astype(np.float32)
