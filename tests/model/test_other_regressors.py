"""The regressors beside SPIN's against their equations in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.errors import UserError
from hmr_light.model.regressors import MeanRegressor, SmplParameters, build_regressor

NAMES = ["spin", "hmr", "linear", "light", "mlp"]


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


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"name": "spin"}, 1024 * 1000 + 1_372_317),
        ({"name": "hmr"}, 1024 * 1000 + 1_224_789),
        ({"name": "linear"}, 157 * 1000 + 157),
        ({"name": "light"}, (1000 + 158) * 128 + 157),
        ({"name": "light", "hidden": 64}, (1000 + 158) * 64 + 157),
        ({"name": "mlp"}, 1001 * 1024 + 1025 * 1024 + 1025 * 157),
        ({"name": "mlp", "hidden": []}, 157 * 1000 + 157),
    ],
)
def test_parameters(config: dict[str, Any], expected: int) -> None:
    regressor = build_regressor(config, 1000)
    assert sum(parameter.numel() for parameter in regressor.parameters()) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(2))
def test_untrained_all_begin_near_the_mean(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    regressor = build_regressor({"name": name}, 512).eval()
    rotations, betas, camera = random_mean(seed)
    regressor.set_mean(rotations, betas, camera)
    found = regressor(torch.rand(8, 512))
    assert isinstance(found, SmplParameters)
    assert (found.rotations - rotations).abs().max() < 0.5, f"seed {seed}"
    assert (found.betas - betas).abs().max() < 0.5
    assert (found.camera - camera).abs().max() < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight_and_the_state_comes_back(name: str) -> None:
    torch.manual_seed(0)
    regressor, other = (build_regressor({"name": name}, 32) for _ in range(2))
    regressor.set_mean(*random_mean(7))
    features = torch.randn(64, 32, requires_grad=True)
    found = regressor(features)
    (found.rotations[..., 0].sum() + found.betas.sum() + found.camera.sum()).backward()
    assert features.grad is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in regressor.parameters())
    assert not any(buffer.requires_grad for buffer in regressor.buffers())
    other.load_state_dict(regressor.state_dict())
    for own, again in zip(regressor.eval()(features), other.eval()(features), strict=True):
        assert torch.equal(own, again)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "light", "hidden": 0}, "regressor.hidden=0"),
        ({"name": "light", "dropout": 1.0}, "regressor.dropout=1.0"),
        ({"name": "hmr", "iterations": 0}, "regressor.iterations=0"),
        ({"name": "linear", "hidden": 3}, "regressor.hidden"),
    ],
)
def test_a_wrong_option_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build_regressor(config, 16)
    assert message in caught.value.message
    assert caught.value.remedy
