"""Activation memory: what a network's intermediate results take, by two rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from hmr_light.cost.layers import Layer, tensors_in
from hmr_light.cost.shapes import shapes_of

FLOAT32_BYTES = 4
MIB = 2**20

# These cannot write their result over their operand; what else gives as many numbers as it takes, can.
_MIXES = ("conv", "pool", "mm", "cat", "mean", "sum", "upsample", "pad", "clone", "copy", "shuffle")


def forward_backward_mib(layers: Sequence[Layer]) -> float:
    """torchsummary's "Forward/backward pass size (MB)": all modules' outputs, float32, once forward and once back."""
    return 2 * FLOAT32_BYTES * sum(layer.elements for layer in layers) / MIB


@torch.no_grad()
def peak_activation_elements(network: nn.Module, image_size: int) -> int:
    """The numbers that inference on one image must hold at once: the most that any operation takes and gives.

    Sandler et al., "MobileNetV2", CVPR 2018, section 5.1: "the maximum total size of combined inputs and outputs across
    all operations", where an inverted bottleneck (see `is_bottleneck`) is one operation, because its wide inner tensor
    need never be whole. Weights do not count. Operations that work element by element write over their operand.
    `network` is neither run nor changed.
    """
    shapes = shapes_of(network)
    operations = _Operations(shapes)
    hooks = []
    for module in shapes.modules():
        if is_bottleneck(module):
            hooks.append(module.register_forward_pre_hook(operations.enter_block))
            hooks.append(module.register_forward_hook(operations.leave_block))
    image = torch.empty(1, 3, image_size, image_size, device="meta")
    with operations:
        shapes(image)
    for hook in hooks:
        hook.remove()
    return operations.peak


def is_bottleneck(module: nn.Module) -> bool:
    """Whether a module is a pointwise convolution (or none), a depthwise one and a pointwise one, and no more.

    Its inner tensor can then be computed and used up a few channels at a time.
    """
    if isinstance(module, nn.Sequential):
        return False
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    if not 2 <= len(layers) <= 3 or len(convs) < len(layers):
        return False
    *expand, depthwise, project = convs
    pointwise = all(layer.kernel_size == (1, 1) and layer.groups == 1 for layer in (*expand, project))
    return pointwise and depthwise.groups == depthwise.in_channels > 1


class _Operations(TorchDispatchMode):
    """Sees every operation of torch, outside of bottlenecks, and keeps the largest one's size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.peak = 0
        self._depth = 0
        # Kept as objects, not as ids alone: those of tensors that are gone are used again.
        self._weights = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        tensors = {id(tensor): tensor for tensor in tensors_in([args, kwargs or {}])}
        operands = [tensor for key, tensor in tensors.items() if key not in self._weights]
        results = list(tensors_in(result))
        if not operands:
            self._weights |= {id(tensor): tensor for tensor in results}  # made of weights alone: a transposed one
        elif not self._depth and not operation.is_view:
            self._note(operation.name(), operands, results)
        return result

    def _note(self, name: str, operands: list[torch.Tensor], results: list[torch.Tensor]) -> None:
        taken = sum(tensor.numel() for tensor in operands)
        # The indices that max pooling gives besides are for training.
        given = results[0].numel() if results else 0
        in_place = given in [tensor.numel() for tensor in operands] and not any(word in name for word in _MIXES)
        self.peak = max(self.peak, taken if in_place else taken + given)

    def enter_block(self, module: nn.Module, inputs: Any) -> None:
        self._depth += 1

    def leave_block(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._depth -= 1
        if not self._depth:
            self.peak = max(self.peak, sum(tensor.numel() for tensor in tensors_in([inputs, output])))
