"""AMASS (Mahmood et al., ICCV 2019; amass.is.tue.mpg.de), motion capture as SMPL poses → one file of poses, no images.

The file is an npz of N poses: `pose` (N, 72) float32, SMPL's axis-angles, the root's in AMASS's world, whose z is up;
`shape` (N, 10) float32; `gender` (N,) str, 'm', 'f' or 'n'; `sequence` (N,) int32, and `sequences`, their names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmr_light.data.converters.builder import refuse_existing
from hmr_light.data.converters.files import reading
from hmr_light.data.converters.summary import ConversionSummary
from hmr_light.data.progress import track
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

# SMPL-H's root and 21 joints of the body are SMPL's first 22; SMPL's two hands have no counterpart and stay straight.
BODY_NUMBERS = 66


class _Motion(NamedTuple):
    pose: np.ndarray
    """(F, 72) axis-angle."""
    shape: np.ndarray
    """(10,)"""
    gender: str
    rate_hz: float


def convert(root: Path, out: Path, *, rate_hz: int = 10) -> ConversionSummary:
    """Gather the motions (`**/*.npz`) under `root`, thinned to about `rate_hz` poses a second, in `out`, a new file.

    Reads the SMPL+H edition (`poses` of 156 numbers, `mocap_framerate`) and the SMPL-X edition (`root_orient`,
    `pose_body`, `mocap_frame_rate`). The betas are the first ten of that edition's body and of its gender; they are not
    those of the neutral SMPL. Raises `UserError` for damaged files, and where there is no motion.
    """
    refuse_existing(out)
    if rate_hz < 1:
        raise UserError(f"rate_hz={rate_hz} is not a rate", "Give the poses a second, at least 1.")
    files = sorted(root.rglob("*.npz"))
    poses: list[np.ndarray] = []
    shapes, genders, sequences = [], [], []
    dropped = 0
    for file in track(files, "converting"):
        with reading(file, "a motion of AMASS"):
            motion = _read(file)
        if motion is None:  # the subject's shape, which lies among the motions
            dropped += 1
            continue
        poses.append(motion.pose[:: max(1, round(motion.rate_hz / rate_hz))].astype(np.float32))
        shapes.append(motion.shape)
        genders.append(motion.gender)
        sequences.append(file.relative_to(root).with_suffix("").as_posix())
    if not poses:
        raise UserError(f"there are no motions (*.npz) under {root}", "Unpack AMASS's archives there.")
    lengths = [len(pose) for pose in poses]
    arrays = {
        "pose": np.concatenate(poses),
        "shape": np.repeat(np.array(shapes, np.float32), lengths, axis=0),
        "gender": np.repeat(np.array(genders), lengths),
        "sequence": np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        "sequences": np.array(sequences),
    }
    if not (np.isfinite(arrays["pose"]).all() and np.isfinite(arrays["shape"]).all()):
        raise UserError(f"the motions under {root} hold numbers that are not finite", "Fetch AMASS again.")
    with atomic_write(out) as temporary, temporary.open("wb") as file_out:
        np.savez_compressed(file_out, **arrays)  # type: ignore[arg-type]
    reasons = {"files without a motion": dropped} if dropped else {}
    return ConversionSummary(out, sum(lengths), reasons, what="poses")


def _read(path: Path) -> _Motion | None:
    """The motion of a file, if it is one."""
    with np.load(path, allow_pickle=False) as file:
        if "poses" in file:
            body = file["poses"][:, :BODY_NUMBERS]
        elif "pose_body" in file:
            body = np.concatenate([file["root_orient"], file["pose_body"]], axis=1)
        else:
            return None
        if body.shape[1] != BODY_NUMBERS:
            raise ValueError(f"poses of {body.shape[1]} numbers; the root and 21 joints have {BODY_NUMBERS}")
        rate = file["mocap_framerate"] if "mocap_framerate" in file else file["mocap_frame_rate"]
        gender = _text(file["gender"])[:1].lower()
        pose = np.concatenate([body, np.zeros((len(body), 72 - BODY_NUMBERS))], axis=1)
        return _Motion(
            pose, np.asarray(file["betas"], float)[:10], gender if gender in ("m", "f") else "n", float(rate)
        )


def _text(value: Any) -> str:
    """The string in an array of none or one, of whichever kind."""
    item = np.asarray(value).ravel()[0]
    return item.decode() if isinstance(item, bytes) else str(item)
