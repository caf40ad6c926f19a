"""Layers of low rank: a linear map by way of fewer numbers than it takes or gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from hmr_light.errors import UserError


class LowRankLinear(nn.Module):
    """A linear layer as two: `rank` numbers, then the outputs. `weight` and `bias` are those of the one layer."""

    def __init__(self, inputs: int, outputs: int, rank: int, bias: bool) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=bias)

    @property
    def weight(self) -> torch.Tensor:
        """(outputs, inputs)."""
        return self.up.weight @ self.down.weight

    @property
    def bias(self) -> nn.Parameter:
        """(outputs,)."""
        return self.up.bias

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.up(self.down(values))


def is_reducible(layer: nn.Module) -> bool:
    """Whether `layer` is a linear layer or a 1×1 convolution without groups: one matrix."""
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size == (1, 1) and layer.groups == 1 and type(layer.weight) is nn.Parameter
    return isinstance(layer, nn.Linear) and type(layer.weight) is nn.Parameter


def reduce_ranks(model: nn.Module, ranks: Mapping[str, Any]) -> None:
    """Replace each layer of `ranks` (name → rank) by two, in place: a `LowRankLinear`, or two 1×1 convolutions.

    Their weights are new. Raises `UserError` for a name that is no such layer, and for a rank that is none.
    """
    modules = dict(model.named_modules())
    for name, rank in ranks.items():
        layer = modules.get(name)
        if layer is None or not is_reducible(layer):
            raise UserError(f"the transform low_rank names {name}, which is no linear layer or 1x1 convolution")
        weight = cast(torch.Tensor, layer.weight)
        outputs, inputs = weight.shape[:2]
        if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= min(outputs, inputs):
            raise UserError(f"the transform low_rank gives {name} the rank {rank}, which it cannot have")
        new: nn.Module
        if isinstance(layer, nn.Conv2d):
            down = nn.Conv2d(inputs, rank, 1, layer.stride, layer.padding, bias=False)  # type: ignore[arg-type]
            new = nn.Sequential(down, nn.Conv2d(rank, outputs, 1, bias=layer.bias is not None))
        else:
            new = LowRankLinear(inputs, outputs, rank, layer.bias is not None)
        parent, _, own = name.rpartition(".")
        setattr(modules[parent], own, new.to(weight).train(layer.training))
