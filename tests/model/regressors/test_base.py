"""What all regressors promise: the mean that they start from, their parameters, their options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.regressors import random_mean

from hmr_light.errors import UserError
from hmr_light.geometry import matrix_to_rot6d
from hmr_light.model.regressors import SmplParameters, build_regressor

NAMES = ["spin", "hmr", "linear", "light", "mlp"]


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
        ({"name": "spin", "hidden": 10**9}, "regressor.hidden=1000000000 is too large"),
        ({"name": "mlp", "hidden": [64, 10**9]}, "regressor.hidden=1000000000 is too large"),
        ({"name": "hmr", "iterations": 10**6}, "regressor.iterations=1000000 is too large"),
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


@pytest.mark.parametrize("name", ["mean", "spin"])
def test_the_mean_is_saved_with_the_model(name: str) -> None:
    first, second = (build_regressor({"name": name}, 0) for _ in range(2))
    first.set_mean(*random_mean(4))
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second.init_pose.reshape(24, 6), matrix_to_rot6d(random_mean(4)[0]).float())


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


@pytest.mark.parametrize("name", ["mean", "linear", "light", "hmr"])
def test_what_cannot_be_folded_stays(name: str) -> None:
    regressor = build_regressor({"name": name}, 0 if name == "mean" else 8)
    assert regressor.fold() is regressor
