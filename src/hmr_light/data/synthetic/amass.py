"""Poses of a user's AMASS files (Mahmood et al., ICCV 2019) instead of the archetypes'."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from hmr_light.data.synthetic.poses import Pose
from hmr_light.data.synthetic.sources import files_below
from hmr_light.errors import UserError

_JOINTS = 22  # of SMPL's 24; what follows differs between SMPL+H and SMPL-X, and hands stay flat
_SECONDS = 2.0  # that a clip lasts
# AMASS has z up; here y is.
_Z_UP_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def amass_files(folder: str) -> list[Path]:
    """The files below a folder that hold poses; AMASS keeps shapes alone in others."""
    files = []
    for path in files_below(folder, (".npz",), "poses.amass"):
        try:
            with zipfile.ZipFile(path) as archive:
                if "poses.npy" in archive.namelist():
                    files.append(path)
        except zipfile.BadZipFile:
            raise UserError(f"{path} is not an npz file, or a damaged one", "Remove it, or fetch it again.") from None
    return files


def amass_pose(clip: np.random.Generator, time: float, files: list[Path]) -> Pose:
    """The pose at `time` in [0, 1) of the clip of two seconds that the generator (freshly seeded) picks."""
    poses, rate = _read(files[clip.integers(len(files))])
    length = min(len(poses) - 1, round(_SECONDS * rate))
    start = clip.integers(len(poses) - length)
    frame = poses[start + int(time * length)]
    rotations = np.broadcast_to(np.eye(3), (24, 3, 3)).copy()
    rotations[:_JOINTS] = [cv2.Rodrigues(vector)[0] for vector in frame.reshape(_JOINTS, 3)]
    rotations[0] = _Z_UP_TO_Y_UP @ rotations[0]
    return Pose(None, rotations, 0.0, "amass")


@lru_cache(maxsize=32)
def _read(path: Path) -> tuple[np.ndarray, float]:
    """Axis-angles (N, 66) and frames a second."""
    with np.load(path, allow_pickle=False) as file:
        poses = np.asarray(file["poses"], np.float64)
        rate = next((float(file[key]) for key in ("mocap_framerate", "mocap_frame_rate") if key in file.files), 30.0)
    if poses.ndim != 2 or len(poses) == 0 or poses.shape[1] < 3 * _JOINTS or not np.isfinite(poses).all():
        raise UserError(
            f"'poses' in {path} is {poses.shape}, not (frames, {3 * _JOINTS} or more) of finite numbers",
            "Remove the file from the folder of source.poses.amass.",
        )
    return poses[:, : 3 * _JOINTS], rate
