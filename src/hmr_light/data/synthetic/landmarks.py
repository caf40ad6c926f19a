"""Where things are on the body in its rest pose: what clothes and seats are measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmr_light.data.synthetic.mesh import Mesh

# SPIN's 49 joints: OpenPose's nose and eyes, ears.
_NOSE, _EYES, _EARS = 0, (15, 16), (17, 18)


@dataclass(frozen=True)
class BodyLandmarks:
    """Where things are on the rest pose, metres in its own frame (x left, y up, z front)."""

    shoulder_x: float
    elbow_x: float
    wrist_x: float
    fingertip_x: float
    armpit_y: float
    neck_y: float
    waist_y: float
    hip_y: float
    knee_y: float
    ankle_y: float
    sole_y: float
    crown_y: float
    nose: np.ndarray
    eyes: np.ndarray
    """(2, 3)"""
    ear_z: float

    @classmethod
    def of(cls, mesh: Mesh) -> BodyLandmarks:
        """Measure a body."""
        rest = mesh.pose(np.broadcast_to(np.eye(3), (24, 3, 3)), np.zeros(10))
        joints, landmarks = mesh.joint_template, rest.joints + rest.pelvis
        return cls(
            shoulder_x=float(np.abs(joints[16:18, 0]).mean()),
            elbow_x=float(np.abs(joints[18:20, 0]).mean()),
            wrist_x=float(np.abs(joints[20:22, 0]).mean()),
            fingertip_x=float(np.abs(mesh.template[:, 0]).max()),
            armpit_y=float(joints[16:18, 1].mean() - 0.16),
            neck_y=float(joints[12, 1]),
            waist_y=float(joints[3, 1]),
            hip_y=float(joints[1:3, 1].mean()),
            knee_y=float(joints[4:6, 1].mean()),
            ankle_y=float(joints[7:9, 1].mean()),
            sole_y=float(mesh.template[:, 1].min()),
            crown_y=float(mesh.template[:, 1].max()),
            nose=landmarks[_NOSE],
            eyes=landmarks[list(_EYES)],
            ear_z=float(landmarks[list(_EARS), 2].mean()),
        )
