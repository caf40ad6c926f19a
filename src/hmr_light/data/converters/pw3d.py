"""3D Poses in the Wild (von Marcard et al., ECCV 2018; virtualhumans.mpi-inf.mpg.de/3DPW) → annotations with SMPL."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.spatial.transform import Rotation

from hmr_light.body.pickles import read_pickle
from hmr_light.config.hints import command_line
from hmr_light.data.converters.builder import (
    AnnotationBuilder,
    box_around,
    image_path,
    in_j24,
    refuse_existing,
)
from hmr_light.data.converters.files import reading
from hmr_light.data.converters.summary import ConversionSummary, evaluate_step
from hmr_light.data.progress import track
from hmr_light.errors import UserError

# Where the 18 keypoints of 3DPW's detections (OpenPose's of COCO: nose, neck, right arm, left arm, right leg, left leg,
# eyes, ears) stand among OpenPose's 25, which have the mid-hip (8) and six of the feet besides.
COCO18_TO_OPENPOSE25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
# SMPL's ankles, knees, wrists, elbows and shoulders, right to left, are ten of SPIN's 24 joints as they are.
SMPL_LIMBS = (8, 5, 4, 7, 21, 19, 17, 16, 18, 20)
LIMBS_TO_J24 = (0, 1, 4, 5, 6, 7, 8, 9, 10, 11)


def convert(root: Path, out: Path, *, split: Literal["train", "validation", "test"] = "test") -> ConversionSummary:
    """Convert `sequenceFiles/<split>/*.pkl` of the folder `root`, which has `imageFiles`, too; `out` must be new.

    A person is kept in the frames whose camera is aligned (`campose_valid`) and in which the person was detected, as
    in SPIN's `pw3d.py`: 35,515 of the test split. The box is around the detected keypoints, with a margin of 1.2. The
    root's rotation is brought from the world into the camera frame. The detections become `openpose`; `part` has the
    ten joints of the limbs that SMPL has by itself, projected with the frame's camera. There is no `S`: the 14 joints
    that papers score come from the mesh of `pose`, `shape` and `gender`, and not from 3DPW's `jointPositions`. The
    pickles are read without running anything in them. Raises `UserError` for files of another layout.
    """
    refuse_existing(out)
    folder = root / "sequenceFiles" / split
    files = sorted(folder.glob("*.pkl"))
    if not files:
        raise UserError(
            f"there are no sequences (*.pkl) in {folder}", "Unpack 3DPW's sequenceFiles.zip and imageFiles.zip there."
        )
    people = AnnotationBuilder()
    for file in track(files, "converting"):
        sequence = read_pickle(file)
        with reading(file, "a sequence of 3DPW"):
            _convert_sequence(sequence, file, root, people)
    if split == "test":  # the set's own protocol takes SMPL's three bodies
        next_step = evaluate_step("3dpw_test", "pw3d", out, {"body": "smpl", "data.root": root})
    else:
        part = "train" if split == "train" else "evaluation"
        options = {"body": "smpl", "data": "3dpw", "data.root": root, f"data.{part}.pw3d.annotations": out}
        next_step = command_line("train", options)
    return people.save(out, folder, root, next_step, f"Unpack 3DPW's imageFiles.zip in {root}.")


def _convert_sequence(sequence: dict[str, Any], file: Path, root: Path, people: AnnotationBuilder) -> None:
    name, cameras = str(sequence["sequence"]), np.asarray(sequence["cam_poses"], float)
    intrinsics = np.asarray(sequence["cam_intrinsics"], float).reshape(3, 3)
    frames = [f"imageFiles/{name}/image_{frame:05d}.jpg" for frame in range(len(cameras))]
    exists = [image_path(root, frame, file).is_file() for frame in frames]
    columns = [sequence[key] for key in ("poses", "betas", "genders", "poses2d", "campose_valid", "jointPositions")]
    for poses, betas, gender, detections, valid, joints in zip(*columns, strict=True):
        poses = np.asarray(poses, float).reshape(len(cameras), 72)
        poses[:, :3] = _in_camera(cameras, poses[:, :3])
        betas = np.asarray(betas, float).ravel()[:10]
        detections = np.asarray(detections, float).reshape(len(cameras), 3, 18).swapaxes(1, 2)
        parts = _projected_limbs(cameras, intrinsics, np.asarray(joints, float).reshape(len(cameras), 24, 3))
        for frame, aligned in enumerate(np.asarray(valid).astype(bool).reshape(len(cameras))):
            found = detections[frame]
            box = box_around(found[found[:, 2] > 0, :2])
            if not aligned:
                people.drop("camera not aligned")
            elif box is None:
                people.drop("not detected in 2D")
            elif not exists[frame]:
                people.drop("image missing")
            else:
                openpose = np.zeros((25, 3))
                openpose[list(COCO18_TO_OPENPOSE25)] = np.where(found[:, 2:] > 0, found, 0)
                labels = {"pose": poses[frame], "shape": betas, "gender": str(gender)[0].lower()}
                people.keep(frames[frame], box, part=parts[frame], openpose=openpose, **labels)
                if (parts[frame][list(LIMBS_TO_J24), 2] == 0).any():
                    people.note("people with 2D joints behind the camera, which are left out")


def _in_camera(cameras: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Axis-angles (N, 3) of the root, from the world into the frame of `cameras` (N, 4, 4: world → camera)."""
    return (Rotation.from_matrix(cameras[:, :3, :3]) * Rotation.from_rotvec(roots)).as_rotvec()


def _projected_limbs(cameras: np.ndarray, intrinsics: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(N, 24, 3): the limbs' joints of `joints` (N, 24, 3), metres, world, in pixels; unknown behind the camera."""
    limbs = joints[:, SMPL_LIMBS] @ cameras[:, :3, :3].mT + cameras[:, None, :3, 3]
    projected = limbs @ intrinsics.T
    in_front = projected[..., 2] > 0
    pixels = projected[..., :2] / np.where(in_front, projected[..., 2], 1)[..., None]
    return np.stack([in_j24(*one) for one in zip(pixels, [LIMBS_TO_J24] * len(pixels), in_front, strict=True)])
