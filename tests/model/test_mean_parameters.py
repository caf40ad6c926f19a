"""The mean pose, shape and camera of a training set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.model.mean_parameters import compute_mean_parameters


@pytest.mark.parametrize("seed", range(3))
def test_mean_parameters_are_the_means_of_the_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose, betas = rng.normal(0, 0.6, (9000, 72)).astype(np.float32), rng.normal(0.3, 1, (9000, 10)).astype(np.float32)
    rotations, mean_betas, camera = compute_mean_parameters(pose, betas)
    for joint in range(24):
        expected = Rotation.from_rotvec(pose[:, 3 * joint : 3 * joint + 3]).mean().as_matrix()
        np.testing.assert_allclose(rotations[joint].numpy(), expected, atol=1e-6, err_msg=f"joint {joint}")
    np.testing.assert_allclose(mean_betas.numpy(), betas.astype(np.float64).mean(0), atol=1e-6)
    assert camera.tolist() == pytest.approx([0.9, 0, 0])
    assert {value.dtype for value in (rotations, mean_betas, camera)} == {torch.float32}


def test_without_fits_the_mean_is_an_upright_t_pose_seen_from_the_front() -> None:
    rotations, betas, _ = compute_mean_parameters(np.empty((0, 72)), np.empty((0, 10)))
    head, left, front = torch.tensor([0.0, 1, 0]), torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    assert (rotations[0] @ head).tolist() == [0, -1, 0]  # up in the image
    assert (rotations[0] @ front).tolist() == [0, 0, -1]  # towards the camera
    assert (rotations[0] @ left).tolist() == [1, 0, 0]  # the person's left on the image's right
    assert torch.equal(rotations[1:], torch.eye(3).expand(23, 3, 3))
    assert not betas.any()
