"""The moving average of the weights, by its definition."""

from __future__ import annotations

import torch

from hmr_light.training.ema import MovingAverage


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
