"""The MLP regressor against its equations in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.regressors import numpy_gram_schmidt, random_regressor

from hmr_light.errors import UserError
from hmr_light.model.regressors import build_regressor


@pytest.mark.parametrize("hidden", [[], [40], [30, 20, 10]])
def test_an_mlp_follows_its_equations_and_folds_into_linear_layers(hidden: list[int]) -> None:
    regressor = random_regressor(len(hidden), 50, name="mlp", hidden=hidden)
    rng = np.random.default_rng(len(hidden))
    mean, variance = rng.normal(size=50), rng.uniform(0.1, 9, 50)
    norm = regressor.correction[0]
    norm.running_mean.copy_(torch.from_numpy(mean))
    norm.running_var.copy_(torch.from_numpy(variance))
    features = torch.randn(3, 50, dtype=torch.float64)
    folded = regressor.fold()
    with torch.no_grad():
        found, found_folded = regressor(features), folded(features)
    x = (features.numpy() - mean) / np.sqrt(variance + 1e-5)
    layers = [layer for layer in regressor.correction if isinstance(layer, torch.nn.Linear)]
    for number, layer in enumerate(layers):
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        x = np.maximum(x, 0) if number < len(layers) - 1 else x
    pose = regressor.init_pose.numpy() + x[:, :144]
    expected = np.stack([numpy_gram_schmidt(each) for each in pose])
    np.testing.assert_allclose(found.rotations.numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(found.betas.numpy(), regressor.init_shape.numpy() + x[:, 144:154], atol=1e-9)
    for value, other in zip(found, found_folded, strict=True):
        torch.testing.assert_close(value, other, atol=1e-10, rtol=0)
    assert {type(module) for module in folded.correction} <= {torch.nn.Linear, torch.nn.ReLU}
    assert sum(p.numel() for p in folded.parameters()) == sum(p.numel() for p in regressor.parameters())


@pytest.mark.parametrize("options", [{"hidden": [0]}, {"hidden": 64}, {"hidden": ["a"]}, {"input_dropout": 1.0}])
def test_wrong_options_of_an_mlp_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"regressor.{next(iter(options))}"):
        build_regressor({"name": "mlp", **options}, 8)
