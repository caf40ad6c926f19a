"""Poses as anatomical angles: what each angle means, how far it goes, and the rotation matrices it gives.

A pose is a table (24, 3) of degrees, one row an SMPL joint, with columns (flexion, side, twist). The left and the right
side read alike: flexion bends forward (knee: heel to seat; ankle and toes: toes up), side moves away from the body's
middle (spine, neck, head: to the left), twist turns outward (spine, neck, head: to the left; shoulder: inward). The
shoulder's zero is an arm that hangs down, not SMPL's T-pose, so that "flexion 90" is an arm stretched forward. The
pelvis' row is zero; its orientation is the scene's affair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

JOINTS = {
    "spine": (3, 6, 9),
    "neck": (12,),
    "head": (15,),
    "hip": (1, 2),
    "knee": (4, 5),
    "ankle": (7, 8),
    "toes": (10, 11),
    "collar": (13, 14),
    "shoulder": (16, 17),
    "elbow": (18, 19),
    "wrist": (20, 21),
    "hand": (22, 23),
}
"""SMPL joints by anatomical name; pairs are (left, right)."""

LEGS = (1, 2, 4, 5, 7, 8, 10, 11)
RIGHT = (2, 5, 8, 11, 14, 17, 19, 21, 23)
MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)

_RANGE = {
    "spine": ((-10, 30), (-10, 10), (-14, 14)),
    "neck": ((-25, 30), (-15, 15), (-30, 30)),
    "head": ((-25, 30), (-15, 15), (-35, 35)),
    "hip": ((-25, 125), (-15, 50), (-25, 45)),
    "knee": ((0, 148), (0, 0), (-10, 10)),
    "ankle": ((-45, 28), (-12, 12), (-12, 12)),
    "toes": ((-20, 50), (0, 0), (0, 0)),
    "collar": ((-12, 18), (-8, 28), (0, 0)),
    "shoulder": ((-50, 178), (-25, 165), (-85, 85)),
    "elbow": ((0, 148), (0, 0), (-70, 80)),
    "wrist": ((-60, 65), (-25, 20), (0, 0)),
    "hand": ((-5, 60), (-8, 8), (0, 0)),
}

_ORDER = {
    # Elementary rotations, applied right to left, as (axis, column, sign, degrees at rest). They describe the left
    # side; the right side's y and z rotations change sign.
    "trunk": ((1, 2, 1, 0), (0, 0, 1, 0), (2, 1, -1, 0)),
    "hip": ((0, 0, -1, 0), (2, 1, 1, 0), (1, 2, 1, 0)),
    "knee": ((0, 0, 1, 0), (2, 1, 1, 0), (1, 2, 1, 0)),
    "foot": ((0, 0, -1, 0), (2, 1, 1, 0), (1, 2, 1, 0)),
    "collar": ((1, 0, -1, 0), (2, 1, 1, 0), (0, 2, 1, 0)),
    "shoulder": ((0, 0, -1, 0), (2, 1, 1, -90), (0, 2, 1, 0)),
    "elbow": ((1, 0, -1, 0), (2, 1, 1, 0), (0, 2, -1, 0)),
    "wrist": ((2, 0, -1, 0), (1, 1, -1, 0), (0, 2, 1, 0)),
}
_ORDER_OF = {
    "spine": "trunk",
    "neck": "trunk",
    "head": "trunk",
    "hip": "hip",
    "knee": "knee",
    "ankle": "foot",
    "toes": "foot",
    "collar": "collar",
    "shoulder": "shoulder",
    "elbow": "elbow",
    "wrist": "wrist",
    "hand": "wrist",
}


def by_joint(**values: ArrayLike) -> np.ndarray:
    """A table (24, ...) from one entry for every anatomical name, the same on both sides; zeros for the pelvis."""
    entries = {name: np.asarray(values[name], float) for name in JOINTS}
    table = np.zeros((24, *entries["spine"].shape))
    for name, joints in JOINTS.items():
        table[list(joints)] = entries[name]
    return table


LIMITS = by_joint(**_RANGE).transpose(2, 0, 1)
"""(2, 24, 3) degrees: the least and the greatest of every angle, wide of daily motion and inside clinical ranges."""

_orders = by_joint(**{name: _ORDER[order] for name, order in _ORDER_OF.items()})
_AXIS = _orders[:, :, 0].astype(int)
_COLUMN = _orders[:, :, 1].astype(int)
_SIGN = _orders[:, :, 2].copy()
_REST = _orders[:, :, 3]
_mirrored = np.isin(np.arange(24), RIGHT)[:, None] & (_AXIS > 0)
_FLIP = np.where(_mirrored, -1.0, 1.0)


def angles(**joints: tuple[float, ...]) -> np.ndarray:
    """A pose (24, 3) in degrees from angles by anatomical name, e.g. `angles(hip=(30,), left_knee=(60, 0, 0))`.

    A plain name sets both sides (`spine`: a third in each of three joints); `left_` and `right_` set one. Columns that
    are left out are zero. Later names win.
    """
    pose = np.zeros((24, 3))
    for name, values in joints.items():
        side, _, base = name.partition("_")
        targets = JOINTS[base][:1] if side == "left" else JOINTS[base][1:] if side == "right" else JOINTS[name]
        row = np.zeros(3)
        row[: len(values)] = values
        pose[list(targets)] = row / 3 if name == "spine" else row
    return pose


def mirrored(pose: np.ndarray) -> np.ndarray:
    """The pose (24, 3) with left and right exchanged."""
    swapped = pose[list(MIRROR)].copy()
    trunk = [*JOINTS["spine"], *JOINTS["neck"], *JOINTS["head"]]
    swapped[trunk, 1:] *= -1
    return swapped


def axis_rotation(axis: ArrayLike, degrees: ArrayLike) -> np.ndarray:
    """Rotations (..., 3, 3) about the coordinate axes `axis` (...) by `degrees` (...)."""
    axis_, radians = np.broadcast_arrays(np.asarray(axis), np.radians(degrees))
    cos, sin = np.cos(radians), np.sin(radians)
    matrix = np.zeros((*axis_.shape, 3, 3))
    index = np.indices(axis_.shape) if axis_.shape else ()
    i, j, k = axis_, (axis_ + 1) % 3, (axis_ + 2) % 3
    matrix[(*index, i, i)] = 1
    matrix[(*index, j, j)] = cos
    matrix[(*index, k, k)] = cos
    matrix[(*index, j, k)] = -sin
    matrix[(*index, k, j)] = sin
    return matrix


def rotations(pose: np.ndarray) -> np.ndarray:
    """SMPL's joint rotations (24, 3, 3), each relative to its parent, of a pose (24, 3) in degrees; pelvis identity."""
    degrees = np.take_along_axis(pose, _COLUMN, axis=1) * _SIGN + _REST
    each = axis_rotation(_AXIS, degrees * _FLIP)
    return each[:, 0] @ each[:, 1] @ each[:, 2]


def clipped(pose: np.ndarray) -> np.ndarray:
    """The pose (24, 3) with every angle brought inside `LIMITS`."""
    return np.clip(pose, LIMITS[0], LIMITS[1])


def foot_flat_pitch(pose: np.ndarray) -> float:
    """The forward lean of the pelvis, degrees, at which the feet (on the mean of both sides) lie flat on the ground."""
    left_right = [pose[hip, 0] - pose[knee, 0] + pose[ankle, 0] for hip, knee, ankle in ((1, 4, 7), (2, 5, 8))]
    return float(np.mean(left_right))
