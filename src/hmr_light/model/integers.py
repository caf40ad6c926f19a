"""Convolutions and linear layers in 8-bit integers (Jacob et al., CVPR 2018), computed in torch number by number.

A real number r is (q - zero point) · scale. Inputs are uint8 with one scale and zero point a layer, weights int8 with a
scale for each output channel and no zero point, biases int32 of scale input · weight. In evaluation a layer gives what
integer arithmetic gives: the sums of products are whole numbers, exact in the floating type that they are computed in.
In training its quantised values are rounded, and gradients pass the rounding (straight-through; Bengio et al., 2013).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.nn import functional

from hmr_light.errors import UserError

LEVELS = 255
"""The greatest uint8; weights use -127 to 127."""
MOST = 127
_EXACT = 1 << 24
"""Whole numbers below it are exact in float32, in whatever order they are added."""
M = TypeVar("M", bound=nn.Module)


class Int8Weights(nn.Module):
    """A layer in integers. Frozen, it holds int8 weights and is not trained; else float ones, which are rounded."""

    input_scale: torch.Tensor
    """(): float32."""
    input_zero_point: torch.Tensor
    """(): int32, 0 to 255."""
    weight_scale: torch.Tensor
    """(out,): float32."""
    integers: torch.Tensor
    """int8, of the weight's shape; frozen layers alone have it."""
    weight: torch.Tensor
    bias: torch.Tensor | None
    is_frozen: bool

    def quantised_weight(self) -> torch.Tensor:
        """The whole numbers of the weights, -127 to 127, as floats."""
        if self.is_frozen:
            return self.integers.float()
        return torch.round(self.weight / _for_channels(self.weight_scale, self.weight)).clamp(-MOST, MOST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self._rounded(x.float()) if self.training and not self.is_frozen else self._whole(x.float())

    def _whole(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.quantised_weight()
        zero = self.input_zero_point.to(x.dtype)
        centred = (torch.round(x / self.input_scale) + zero).clamp(0, LEVELS) - zero
        # The largest sum that there can be decides, so that every sum is exact.
        kind = torch.float32 if LEVELS * MOST * weight[0].numel() < _EXACT else torch.float64
        scale = self.input_scale.double() * self.weight_scale.double()
        sums = self._apply_weight(centred.to(kind), weight.to(kind)).double()
        shape = (-1, *[1] * (sums.dim() - 2)) if isinstance(self, nn.Conv2d) else (-1,)
        if self.bias is not None:
            sums = sums + torch.round(self.bias.double() / scale).clamp(-(2**31), 2**31 - 1).view(shape)
        return (sums * scale.view(shape)).to(x.dtype)

    def _rounded(self, x: torch.Tensor) -> torch.Tensor:
        zero = self.input_zero_point.to(x.dtype)
        least, most = -zero * self.input_scale, (LEVELS - zero) * self.input_scale
        inside = torch.maximum(torch.minimum(x, most), least)
        values = (torch.round(inside / self.input_scale)) * self.input_scale
        scale = _for_channels(self.weight_scale, self.weight)
        kept = torch.maximum(torch.minimum(self.weight, MOST * scale), -MOST * scale)
        weight = kept + (torch.round(kept / scale) * scale - kept).detach()
        y = self._apply_weight(inside + (values - inside).detach(), weight)
        if self.bias is None:
            return y
        return y + (self.bias.view(-1, *[1] * (y.dim() - 2)) if isinstance(self, nn.Conv2d) else self.bias)

    def _apply_weight(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class Int8Conv2d(Int8Weights, nn.Conv2d):
    """A convolution in integers; its padding is real zeros."""

    def _apply_weight(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, weight, None)


class Int8Linear(Int8Weights, nn.Linear):  # type: ignore[misc]
    """A linear layer in integers."""

    def _apply_weight(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, weight)


_INT8: dict[type, type] = {nn.Conv2d: Int8Conv2d, nn.Linear: Int8Linear}


def can_be_int8(layer: nn.Module) -> bool:
    """Whether `layer` is a convolution or a linear layer, and no subclass, which may do more."""
    return type(layer) in _INT8


def to_int8(model: nn.Module, names: Sequence[Any], frozen: bool) -> None:
    """Let the layers `names` of `model` compute in integers, in place; scales and weights are loaded afterwards.

    Where `frozen`, nothing of the model is trained. Raises `UserError` for a name that is no such layer.
    """
    modules = dict(model.named_modules())
    for name in names:
        layer = modules.get(str(name))
        if layer is None or not can_be_int8(layer):
            raise UserError(f"the transform int8 names {name}, which is no convolution or linear layer of the model")
        weight = cast(torch.Tensor, layer.weight)
        layer.__class__ = _INT8[type(layer)]
        whole = cast(Int8Weights, layer)
        whole.is_frozen = False
        whole.register_buffer("input_scale", torch.ones((), device=weight.device))
        whole.register_buffer("input_zero_point", torch.zeros((), dtype=torch.int32, device=weight.device))
        whole.register_buffer("weight_scale", torch.ones(len(weight), device=weight.device))
    if frozen:
        freeze(model)


def freeze(model: nn.Module) -> None:
    """Let the layers of `model` that compute in integers hold integers, in place; nothing of it is trained then."""
    for layer in model.modules():
        if isinstance(layer, Int8Weights) and not layer.is_frozen:
            integers = layer.quantised_weight().detach().to(torch.int8)
            del layer._parameters["weight"]
            layer.register_buffer("integers", integers)
            layer.is_frozen = True
    model.requires_grad_(False)


def check_scales(model: nn.Module) -> None:
    """Raise `UserError` for a scale or zero point of `model` that cannot be."""
    for name, layer in model.named_modules():
        if isinstance(layer, Int8Weights):
            scales = torch.cat((layer.input_scale.view(1), layer.weight_scale))
            if not (scales.isfinite() & (scales > 0)).all() or not 0 <= int(layer.input_zero_point) <= LEVELS:
                raise UserError(f"the layer {name} has a scale or a zero point that cannot be")


def with_float_weights(model: M) -> M:
    """`model`, or, if layers compute in integers, a copy with floating-point ones of the same weights."""
    if not any(isinstance(layer, Int8Weights) for layer in model.modules()):
        return model
    model = copy.deepcopy(model)
    for layer in model.modules():
        if isinstance(layer, Int8Weights):
            weight = layer.quantised_weight()
            weight = (weight * _for_channels(layer.weight_scale, weight)).detach()
            layer._parameters.pop("weight", None)
            for name in ("integers", "input_scale", "input_zero_point", "weight_scale"):
                layer._buffers.pop(name, None)
            layer.__class__ = next(kind for kind, whole in _INT8.items() if whole is type(layer))
            layer.register_parameter("weight", nn.Parameter(weight))
    return model


def _for_channels(scale: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return scale.view(-1, *[1] * (weight.dim() - 1))
