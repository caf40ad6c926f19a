"""SPIN's regressor against its equations in numpy, and the mean that it starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.errors import UserError
from hmr_light.geometry import matrix_to_rot6d
from hmr_light.model.mean_parameters import compute_mean_parameters
from hmr_light.model.regressors import SmplParameters, SpinRegressor, build_regressor


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


def random_mean(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    rotations = torch.from_numpy(Rotation.random(24, rng=rng).as_matrix())
    return rotations, torch.from_numpy(rng.normal(size=10)), torch.from_numpy(rng.normal(size=3))


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


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_regressor_gives_the_mean_for_every_image(seed: int) -> None:
    regressor = build_regressor({"name": "mean"}, 0)
    mean = random_mean(seed)
    regressor.set_mean(*mean)
    found = regressor(torch.empty(5, 0))
    assert isinstance(found, SmplParameters)
    for value, expected in zip(found, mean, strict=True):
        torch.testing.assert_close(value, expected.float().expand(5, *expected.shape))
    assert list(regressor.parameters()) == []


@pytest.mark.parametrize("name", ["mean", "spin"])
def test_the_mean_is_saved_with_the_model(name: str) -> None:
    first, second = (build_regressor({"name": name}, 0) for _ in range(2))
    first.set_mean(*random_mean(4))
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second.init_pose.reshape(24, 6), matrix_to_rot6d(random_mean(4)[0]).float())


def test_gradients_reach_every_weight_and_not_the_mean() -> None:
    regressor = build_regressor({"name": "spin"}, 32)
    features = torch.randn(4, 32, requires_grad=True)
    sum(value.square().sum() for value in regressor(features)).backward()
    assert features.grad is not None
    assert all(parameter.grad is not None for parameter in regressor.parameters())
    assert not any(buffer.requires_grad for buffer in regressor.buffers())


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


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "spim"}, "regressor.name=spim"),
        ({"name": "spin", "iteration": 3}, "regressor.iteration"),
        ({"name": "spin", "iterations": 0}, "regressor.iterations=0"),
        ({"name": "spin", "hidden": -1}, "regressor.hidden=-1"),
        ({"name": "spin", "dropout": 1.5}, "regressor.dropout=1.5"),
        ({"name": "spin", "iterations": 2.5}, "regressor.iterations=2.5 is not a whole number"),
        ({"name": "mean"}, "regressor=mean looks at no features"),
    ],
)
def test_a_wrong_choice_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build_regressor(config, 512)
    assert message in caught.value.message
    assert caught.value.remedy


def test_spin_is_what_the_configuration_says() -> None:
    regressor = build_regressor({"name": "spin", "hidden": 64, "iterations": 5, "dropout": 0.1}, 10)
    assert isinstance(regressor, SpinRegressor)
    assert (regressor.iterations, regressor.fc2.in_features, regressor.drop1.p, regressor.drop2.p) == (5, 64, 0.1, 0.1)
