"""Landmarks and joint regressors of the embedded body: which vertices, and with which weights, give which point."""

from __future__ import annotations

import numpy as np
import scipy.optimize
from scipy.spatial.transform import Rotation

from embedded_body.pose import skin
from embedded_body.source import TIP_BONES, Source
from hmr_light.body.joints import JOINT_NAMES_24_SMPL, SMPL_FLIP

# How many vertices, those nearest to it, a joint is regressed from. Two ridges keep the weights small.
REST_SUPPORT, REST_RIDGE = 1200, 1e-5
POSED_SUPPORT, POSED_RIDGE = 250, 1e-4
POSE_SPREAD = 0.5  # radians, root mean square turn of a joint in the random poses

# Points of the extra and the Human3.6M regressor, as shares of joints and landmarks of the posed body. LSP and MPII
# mark what annotators see, Human3.6M what its markers give; these are their anatomical counterparts on this body.
_HIPS = {"left_hip": 0.5, "right_hip": 0.5}
_THORAX = {"left_shoulder": 0.25, "right_shoulder": 0.25, "neck": 0.5}
_SPINE = {"spine2": 0.5, "spine3": 0.5}
_JAW = {"nose": 0.5, "head": 0.5}
_CROWN = {"head_top": 0.85, "head": 0.15}
_LIMBS = ("left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow", "left_wrist")
POINTS: dict[str, dict[str, float]] = {
    "left_hip_lsp": {"left_hip": 1.0},
    "neck_lsp": {"neck": 1.0},
    "head_top": {"head_top": 1.0},
    "pelvis_mpii": _HIPS,
    "thorax_mpii": _THORAX,
    "spine_h36m": _SPINE,
    "jaw_h36m": _JAW,
    "head_h36m": _CROWN,
    "pelvis": _HIPS,
    "spine": _SPINE,
    "neck": _THORAX,
    "jaw": _JAW,
    "head": _CROWN,
} | {name: {name: 1.0} for name in _LIMBS}


def find_landmarks(source: Source, mean: np.ndarray) -> dict[str, int]:
    """The vertices of smplx's 21 landmarks and of the head's top, on the full mesh in its `mean` shape (V, 3)."""
    x, y, z = mean.T
    keypoint = {name: row @ mean for name, row in source.keypoints.items()}
    midline = (source.weights[:, JOINT_NAMES_24_SMPL.index("head")] > 0.9) & (np.abs(x) < 1e-6)
    nose = midline & (np.abs(y - keypoint["nose"][1]) < 0.03)
    eye = source.cavities & (x > 0) & (y > keypoint["nose"][1])
    heel = (x > 0) & (y < keypoint["left_heel"][1] + 0.01)
    found = {
        "nose": _first(nose, z),
        "head_top": _first(midline, y),
        "left_eye": _first(eye, -np.linalg.norm(mean - mean[eye].mean(0), axis=1)),
        "left_ear": _first(x > 0, -np.linalg.norm(mean - keypoint["left_ear"], axis=1)),
        "left_heel": _first(heel, -z),
    }
    hand = mean[source.weights[:, JOINT_NAMES_24_SMPL.index("left_hand")] > 0.5].mean(0)
    for name, bone in TIP_BONES.items():
        tip = source.bone_weights[bone] > 0.5
        outward = np.array([0.0, 0.0, 1.0]) if "toe" in name else mean[tip].mean(0) - hand
        found[name] = _first(tip, mean @ outward)
    right = {name.replace("left", "right"): int(source.mirror[v]) for name, v in found.items() if "left" in name}
    return found | right


def fit_joints(vertices: np.ndarray, joints: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """J_regressor (24, V), symmetric, from T-posed `vertices` (S, V, 3) and their `joints` (S, 24, 3).

    Its weights may be negative: it is only used on meshes at rest.
    """
    rows = np.zeros((24, vertices.shape[1]))
    for joint, partner in enumerate(SMPL_FLIP):
        if joint <= partner:
            support = _nearest(vertices, joints[:, joint], REST_SUPPORT)
            rows[joint, support] = _least_squares(vertices[:, support] - joints[:, None, joint])
            rows[joint], rows[partner] = _symmetric(rows[joint], mirror, joint == partner)
    return rows


def random_poses(count: int, seed: int) -> np.ndarray:
    """Rotations (count, 24, 3, 3) of independent, evenly turned joints."""
    turns = np.random.default_rng(seed).normal(0, POSE_SPREAD / np.sqrt(3), (count * 24, 3))
    return Rotation.from_rotvec(turns).as_matrix().reshape(count, 24, 3, 3)


def posed_points(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, landmarks: dict[str, int], poses: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Posed vertices (S, V, 3), and the true places (S, 3) of POINTS on them, by name."""
    # The joints ride along as vertices that move with their own joint alone.
    riders = np.concatenate([weights, np.eye(24)])
    people = zip(np.concatenate([vertices, joints], axis=1), joints, poses, strict=True)
    posed = np.stack([skin(person, skeleton, riders, pose) for person, skeleton, pose in people])
    place = {name: vertices.shape[1] + joint for joint, name in enumerate(JOINT_NAMES_24_SMPL)} | landmarks
    points = {
        name: np.tensordot(list(mix.values()), posed[:, [place[of] for of in mix]], axes=(0, 1))
        for name, mix in POINTS.items()
    }
    return posed[:, : vertices.shape[1]], points


def fit_points(vertices: np.ndarray, points: dict[str, np.ndarray], mirror: np.ndarray) -> dict[str, np.ndarray]:
    """Rows (V,) that give `points` on posed `vertices` (S, V, 3), by name, for both sides; the first sample is at rest.

    No weight is negative, so a row's point stays inside the body however it is posed.
    """
    rows = {}
    for name, point in points.items():
        support = _nearest(vertices[:1], point[:1], POSED_SUPPORT)
        row = np.zeros(vertices.shape[1])
        row[support] = _least_squares_positive(vertices[:, support] - point[:, None])
        central = not name.startswith("left")
        rows[name], rows[name.replace("left", "right")] = _symmetric(row, mirror, central)
    return rows


def _first(candidates: np.ndarray, score: np.ndarray) -> int:
    indices = np.flatnonzero(candidates)
    return int(indices[score[indices].argmax()])


def _nearest(vertices: np.ndarray, target: np.ndarray, count: int) -> np.ndarray:
    distance = np.linalg.norm(vertices.mean(0) - target.mean(0), axis=1)
    return np.sort(np.argsort(np.round(distance, 9), kind="stable")[:count])


def _symmetric(row: np.ndarray, mirror: np.ndarray, central: bool) -> tuple[np.ndarray, np.ndarray]:
    """A row and its mirror image; the row of a central joint is made its own."""
    if central:
        row = (row + row[mirror]) / 2
    return row, row[mirror]


def _least_squares(offsets: np.ndarray) -> np.ndarray:
    """Weights (K,) of sum 1 that bring `offsets` (S, K, 3) from the target to zero, with a ridge to equal weights."""
    samples, count, _ = offsets.shape
    data = offsets.transpose(0, 2, 1).reshape(-1, count)
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = data.T @ data / samples + REST_RIDGE * np.eye(count)
    system[count, count] = 0
    return np.linalg.solve(system, np.append(np.full(count, REST_RIDGE / count), 1.0))[:count]


def _least_squares_positive(offsets: np.ndarray) -> np.ndarray:
    """As `_least_squares`, with no weight below zero."""
    samples, count, _ = offsets.shape
    data = offsets.transpose(0, 2, 1).reshape(-1, count) / np.sqrt(samples)
    ridge, strong = np.sqrt(POSED_RIDGE), 10.0
    rows = np.concatenate([data, ridge * np.eye(count), np.full((1, count), strong)])
    wanted = np.concatenate([np.zeros(len(data)), np.full(count, ridge / count), [strong]])
    weights, _ = scipy.optimize.nnls(rows, wanted, maxiter=20 * count)
    return weights / weights.sum()
