"""mmhuman3d's HumanData npz files (OpenMMLab, `mmhuman3d/data/data_structures/human_data.py`) → annotations.

Such files hold pickled dicts. These are read by `hmr_light.body.pickles`, which runs nothing in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.body.pickles import load_pickle
from hmr_light.data.annotations import Annotations, save_annotations
from hmr_light.data.converters.builder import refuse_existing
from hmr_light.data.converters.files import reading
from hmr_light.data.converters.summary import ConversionSummary, train_step
from hmr_light.data.images import ImageFiles
from hmr_light.data.npz import NpzFile

KEYPOINTS = 190
# Where our joints stand among HumanData's 190 (`keypoints_mapping/human_data.py`). Its first 22 are SMPL's, the extra
# regressor's nine begin at 144 and OpenPose's 25 at 153.
OPENPOSE = tuple(range(153, 178))
J24 = (8, 5, 144, 145, 4, 7, 21, 19, 17, 16, 18, 20, 146, 147, 148, 149, 150, 151, 152, 55, 57, 56, 59, 58)
# Roots that 3D joints may be relative to, in the order of preference: the extra regressor's pelvis, SMPL's, OpenPose's.
ROOTS = (148, 0, 161)


def convert(annotations: Path, images: Path, out: Path, *, margin: float = 1.0) -> ConversionSummary:
    """Convert one HumanData file; `out` must not exist yet.

    `margin` widens the boxes; mmhuman3d's converters have widened theirs by 1.2 already. A person has SMPL labels if
    the file has `smpl` with pose and ten betas for everyone, and `has_smpl`, if that is there, says so. Raises
    `UserError` if the file is of another kind.
    """
    refuse_existing(out)
    with reading(annotations, "HumanData"), NpzFile(annotations) as file:
        boxes = file.read("bbox_xywh").astype(float)
        count = len(boxes)
        notes: dict[str, int] = {}
        columns: dict[str, Any] = {
            "imgname": np.asarray(_read(file, "image_path", annotations)).astype(str),
            "center": boxes[:, :2] + boxes[:, 2:4] / 2,
            "scale": boxes[:, 2:4].max(1) * margin / 200,
        }
        if (points := _keypoints(file, "keypoints2d", 3)) is not None:
            columns |= {"openpose": points[:, OPENPOSE], "part": points[:, J24]}
        if (joints := _keypoints(file, "keypoints3d", 4)) is not None:
            columns["S"] = _from_root(joints)[:, J24]
            lost = (joints[:, J24, 3] > 0).any(1) & ~(columns["S"][..., 3] > 0).any(1)
            notes["3D joints left out: no root, which they are relative to, is known"] = int(lost.sum())
        smpl = _read(file, "smpl", annotations) if "smpl" in file.names else {}
        if {"body_pose", "global_orient", "betas"} <= smpl.keys():
            pose = [np.asarray(smpl[key], float).reshape(count, -1) for key in ("global_orient", "body_pose")]
            columns |= {"pose": np.concatenate(pose, 1), "shape": np.asarray(smpl["betas"], float)[:, :10]}
            if "has_smpl" in file.names:
                columns["has_smpl"] = file.read("has_smpl").ravel() > 0
        elif smpl:
            notes[f"SMPL labels left out: they have only {', '.join(sorted(smpl))}"] = count
        if "smplx" in file.names:
            notes["SMPL-X poses and betas left out: they are not SMPL's"] = count
        meta = _read(file, "meta", annotations) if "meta" in file.names else {}
        if len(gender := meta.get("gender", ())) == count:
            columns["gender"] = np.array([str(one)[:1].lower() for one in gender])
        elif len(gender):
            notes[f"genders left out: there are {len(gender)} for {count} people"] = count
    labels = Annotations.from_arrays(columns, annotations)
    ImageFiles(labels, annotations, images)  # refuses another set's folder
    save_annotations(out, labels)
    step = train_step("custom", out, images)
    told = {reason: number for reason, number in notes.items() if number}
    return ConversionSummary(out, count, {}, images, step, notes=told)


def _read(file: NpzFile, name: str, source: Path) -> Any:
    """An array, or the Python object or list of objects that is stored as one."""
    try:
        return file.read(name)
    except ValueError:
        value = load_pickle(file.read_objects(name), f"'{name}' of {source}")
        return value.item() if value.shape == () else value


def _keypoints(file: NpzFile, name: str, width: int) -> np.ndarray | None:
    """(N, 190, width): coordinates and confidence, zero where masked; the file may hold the unmasked ones alone."""
    if name not in file.names:
        return None
    stored, mask = file.read(name).astype(float), file.read(f"{name}_mask") > 0
    if len(mask) != KEYPOINTS:
        raise ValueError(f"{name}_mask has {len(mask)} entries, not {KEYPOINTS}: not HumanData's own joints")
    compressed = stored.shape[1] != KEYPOINTS
    points = np.zeros((len(stored), KEYPOINTS, width))
    points[:, mask] = stored if compressed else stored[:, mask]
    return points * (points[..., -1:] > 0)


def _from_root(joints: np.ndarray) -> np.ndarray:
    """The joints (N, 190, 4) relative to each person's root; those of people without one are unknown."""
    result = np.zeros_like(joints)
    for root in reversed(ROOTS):
        have = joints[:, root, 3] > 0
        result[have] = joints[have]
        result[have, :, :3] -= joints[have, root, None, :3]
    return result * (joints[..., 3:] > 0)
