"""The pictures of docs/synthetic.md, from a rendered dataset's labels and images as they are on disk.

hmr-light prepare source=synthetic source.out=card "source.counts={train: 1200, val: 200, test: 600, test_ood: 600}"
python scripts/describe_synthetic.py card docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from hmr_light.body import SMPL, load_body
from hmr_light.data.annotations import Annotations, load_annotations
from hmr_light.data.contact_sheet import draw_keypoints
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sheet import project_mesh, silhouette

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SPLITS = ("train", "val", "test", "test-ood")
_COLUMNS, _TILE = 10, 116  # pixels
_JOINTS = {"hips": (1, 2), "knees": (4, 5), "trunk": (3, 6, 9), "shoulders": (16, 17), "elbows": (18, 19)}


def angles(labels: Annotations, joints: tuple[int, ...]) -> np.ndarray:
    """How far the joints turn, degrees, all in one row; of the trunk, the sum of its three."""
    turn = np.degrees(np.linalg.norm(labels.pose.reshape(-1, 24, 3)[:, list(joints)], axis=-1))
    return turn.sum(1) if len(joints) == 3 else turn.ravel()


def measures(labels: Annotations, mesh: Mesh) -> dict[str, np.ndarray]:
    """What is plotted: name with unit → one value a person (a joint, for angles)."""
    shaped = mesh.template + (mesh.shapedirs @ labels.shape.T).T.reshape(len(labels), -1, 3)
    height = np.ptp(shaped[..., 1], axis=1)
    corners = shaped[:, mesh.faces]
    volume = np.einsum("nfk,nfk->n", corners[:, :, 0], np.cross(corners[:, :, 1], corners[:, :, 2])) / 6
    root = np.stack([cv2.Rodrigues(vector.astype(float))[0] for vector in labels.pose[:, :3]])
    extras = labels.extras
    joints = labels.part[..., :2]
    size = joints.max(1) - joints.min(1)
    return {f"{name}, degrees": angles(labels, joints_) for name, joints_ in _JOINTS.items()} | {
        "faces the camera (0) or away (180), degrees": np.degrees(np.arccos(np.clip(-root[:, 2, 2], -1, 1))),
        "pelvis' axis from upright, degrees": np.degrees(np.arccos(np.clip(-root[:, 1, 1], -1, 1))),
        "height, m": height,
        "weight at 1 kg a litre, kg": 1000 * volume,
        "distance, m": extras["camera_translation"][:, 2],
        "box over extent of the joints": labels.scale * 200 / size.max(1),
        "joints visible, of 24": extras["visibility"].sum(1),
        "share hidden by others and things": extras["occluded"],
    }


def plot_distributions(sets: dict[str, Annotations], mesh: Mesh, out: Path) -> None:
    """Histograms of every measure by split; prints the 5th, 50th and 95th percentile of each."""
    values = {split: measures(labels, mesh) for split, labels in sets.items()}
    names = list(values["train"])
    figure, axes = plt.subplots(4, 4, figsize=(15, 11))
    for axis, name in zip(axes.flat, names, strict=False):
        pooled = np.concatenate([values[split][name] for split in sets])
        low, high = np.percentile(pooled, (0.3, 99.7))
        bins = np.linspace(low, high, 30)
        for split in sets:
            axis.hist(values[split][name], bins, density=True, histtype="step", label=split)
        axis.set(title=name, yticks=[])
        spread = "  ".join("/".join(f"{v:.3g}" for v in np.percentile(values[s][name], (5, 50, 95))) for s in sets)
        print(f"{name:46s} {spread}")
    shares, axis = np.unique(sets["train"].extras["archetype"], return_counts=True), axes.flat[len(names)]
    axis.barh(shares[0], 100 * shares[1] / shares[1].sum())
    axis.set(title="archetypes in train, %")
    axis = axes.flat[len(names) + 1]
    train = values["train"]
    axis.scatter(train["height, m"], train["weight at 1 kg a litre, kg"], s=2)
    correlation = np.corrcoef(train["height, m"], train["weight at 1 kg a litre, kg"])[0, 1]
    axis.set(title=f"height, m, and weight, kg: r = {correlation:.2f}")
    axes.flat[0].legend(fontsize=8)
    for axis in axes.flat[len(names) + 2 :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(out, dpi=75)


def tile(root: Path, labels: Annotations, index: int, body: SMPL) -> np.ndarray:
    """The image as it is written, with skeleton, outline of the mesh and annotated box, BGR."""
    image = cv2.imread(str(root / str(labels.imgname[index])), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    size = image.shape[0]
    mask = silhouette(project_mesh(labels, index, body), body.faces.numpy(), size)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, (80, 255, 80), 1, cv2.LINE_AA)
    keypoints = np.concatenate([np.zeros((25, 3)), labels.part[index]])
    keypoints[:, :2] = (keypoints[:, :2] + 0.5) * 2 / size - 1
    image = draw_keypoints(image, keypoints)
    half = 100 * labels.scale[index]
    low, high = ((labels.center[index] + sign * half).astype(int).tolist() for sign in (-1, 1))
    cv2.rectangle(image, low, high, (255, 255, 0), 1)
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (_TILE, _TILE), interpolation=cv2.INTER_AREA)


def write_rows(rows: list[tuple[str, list[np.ndarray]]], out: Path) -> None:
    """Named rows of tiles as one picture."""
    picture = []
    for name, tiles in rows:
        label = np.full((18, _TILE * _COLUMNS, 3), 32, np.uint8)
        cv2.putText(label, name, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
        picture += [label, np.hstack(tiles)]
    cv2.imwrite(str(out), np.vstack(picture), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def main(root: Path, out: Path) -> None:
    """Draw everything that the card shows."""
    body = load_body()
    sets = {split: load_annotations(root / f"{split}.npz") for split in SPLITS}
    plot_distributions(sets, Mesh.of(body), out / "synthetic_distributions.png")
    rng = np.random.default_rng(0)
    write_rows(
        [
            (
                f"{split}: at random",
                [tile(root, labels, k, body) for k in rng.choice(len(labels), _COLUMNS, replace=False)],
            )
            for split, labels in sets.items()
        ],
        out / "synthetic_splits.png",
    )
    train = sets["train"]
    extras = train.extras
    seen = extras["visibility"].sum(1)
    orders = {
        "fewest joints visible": np.argsort(seen, kind="stable"),
        "most hidden by things and others": np.argsort(-extras["occluded"], kind="stable"),
        "nearest": np.argsort(extras["camera_translation"][:, 2], kind="stable"),
    } | {
        f"archetype {name}": rng.permutation(np.flatnonzero(extras["archetype"] == name))
        for name in ("sit", "squat", "kneel", "lie", "bend")
    }
    rows = [(name, [tile(root, train, int(k), body) for k in order[:_COLUMNS]]) for name, order in orders.items()]
    write_rows(rows, out / "synthetic_factors.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
