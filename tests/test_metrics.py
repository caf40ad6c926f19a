"""The errors of the 3DPW protocol against one sample at a time in numpy, and their pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmr_light.body import load_body
from hmr_light.metrics import METRICS, MetricSums, mesh_errors, pose_errors

# Right ankle … left ankle, right wrist … left wrist, neck, head: where LSP's 14 joints are among the regressor's 17.
LSP_14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]


def numpy_errors(
    vertices: np.ndarray, true_vertices: np.ndarray, joints: np.ndarray, true_joints: np.ndarray
) -> dict[str, list[float]]:
    errors: dict[str, list[float]] = {name: [] for name in METRICS}
    for vertex, true_vertex, joint, true_joint in zip(vertices, true_vertices, joints, true_joints, strict=True):
        moved, true = joint[LSP_14] - joint[0], true_joint[LSP_14] - true_joint[0]
        errors["mpjpe_mm"].append(1000 * np.mean([np.linalg.norm(a - b) for a, b in zip(moved, true, strict=True)]))
        # Similarity alignment (Gower and Dijksterhuis): rotation by SVD without reflection, then scale.
        x, y = moved - moved.mean(0), true - true.mean(0)
        u, s, vt = np.linalg.svd(y.T @ x)
        d = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        aligned = (s * d).sum() / (x**2).sum() * x @ (u * d @ vt).T + true.mean(0)
        errors["reconstruction_error_mm"].append(1000 * np.linalg.norm(aligned - true, axis=1).mean())
        difference = (vertex - joint[0]) - (true_vertex - true_joint[0])
        errors["pve_mm"].append(1000 * np.linalg.norm(difference, axis=1).mean())
    return errors


def random_meshes(seed: int, batch: int, vertices: int = 200) -> list[np.ndarray]:
    """Vertices and 17 joints of a prediction and of the truth, metres, float32 as a network gives them."""
    rng = np.random.default_rng(seed)
    meshes = rng.normal(0, 0.4, (2, batch, vertices, 3)) + rng.normal(0, 3, (2, batch, 1, 3))
    regressor = rng.dirichlet(np.ones(vertices), 17) * rng.uniform(0.9, 1.1, (17, 1))
    joints = regressor @ meshes + rng.normal(0, 0.2, (2, batch, 17, 3))
    return [value.astype(np.float32) for value in (meshes[0], meshes[1], joints[0], joints[1])]


@pytest.mark.parametrize("seed", range(3))
def test_errors_agree_with_one_sample_at_a_time(seed: int) -> None:
    arrays = random_meshes(seed, 32)
    found = mesh_errors(*map(torch.from_numpy, arrays))
    expected = numpy_errors(*(array.astype(np.float64) for array in arrays))
    assert tuple(found) == METRICS
    for name in METRICS:
        np.testing.assert_allclose(
            found[name].numpy(), expected[name], atol=1e-6, rtol=0, err_msg=f"{name}, seed {seed}"
        )


def test_a_perfect_mesh_elsewhere_has_no_error() -> None:
    vertices, _, joints, _ = map(torch.from_numpy, random_meshes(0, 4))
    moved = mesh_errors(vertices.double() + 2, vertices, joints.double() + 2, joints)
    assert all((value < 1e-9).all() for value in moved.values())


def test_the_reconstruction_error_forgives_size_and_orientation_and_mpjpe_does_not() -> None:
    vertices, _, joints, _ = map(torch.from_numpy, random_meshes(0, 4))
    quarter_turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    errors = mesh_errors(1.5 * vertices @ quarter_turn, vertices, 1.5 * joints @ quarter_turn, joints)
    assert (errors["reconstruction_error_mm"] < 1e-3).all()
    assert (errors["mpjpe_mm"] > 100).all()


def test_joints_outside_lsps_14_do_not_count_but_the_pelvis_aligns() -> None:
    vertices, _, joints, _ = map(torch.from_numpy, random_meshes(0, 4))
    others = [joint for joint in range(1, 17) if joint not in LSP_14]
    changed = joints.clone()
    changed[:, others] += 1
    assert (mesh_errors(vertices, vertices, changed, joints)["mpjpe_mm"] == 0).all()
    changed = joints.clone()
    changed[:, 0, 0] += 0.1  # a pelvis 100 mm off shifts everything by as much
    errors = mesh_errors(vertices, vertices, changed, joints)
    torch.testing.assert_close(errors["mpjpe_mm"], torch.full((4,), 100.0, dtype=torch.float64), atol=1e-3, rtol=0)
    torch.testing.assert_close(errors["pve_mm"], torch.full((4,), 100.0, dtype=torch.float64), atol=1e-3, rtol=0)
    assert (errors["reconstruction_error_mm"] < 1e-6).all()


@pytest.mark.parametrize("array", range(4))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_harms_no_other(array: int, value: float) -> None:
    arrays = random_meshes(0, 5)
    clean = mesh_errors(*map(torch.from_numpy, arrays))
    arrays[array][2, 7, 1] = value
    errors = mesh_errors(*map(torch.from_numpy, arrays))
    others = [0, 1, 3, 4]
    for name in METRICS:
        assert errors[name][2].isnan()
        assert torch.equal(errors[name][others], clean[name][others])
    sums = MetricSums()
    sums.add(errors)
    assert (sums.count, sums.dropped) == (4, 1)
    assert sums.means()["pve_mm"] == pytest.approx(clean["pve_mm"][others].mean().item(), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_means_do_not_depend_on_batches_and_processes(seed: int) -> None:
    arrays = random_meshes(seed, 23)
    errors = mesh_errors(*map(torch.from_numpy, arrays))
    whole = MetricSums()
    whole.add(errors)
    ranks = [MetricSums() for _ in range(3)]
    for rank, sums in enumerate(ranks[:2]):  # the third process has no sample
        for start in range(rank, 23, 10):
            part = torch.arange(start, min(start + 10, 23), 2)
            sums.add({name: value[part] for name, value in errors.items()})
    everyone = torch.stack([sums._sums for sums in ranks]).sum(0)
    for sums in ranks:
        sums.pool(lambda _: everyone)
        assert (sums.count, sums.dropped) == (23, 0)
        assert sums.means() == pytest.approx(whole.means(), rel=1e-13)


def test_no_sample_has_no_mean() -> None:
    assert all(np.isnan(value) for value in MetricSums().means().values())


def test_a_mesh_is_scored_by_its_own_regressed_joints() -> None:
    body = load_body()
    generator = torch.Generator().manual_seed(0)
    rotations = torch.linalg.qr(torch.randn(3, 24, 3, 3, generator=generator))[0]
    rotations = rotations * torch.linalg.det(rotations)[..., None, None]
    truth = body(rotations, torch.randn(3, 10, generator=generator)).vertices
    vertices = body(torch.eye(3).expand(3, 24, 3, 3), torch.zeros(3, 10)).vertices
    regressor = body.h36m_regressor.double().numpy()
    meshes = [vertices.double().numpy(), truth.double().numpy()]
    expected = numpy_errors(*meshes, *(regressor @ mesh for mesh in meshes))
    for name, value in pose_errors(vertices, truth, body).items():
        np.testing.assert_allclose(value.numpy(), expected[name], atol=1e-2)  # joints regressed in float32
