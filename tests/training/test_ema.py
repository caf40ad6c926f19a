"""The moving average of the weights, by its definition."""

from __future__ import annotations

import torch

from hmr_light.training.ema import MovingAverage


def test_the_average_follows_the_weights_by_its_definition() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    average = MovingAverage(model, decay=0.9)
    statistics = model[1]
    assert isinstance(statistics, torch.nn.BatchNorm1d)
    followed = [*model.parameters(), statistics.running_mean, statistics.running_var]
    expected = [value.clone() for value in followed]
    for step in range(73, 88):
        with torch.no_grad():
            for value in followed:
                value.add_(torch.randn_like(value))
            statistics.num_batches_tracked.add_(1)
        average.update(model, step)
        # Until step 80 the decay is smaller.
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, followed, strict=True)]
    own = average.model[1]  # type: ignore[index]
    for one, other in zip([*average.model.parameters(), own.running_mean, own.running_var], expected, strict=True):
        torch.testing.assert_close(one, other)
        assert not one.requires_grad
    assert own.num_batches_tracked == 15


def test_the_first_weights_are_soon_forgotten() -> None:
    model = torch.nn.Linear(1, 1)
    average = MovingAverage(model, decay=0.9999)
    with torch.no_grad():
        model.weight.fill_(7)
    for step in range(1, 51):
        average.update(model, step)
    torch.testing.assert_close(average.model.weight, model.weight, rtol=1e-4, atol=1e-4)  # type: ignore[arg-type]
