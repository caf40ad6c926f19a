"""Networks of which only the shapes count: their tensors are on the meta device, where nothing is computed."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

AnyModule = TypeVar("AnyModule", bound=nn.Module)

_FILL = {
    f"{name}_" for name in ("normal", "uniform", "fill", "zero", "copy", "erfinv", "mul", "add", "clamp", "random")
}

_ELEMENTWISE = (nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.SiLU)


def shapes_of(network: AnyModule) -> AnyModule:
    """A copy of `network` on the meta device, in evaluation mode; such a copy itself.

    What works element by element gives its input back: the result has the same shape, and the meta device is slow.
    """
    if getattr(network, "_is_shapes", False):
        return network
    shapes = copy.deepcopy(network).eval().to("meta")
    for module in shapes.modules():
        module._is_shapes = True  # type: ignore[assignment]
        if type(module) in _ELEMENTWISE:  # a subclass may do more
            module.forward = _identity
    return shapes


@contextlib.contextmanager
def only_shapes() -> Iterator[None]:
    """Within, networks are built on the meta device, and their initial values are not drawn."""
    with torch.device("meta"), _NoValues():
        yield


def _identity(value: torch.Tensor) -> torch.Tensor:
    return value


class _NoValues(TorchFunctionMode):
    """Leaves out what would only set values of a tensor on the meta device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # torch.nn.init's functions of these names hand over their tensor by name.
        tensor = args[0] if args else kwargs.get("tensor")
        if getattr(function, "__name__", "") in _FILL and isinstance(tensor, torch.Tensor) and tensor.is_meta:
            return tensor
        return function(*args, **kwargs)
