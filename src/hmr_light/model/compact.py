"""Convolutions of large kernels as two cheaper ones, without anything in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from hmr_light.errors import UserError


def is_separable(layer: nn.Module) -> bool:
    """Whether `layer` is a convolution without groups whose kernel has more than one pixel."""
    return type(layer) is nn.Conv2d and layer.groups == 1 and layer.kernel_size != (1, 1) and _is_plain(layer)


def is_splittable(layer: nn.Module) -> bool:
    """Whether `layer` is a depthwise 5×5 convolution."""
    return (
        type(layer) is nn.Conv2d
        and layer.groups == layer.in_channels == layer.out_channels
        and layer.kernel_size == (5, 5)
        and layer.dilation == (1, 1)
        and _is_plain(layer)
    )


def replace_convolutions(model: nn.Module, multipliers: Mapping[str, Any], splits: Sequence[Any]) -> None:
    """Replace convolutions of `model`, in place; the new weights are new.

    One in `multipliers` (name → m) becomes a depthwise one with m filters for each input, then a 1×1 convolution. A
    depthwise 5×5 one in `splits` becomes two depthwise 3×3: they see as far, at the edges too, for the first keeps the
    padding of the whole. Raises `UserError` for a name that is no such convolution.
    """
    modules = dict(model.named_modules())
    for name in map(str, (*multipliers, *splits)):
        layer, number = modules.get(name), multipliers.get(name)
        fits = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 1024
        if name in multipliers and fits and layer is not None and is_separable(layer):
            new = _separable(layer, number)  # type: ignore[arg-type]
        elif name in splits and name not in multipliers and layer is not None and is_splittable(layer):
            new = _split(layer)
        else:
            raise UserError(f"the transform compact names {name}, which is no convolution that it could replace")
        parent, _, own = name.rpartition(".")
        setattr(modules[parent], own, new.to(layer.weight).train(layer.training))


def _is_plain(layer: nn.Conv2d) -> bool:
    return type(layer.weight) is nn.Parameter and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _separable(layer: nn.Conv2d, multiplier: int) -> nn.Sequential:
    inner = multiplier * layer.in_channels
    depthwise = nn.Conv2d(
        layer.in_channels,
        inner,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        dilation=layer.dilation,  # type: ignore[arg-type]
        groups=layer.in_channels,
        bias=False,
    )
    return nn.Sequential(depthwise, nn.Conv2d(inner, layer.out_channels, 1, bias=layer.bias is not None))


def _split(layer: nn.Conv2d) -> nn.Sequential:
    channels = layer.in_channels
    first = nn.Conv2d(channels, channels, 3, padding=layer.padding, groups=channels, bias=False)  # type: ignore[arg-type]
    bias = layer.bias is not None
    return nn.Sequential(first, nn.Conv2d(channels, channels, 3, layer.stride, groups=channels, bias=bias))  # type: ignore[arg-type]
