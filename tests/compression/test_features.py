"""Features of very different scales: few bits hold the weights that read them as well as they would hold others."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from support.compression import IMAGE_SIZE, change, context, rebuilt
from support.models import model_of
from torch import nn

from hmr_light.compression.features import normalised
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.regressors import build_regressor
from hmr_light.model.regressors.feedforward import FeedForwardRegressor


class Patches(nn.Module):
    """Features of one scale, or of scales that differ by a factor of a thousand: the means of 8×8 patches."""

    def __init__(self, factors: torch.Tensor) -> None:
        super().__init__()
        self.num_features = len(factors)
        self.register_buffer("factors", factors)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = 8 * nn.functional.avg_pool2d(image, 8).flatten(1) * self.factors
        return features


def two_of_one_function(regressor: str) -> tuple[HMR, HMR]:
    """With features of one scale, and of very different ones."""
    number = 3 * (IMAGE_SIZE // 8) ** 2
    even = HMR(Patches(torch.ones(number)), build_regressor({"name": regressor}, number)).eval()
    assert isinstance(even.regressor, FeedForwardRegressor)
    for layer in even.regressor.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    uneven = copy.deepcopy(even)
    factors = 10 ** torch.linspace(-1.5, 1.5, number)[torch.randperm(number)]
    uneven.backbone = Patches(factors).eval()  # type: ignore[assignment]
    uneven.regressor.first.weight.data /= factors
    return even, uneven


def pose(model: HMR, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(model.regressor.estimate(model.backbone(images)), 1)


@pytest.mark.parametrize("regressor", ["linear", "light"])
@pytest.mark.parametrize(
    ("step", "options"), [("int8", {}), ("share", {"bits": 5, "scale": "channel"}), ("share", {"bits": 5})]
)
def test_uneven_features_cost_no_more_than_even_ones(step: str, options: dict[str, Any], regressor: str) -> None:
    torch.manual_seed(int(np.random.default_rng().integers(2**31)))
    even, uneven = two_of_one_function(regressor)
    images = normalize(next(iter(context().batches()))["image"])
    exact = pose(even, images)
    torch.testing.assert_close(pose(uneven, images), exact, rtol=1e-3, atol=1e-3)
    errors = [pose(rebuilt(one, change(one, step, **options)), images) - exact for one in (even, uneven)]
    of_even, of_uneven = (float(error.square().mean().sqrt()) for error in errors)
    assert 0 < of_uneven < 1.5 * of_even


def test_a_regressor_that_cannot_be_normalised_stays() -> None:
    for regressor in ("spin", "mlp"):
        model = model_of("mobilenet_v1", regressor, "backbone.width=0.25", "backbone.form=shallow").eval()
        assert normalised(model, []) == (model, [])
    model, _ = two_of_one_function("light")
    batches = list(context().batches())
    once, transforms = normalised(model, batches)
    assert [one["name"] for one in transforms] == ["normalise_features"]
    assert normalised(once, batches) == (once, [])
    assert isinstance(once.regressor, FeedForwardRegressor)
    assert once.regressor.norm is not None
    with torch.no_grad():
        seen = torch.cat([once.regressor.norm(once.backbone(normalize(batch["image"]))) for batch in batches])
    torch.testing.assert_close(seen.mean(0), torch.zeros_like(seen[0]), rtol=0, atol=1e-3)
