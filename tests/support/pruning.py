"""Pruned networks in tests: the wide network with its removed channels silent, and how far two models are apart."""

from __future__ import annotations

import copy

import torch
from torch import nn

from hmr_light.compression.cells import Cells
from hmr_light.compression.channels import trace_channels
from hmr_light.compression.importance import group_l2
from hmr_light.compression.plan import Limits, by_importance, uniform
from hmr_light.compression.transfer import Narrowed, narrow
from hmr_light.model.hmr import HMR
from support.compression import IMAGE_SIZE, context
from support.models import model_of


def trained(backbone: str, *overrides: str, regressor: str = "light") -> HMR:
    """A model in float64 whose every tensor shows."""
    model = model_of(backbone, regressor, *overrides).double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            if layer.affine:
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, 0, 0.1)
        elif isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.normal_(layer.bias, 0, 0.1)
    return model


def narrowed(model: HMR, share: float, multiple: int, scope: str) -> tuple[Cells, Narrowed]:
    cells = Cells(trace_channels(model, IMAGE_SIZE))
    importance = group_l2(model, cells, context())
    limits = Limits(multiple, 0.1, {})
    planner = uniform(cells, limits) if scope == "layer" else by_importance(cells, importance, limits)
    return cells, narrow(model, cells, planner(share), importance, IMAGE_SIZE)


@torch.no_grad()
def silenced(model: HMR, cells: Cells, kept: set[int]) -> HMR:
    """`model` in which what makes a channel that is not kept gives zero."""
    quiet = copy.deepcopy(model)
    gone = torch.tensor([cell not in kept for cell in range(len(cells))])
    for name, layer in quiet.named_modules():
        if name not in cells.inputs:
            continue
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            values = (layer.weight, layer.bias) if layer.affine else (layer.running_mean,)
            mask = gone[cells.inputs[name]]
        else:
            values, mask = (layer.weight, layer.bias), gone[cells.outputs[name]]
        for one in values:
            if one is not None:
                one[mask] = 0
    return quiet


@torch.no_grad()
def difference(one: HMR, other: HMR, size: int = IMAGE_SIZE) -> float:
    """Of what they estimate before it becomes rotations, which would amplify rounding."""
    images = torch.randn(2, 3, size, size, dtype=torch.double)
    pairs = zip(*(model.regressor.estimate(model.backbone(images)) for model in (one, other)), strict=True)
    return max(float((mine - theirs).abs().max()) for mine, theirs in pairs)


def check(model: HMR, small: HMR, cells: Cells, made: Narrowed) -> None:
    """`small` is what `made` makes of `model`: it gives what `model` does without the channels that went."""
    assert difference(small, silenced(model, cells, made.kept)) < 1e-11
    assert difference(small, model) > 1e-6, "something was removed"
    assert made.added <= 16
    with torch.no_grad():
        features = small.backbone(torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.double))
    assert features.shape[1] == small.backbone.num_features
