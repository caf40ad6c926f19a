"""BEDLAM's training labels: joints, poses, and images that are stored on their side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.foreign_files import close, touch

from hmr_light.body.joints import J24_NAMES, OPENPOSE25_NAMES
from hmr_light.data.annotations import load_annotations
from hmr_light.data.converters.bedlam import convert

PEOPLE = 5


@pytest.mark.parametrize("rotated", [False, True])
def test_bedlam_joints_pose_and_turned_images(tmp_path: Path, rng: np.random.Generator, rotated: bool) -> None:
    """An independent camera projects the joints of the turned image; the stored image has them a quarter turn back."""
    width, height = (720, 1280) if rotated else (1280, 720)
    joints = rng.uniform(-0.5, 0.5, (PEOPLE, 24, 3)) + np.array([0, 0, 4])
    points = 900 * joints[..., :2] / joints[..., 2:] + [width / 2, height / 2]
    arrays = {
        "imgname": np.array([f"seq/{index}.png" for index in range(PEOPLE)]),
        "center": points.mean(1),
        "scale": rng.uniform(1, 2, PEOPLE),
        "gtkps": points,
        "pose_cam": rng.normal(size=(PEOPLE, 72)),
        "shape": rng.normal(size=(PEOPLE, 11)),
        "cam_int": np.tile(np.array([[900, 0, width / 2], [0, 900, height / 2], [0, 0, 1]]), (PEOPLE, 1, 1)),
        "gender": np.array(["male", "female", "neutral", "female", "male"]),
        "sub": np.array(["x"] * PEOPLE, object),
    }
    np.savez(tmp_path / "bedlam.npz", **arrays)  # type: ignore[arg-type]
    touch(tmp_path, "seq/0.png")
    convert(tmp_path / "bedlam.npz", tmp_path, tmp_path / "a.npz", rotated=rotated)
    labels = load_annotations(tmp_path / "a.npz")
    if rotated:
        turned = np.zeros((height, width), np.uint8)
        for at in np.rint(points[0, [7, 8]]).astype(int):  # the ankles, as single pixels of the turned image
            turned[at[1], at[0]] = 255
        stored = cv2.rotate(turned, cv2.ROTATE_90_COUNTERCLOCKWISE)
        for joint in (0, 5):
            x, y = np.rint(labels.part[0, joint, :2]).astype(int)
            assert stored[y - 1 : y + 2, x - 1 : x + 2].any()
        # The camera of the stored image sees the same bodies turned about its axis.
        turn = Rotation.from_euler("z", -90, degrees=True).as_matrix()
        joints = joints @ turn.T
        points = 900 * joints[..., :2] / joints[..., 2:] + [height / 2, width / 2 - 1]
        for row in range(PEOPLE):
            root = Rotation.from_rotvec(arrays["pose_cam"][row, :3]).as_matrix()
            close(Rotation.from_rotvec(labels.pose[row, :3]).as_matrix(), turn @ root)
    else:
        close(labels.pose, arrays["pose_cam"])
    close(labels.pose[:, 3:], arrays["pose_cam"][:, 3:])
    close(labels.shape, arrays["shape"][:, :10])
    named = {"right_ankle": 8, "left_knee": 4, "right_wrist": 21, "left_shoulder": 16}
    for name, joint in named.items():
        np.testing.assert_allclose(labels.part[:, J24_NAMES.index(name), :2], points[:, joint], atol=1e-3)
    np.testing.assert_allclose(labels.openpose[:, OPENPOSE25_NAMES.index("neck"), :2], points[:, 12], atol=1e-3)
    assert not labels.part[:, J24_NAMES.index("nose")].any()
    assert labels.gender.tolist() == ["m", "f", "n", "f", "m"]


def test_poses_of_smpl_x_are_not_taken_for_smpl(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays = {
        "imgname": np.array(["a.png"]),
        "center": np.ones((1, 2)),
        "scale": np.ones(1),
        "gtkps": rng.uniform(1, 99, (1, 127, 3)),
        "pose_cam": rng.normal(size=(1, 165)),
        "shape": np.zeros((1, 10)),
    }
    np.savez(tmp_path / "agora.npz", **arrays)  # type: ignore[arg-type]
    touch(tmp_path, "a.png")
    summary = convert(tmp_path / "agora.npz", tmp_path, tmp_path / "a.npz")
    assert "1  SMPL-X poses and betas left out" in str(summary)
    labels = load_annotations(tmp_path / "a.npz")
    assert not labels.has_smpl.any()
    close(labels.part[0, 0, :2], arrays["gtkps"][0, 8, :2])
