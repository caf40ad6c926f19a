"""What annotations hold, in words: how many labels of which kind, in which ranges, and what each will be used for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmr_light.body.joints import J24_NAMES
from hmr_light.data.annotations import Annotations, fingerprint
from hmr_light.data.images import PACKED

# Beyond these, a label is more likely a mistake of units than a person.
_LONGEST_M, _LARGEST_BETA, _LARGEST_ANGLE = 3.0, 5.0, 2 * np.pi


def describe_annotations(labels: Annotations, path: Path, images: Path) -> list[str]:
    """A line for each kind of label, and a line that begins with `warning:` for each thing that looks wrong."""
    names = np.unique(labels.imgname)
    lines = [f"{path}: {len(labels)} people in {len(names)} images; fingerprint {fingerprint(labels)[:16]}"]
    lines += [_boxes(labels), *_keypoints(labels), _joints(labels), _smpl(labels), _genders(labels)]
    others = sorted(labels.extras.keys() - set(PACKED))
    if others:
        lines.append(f"  other keys, not used: {', '.join(others)}")
    uses = ["train" if _trains(labels) else "not train: there is no label"]
    uses += ["evaluate by lsp14"] if labels.has_smpl.any() else []
    uses += ["evaluate by h36m_p1, h36m_p2, mpi_inf_3dhp"] if labels.S[..., 3].any() else []
    lines.append(f"  with it you can: {'; '.join(uses)}")
    return lines + [f"warning: {text}" for text in _warnings(labels, names, images)]


def _boxes(labels: Annotations) -> str:
    sides = 200 * labels.scale
    return (
        f"  boxes (center, scale): sides of {sides.min():.0f} to {sides.max():.0f} pixels, median "
        f"{np.median(sides):.0f} → the crops"
    )


def _keypoints(labels: Annotations) -> list[str]:
    lines = []
    for key, title, use in (
        ("part", "2D joints", "the 2D keypoint loss, and errors in the image (protocol=keypoints_2d)"),
        ("openpose", "OpenPose's 2D joints", "the 2D keypoint loss, by loss.openpose"),
    ):
        points = getattr(labels, key)
        known = points[..., 2] > 0
        if not known.any():
            lines.append(f"  {title} ({key}): none")
            continue
        x, y = points[..., 0][known], points[..., 1][known]
        lines.append(
            f"  {title} ({key}): {known.any(1).sum()} people, {known.sum(1)[known.any(1)].mean():.1f} joints each; x "
            f"{x.min():.0f} to {x.max():.0f}, y {y.min():.0f} to {y.max():.0f} pixels → {use}"
        )
        if key == "part" and (
            missing := [name for name, ever in zip(J24_NAMES, known.any(0), strict=True) if not ever]
        ):
            lines.append(f"    never labelled: {', '.join(missing)}")
    return lines


def _joints(labels: Annotations) -> str:
    known = labels.S[..., 3] > 0
    if not known.any():
        return "  3D joints (S): none"
    distance = np.linalg.norm(labels.S[..., :3][known], axis=-1)
    return (
        f"  3D joints (S): {known.any(1).sum()} people, {known.sum(1)[known.any(1)].mean():.1f} joints each, up to "
        f"{distance.max():.2f} m from the root → the 3D keypoint loss, and errors on 3D joints"
    )


def _smpl(labels: Annotations) -> str:
    known = labels.has_smpl
    if not known.any():
        return "  SMPL (pose, shape): none"
    betas = labels.shape[known]
    return (
        f"  SMPL (pose, shape): {known.sum()} people, betas {betas.min():.1f} to {betas.max():.1f} → the losses "
        "of pose, betas and vertices, and errors against SMPL's joints and mesh"
    )


def _genders(labels: Annotations) -> str:
    count = {letter: int((labels.gender == letter).sum()) for letter in ("f", "m", "n")}
    return f"  gender: {count['f']} female, {count['m']} male, {count['n']} not known → the bodies of protocol=3dpw"


def _trains(labels: Annotations) -> bool:
    keypoints = (labels.part[..., 2] > 0).any() or (labels.openpose[..., 2] > 0).any()
    return bool(keypoints or labels.has_smpl.any() or labels.S[..., 3].any())


def _warnings(labels: Annotations, names: np.ndarray, images: Path) -> list[str]:
    found = []
    if all(key in labels.extras for key in PACKED):
        missing = []
    else:
        missing = [str(name) for name in names if not (images / str(name)).is_file()]
    if missing:
        found.append(f"{len(missing)} of {len(names)} images are not in {images}, for example {missing[0]}")
    if labels.faulty:
        found.append(f"{len(labels.faulty)} people cannot be used: {next(iter(labels.faulty.values()))}")
    known = labels.S[..., 3] > 0
    if known.any() and np.linalg.norm(labels.S[..., :3][known], axis=-1).max() > _LONGEST_M:
        found.append(
            f"joints of S are more than {_LONGEST_M:g} m from the root: are they millimetres, or not relative?"
        )
    if labels.has_smpl.any():
        if np.abs(labels.shape[labels.has_smpl]).max() > _LARGEST_BETA:
            found.append(f"a beta is beyond {_LARGEST_BETA:g} standard deviations")
        angles = np.linalg.norm(labels.pose[labels.has_smpl].reshape(-1, 24, 3), axis=-1)
        if angles.max() > _LARGEST_ANGLE:
            found.append("a rotation of pose is more than a whole turn: is it in degrees?")
    return found + _boxes_against_keypoints(labels)


def _boxes_against_keypoints(labels: Annotations) -> list[str]:
    """Whether the boxes hold the keypoints, as far as there are any."""
    points = np.concatenate([labels.part, labels.openpose], 1)
    known = points[..., 2] > 0
    enough = known.sum(1) >= 4
    if not enough.any():
        return []
    away = np.abs(points[..., :2] - labels.center[:, None]).max(-1) / (100 * labels.scale[:, None])
    typical = np.median(away[enough][known[enough]])
    outside = (np.where(known, away, 0) > 1).sum(1) > known.sum(1) / 2
    found = []
    if typical < 0.1:
        found.append("boxes are ten times as large as people: scale is the side / 200, not the side in pixels")
    if (outside & enough).any():
        found.append(f"{(outside & enough).sum()} people have most of their keypoints outside their box")
    return found
