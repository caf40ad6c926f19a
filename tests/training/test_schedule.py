from __future__ import annotations

import math

import pytest
import torch

from hmr_light.config.schema import OptimizerConfig
from hmr_light.training.ema import MovingAverage
from hmr_light.training.schedule import learning_rate


def config(**changes: object) -> OptimizerConfig:
    values = {"name": "adam", "learning_rate": 0.4, "weight_decay": 0.0, "schedule": "cosine", "warmup_steps": 0}
    return OptimizerConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_the_rate_warms_up_and_falls_to_zero_along_a_cosine() -> None:
    rates = [learning_rate(config(warmup_steps=10), step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[:10] == sorted(rates[:10])
    assert rates[50] == pytest.approx(0.2)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[99] == pytest.approx(0.2 * (1 + math.cos(math.pi * 0.99)))
    assert learning_rate(config(schedule="constant"), 99, 100) == 0.4


def test_the_average_follows_the_weights_by_its_definition() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    average = MovingAverage(model, decay=0.9)
    expected = [value.clone() for value in model.parameters()]
    for _ in range(5):
        with torch.no_grad():
            for value in model.parameters():
                value.add_(torch.randn_like(value))
            model[1].running_mean.add_(1)  # type: ignore[operator]
        average.update(model)
        expected = [0.9 * old + 0.1 * new for old, new in zip(expected, model.parameters(), strict=True)]
    for one, other in zip(average.model.parameters(), expected, strict=True):
        torch.testing.assert_close(one, other)
        assert not one.requires_grad
    assert torch.equal(average.model[1].running_mean, model[1].running_mean)  # type: ignore[index]
