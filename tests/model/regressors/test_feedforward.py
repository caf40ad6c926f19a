"""The linear and the light regressor against their equations in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.regressors import numpy_gram_schmidt, random_regressor

from hmr_light.errors import UserError


@pytest.mark.parametrize("name", ["linear", "light"])
@pytest.mark.parametrize("seed", range(3))
def test_the_direct_regressors_follow_their_equations(name: str, seed: int) -> None:
    regressor = random_regressor(seed, 50, name=name)
    features = torch.randn(3, 50, dtype=torch.float64)
    with torch.no_grad():
        found = regressor(features)
    weights = {key.removeprefix("correction."): value.numpy() for key, value in regressor.state_dict().items()}
    for sample, feature in enumerate(features.numpy()):
        if name == "linear":
            correction = weights["weight"] @ feature + weights["bias"]
        else:
            hidden = np.maximum(weights["0.weight"] @ feature + weights["0.bias"], 0)
            correction = weights["3.weight"] @ hidden + weights["3.bias"]
        pose = weights["init_pose"][0] + correction[:144]
        np.testing.assert_allclose(found.rotations[sample].numpy(), numpy_gram_schmidt(pose), atol=1e-9)
        np.testing.assert_allclose(found.betas[sample].numpy(), weights["init_shape"][0] + correction[144:154])
        np.testing.assert_allclose(found.camera[sample].numpy(), weights["init_cam"][0] + correction[154:])


@pytest.mark.parametrize("name", ["linear", "light"])
def test_a_norm_of_the_features_changes_nothing_and_folding_undoes_it(name: str) -> None:
    regressor = random_regressor(0, 50, name=name)
    features = torch.randn(4, 50, dtype=torch.float64)
    mean, variance = torch.randn(50, dtype=torch.float64), 100 ** torch.randn(50, dtype=torch.float64)
    normalised = regressor.normalised(mean, variance)
    expected_input = (features - mean) / (variance + normalised.norm.eps).sqrt()
    torch.testing.assert_close(normalised.norm(features), expected_input)
    with torch.no_grad():
        for model in (normalised, normalised.fold()):
            for value, expected in zip(model(features), regressor(features), strict=True):
                torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    assert normalised.fold().state_dict().keys() == regressor.state_dict().keys()
    with pytest.raises(UserError, match="has a batch norm already"):
        normalised.normalised(mean, variance)
