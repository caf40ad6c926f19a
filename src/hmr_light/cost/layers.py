"""A network layer by layer: what each call of a module gives, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from hmr_light.backbones import Backbone
from hmr_light.cost.shapes import shapes_of

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """One call of one module, for one image."""

    name: str
    """The module's name in the network."""
    type: str
    """Its class."""
    kind: str
    """`conv1x1`, `conv3x3` …, `grouped conv1x1` …, `depthwise 3x3` …, `fc`, `norm`, `other`; `block` if it has modules
    of its own."""
    output_shapes: tuple[Shape, ...]
    """Of its tensors, without the batch."""
    parameters: int
    """Elements of its own `weight` and `bias`."""
    weights: int
    """Elements of its own `weight`, if it is a convolution or a linear layer."""
    macs: int
    """Multiply-accumulates, if it is a convolution or a linear layer."""
    accesses: int
    """Numbers that it reads and writes, if it is a convolution or a linear layer: its input, parameters and output. The
    memory access cost of ShuffleNet v2 (Ma et al., ECCV 2018, section 3)."""

    @property
    def elements(self) -> int:
        """Numbers that it gives."""
        return sum(map(math.prod, self.output_shapes))


@torch.no_grad()
def trace_layers(network: nn.Module, image_size: int) -> list[Layer]:
    """Every call of every module of `network` for one image (3, `image_size`, `image_size`), in the order they end.

    Which modules count is torchsummary 1.5.1's rule: all but the network itself, `nn.Sequential` and `nn.ModuleList`
    (their subclasses too), and each call for itself. What runs without a module (`torch.relu`, `+`) is not seen. The
    two parts of a `Backbone` count as the network itself. `network` is neither run nor changed.
    """
    shapes = shapes_of(network)
    unseen = {shapes, shapes.trunk, shapes.adapter} if isinstance(shapes, Backbone) else {shapes}
    layers: list[Layer] = []
    hooks = []
    for name, module in shapes.named_modules():
        if module not in unseen and not isinstance(module, nn.Sequential | nn.ModuleList):

            def note(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
                taken = sum(tensor[0].numel() for tensor in tensors_in(inputs))
                given = tuple(tuple(tensor.shape[1:]) for tensor in tensors_in(output))
                layers.append(_layer(name, module, taken, given))

            hooks.append(module.register_forward_hook(note))
    shapes(torch.empty(1, 3, image_size, image_size, device="meta"))
    for hook in hooks:
        hook.remove()
    return layers


def tensors_in(value: Any) -> Iterable[torch.Tensor]:
    """The tensors of a module's input or output, however nested."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)


def kind_of(module: nn.Module) -> str:
    """What a module is, as the papers' tables sort layers; see `Layer.kind`."""
    if isinstance(module, nn.Conv2d):
        size = "x".join(map(str, module.kernel_size))
        if module.groups == 1:
            return f"conv{size}"
        return f"depthwise {size}" if module.groups == module.in_channels else f"grouped conv{size}"
    if isinstance(module, nn.Linear):
        return "fc"
    if isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm):
        return "norm"
    return "block" if any(module.children()) else "other"


def _layer(name: str, module: nn.Module, taken: int, output_shapes: tuple[Shape, ...]) -> Layer:
    own = [value for value in (getattr(module, "weight", None), getattr(module, "bias", None)) if value is not None]
    parameters = sum(value.numel() for value in own if isinstance(value, torch.Tensor))
    weights = macs = accesses = 0
    if isinstance(module, nn.Conv2d | nn.Linear):
        weights = module.weight.numel()
        # Each number that comes out is a sum over one row of the weight matrix.
        macs = math.prod(output_shapes[0]) * math.prod(module.weight.shape[1:])
        accesses = taken + parameters + math.prod(output_shapes[0])
    return Layer(name, type(module).__name__, kind_of(module), output_shapes, parameters, weights, macs, accesses)
