"""Rotations, SPIN's camera and Procrustes alignment, against numpy and scipy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.geometry import (
    axis_angle_to_matrix,
    chordal_mean,
    matrix_to_axis_angle,
    matrix_to_rot6d,
    procrustes_align,
    project,
    rot6d_to_matrix,
    rotation_angle,
    weak_perspective_translation,
)

SEEDS = range(3)


def random_matrices(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return Rotation.random(int(np.prod(shape)), rng=rng).as_matrix().reshape(*shape, 3, 3)


def align_one(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama's similarity alignment of one sample, written from the paper."""
    n = len(source)
    source_mean, target_mean = source.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (source - source_mean) / n
    u, d, vt = np.linalg.svd(covariance)
    s = np.eye(3)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        s[2, 2] = -1
    rotation = u @ s @ vt
    variance = ((source - source_mean) ** 2).sum() / n
    scale = np.trace(np.diag(d) @ s) / variance if variance > 0 else 0.0
    return (scale * rotation @ (source - source_mean).T).T + target_mean


@pytest.mark.parametrize("seed", SEEDS)
def test_rot6d_reads_interleaved_columns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    six = rng.normal(size=(5, 24, 6))
    first, second = six[..., 0::2], six[..., 1::2]  # elements 0, 2, 4 are the first column
    x = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second - (x * second).sum(-1, keepdims=True) * x
    y = second / np.linalg.norm(second, axis=-1, keepdims=True)
    expected = np.stack((x, y, np.cross(x, y)), axis=-1)
    np.testing.assert_allclose(rot6d_to_matrix(torch.from_numpy(six)).numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("seed", SEEDS)
def test_rot6d_of_a_rotation_gives_it_back(seed: int) -> None:
    matrices = torch.from_numpy(random_matrices(np.random.default_rng(seed), 7, 3))
    assert matrix_to_rot6d(matrices).shape == (7, 3, 6)
    torch.testing.assert_close(rot6d_to_matrix(matrix_to_rot6d(matrices)), matrices, atol=1e-14, rtol=0)


def test_half_turn_about_x_has_spins_six_numbers() -> None:
    half_turn = axis_angle_to_matrix(torch.tensor([torch.pi, 0, 0], dtype=torch.float64))
    expected = torch.tensor([1.0, 0, 0, -1, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(matrix_to_rot6d(half_turn), expected, atol=1e-15, rtol=0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("length", [0.0, 1e-12, 1e-6, 1e-3, 1.0, np.pi - 1e-3, np.pi - 1e-7, np.pi, 5.0, 20.0])
def test_axis_angle_to_matrix_agrees_with_scipy(seed: int, length: float) -> None:
    vectors = np.random.default_rng(seed).normal(size=(50, 3))
    vectors *= length / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = Rotation.from_rotvec(vectors).as_matrix()
    np.testing.assert_allclose(axis_angle_to_matrix(torch.from_numpy(vectors)).numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("length", [0.0, 1e-12, 1e-6, 1e-3, 1.0, np.pi - 1e-3, np.pi - 1e-7, np.pi])
def test_axis_angle_survives_the_matrix(seed: int, length: float) -> None:
    vectors = np.random.default_rng(seed).normal(size=(50, 3))
    vectors *= length / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = matrix_to_axis_angle(axis_angle_to_matrix(torch.from_numpy(vectors))).numpy()
    if length == np.pi:  # a half turn about an axis is one about its opposite
        found *= np.sign((found * vectors).sum(1, keepdims=True))
    np.testing.assert_allclose(found, vectors, atol=1e-13 if length < 3 else 1e-9)
    assert (np.linalg.norm(found, axis=1) <= np.pi + 1e-12).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns_about_the_axes_are_exact(axis: int) -> None:
    vector = torch.zeros(3, dtype=torch.float64)
    vector[axis] = torch.pi
    torch.testing.assert_close(matrix_to_axis_angle(axis_angle_to_matrix(vector)).abs(), vector, atol=1e-15, rtol=0)


@pytest.mark.parametrize("vector", [[0.0, 0, 0], [1e-8, 0, 0], [0.3, -0.2, 0.9]])
def test_axis_angle_to_matrix_has_the_right_gradient(vector: list[float]) -> None:
    point = torch.tensor(vector, dtype=torch.float64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(axis_angle_to_matrix, point)
    step = 1e-6
    for i in range(3):
        offset = torch.zeros(3, dtype=torch.float64)
        offset[i] = step
        with torch.no_grad():
            numeric = (axis_angle_to_matrix(point + offset) - axis_angle_to_matrix(point - offset)) / (2 * step)
        torch.testing.assert_close(jacobian[..., i], numeric, atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_chordal_mean_agrees_with_scipy(seed: int) -> None:
    # Of rotations, the chordal mean is the quaternion mean (Markley et al. 2007) that scipy computes.
    rng = np.random.default_rng(seed)
    matrices = Rotation.from_rotvec(rng.normal(0, 0.5, (40 * 5, 3))).as_matrix().reshape(40, 5, 3, 3)
    expected = [Rotation.from_matrix(matrices[:, joint]).mean().as_matrix() for joint in range(5)]
    found = chordal_mean(torch.from_numpy(matrices)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_chordal_mean_is_a_rotation_where_the_arithmetic_mean_is_a_reflection(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrices = torch.from_numpy(random_matrices(rng, 200, 50))
    negative = torch.linalg.det(matrices.mean(0)) < 0
    assert negative.any(), f"seed {seed} has no such case"
    assert (torch.linalg.det(chordal_mean(matrices)) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("seed", SEEDS)
def test_camera_and_projection_agree_with_their_equations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera = np.stack((rng.uniform(0.5, 1.2, 6), *rng.normal(0, 0.2, (2, 6))), axis=1)
    points = rng.normal(0, 0.5, (6, 49, 3))
    focal, size = 4000.0, 192
    translation = weak_perspective_translation(torch.from_numpy(camera), focal, size)
    expected = np.stack((camera[:, 1], camera[:, 2], 2 * focal / (size * camera[:, 0] + 1e-9)), axis=1)
    np.testing.assert_allclose(translation.numpy(), expected, rtol=1e-14)
    intrinsics = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    pixels = np.einsum("ij,bnj->bni", intrinsics, points + expected[:, None])
    pixels = pixels[..., :2] / pixels[..., 2:]
    found = project(torch.from_numpy(points), translation, focal, size).numpy()
    np.testing.assert_allclose(found, pixels / (size / 2) - 1, atol=1e-12)


def test_a_point_one_metre_from_the_centre_is_projected_to_the_cameras_scale() -> None:
    # What "weak perspective" means: s is the size of a metre in half crops, for a body at the origin.
    camera = torch.tensor([[0.7, 0.0, 0.0]], dtype=torch.float64)
    points = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=torch.float64)
    found = project(points, weak_perspective_translation(camera))
    torch.testing.assert_close(found, 0.7 * points[..., :2], atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_procrustes_agrees_with_one_at_a_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 0.4, (2, 64, 14, 3))
    found = procrustes_align(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    expected = np.stack([align_one(*pair) for pair in zip(source, target, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_procrustes_undoes_any_similarity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(0, 0.4, (32, 14, 3))
    scale = rng.uniform(0.1, 10, (32, 1, 1))
    target = scale * np.einsum("bij,bnj->bni", random_matrices(rng, 32), source) + rng.normal(0, 5, (32, 1, 3))
    found = procrustes_align(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    np.testing.assert_allclose(found, target, atol=1e-11)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_procrustes_aligns_flat_and_straight_points(seed: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(16, 14, rank)) @ rng.normal(size=(16, rank, 3))
    turn = random_matrices(rng, 16)
    target = 2.5 * np.einsum("bij,bnj->bni", turn, source) + 1
    found = procrustes_align(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    np.testing.assert_allclose(found, target, atol=1e-11)


@pytest.mark.parametrize("seed", SEEDS)
def test_procrustes_does_not_reflect(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(0, 0.4, (32, 14, 3))
    target = source * [-1, 1, 1]
    found = procrustes_align(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    expected = np.stack([align_one(*pair) for pair in zip(source, target, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.abs(found - target).max() > 0.01


def test_procrustes_of_coincident_points_goes_to_the_targets_mean() -> None:
    rng = np.random.default_rng(0)
    target = torch.from_numpy(rng.normal(size=(2, 14, 3)))
    source = torch.ones_like(target) * 0.5
    found = procrustes_align(source, target)
    torch.testing.assert_close(found, target.mean(1, keepdim=True).expand_as(target))
    found = procrustes_align(target, source)  # and a body is shrunk to a point
    torch.testing.assert_close(found, source)


@pytest.mark.parametrize("thinness", [0.0, 1e-12, 1e-8, 1e-5, 1e-3, 1e-2, 0.03, 0.1])
@pytest.mark.parametrize("shape", ["straight", "mirrored", "flat and mirrored"])
def test_procrustes_is_exact_where_the_best_rotation_is_hardly_unique(shape: str, thinness: float) -> None:
    seed = int(np.random.default_rng().integers(10**6))
    rng = np.random.default_rng(seed)
    # Mirrored, the two smaller extents compete for being turned over; equal ones leave no best rotation.
    extents = {"straight": [1, thinness, thinness], "mirrored": [1, 0.5, 0.5 + thinness]}.get(shape, [1, 0.5, thinness])
    source = rng.normal(size=(64, 14, 3)) * extents
    target = source * ([1, 1, 1] if shape == "straight" else [1, 1, -1])
    target = np.einsum("bij,bnj->bni", random_matrices(rng, 64), target) + rng.normal(0, 0.1 * thinness, source.shape)
    source = np.einsum("bij,bnj->bni", random_matrices(rng, 64), source) + rng.normal(0, 3, (64, 1, 3))
    found = procrustes_align(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    expected = np.stack([align_one(*pair) for pair in zip(source, target, strict=True)])
    # Where several rotations are best but for rounding, the points may differ; how far they are off may not.
    errors = [np.linalg.norm(points - target, axis=-1) for points in (found, expected)]
    squares = [(error**2).sum(-1) for error in errors]
    np.testing.assert_allclose(*squares, rtol=1e-10, atol=1e-12, err_msg=f"seed {seed}")
    if shape == "straight" or thinness > 1e-4:
        atol = 1e-9 + (10 * thinness if thinness < 1e-6 else 0)
        np.testing.assert_allclose(*(error.mean(-1) for error in errors), rtol=0, atol=atol, err_msg=f"seed {seed}")


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1e3, 1e9])
def test_procrustes_takes_bodies_of_any_size(size: float) -> None:
    rng = np.random.default_rng(5)
    source, target = rng.normal(0, 1, (2, 16, 14, 3)) * [[[[size]]], [[[1.0]]]]
    found = procrustes_align(torch.from_numpy(source), torch.from_numpy(target)).numpy()
    expected = np.stack([align_one(*pair) for pair in zip(source, target, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_procrustes_refuses_what_is_not_finite() -> None:
    source = torch.randn(3, 14, 3, generator=torch.Generator().manual_seed(0))
    target = source.clone()
    target[1, 2, 0] = torch.nan
    with pytest.raises(torch.linalg.LinAlgError):
        procrustes_align(source, target)


def test_procrustes_keeps_the_type_and_computes_in_float64() -> None:
    rng = np.random.default_rng(6)
    source, target = rng.normal(0, 0.4, (2, 16, 14, 3)).astype(np.float32)
    found = procrustes_align(torch.from_numpy(source), torch.from_numpy(target))
    assert found.dtype == torch.float32
    expected = np.stack([align_one(*pair) for pair in zip(source.astype(float), target.astype(float), strict=True)])
    np.testing.assert_array_equal(found.numpy(), expected.astype(np.float32))


def test_the_angle_between_rotations_and_its_gradient() -> None:
    rng = np.random.default_rng()
    first, second = (Rotation.random(50, rng=rng) for _ in range(2))
    expected = (first * second.inv()).magnitude()
    a, b = (torch.tensor(one.as_matrix()) for one in (first, second))
    assert np.allclose(rotation_angle(a, b), expected, atol=1e-5)
    for angle in (0.0, 1e-4, np.pi - 1e-3, np.pi):
        turned = torch.tensor(Rotation.from_rotvec([0, angle, 0]).as_matrix(), requires_grad=True)
        found = rotation_angle(turned, torch.eye(3, dtype=torch.float64))
        assert float(found.detach()) == pytest.approx(angle, abs=1e-3)
        found.backward()
        assert turned.grad is not None
        assert turned.grad.isfinite().all()
