"""Low rank: 1×1 convolutions and linear layers by way of fewer numbers, from the SVD of their weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from hmr_light.checkpoints.transforms import Transform, apply_transforms
from hmr_light.compression.options import check_patterns, check_shares, of_layers, own_value
from hmr_light.compression.steps import Change, Phase, StepContext, steps
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.model.low_rank import LowRankLinear, is_reducible


@steps.register("low_rank")
def low_rank(
    *, energy: float = 0.9, rank: float | None = None, layers: Mapping[str, Any] | None = None
) -> Sequence[Phase]:
    """Each layer gets the rank that keeps `energy` of the sum of its squared singular values, where that is cheaper.

    `rank` is a share of the full rank instead. `layers` gives layers shares of their own, of what the others have.
    """
    shares = dict(layers or {})
    check_shares({"energy": energy, **({} if rank is None else {"rank": rank}), **of_layers(shares)})

    def phase(model: HMR, context: StepContext) -> Change:
        named = {name: layer for name, layer in model.named_modules() if is_reducible(layer)}
        check_patterns(shares, list(named), "linear layer or 1x1 convolution")
        if not named:
            raise UserError("the model has no linear layer or 1x1 convolution of a rank", "Choose another step.")
        ranks, factors = {}, {}
        for name, layer in named.items():
            matrix = layer.weight.detach().flatten(1).double()
            left, values, right = torch.linalg.svd(matrix, full_matrices=False)
            own = own_value(name, shares)
            of = own if own is not None else energy if rank is None else rank
            number = rank_of_energy(values, of) if rank is None else max(1, round(of * len(values)))
            if number * sum(matrix.shape) < matrix.numel():
                root = values[:number].sqrt()
                ranks[name], factors[name] = number, (root[:, None] * right[:number], left[:, :number] * root)
        if not ranks:
            raise UserError(
                "no layer of lower rank would have fewer weights",
                "Give a smaller compression.energy or compression.rank.",
            )
        transform = Transform(name="low_rank", options={"ranks": ranks})
        small = apply_transforms(copy.deepcopy(model), [transform])
        modules, before = dict(small.named_modules()), dict(model.named_modules())
        for name, factor in factors.items():
            _fill(modules[name], before[name], *factor)
        return Change([transform], dict(small.state_dict()))

    return [phase]


def rank_of_energy(values: torch.Tensor, energy: float) -> int:
    """How many of the singular values (n,), the largest first, have the share `energy` of the sum of their squares."""
    squares = values.square().cumsum(0)
    if not squares[-1] > 0:
        return 1
    return min(len(values), int((squares < energy * squares[-1] * (1 - 1e-12)).sum()) + 1)


@torch.no_grad()
def _fill(new: nn.Module, before: nn.Module, down: torch.Tensor, up: torch.Tensor) -> None:
    """Give a layer of low rank its weights, and the bias of the one `before`."""
    first, last = (new.down, new.up) if isinstance(new, LowRankLinear) else cast(Sequence[nn.Conv2d], [*new.children()])
    first.weight.copy_(down.view_as(first.weight))
    last.weight.copy_(up.view_as(last.weight))
    if last.bias is not None:
        last.bias.copy_(cast(torch.Tensor, before.bias))
