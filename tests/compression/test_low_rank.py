"""Low rank: the nearest maps of fewer numbers, and that they are layers like any others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.compression import change, rebuilt
from support.models import model_of
from torch import nn

from hmr_light.compression.low_rank import rank_of_energy
from hmr_light.compression.steps import read_steps
from hmr_light.cost.macs import count_macs
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.model.low_rank import LowRankLinear


def small_mobilenet(regressor: str) -> HMR:
    return model_of("mobilenet_v1", regressor, "backbone.width=0.25", "backbone.form=shallow").double().eval()


def test_weights_are_the_nearest_of_their_rank_and_keep_the_energy() -> None:
    model = small_mobilenet("light")
    small = rebuilt(model, change(model, "low_rank", energy=0.6))
    ranks = small.transforms[0]["options"]["ranks"]
    assert "backbone.trunk.1.1.0" not in ranks or ranks["backbone.trunk.1.1.0"]
    before, after = dict(model.named_modules()), dict(small.named_modules())
    assert len(ranks) > 3
    for name, rank in ranks.items():
        weight = before[name].weight.detach().flatten(1).numpy()
        new = after[name]
        if isinstance(new, LowRankLinear):
            product = new.weight.detach().numpy()
        else:
            product = (new[1].weight.flatten(1) @ new[0].weight.flatten(1)).detach().numpy()
        values = np.linalg.svd(weight, compute_uv=False)
        assert np.linalg.matrix_rank(product) == rank
        # Eckart and Young: no matrix of that rank is nearer.
        np.testing.assert_allclose(np.square(weight - product).sum(), np.square(values[rank:]).sum(), rtol=1e-6)
        kept = np.square(values[:rank]).sum() / np.square(values).sum()
        assert kept >= 0.6 - 1e-9
        assert kept - np.square(values[rank - 1]) / np.square(values).sum() < 0.6
    assert count_macs(small.float(), 64).total < count_macs(model.float(), 64).total


@pytest.mark.parametrize("regressor", ["spin", "hmr", "mlp", "light"])
def test_what_has_a_low_rank_stays_the_same_and_folds(regressor: str) -> None:
    model = small_mobilenet(regressor)
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and min(layer.weight.shape) > 8:
            outputs, inputs = layer.weight.shape
            layer.weight.data = torch.randn(outputs, 3).double() @ torch.randn(3, inputs).double() / inputs
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    small = rebuilt(model, change(model, "low_rank", energy=1.0))
    assert any(isinstance(layer, LowRankLinear) and layer.up.in_features == 3 for layer in small.modules())
    images = torch.randn(2, 3, 64, 64).double()
    with torch.no_grad():
        features = model.backbone(images)
        for ours, theirs in zip(small(images), model(images), strict=True):
            torch.testing.assert_close(ours, theirs)
        for ours, theirs in zip(small.regressor.fold()(features), model.regressor(features), strict=True):
            torch.testing.assert_close(ours, theirs)
    assert len(small.regressor.output_biases()) == len(model.regressor.output_biases())


def test_the_energy_of_singular_values() -> None:
    values = torch.tensor([3.0, 2.0, 1.0], dtype=torch.double)  # squares 9, 4, 1 of 14
    assert [rank_of_energy(values, one) for one in (0.1, 9 / 14, 0.65, 13 / 14, 1.0)] == [1, 1, 2, 2, 3]
    assert rank_of_energy(torch.zeros(3), 0.9) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"energy": 0.0}, "compression.energy=0.0 is no share"),
        ({"rank": 2}, "compression.rank=2 is no share"),
        ({"layers": {"*": "all"}}, "compression.layers.*=all is no share"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as refused:
        read_steps({"name": "low_rank", **options})
    assert says in str(refused.value)


def test_layers_that_would_not_become_smaller_stay() -> None:
    model = small_mobilenet("linear")
    with pytest.raises(UserError, match="no layer of lower rank would have fewer weights"):
        change(model, "low_rank", energy=1.0)
    with pytest.raises(UserError, match="names fc9"):
        change(model, "low_rank", layers={"fc9": 0.5})
