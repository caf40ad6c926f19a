"""The metrics against one sample at a time in numpy float64, on poses of every kind, and their pooling."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hmr_light.evaluation.metrics import METRICS, PCK_METRICS, MetricSums, pose_errors

EVERY_METRIC = {*METRICS, *PCK_METRICS}
Arrays = list[np.ndarray]


def numpy_errors(joints: np.ndarray, true_joints: np.ndarray, vertices: np.ndarray, true: np.ndarray) -> dict:
    errors: dict[str, list[float]] = {name: [] for name in EVERY_METRIC}
    for moved, goal, vertex, true_vertex in zip(joints, true_joints, vertices, true, strict=True):
        distances = [1000 * np.sqrt(((a - b) ** 2).sum()) for a, b in zip(moved, goal, strict=True)]
        errors["mpjpe_mm"].append(np.mean(distances))
        shares = [100 * np.mean([distance < 5 * step for distance in distances]) for step in range(31)]
        errors["pck150_percent"].append(shares[-1])
        errors["auc_percent"].append(np.mean(shares))
        errors["reconstruction_error_mm"].append(1000 * np.linalg.norm(align(moved, goal) - goal, axis=1).mean())
        errors["pve_mm"].append(1000 * np.linalg.norm(vertex - true_vertex, axis=1).mean())
    return errors


def align(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Similarity alignment (Gower and Dijksterhuis): rotation by SVD without reflection, then scale."""
    x, y = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(y.T @ x)
    d = np.array([1, 1, 1.0 if np.linalg.det(u @ vt) > 0 else -1.0])
    size = (x**2).sum()
    scale = (s * d).sum() / size if size > 0 else 0.0
    return scale * x @ (u * d @ vt).T + target.mean(0)


def random_poses(seed: int, batch: int, joints: int = 14, vertices: int = 200) -> Arrays:
    """Joints and vertices of a prediction and of the truth, metres, float32 as a network gives them."""
    rng = np.random.default_rng(seed)
    true_joints, true_vertices = rng.normal(0, 0.4, (batch, joints, 3)), rng.normal(0, 0.4, (batch, vertices, 3))
    values = [
        true_joints + rng.normal(0, 0.1, true_joints.shape),
        true_joints,
        true_vertices + rng.normal(0, 0.1, true_vertices.shape),
        true_vertices,
    ]
    return [value.astype(np.float32) for value in values]


def check(arrays: Arrays, note: str) -> None:
    """Agreement to a millionth of a millimetre (and of a percent)."""
    found = pose_errors(*map(torch.from_numpy, arrays))
    expected = numpy_errors(*(array.astype(np.float64) for array in arrays))
    assert found.keys() == EVERY_METRIC
    for name in EVERY_METRIC:
        np.testing.assert_allclose(found[name].numpy(), expected[name], atol=1e-6, rtol=0, err_msg=f"{name}, {note}")


@pytest.mark.parametrize("joints", [14, 17])
@pytest.mark.parametrize("again", range(3))
def test_errors_agree_with_one_sample_at_a_time(again: int, joints: int) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    check(random_poses(seed, 32, joints), f"seed {seed}")


@pytest.mark.parametrize(
    "kind", ["coplanar", "collinear", "reflected", "coincident", "coincident truth", "zero", "same"]
)
def test_errors_of_degenerate_poses_agree_too(kind: str) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    rng = np.random.default_rng(seed)
    predicted, truth, vertices, true_vertices = (array.astype(np.float64) for array in random_poses(seed, 32))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if kind == "coplanar":
        predicted, truth = predicted * [1, 1, 0] @ turn, truth * [1, 1, 0]
    elif kind == "collinear":
        predicted, truth = predicted * [0, 1, 0] @ turn, truth * [1, 0, 0]
    elif kind == "reflected":
        predicted = truth * [1, 1, -1] + rng.normal(0, 0.01, truth.shape)
    elif kind == "coincident":
        predicted = np.repeat(predicted[:, :1], 14, axis=1)
    elif kind == "coincident truth":
        truth = np.repeat(truth[:, :1], 14, axis=1)
    elif kind == "zero":
        predicted = np.zeros_like(predicted)
    else:
        predicted, vertices = truth, true_vertices
    check([predicted, truth, vertices, true_vertices], f"seed {seed}")


def test_a_joint_at_a_threshold_is_not_within_it() -> None:
    truth = torch.zeros(1, 4, 3)
    joints = torch.tensor([[[0.150, 0, 0], [0.0, 0.1499, 0], [0, 0, 0.0], [0.2, 0, 0]]], dtype=torch.float64)
    errors = pose_errors(joints, truth)
    assert errors["pck150_percent"].item() == 50
    # Of the thresholds 0, 5, … 150, a joint 149.9 mm off is within the last alone; one that is right, within all but 0.
    assert errors["auc_percent"].item() == pytest.approx(100 * (1 / 31 + 30 / 31) / 4)


def test_without_vertices_there_is_no_pve() -> None:
    joints, truth, *_ = map(torch.from_numpy, random_poses(0, 4))
    assert pose_errors(joints, truth).keys() == EVERY_METRIC - {"pve_mm"}


def test_the_reconstruction_error_forgives_size_orientation_and_place_and_mpjpe_does_not() -> None:
    _, joints, _, _ = map(torch.from_numpy, random_poses(0, 4))
    quarter_turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    errors = pose_errors(1.5 * joints @ quarter_turn + 1, joints)
    assert (errors["reconstruction_error_mm"] < 1e-3).all()
    assert (errors["mpjpe_mm"] > 100).all()


@pytest.mark.parametrize("array", range(4))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_harms_no_other(array: int, value: float) -> None:
    arrays = random_poses(0, 5)
    clean = pose_errors(*map(torch.from_numpy, arrays))
    arrays[array][2, 7, 1] = value
    errors = pose_errors(*map(torch.from_numpy, arrays))
    others = [0, 1, 3, 4]
    for name in EVERY_METRIC:
        assert errors[name][2].isnan()
        assert torch.equal(errors[name][others], clean[name][others])
    sums = MetricSums()
    sums.add(errors)
    assert (sums.count, sums.dropped) == (4, 1)
    assert sums.means()["pve_mm"] == pytest.approx(clean["pve_mm"][others].mean().item(), rel=1e-12)


@pytest.mark.parametrize("metrics", [METRICS, PCK_METRICS])
def test_no_sample_has_no_mean(metrics: tuple[str, ...]) -> None:
    means = MetricSums(metrics).means()
    assert tuple(means) == metrics
    assert all(np.isnan(value) for value in means.values())


def test_the_spread_is_the_deviation_of_the_joints_over_the_images() -> None:
    rng = np.random.default_rng()
    predicted, labels = rng.normal(0, 0.01, (9, 14, 3)), rng.normal(0.2, 0.3, (9, 14, 3))
    joints = [torch.from_numpy(one).float() for one in (predicted, labels)]
    errors = pose_errors(*joints)
    errors["mpjpe_mm"][4] = torch.nan  # who is left out does not count
    sums = MetricSums(("mpjpe_mm",), joints=14)
    for part in (slice(0, 5), slice(5, 9)):
        sums.add({"mpjpe_mm": errors["mpjpe_mm"][part]}, [one[part] for one in joints])
    kept = [0, 1, 2, 3, 5, 6, 7, 8]
    for name, values in (("spread_mm", predicted[kept]), ("spread_labels_mm", labels[kept])):
        expected = 1000 * np.sqrt(values.var(axis=0).sum(axis=-1)).mean()
        assert sums.spread()[name] == pytest.approx(expected, rel=1e-5)

    constant = MetricSums(("mpjpe_mm",), joints=14)
    constant.add({"mpjpe_mm": torch.ones(9)}, (joints[0][:1].expand(9, -1, -1), joints[1]))
    assert constant.spread()["spread_mm"] == pytest.approx(0, abs=1e-3)
    assert "spread_mm" not in MetricSums().figures()


SHARE = """
import json, sys
import numpy as np, torch, torch.distributed as dist
from hmr_light.evaluation.metrics import PCK_METRICS, MetricSums
from hmr_light.data.distributed import Distributed
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
for people in (1, 23):
    errors = {name: torch.from_numpy(value) for name, value in np.load(f"{folder}/{people}.npz").items()}
    joints = [errors.pop(name) for name in ("joints", "true_joints")]
    sums = MetricSums(PCK_METRICS, joints=17)
    for part in torch.arange(rank, people, 2).split(4) if rank < people else ():
        sums.add({name: value[part] for name, value in errors.items()}, [one[part] for one in joints])
    sums.pool(Distributed(rank, 2, torch.device("cpu")).all_reduce_sum)
    print(json.dumps([sums.count, sums.dropped, sums.figures()]))
dist.destroy_process_group()
"""


def test_means_do_not_depend_on_batches_and_processes(tmp_path: Path) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    expected = []
    for people in (1, 23):  # of one person, the second process has nobody
        joints, true_joints, *meshes = map(torch.from_numpy, random_poses(seed, people, 17))
        errors = pose_errors(joints, true_joints, *meshes)
        if people > 1:
            errors = {name: value.index_fill(0, torch.tensor([2, 5]), torch.nan) for name, value in errors.items()}
        arrays = {**errors, "joints": joints, "true_joints": true_joints}
        np.savez(tmp_path / f"{people}.npz", **{name: value.numpy() for name, value in arrays.items()})
        whole = MetricSums(PCK_METRICS, joints=17)
        whole.add(errors, (joints, true_joints))
        figures = pytest.approx(whole.figures(), rel=1e-11, abs=1e-4)
        expected.append([people - whole.dropped, 2 if people > 1 else 0, figures])
    started = [
        subprocess.Popen([sys.executable, "-c", SHARE, str(rank), str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in started:
        said, _ = process.communicate(timeout=120)
        assert [json.loads(line) for line in said.splitlines()] == expected, f"seed {seed}"
