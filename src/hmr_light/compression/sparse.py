"""Unstructured sparsity: the weights of the smallest magnitudes become zeros (Han et al., NIPS 2015)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from hmr_light.backbones.blocks import is_depthwise
from hmr_light.checkpoints.transforms import Transform
from hmr_light.compression.options import check_patterns, check_shares, of_layers, own_value
from hmr_light.compression.steps import Change, Phase, StepContext, steps
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR


@steps.register("sparse")
def sparse(
    *,
    keep: float = 0.33,
    layers: Mapping[str, Any] | None = None,
    scope: Literal["layer", "global"] = "layer",
    depthwise: bool = False,
) -> Sequence[Phase]:
    """The share `keep` of the weights of each layer stays, or its share in `layers`; the smallest become zeros."""
    shares = dict(layers or {})
    check_shares({"keep": keep, **of_layers(shares)})

    def phase(model: HMR, context: StepContext) -> Change:
        named = _layers(model, depthwise, shares)
        own = {name: own_value(name, shares) for name in named}
        rest = {name: layer.weight for name, layer in named.items() if own[name] is None}
        masks = {name: largest(named[name].weight, share) for name, share in own.items() if share is not None}
        if scope == "global":
            masks |= _largest_of_all(rest, keep)
        else:
            masks |= {name: largest(weight, keep) for name, weight in rest.items()}
        with torch.no_grad():
            for name, mask in masks.items():
                named[name].weight.mul_(mask)
        return Change([Transform(name="sparse", options={"layers": sorted(masks)})], dict(model.state_dict()))

    return [phase]


def largest(weight: torch.Tensor, share: float) -> torch.Tensor:
    """A mask of the ⌈`share` · n⌉ of the n numbers in `weight` that are largest in magnitude."""
    return _top(weight.abs().flatten(), math.ceil(round(share * weight.numel(), 6))).view_as(weight)


def _largest_of_all(weights: Mapping[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    if not weights:
        return {}
    scaled = [weight.abs().flatten() / weight.square().mean().sqrt().clamp(min=1e-30) for weight in weights.values()]
    together = torch.cat(scaled)
    parts = _top(together, math.ceil(round(share * len(together), 6))).split([len(one) for one in scaled])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}


def _top(values: torch.Tensor, count: int) -> torch.Tensor:
    """A mask of the `count` largest of `values` (n,); of equals the first ones."""
    order = torch.sort(values, descending=True, stable=True).indices
    mask = torch.zeros_like(values, dtype=torch.bool)
    mask[order[:count]] = True
    return mask


def _layers(model: HMR, depthwise: bool, shares: Mapping[str, Any]) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers that lose weights. Raises `UserError` for a pattern in `shares` that fits none, and for no layer."""
    named = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and type(layer.weight) is nn.Parameter
    }
    check_patterns(shares, list(named), "convolution or linear layer")
    chosen = {
        name: layer
        for name, layer in named.items()
        if depthwise or not is_depthwise(layer) or own_value(name, shares) is not None
    }
    if not chosen:
        raise UserError("the model has no layer whose weights could be zeros", "Choose another step.")
    return chosen
