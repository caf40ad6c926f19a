"""HMR's regressor against its equations in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from support.regressors import random_mean, random_regressor


@pytest.mark.parametrize(("seed", "num_features", "iterations"), [(0, 2048, 3), (1, 30, 1), (2, 0, 4)])
def test_hmr_follows_its_equations(seed: int, num_features: int, iterations: int) -> None:
    regressor = random_regressor(seed, num_features, name="hmr", iterations=iterations, hidden=96)
    features = torch.randn(3, num_features, dtype=torch.float64)
    with torch.no_grad():
        found = regressor(features)
    weights = {name: value.numpy() for name, value in regressor.state_dict().items()}
    rotations, betas, camera = (value.numpy() for value in random_mean(seed))
    start = np.concatenate([camera, Rotation.from_matrix(rotations).as_rotvec().ravel(), betas])
    for sample, feature in enumerate(features.numpy()):
        body = start
        for _ in range(iterations):
            x = np.concatenate([feature, body])
            for layer in ("fc1", "fc2"):
                x = np.maximum(weights[f"{layer}.weight"] @ x + weights[f"{layer}.bias"], 0)
            body = body + weights["decode.weight"] @ x + weights["decode.bias"]
        expected = Rotation.from_rotvec(body[3:75].reshape(24, 3)).as_matrix()
        np.testing.assert_allclose(found.rotations[sample].numpy(), expected, atol=1e-9, err_msg=f"seed {seed}")
        np.testing.assert_allclose(found.betas[sample].numpy(), body[75:], atol=1e-9)
        np.testing.assert_allclose(found.camera[sample].numpy(), body[:3], atol=1e-9)
