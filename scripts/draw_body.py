"""Draw the embedded body in some poses, from two sides: `python scripts/draw_body.py` (docs/images/body_poses.png)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from hmr_light.body import load_body
from hmr_light.body.joints import JOINT_NAMES_24_SMPL
from hmr_light.geometry import axis_angle_to_matrix
from hmr_light.paths import atomic_write

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "body_poses.png"
SIZE, FIELD_M, DISTANCE_M = 420, 2.3, 12.0  # pixels and metres that one drawing shows, seen from so far
YAWS = (25.0, -125.0)  # degrees

# Axis-angle in degrees of the left joint, mirrored for the right one; "left_" and "right_" turn one side only.
POSES: dict[str, dict[str, tuple[float, float, float]]] = {
    "T-pose": {},
    "A-pose": {"shoulder": (0, 0, -47)},
    "sitting": {"hip": (-85, 0, 5), "knee": (85, 0, 0), "shoulder": (0, -30, -62), "elbow": (0, -50, 0)},
    "running": {
        "left_hip": (-60, 0, 0),
        "left_knee": (80, 0, 0),
        "right_hip": (20, 0, 0),
        "right_knee": (70, 0, 0),
        "left_shoulder": (0, 40, -65),
        "right_shoulder": (0, 45, 60),
        "elbow": (0, -80, 0),
        "spine1": (10, 0, 0),
    },
    "arms up": {"collar": (0, 0, 20), "shoulder": (0, 0, 60)},
    "squatting": {"hip": (-110, 20, 0), "knee": (125, 0, 0), "ankle": (-15, 0, 0), "shoulder": (0, -80, 0)},
}
BETAS = ((), (-1.5, 1.5), (1.5, -1.0))  # of the three people, one a row


def rotations(pose: dict[str, tuple[float, float, float]]) -> torch.Tensor:
    """Rotation matrices (24, 3, 3) of a pose of POSES."""
    turns = torch.zeros(24, 3)
    for name, degrees in pose.items():
        turn = torch.deg2rad(torch.tensor(degrees))
        if name in JOINT_NAMES_24_SMPL:
            turns[JOINT_NAMES_24_SMPL.index(name)] = turn
        else:
            turns[JOINT_NAMES_24_SMPL.index(f"left_{name}")] = turn
            turns[JOINT_NAMES_24_SMPL.index(f"right_{name}")] = turn * torch.tensor([1.0, -1.0, -1.0])
    return axis_angle_to_matrix(turns)


def draw(vertices: np.ndarray, faces: np.ndarray, yaw: float) -> np.ndarray:
    """A shaded picture (SIZE, SIZE, 3) uint8 of a mesh (V, 3), metres, y up, turned by `yaw` degrees."""
    angle = np.radians(yaw)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    points = (vertices - (vertices.max(0) + vertices.min(0)) / 2) @ turn.T
    corners = points[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = np.array([0.35, 0.5, 0.8]) / np.linalg.norm([0.35, 0.5, 0.8])
    shade = 0.3 + 0.7 * np.clip(normals @ light, 0, 1)
    colour = (shade[:, None] * [0.72, 0.8, 0.92]).astype(np.float32)
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
    picture: np.ndarray = np.ones((SIZE, SIZE, 3), np.float32)
    depth: np.ndarray = np.full((SIZE, SIZE), 2 * DISTANCE_M, np.float32)
    away = (points - [0, 0, DISTANCE_M]).astype(np.float32)
    field_of_view = float(2 * np.arctan(FIELD_M / 2 / DISTANCE_M))
    identity: np.ndarray = np.eye(4, dtype=np.float32)
    cv2.triangleRasterize(
        away, faces, colour, picture, depth, identity, field_of_view, 1.0, 2 * DISTANCE_M, settings
    )  # fmt: skip
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def main() -> None:
    body = load_body()
    turns = torch.stack([rotations(pose) for pose in POSES.values()])
    faces = body.faces.numpy().astype(np.int32)
    rows = []
    for shape in BETAS:
        betas = torch.zeros(len(POSES), 10)
        betas[:, : len(shape)] = torch.tensor(shape)
        meshes = body(turns, betas).vertices.numpy()
        rows += [np.hstack([draw(mesh, faces, yaw) for mesh in meshes]) for yaw in YAWS]
    titles: np.ndarray = np.full((40, SIZE * len(POSES), 3), 255, np.uint8)
    for column, name in enumerate(POSES):
        cv2.putText(
            titles, name, (column * SIZE + 150, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (60, 60, 60), 1, cv2.LINE_AA
        )
    with atomic_write(PICTURE) as temporary:
        cv2.imwrite(
            str(temporary), cv2.resize(np.vstack([titles, *rows]), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        )
    print(PICTURE)


if __name__ == "__main__":
    main()
