"""A slim state is the same model but for rounding, and its batch norms take the room of two numbers a channel."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from support.models import model_of
from torch import nn

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.hmrz import encoded
from hmr_light.checkpoints.slim import slim_state


def test_a_slim_model_computes_the_same_but_for_rounding_in_fewer_bytes() -> None:
    torch.manual_seed(int(np.random.default_rng().integers(2**31)))
    model = model_of("shufflenet_v2_x0_5", "light").eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(norm.running_var, 0.2, 3)  # type: ignore[arg-type]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = slim_state(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    slim = copy.deepcopy(model)
    slim.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        one, other = model.backbone(images), slim.backbone(images)
    assert float((one - other).square().mean() / one.square().mean()) < 1e-4
    assert float((one - other).abs().max()) > 0, "it was rounded"

    norms = [norm for norm in slim.modules() if isinstance(norm, nn.BatchNorm2d)]
    assert all(not norm.running_mean.any() and len(norm.running_var.unique()) == 1 for norm in norms)  # type: ignore[union-attr]
    rounded = [value for name, value in state.items() if value.is_floating_point() and "running" not in name]
    assert all(torch.equal(value.half().float(), value) for value in rounded)

    def size(state: dict[str, torch.Tensor]) -> int:
        return len(encoded(Checkpoint(Path("a.pt"), {}, 0, "", state, {})))

    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert size(state) < 2 * parameters + 20_000
    assert size(before) > 3.2 * parameters


def test_what_half_precision_cannot_hold_and_scales_of_integers_stay() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_buffer("input_scale", torch.tensor(0.1))
    with torch.no_grad():
        model[0].weight[0, 0] = 1e6
        model[0].bias.fill_(0.1)
    state = slim_state(model)  # type: ignore[arg-type]
    assert torch.equal(state["0.weight"], model[0].weight)
    assert torch.equal(state["input_scale"], torch.tensor(0.1))
    assert not torch.equal(state["0.bias"], model[0].bias)
