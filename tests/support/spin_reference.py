"""Files as SPIN's users have them on disk, and their scores, without any code of hmr_light.

`make(folder, seed)` writes bodies in SMPL's format, SPIN's regressors, images, annotations as SPIN's npz, and a network
as SPIN's `model_checkpoint.pt`. `scores(folder)` says what the papers' protocols make of them, in float64, one person
at a time, from the equations of SMPL (Loper et al., 2015) and of SPIN (Kolotouros et al., 2019), with numpy, torch and
torchvision.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision

PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
VERTICES, PEOPLE, SIZE = 6890, 6, 224
# Right ankle … head of LSP, then spine-like ones of MPI-INF-3DHP: rows of the Human3.6M regressor, and of SPIN's 24.
REGRESSED_17 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9]
LABELLED_17 = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 18, 14, 16, 17]
LABELLED_PELVIS = 14


def sparse_rows(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Rows that each take a mean of 30 vertices."""
    matrix = np.zeros((rows, VERTICES))
    for row in matrix:
        row[rng.choice(VERTICES, 30, replace=False)] = rng.dirichlet(np.ones(30))
    return matrix


def make_bodies(folder: Path, rng: np.random.Generator) -> None:
    """A neutral body, a man's and a woman's, and the two joint regressors."""
    weights = np.zeros((VERTICES, 24))
    for row in weights:
        row[rng.choice(24, 3, replace=False)] = rng.dirichlet(np.ones(3))
    common = {
        "f": rng.integers(0, VERTICES, (13776, 3)),
        "J_regressor": sparse_rows(rng, 24),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(24)]),
        "weights": weights,
    }
    template, shapes = rng.normal(0, 0.4, (VERTICES, 3)), rng.normal(0, 0.02, (VERTICES, 3, 10))
    for gender in ("NEUTRAL", "MALE", "FEMALE"):
        own = {
            "v_template": template + rng.normal(0, 0.03, template.shape),
            "shapedirs": shapes + rng.normal(0, 0.01, shapes.shape),
            "posedirs": rng.normal(0, 0.003, (VERTICES, 3, 207)),
        }
        arrays = {key: value.astype(np.float32) if value.dtype.kind == "f" else value for key, value in own.items()}
        np.savez(folder / f"SMPL_{gender}.npz", **arrays, **common)
    np.save(folder / "J_regressor_extra.npy", sparse_rows(rng, 9))
    np.save(folder / "J_regressor_h36m.npy", sparse_rows(rng, 17))


def make(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    make_bodies(folder, rng)

    names = [f"S9_Walking.{camera}_{person:06d}.png" for person in range(PEOPLE) for camera in cameras(person)]
    for name in names:
        coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 14, 14)))
        image = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic").clamp(0, 255).byte()[0]
        torchvision.io.write_png(image, str(folder / name))
    joints = np.concatenate([rng.normal(0, 0.4, (PEOPLE, 24, 3)), np.ones((PEOPLE, 24, 1))], 2)
    joints[:, :, :3] -= joints[:, LABELLED_PELVIS, None, :3]
    joints[3, 6, 3] = 0  # someone whose right wrist was not measured
    np.savez(
        folder / "people.npz",
        imgname=np.array(names),
        # The whole image is the box. SPIN cuts from its middle less half its side on: from pixel 0.
        center=np.full((PEOPLE, 2), SIZE / 2),
        scale=np.full(PEOPLE, SIZE / 200),
        S=joints,
        pose=rng.normal(0, 0.4, (PEOPLE, 72)),
        shape=rng.normal(0, 1, (PEOPLE, 10)),
        has_smpl=np.ones(PEOPLE),
        gender=np.array(["m", "f"] * (PEOPLE // 2)),
    )

    torch.manual_seed(seed)
    network = torchvision.models.resnet50(weights=None)
    del network.fc
    state = dict(network.state_dict())
    shapes = {"fc1": (1024, 2205), "fc2": (1024, 1024), "decpose": (144, 1024), "decshape": (10, 1024)}
    for layer, (rows, columns) in (shapes | {"deccam": (3, 1024)}).items():
        # As a trained head's, its corrections are tenths: where they turn an axis about, a rotation is next to
        # undefined, and what float32 rounds away becomes thousandths of a millimetre.
        small = 0.05 if layer.startswith("dec") else 1
        state[f"{layer}.weight"] = small * torch.randn(rows, columns) / columns**0.5
        state[f"{layer}.bias"] = 0.1 * small * torch.randn(rows)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0][:, :2] for _ in range(24)]
    state["init_pose"] = torch.tensor(np.concatenate(turns).reshape(1, 144)).float()
    state["init_shape"] = 0.2 * torch.randn(1, 10)
    state["init_cam"] = torch.tensor([[0.9, 0.0, 0.0]])
    torch.save({"model": state}, folder / "model_checkpoint.pt")


def cameras(person: int) -> list[str]:
    return ["60457274" if person % 3 == 0 else "54138969"]


def read_bodies(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The bodies' arrays in float64, by the letter of their gender."""
    return {
        key: {name: value.astype(float) for name, value in np.load(folder / f"SMPL_{gender}.npz").items()}
        for key, gender in {"n": "NEUTRAL", "m": "MALE", "f": "FEMALE"}.items()
    }


def rotation_of(vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def mesh(body: dict[str, np.ndarray], rotations: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """SMPL: the vertices (V, 3) of rotations (24, 3, 3) and betas (10,)."""
    return mesh_and_joints(body, rotations, betas)[0]


def mesh_and_joints(
    body: dict[str, np.ndarray], rotations: np.ndarray, betas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """SMPL: the vertices (V, 3) and the joints (24, 3) of the kinematic tree."""
    shaped = body["v_template"] + body["shapedirs"] @ betas
    joints = body["J_regressor"] @ shaped
    posed = shaped + body["posedirs"] @ (rotations[1:] - np.eye(3)).ravel()
    world: list[np.ndarray] = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if joint else 0)
        world.append(world[parent] @ local if joint else local)
    moved = np.stack(
        [
            np.column_stack([one[:3, :3], one[:3, 3] - one[:3, :3] @ joint])
            for one, joint in zip(world, joints, strict=True)
        ]
    )
    blended = np.einsum("vj,jab->vab", body["weights"], moved)
    return np.einsum("vab,vb->va", blended, np.c_[posed, np.ones(len(posed))]), np.stack([one[:3, 3] for one in world])


# Vertices of SMPL's mesh that stand for joints: nose, eyes, ears (right first), then the feet (left first).
PICKED = [332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787]
# Of the joints of the tree (0-23), these vertices (24-34) and the nine of the extra regressor (45-53): SPIN's 49.
ORDER_49 = [24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34]
ORDER_49 += [8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53, 24, 26, 25, 28, 27]


def joints_49(folder: Path, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """SPIN's 49 joints (49, 3) of the neutral body in `folder`; `pose` (24, 3) is axis-angle."""
    rotations = np.stack([rotation_of(vector) for vector in pose])
    vertices, joints = mesh_and_joints(read_bodies(folder)["n"], rotations, betas)
    extra = np.load(folder / "J_regressor_extra.npy").astype(np.float32).astype(float) @ vertices
    every = np.concatenate([joints, vertices[PICKED], np.full((10, 3), np.nan), extra])
    return every[ORDER_49]


def joint_loss(folder: Path, labels: dict[str, np.ndarray], fit: np.ndarray, person: int) -> float:
    """What SPIN's trainer compares with 100 before it learns from the `fit` (82,) of one person, unaugmented."""
    joints = joints_49(folder, fit[:72].reshape(24, 3), fit[72:])
    keypoints = np.concatenate([labels["openpose"][person], labels["part"][person]]).astype(float)
    side, center = 200 * float(labels["scale"][person]), labels["center"][person].astype(float)
    points = np.array([[int(v) + 1 for v in 224 * (one[:2] / side - center / side + 0.5)] for one in keypoints], float)
    confidence = keypoints[:, 2].copy()
    # Weighted least squares for the translation, one equation a coordinate, on the 24 annotated joints.
    rows, right = [], []
    for joint, point, sure in zip(joints[25:], points[25:], confidence[25:], strict=True):
        for axis in range(2):
            row = [0.0, 0.0, 112 - point[axis]]
            row[axis] = 5000.0
            rows.append(np.sqrt(sure) * np.array(row))
            right.append(np.sqrt(sure) * ((point[axis] - 112) * joint[2] - 5000 * joint[axis]))
    translation = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    confidence[[1, 9, 12, 27, 28]] = 0  # the neck and the hips
    losses = []
    for joint, point, sure in zip(joints, points, confidence, strict=True):
        x, y, z = joint + translation
        away = np.array([5000 * x / z + 112 - point[0], 5000 * y / z + 112 - point[1]]) ** 2
        losses.append(sure**2 * (100**2 * away / (100**2 + away)).sum())
    return float(np.mean(losses))


@torch.no_grad()
def predictions(folder: Path, names: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """SPIN's network: rotations (24, 3, 3) and betas (10,) of each image."""
    state = torch.load(folder / "model_checkpoint.pt", weights_only=True)["model"]
    network = torchvision.models.resnet50(weights=None)
    network.fc = torch.nn.Identity()
    network.load_state_dict({name: value for name, value in state.items() if name in network.state_dict()})
    network.double().eval()
    head = {name: value.double() for name, value in state.items()}
    found = []
    for name in names:
        image = torchvision.io.read_image(str(folder / name)).double()[None] / 255
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        features = network((image - mean.double()[:, None, None]) / std.double()[:, None, None])
        estimate = torch.cat([head["init_pose"], head["init_shape"], head["init_cam"]], 1)
        for _ in range(3):
            x = torch.cat([features, estimate], 1)
            for layer in ("fc1", "fc2"):
                x = x @ head[f"{layer}.weight"].T + head[f"{layer}.bias"]
            steps = [
                x @ head[f"{layer}.weight"].T + head[f"{layer}.bias"] for layer in ("decpose", "decshape", "deccam")
            ]
            estimate = estimate + torch.cat(steps, 1)
        rotations = []
        for six in estimate[0, :144].reshape(24, 3, 2).numpy():
            first = six[:, 0] / np.linalg.norm(six[:, 0])
            second = six[:, 1] - first * (first @ six[:, 1])
            second /= np.linalg.norm(second)
            rotations.append(np.column_stack([first, second, np.cross(first, second)]))
        found.append((np.stack(rotations), estimate[0, 144:154].numpy()))
    return found


def aligned(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    x, y = source - source.mean(0), target - target.mean(0)
    u, singular, vt = np.linalg.svd(y.T @ x)
    signs = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    return (singular * signs).sum() / (x**2).sum() * x @ (u * signs @ vt).T + target.mean(0)


def spreads(poses: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Of predictions and of labels: the mean over the joints of a joint's standard deviation in space, over people."""
    both = np.array(poses)
    return [1000 * float(np.sqrt(np.var(both[:, which], axis=0).sum(-1)).mean()) for which in (0, 1)]


def scores(folder: Path) -> dict[str, dict[str, float]]:
    """By protocol: the mean errors, how many people they are over, and how many were dropped."""
    labels = np.load(folder / "people.npz")
    bodies = read_bodies(folder)
    regressor = np.load(folder / "J_regressor_h36m.npy").astype(np.float32).astype(float)
    predicted = [mesh(bodies["n"], *one) for one in predictions(folder, labels["imgname"])]

    errors: dict[str, dict[str, list[float]]] = {}
    dropped: dict[str, int] = {}
    poses: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for person, vertices in enumerate(predicted):
        pose = labels["pose"][person].astype(np.float32).astype(float).reshape(24, 3)
        betas = labels["shape"][person].astype(np.float32).astype(float)
        rotations = np.stack([rotation_of(vector) for vector in pose])
        measured = labels["S"][person].astype(np.float32).astype(float)
        joints = regressor @ vertices
        for protocol in ("lsp14", "3dpw", "h36m_p1", "h36m_p2", "mpi_inf_3dhp"):
            table = errors.setdefault(protocol, {})
            dropped.setdefault(protocol, 0)
            count = 17 if protocol == "mpi_inf_3dhp" else 14
            own = (joints - joints[0])[REGRESSED_17[:count]]
            if protocol in ("lsp14", "3dpw"):
                gender = "n" if protocol == "lsp14" else str(labels["gender"][person])
                truth = mesh(bodies[gender], rotations, betas)
                true_joints = regressor @ truth
                goal = (true_joints - true_joints[0])[REGRESSED_17[:count]]
                distances = np.linalg.norm((vertices - joints[0]) - (truth - true_joints[0]), axis=1)
                table.setdefault("pve_mm", []).append(1000 * distances.mean())
            else:
                if protocol == "h36m_p2" and "60457274" not in str(labels["imgname"][person]):
                    continue
                used = LABELLED_17[:count]
                if not (measured[[*used, LABELLED_PELVIS], 3] > 0).all():
                    dropped[protocol] += 1
                    continue
                goal = (measured[:, :3] - measured[LABELLED_PELVIS, :3])[used]
            poses.setdefault(protocol, []).append((own, goal))
            distances = 1000 * np.linalg.norm(own - goal, axis=1)
            table.setdefault("mpjpe_mm", []).append(distances.mean())
            best = 1000 * np.linalg.norm(aligned(own, goal) - goal, axis=1)
            table.setdefault("reconstruction_error_mm", []).append(best.mean())
            if protocol == "mpi_inf_3dhp":
                # The test set's own evaluation leaves out the last three: pelvis, spine and jaw.
                grouped = distances[:14]
                table.setdefault("pck150_percent", []).append(100 * (grouped < 150).mean())
                curve = [(grouped < threshold).mean() for threshold in range(0, 151, 5)]
                table.setdefault("auc_percent", []).append(100 * np.mean(curve))
    return {
        protocol: {name: float(np.mean(values)) for name, values in table.items()}
        | dict(zip(("spread_mm", "spread_labels_mm"), spreads(poses[protocol]), strict=True))
        | {"people": len(table["mpjpe_mm"]), "dropped": dropped[protocol]}
        for protocol, table in errors.items()
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    make(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps(scores(Path(sys.argv[1])), indent=1))
