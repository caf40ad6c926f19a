"""Layers whose weights are a few shared values: each weight is an index into a codebook (Han et al., ICLR 2016)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import torch
from torch import nn

from hmr_light.errors import UserError

MOST_VALUES = 256
M = TypeVar("M", bound=nn.Module)


class SharedWeights(nn.Module):
    """A layer whose `weight` is looked up. The values are trained, each by the sum of its weights' gradients."""

    indices: torch.Tensor
    """uint8, of the weight's shape."""
    codebook: nn.Parameter
    """(K,): the values; with `has_zero` those of the indices from 1 on, and index 0 is zero and stays so."""
    scales: nn.Parameter | None
    """(out,): a factor of each output channel's weights."""
    has_zero: bool

    @property
    def weight(self) -> torch.Tensor:
        values = torch.cat((self.codebook.new_zeros(1), self.codebook)) if self.has_zero else self.codebook
        weight = values.gather(0, self.indices.flatten().long()).view(self.indices.shape)
        if self.scales is None:
            return weight
        return weight * self.scales.view(-1, *[1] * (weight.dim() - 1))


class SharedConv2d(SharedWeights, nn.Conv2d):  # type: ignore[override]
    """A convolution with shared weights."""


class SharedLinear(SharedWeights, nn.Linear):  # type: ignore[override]
    """A linear layer with shared weights."""


_SHARED: dict[type, type] = {nn.Conv2d: SharedConv2d, nn.Linear: SharedLinear}


def can_share(layer: nn.Module) -> bool:
    """Whether `layer` is a convolution or a linear layer with its own weights, and no subclass, which may do more."""
    return type(layer) in _SHARED


def share_weights(model: nn.Module, layers: Mapping[Any, Any]) -> None:
    """Let the weights of `layers` of `model` be shared, in place; all values are zero until they are loaded.

    `layers` maps names to `{values: K, zero: bool, scale: bool}`; see `SharedWeights`. Raises `UserError` for a name
    that is no such layer, and for options that cannot be.
    """
    modules = dict(model.named_modules())
    for name, options in layers.items():
        layer = modules.get(str(name))
        if layer is None or not can_share(layer):
            raise UserError(f"the transform share names {name}, which is no convolution or linear layer of the model")
        if not isinstance(options, Mapping) or options.keys() != {"values", "zero", "scale"}:
            raise UserError(f"the transform share has no values, zero and scale for {name}")
        values, zero, scale = options["values"], options["zero"], options["scale"]
        if type(values) is not int or not 1 <= values <= MOST_VALUES - bool(zero):
            raise UserError(f"the transform share gives {name} {values} values", f"There are 1 to {MOST_VALUES}.")
        if type(zero) is not bool or type(scale) is not bool:
            raise UserError(f"the transform share: zero and scale of {name} are not true or false")
        _share(layer, values, zero, scale)


def check_indices(model: nn.Module) -> None:
    """Raise `UserError` if a weight of `model` is an index that its codebook does not have."""
    for name, layer in model.named_modules():
        if isinstance(layer, SharedWeights) and int(layer.indices.max()) >= len(layer.codebook) + layer.has_zero:
            raise UserError(f"the layer {name} has weights that its codebook lacks")


def with_own_weights(model: M) -> M:
    """`model`, or, if layers share weights, a copy whose layers have them as their own: the same, computed faster."""
    if not any(isinstance(layer, SharedWeights) for layer in model.modules()):
        return model
    model = copy.deepcopy(model)
    for layer in model.modules():
        if isinstance(layer, SharedWeights):
            weight = layer.weight.detach().clone()
            plain = next(kind for kind, shared in _SHARED.items() if shared is type(layer))
            for name in ("codebook", "scales"):
                del layer._parameters[name]
            del layer._buffers["indices"]
            layer.__class__ = plain
            layer.register_parameter("weight", nn.Parameter(weight, requires_grad=False))
    return model


def _share(layer: nn.Module, values: int, zero: bool, scale: bool) -> None:
    weight = cast(torch.Tensor, layer.weight)
    device, dtype = weight.device, weight.dtype
    del layer._parameters["weight"]
    layer.__class__ = _SHARED[type(layer)]
    shared = cast(SharedWeights, layer)
    shared.has_zero = zero
    shared.register_buffer("indices", torch.zeros(weight.shape, dtype=torch.uint8, device=device))
    shared.register_parameter("codebook", nn.Parameter(torch.zeros(values, dtype=dtype, device=device)))
    ones = nn.Parameter(torch.ones(len(weight), dtype=dtype, device=device)) if scale else None
    shared.register_parameter("scales", ones)
