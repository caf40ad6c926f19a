"""Regressors of random weights and means."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hmr_light.model.regressors import MeanRegressor, build_regressor


def random_mean(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    rotations = torch.from_numpy(Rotation.random(24, rng=rng).as_matrix())
    return rotations, torch.from_numpy(rng.normal(size=10)), torch.from_numpy(rng.normal(size=3))


def random_regressor(seed: int, num_features: int, **config: Any) -> MeanRegressor:
    torch.manual_seed(seed)
    regressor = build_regressor(config, num_features).double().eval()
    for parameter in regressor.parameters():
        parameter.data.normal_(std=0.05)
    regressor.set_mean(*random_mean(seed))
    return regressor


def numpy_gram_schmidt(six: np.ndarray) -> np.ndarray:
    rotations = []
    for each in six.reshape(-1, 6):
        x, second = each[[0, 2, 4]] / np.linalg.norm(each[[0, 2, 4]]), each[[1, 3, 5]]
        y = second - (x @ second) * x
        y /= np.linalg.norm(y)
        rotations.append(np.stack([x, y, np.cross(x, y)], axis=1))
    return np.stack(rotations)
