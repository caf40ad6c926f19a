"""Training labels in the layout of BEDLAM (Black et al., CVPR 2023), which AGORA's come in too → annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hmr_light.body.joints import SPIN_JOINTS_49
from hmr_light.data.annotations import Annotations, save_annotations
from hmr_light.data.converters.builder import refuse_existing
from hmr_light.data.converters.files import reading
from hmr_light.data.converters.summary import ConversionSummary, train_step
from hmr_light.data.images import ImageFiles
from hmr_light.data.npz import NpzFile

# The body's joints, which SMPL and SMPL-X have in common and which come first in `gtkps`.
_COMMON = 22
_POSE = 72


def convert(annotations: Path, images: Path, out: Path, *, rotated: bool = False) -> ConversionSummary:
    """Convert one npz of training labels; `out` must not exist yet.

    `gtkps` are projected joints of the body: those that SMPL and SMPL-X share go where our 49 have them. `pose_cam` of
    SMPL, 24 joints, and the first ten betas become SMPL labels; SMPL-X's become none, for its betas mean other shapes.
    `rotated` is for BEDLAM's closeup scenes, whose images are stored on their side: their labels, made for images
    turned clockwise, are turned back. Raises `UserError` if the file is of another layout.
    """
    refuse_existing(out)
    with reading(annotations, "training labels of BEDLAM"), NpzFile(annotations) as file:
        arrays = {
            name: file.read(name)
            for name in ("imgname", "center", "scale", "gtkps", "pose_cam", "shape", "cam_int", "gender")
            if name in file.names
        }
        count = len(arrays["imgname"])
        center, points = arrays["center"].astype(float), arrays["gtkps"][..., :2].astype(float)
        pose = arrays["pose_cam"].reshape(count, -1).astype(float)
        if rotated:
            # The principal point is the middle of the turned image, so this is that image's width.
            width = 2 * arrays["cam_int"][:, 0, 2].astype(float)
            center, points = _turn_back(center, width), _turn_back(points, width[:, None])
            pose[:, :3] = (Rotation.from_euler("z", -90, degrees=True) * Rotation.from_rotvec(pose[:, :3])).as_rotvec()
        joints = np.zeros((count, 49, 3))
        for place, joint in enumerate(SPIN_JOINTS_49):
            if joint < _COMMON:
                joints[:, place] = np.concatenate([points[:, joint], np.ones((count, 1))], 1)
        columns = {
            "imgname": arrays["imgname"],
            "center": center,
            "scale": arrays["scale"].reshape(count),
            "openpose": joints[:, :25],
            "part": joints[:, 25:],
        }
        notes = {}
        if pose.shape[1] != _POSE:
            notes["SMPL-X poses and betas left out: they are not SMPL's"] = count
        else:
            columns |= {"pose": pose, "shape": arrays["shape"][:, :10]}
        if "gender" in arrays:
            columns["gender"] = arrays["gender"].astype("<U1")
    labels = Annotations.from_arrays(columns, annotations)
    ImageFiles(labels, annotations, images)  # refuses another set's folder
    save_annotations(out, labels)
    step = train_step("custom", out, images)
    return ConversionSummary(out, count, {}, images, step, notes=notes)


def _turn_back(points: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Points (..., 2) of an image of that width that was turned clockwise, in the image as it is stored."""
    return np.stack([points[..., 1], width - 1 - points[..., 0]], -1)
