"""The training tars and evaluation npz files of 4D-Humans (Goel et al., ICCV 2023) → annotations.

Both have 44 joints: OpenPose's 25, then the first 19 of our 24. Pickles are read by `hmr_light.body.pickles`, which
runs nothing in them. The images of the tars stay where they are: annotations say at which byte of which tar they begin.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.body.pickles import load_pickle
from hmr_light.data.annotations import Annotations, save_annotations
from hmr_light.data.converters.builder import AnnotationBuilder, SquareBox, refuse_existing
from hmr_light.data.converters.files import reading
from hmr_light.data.converters.spin_fits import MAX_BETA
from hmr_light.data.converters.summary import ConversionSummary, evaluate_step, train_step
from hmr_light.data.images import PACKED
from hmr_light.data.npz import NpzFile
from hmr_light.data.progress import track
from hmr_light.errors import UserError

# 4D-Humans' `image_dataset.py`: who has no more keypoints than this is left out (FILTER_NUM_KP).
FEWEST_KEYPOINTS = 4
_PELVIS = 14
_IMAGES = (".jpg", ".jpeg", ".png")
_LABELS = ".data.pyd"


def convert(tars: Path, out: Path) -> ConversionSummary:
    """Index the tars in the folder `tars` and below it; `out` must not exist yet.

    A person has SMPL labels where both pose and betas are given, and no beta is beyond 3. The box is 4D-Humans' own
    before it is widened to its aspect ratio: `scale` x 200 pixels, the longer side. Raises `UserError` if a file is not
    as it should be, or nobody is kept.
    """
    refuse_existing(out)
    people = AnnotationBuilder()
    shards = sorted(tars.rglob("*.tar"))
    for shard in track(shards, "converting"):
        name = shard.relative_to(tars).as_posix()
        for key, image, start, length, entries in _samples(shard):
            for entry in entries:
                with reading(shard, f"tars of 4D-Humans ({key})"):
                    labels = _labels(entry)
                if isinstance(labels, str):
                    people.drop(labels)
                    continue
                scale = 1.0 * np.max(entry["scale"])
                center = np.asarray(entry["center"], float)
                place = dict(zip(PACKED, (name, start, length, (0, 0), (0.0, 0.0, 1.0)), strict=True))
                box = SquareBox((float(center[0]), float(center[1])), float(scale))
                people.keep(f"{name}/{key}{image}", box, **labels, **place)
                for reason in _left_out(entry, labels):
                    people.note(reason)
    return people.save(out, tars, tars, train_step("custom", out, tars), f"It has {len(shards)} tar files.")


def convert_evaluation(annotations: Path, images: Path, out: Path) -> ConversionSummary:
    """Convert an evaluation npz, whose `scale` is in pixels; `out` must not exist yet."""
    refuse_existing(out)
    with reading(annotations, "npz files of 4D-Humans"), NpzFile(annotations) as file:
        arrays = {name: file.read(name) for name in file.names if name != "extra_info"}
        count = len(arrays["imgname"])
        zeros = {"2d": np.zeros((count, 25, 3)), "3d": np.zeros((count, 25, 4))}
        notes: dict[str, int] = {}
        part, joints = np.zeros((count, 24, 3)), np.zeros((count, 24, 4))
        part[:, :19] = arrays.get("extra_keypoints_2d", zeros["2d"][:, :19])
        joints[:, :19] = arrays.get("extra_keypoints_3d", zeros["3d"][:, :19])
        columns = {
            "imgname": arrays["imgname"],
            "center": arrays["center"],
            "scale": arrays["scale"].reshape(count, -1).max(1) / 200,
            "openpose": arrays.get("body_keypoints_2d", zeros["2d"]),
            "part": part,
            "S": np.array([_from_root(one) for one in joints]),
        }
        if "body_pose" in arrays and "betas" in arrays:
            columns |= {"pose": arrays["body_pose"].reshape(count, 72), "shape": arrays["betas"]}
            has_pose, has_betas = (arrays["has_body_pose"] > 0).ravel(), (arrays["has_betas"] > 0).ravel()
            columns["has_smpl"] = has_pose & has_betas
            notes[INCOMPLETE] = int((has_pose != has_betas).sum())
        notes[NO_ROOT] = int(((joints[..., 3] > 0).any(1) & ~(columns["S"][..., 3] > 0).any(1)).sum())
    save_annotations(out, Annotations.from_arrays(columns, annotations))
    step = evaluate_step("custom", "custom", out, {"data.evaluation.custom.images": images})
    told = {reason: number for reason, number in notes.items() if number}
    return ConversionSummary(out, count, {}, images, step, notes=told)


NO_ROOT = "3D joints left out: the pelvis, which they are relative to, is not known"
EXTREME = f"SMPL labels left out: a beta is beyond {MAX_BETA:g}"
INCOMPLETE = "SMPL labels left out: pose or betas are missing"


def _left_out(entry: dict[str, Any], labels: dict[str, Any]) -> list[str]:
    """Which labels of a person who is kept are left out, and why."""
    reasons = []
    has_pose, has_betas = bool(entry["has_body_pose"]), bool(entry["has_betas"])
    if has_pose != has_betas:
        reasons.append(INCOMPLETE)
    elif has_pose and not labels["has_smpl"]:
        reasons.append(EXTREME)
    if (np.asarray(entry["keypoints_3d"])[25:, 3] > 0).any() and not labels["S"][:, 3].any():
        reasons.append(NO_ROOT)
    return reasons


def _samples(shard: Path) -> Iterator[tuple[str, str, int, int, list[dict[str, Any]]]]:
    """Key, image's suffix, first byte and length, and people, of each sample of a tar.

    Members whose names are the same up to the first dot of the last part are one sample, and stand together.
    """
    parts: dict[str, tarfile.TarInfo] = {}
    previous = ""
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in [*(one for one in tar if one.isfile()), None]:
                folder, _, name = (member.name if member else "").rpartition("/")
                stem, dot, suffix = name.partition(".")
                key = f"{folder}/{stem}".lstrip("/")
                if key != previous or member is None:
                    image = next((parts[end] for end in _IMAGES if end in parts), None)
                    if image and _LABELS in parts:
                        content = tar.extractfile(parts[_LABELS])
                        assert content is not None
                        people = load_pickle(content.read(), f"{shard} ({previous}{_LABELS})")
                        yield previous, Path(image.name).suffix, image.offset_data, image.size, people
                    parts, previous = {}, key
                if member:
                    parts[dot + suffix.lower()] = member
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"{shard} is not a tar file, or a damaged one: {error}", "Fetch it again.") from None


def _labels(entry: dict[str, Any]) -> dict[str, Any] | str:
    """The labels of one person, or the reason why the person is left out."""
    points, joints = np.asarray(entry["keypoints_2d"], float), np.asarray(entry["keypoints_3d"], float)
    if points.shape != (44, 3) or joints.shape != (44, 4):
        raise ValueError(f"keypoints_2d is {points.shape} and keypoints_3d {joints.shape}, not (44, 3) and (44, 4)")
    if (points[:, 2] > 0).sum() <= FEWEST_KEYPOINTS:
        return f"no more than {FEWEST_KEYPOINTS} keypoints"
    if not np.max(entry["scale"]) > 0:
        return "no box"
    part, known = np.zeros((24, 3)), np.zeros((24, 4))
    part[:19], known[:19] = points[25:], joints[25:]
    betas = np.asarray(entry["betas"], float).reshape(10)
    has_smpl = bool(entry["has_body_pose"]) and bool(entry["has_betas"]) and bool((np.abs(betas) <= MAX_BETA).all())
    return {
        "openpose": points[:25],
        "part": part,
        "S": _from_root(known),
        "pose": np.asarray(entry["body_pose"], float).reshape(72) if has_smpl else np.zeros(72),
        "shape": betas if has_smpl else np.zeros(10),
        "has_smpl": has_smpl,
    }


def _from_root(joints: np.ndarray) -> np.ndarray:
    """The 24 joints (24, 4) relative to the pelvis, as 4D-Humans' loss takes them; none where that is not known."""
    known = joints[:, 3:] > 0
    moved = np.concatenate([joints[:, :3] - joints[_PELVIS, :3], joints[:, 3:]], 1)
    return moved * known * known[_PELVIS]
