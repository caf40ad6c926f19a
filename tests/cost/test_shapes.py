"""Networks of which only the shapes count cost as much as those with values."""

from __future__ import annotations

import pytest
import torch
from support.models import model_of

from hmr_light.cost.layers import trace_layers
from hmr_light.cost.profile import profile
from hmr_light.cost.shapes import only_shapes, shapes_of


@pytest.mark.parametrize("backbone", ["shufflenet_v2_x0_5", "mobilenet_v3_small", "squeezenext23", "squeezenet1_1"])
def test_a_network_without_values_costs_the_same(backbone: str) -> None:
    model = model_of(backbone)
    with only_shapes():
        shapes = model_of(backbone)
    assert all(tensor.is_meta for tensor in shapes.state_dict().values())
    assert profile(shapes, 96) == profile(model, 96)
    assert trace_layers(shapes.backbone, 96) == trace_layers(model.backbone, 96)


def test_a_copy_is_made_once_and_the_network_stays_as_it_is() -> None:
    model = model_of("mobilenet_v2").train()
    shapes = shapes_of(model)
    assert shapes_of(shapes) is shapes
    assert shapes_of(shapes.backbone) is shapes.backbone
    assert model.training
    assert not any(tensor.is_meta for tensor in model.state_dict().values())
    with torch.no_grad():
        before = model.eval()(torch.ones(1, 3, 64, 64)).betas
        profile(model, 64)
        assert torch.equal(model(torch.ones(1, 3, 64, 64)).betas, before)


def test_tracing_twice_gives_the_same() -> None:
    shapes = shapes_of(model_of("mobilenet_v1").backbone)
    assert trace_layers(shapes, 64) == trace_layers(shapes, 64)
