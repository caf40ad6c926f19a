"""Folding: SPIN's regressor in evaluation is one affine map of the features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.model.regressors import LinearRegressor, MeanRegressor, build_regressor


def spin_with_random_weights(seed: int, num_features: int, iterations: int = 3, hidden: int = 1024) -> MeanRegressor:
    """Weights and mean of the size that training gives, so that every term of the map shows."""
    torch.manual_seed(seed)
    config = {"name": "spin", "iterations": iterations, "hidden": hidden}
    regressor = build_regressor(config, num_features).double().eval()
    for parameter in regressor.parameters():
        parameter.data.normal_(std=0.03)
    rng = np.random.default_rng(seed)
    rotations = torch.from_numpy(Rotation.random(24, rng=rng).as_matrix())
    regressor.set_mean(rotations, torch.from_numpy(rng.normal(size=10)), torch.from_numpy(rng.normal(size=3)))
    return regressor


@pytest.mark.parametrize(
    ("seed", "num_features", "iterations", "hidden"),
    [(0, 2048, 3, 1024), (1, 1000, 3, 1024), (2, 576, 1, 1024), (3, 17, 5, 64), (4, 1, 3, 32)],
)
def test_the_folded_regressor_computes_the_same(seed: int, num_features: int, iterations: int, hidden: int) -> None:
    regressor = spin_with_random_weights(seed, num_features, iterations, hidden)
    features = torch.randn(64, num_features, dtype=torch.float64)
    with torch.no_grad():
        for own, folded in zip(regressor(features), regressor.fold()(features), strict=True):
            assert (own - folded).abs().max() < 1e-9, f"seed {seed}"


@pytest.mark.parametrize("seed", range(5))
def test_in_float32_it_is_the_same_to_five_digits(seed: int) -> None:
    regressor = spin_with_random_weights(seed, 1000).float()
    for parameter in regressor.parameters():  # poses that are near rotations, as a trained regressor's are
        parameter.data.mul_(0.5)
    features = torch.rand(256, 1000)
    folded = regressor.fold()
    assert {value.dtype for value in folded.state_dict().values()} == {torch.float32}
    with torch.no_grad():
        for own, other in zip(regressor(features), folded(features), strict=True):
            assert (own - other).abs().max() < 1e-5 * own.abs().max(), f"seed {seed}"


@pytest.mark.parametrize("num_features", [576, 1000, 2048])
def test_the_folded_regressors_parameters(num_features: int) -> None:
    regressor = build_regressor({"name": "spin"}, num_features)
    assert sum(parameter.numel() for parameter in regressor.parameters()) == 1024 * num_features + 1_372_317
    assert sum(parameter.numel() for parameter in regressor.fold().parameters()) == 157 * num_features + 157


def test_folding_leaves_the_regressor_as_it_was_and_keeps_the_mean() -> None:
    regressor = spin_with_random_weights(0, 32)
    before = {name: value.clone() for name, value in regressor.state_dict().items()}
    draws = torch.get_rng_state()
    folded = regressor.fold()
    assert torch.equal(draws, torch.get_rng_state())
    folded.correction.weight.data.zero_()  # type: ignore[union-attr]
    folded.init_pose.zero_()
    assert all(torch.equal(value, before[name]) for name, value in regressor.state_dict().items())
    means = regressor.fold().state_dict()
    assert all(torch.equal(means[name], before[name]) for name in ("init_pose", "init_shape", "init_cam"))


@pytest.mark.parametrize("name", ["mean", "linear", "light", "hmr"])
def test_what_cannot_be_folded_stays(name: str) -> None:
    regressor = build_regressor({"name": name}, 0 if name == "mean" else 8)
    assert regressor.fold() is regressor


def test_a_folded_regressor_is_saved_as_the_choice_linear() -> None:
    regressor = spin_with_random_weights(1, 40).float()
    linear = build_regressor({"name": "linear"}, 40).eval()
    linear.load_state_dict(regressor.fold().state_dict())
    assert isinstance(linear, LinearRegressor)
    features = torch.randn(4, 40)
    for own, other in zip(regressor.fold()(features), linear(features), strict=True):
        assert torch.equal(own, other)
