from __future__ import annotations

import math

import pytest
import torch

from hmr_light.config.schema import OptimizerConfig
from hmr_light.model.hmr import HMR
from hmr_light.model.regressors import build_regressor
from hmr_light.training.schedule import build_optimizer, learning_rate, set_learning_rate


def config(**changes: object) -> OptimizerConfig:
    values = {
        "name": "adam",
        "learning_rate": 0.4,
        "backbone_factor": 1.0,
        "bias_factor": 1.0,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "warmup_steps": 0,
    }
    return OptimizerConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_the_rate_warms_up_and_falls_to_zero_along_a_cosine() -> None:
    rates = [learning_rate(config(warmup_steps=10), step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[:10] == sorted(rates[:10])
    assert rates[50] == pytest.approx(0.2)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[99] == pytest.approx(0.2 * (1 + math.cos(math.pi * 0.99)))
    assert learning_rate(config(schedule="constant"), 99, 100) == 0.4


@pytest.mark.parametrize("name", ["linear", "light", "spin", "hmr"])
def test_the_backbone_and_the_output_biases_learn_at_their_own_rates(name: str) -> None:
    model = HMR(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5)), build_regressor({"name": name}, 5))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = build_optimizer(config(backbone_factor=10.0, bias_factor=30.0, learning_rate=0.01), model)
    assert optimizer is not None
    set_learning_rate(optimizer, 0.001)
    for value in model.parameters():
        value.grad = torch.ones_like(value)
    optimizer.step()
    spin = ["decpose.bias", "decshape.bias", "deccam.bias"]
    outputs = {"spin": spin, "hmr": ["decode.bias"], "linear": ["correction.bias"], "light": ["correction.3.bias"]}[
        name
    ]
    for parameter, value in model.named_parameters():
        part, _, inner = parameter.partition(".")
        rate = 0.01 if part == "backbone" else 0.03 if inner in outputs else 0.001
        # Adam's first step is its rate, whatever the gradient.
        torch.testing.assert_close(before[parameter] - value, torch.full_like(value, rate), rtol=1e-3, atol=1e-7)


def test_a_model_without_weights_has_no_optimizer() -> None:
    assert build_optimizer(config(), HMR(torch.nn.Flatten(), build_regressor({"name": "mean"}, 0))) is None


@pytest.mark.parametrize("decay_depthwise", [True, False])
def test_depthwise_filters_may_go_without_weight_decay(decay_depthwise: bool) -> None:
    convolutions = [torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(8, 8, 3, groups=8), torch.nn.Conv2d(8, 4, 1, groups=2)]
    backbone = torch.nn.Sequential(*convolutions, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    model = HMR(backbone, build_regressor({"name": "linear"}, 4))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    options = {"name": "adamw", "weight_decay": 0.5, "decay_depthwise": decay_depthwise}
    optimizer = build_optimizer(config(**options), model)
    assert optimizer is not None
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(before)
    set_learning_rate(optimizer, 0.1)
    for value in model.parameters():
        value.grad = torch.zeros_like(value)
    optimizer.step()
    for name, value in model.named_parameters():
        kept = 1.0 if name == "backbone.1.weight" and not decay_depthwise else 1 - 0.1 * 0.5
        torch.testing.assert_close(value, kept * before[name])


def test_rmsprop_divides_by_the_root_of_the_mean_square_and_has_momentum() -> None:
    model = HMR(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5)), build_regressor({"name": "linear"}, 5))
    optimizer = build_optimizer(config(name="rmsprop"), model)
    assert optimizer is not None
    set_learning_rate(optimizer, 0.01)
    weight = next(model.backbone.parameters())
    expected, square, velocity = weight.detach().double().clone(), 0.0, 0.0
    for gradient in (0.3, -0.2, 0.5):
        for value in model.parameters():
            value.grad = torch.full_like(value, gradient)
        optimizer.step()
        square = 0.9 * square + 0.1 * gradient**2
        velocity = 0.9 * velocity + gradient / (math.sqrt(square) + 1e-3)
        expected -= 0.01 * velocity
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)
