"""Folding: the same function of fewer weights, which steps can follow."""

from __future__ import annotations

import pytest
import torch
from support.compression import change, rebuilt
from support.models import model_of
from torch import nn

from hmr_light.errors import UserError


@pytest.mark.parametrize("batch_norms", [False, True])
@pytest.mark.parametrize(("regressor", "hidden"), [("spin", "256"), ("mlp", "[32]")])
def test_a_folded_model_computes_the_same_and_can_be_compressed_further(
    regressor: str, hidden: str, batch_norms: bool
) -> None:
    small = ("backbone.width=0.25", "backbone.form=shallow", f"regressor.hidden={hidden}")
    model = model_of("mobilenet_v1", regressor, *small).double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    folded = rebuilt(model, change(model, "fold", batch_norms=batch_norms))
    numbers = [sum(value.numel() for value in one.state_dict().values()) for one in (folded, model)]
    assert numbers[0] < numbers[1]
    assert batch_norms != any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    images = torch.randn(2, 3, 64, 64).double()
    with torch.no_grad():
        for ours, theirs in zip(folded(images), model(images), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    sparse = rebuilt(folded, change(folded, "sparse"))
    assert [one["name"] for one in sparse.transforms] == ["fold", "sparse"]
    with pytest.raises(UserError, match="no fewer weights"):
        change(folded, "fold", batch_norms=batch_norms)


def test_a_narrow_regressor_whose_one_map_is_larger_stays() -> None:
    model = model_of("mobilenet_v1", "spin", "backbone.width=0.25", "backbone.form=shallow", "regressor.hidden=16")
    with pytest.raises(UserError, match="no fewer weights"):
        change(model.eval(), "fold")
