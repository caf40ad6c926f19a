"""SPIN's regressor against its equations in numpy, and folded into one affine map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from support.regressors import random_mean

from hmr_light.model.regressors import LinearRegressor, MeanRegressor, SpinRegressor, build_regressor


def numpy_spin(weights: dict[str, np.ndarray], features: np.ndarray, iterations: int) -> tuple[np.ndarray, ...]:
    """The regressor's equations, one sample at a time: x ← W x + b throughout, no activation."""
    results = []
    for feature in features:
        estimate = {
            "decpose": weights["init_pose"][0],
            "decshape": weights["init_shape"][0],
            "deccam": weights["init_cam"][0],
        }
        for _ in range(iterations):
            x = np.concatenate([feature, estimate["decpose"], estimate["decshape"], estimate["deccam"]])
            for layer in ("fc1", "fc2"):
                x = weights[f"{layer}.weight"] @ x + weights[f"{layer}.bias"]
            estimate = {k: v + weights[f"{k}.weight"] @ x + weights[f"{k}.bias"] for k, v in estimate.items()}
        rotations = []
        for six in estimate["decpose"].reshape(24, 6):
            x, second = six[[0, 2, 4]] / np.linalg.norm(six[[0, 2, 4]]), six[[1, 3, 5]]
            y = second - (x @ second) * x
            y /= np.linalg.norm(y)
            rotations.append(np.stack([x, y, np.cross(x, y)], axis=1))
        results.append((np.stack(rotations), estimate["decshape"], estimate["deccam"]))
    return tuple(np.stack(column) for column in zip(*results, strict=True))


@pytest.mark.parametrize(("seed", "num_features", "iterations"), [(0, 2048, 3), (1, 1000, 3), (2, 17, 1), (3, 0, 4)])
def test_spin_follows_its_equations(seed: int, num_features: int, iterations: int) -> None:
    torch.manual_seed(seed)
    regressor = build_regressor({"name": "spin", "iterations": iterations}, num_features).double().eval()
    for parameter in regressor.parameters():  # large weights, so that every term shows
        parameter.data.normal_(std=0.05)
    regressor.set_mean(*random_mean(seed))
    features = torch.randn(4, num_features, dtype=torch.float64)
    with torch.no_grad():
        found = regressor(features)
    weights = {name: value.numpy() for name, value in regressor.state_dict().items()}
    for own, expected in zip(found, numpy_spin(weights, features.numpy(), iterations), strict=True):
        np.testing.assert_allclose(own.numpy(), expected, atol=1e-10, err_msg=f"seed {seed}")


def test_spin_has_spins_names_shapes_and_counts() -> None:
    state = build_regressor({"name": "spin", "hidden": 1024, "iterations": 3, "dropout": 0.5}, 2048).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes == {
        "init_pose": (1, 144), "init_shape": (1, 10), "init_cam": (1, 3),
        "fc1.weight": (1024, 2205), "fc1.bias": (1024,), "fc2.weight": (1024, 1024), "fc2.bias": (1024,),
        "decpose.weight": (144, 1024), "decpose.bias": (144,), "decshape.weight": (10, 1024), "decshape.bias": (10,),
        "deccam.weight": (3, 1024), "deccam.bias": (3,),
    }  # fmt: skip


def test_spin_drops_out_twice_a_pass_while_training() -> None:
    torch.manual_seed(0)
    regressor = build_regressor({"name": "spin", "dropout": 0.5, "iterations": 1}, 8)
    for layer in (regressor.fc1, regressor.fc2):  # type: ignore[attr-defined]
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.ones_(layer.bias)
    torch.nn.init.zeros_(regressor.deccam.bias)  # type: ignore[attr-defined]
    torch.nn.init.constant_(regressor.deccam.weight, 1 / 1024)  # type: ignore[attr-defined]
    features = torch.zeros(200, 8)
    start = torch.tensor([0.9, 0.0, 0.0])
    # With constant layers the camera's correction is twice the share of units that the second dropout kept.
    moved = regressor.train()(features).camera - start
    assert 0.9 < moved.mean() < 1.1
    assert moved[:, 0].std() > 0.01
    torch.testing.assert_close(regressor.eval()(features).camera - start, torch.ones(200, 3))


@pytest.mark.parametrize("seed", range(3))
def test_an_untrained_spin_starts_near_the_mean(seed: int) -> None:
    torch.manual_seed(seed)
    regressor = build_regressor({"name": "spin"}, 512).eval()
    rotations, betas, camera = random_mean(seed)
    regressor.set_mean(rotations, betas, camera)
    found = regressor(torch.randn(8, 512))
    assert (found.rotations - rotations).abs().max() < 0.3
    assert (found.betas - betas).abs().max() < 0.3
    assert (found.camera - camera).abs().max() < 0.3


def test_gradients_reach_every_weight_and_not_the_mean() -> None:
    regressor = build_regressor({"name": "spin"}, 32)
    features = torch.randn(4, 32, requires_grad=True)
    sum(value.square().sum() for value in regressor(features)).backward()
    assert features.grad is not None
    assert all(parameter.grad is not None for parameter in regressor.parameters())
    assert not any(buffer.requires_grad for buffer in regressor.buffers())


def test_spin_is_what_the_configuration_says() -> None:
    regressor = build_regressor({"name": "spin", "hidden": 64, "iterations": 5, "dropout": 0.1}, 10)
    assert isinstance(regressor, SpinRegressor)
    assert (regressor.iterations, regressor.fc2.in_features, regressor.drop1.p, regressor.drop2.p) == (5, 64, 0.1, 0.1)


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


def test_a_folded_regressor_is_saved_as_the_choice_linear() -> None:
    regressor = spin_with_random_weights(1, 40).float()
    linear = build_regressor({"name": "linear"}, 40).eval()
    linear.load_state_dict(regressor.fold().state_dict())
    assert isinstance(linear, LinearRegressor)
    features = torch.randn(4, 40)
    for own, other in zip(regressor.fold()(features), linear(features), strict=True):
        assert torch.equal(own, other)
